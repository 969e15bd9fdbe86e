//! What the columns of a table mean: by the names in its header, else by their place.

use super::super::files::wrong;
use hcddl_core::domain::OptionError;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// A column by its name in the header, or by its number from 0.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Column {
    Number(usize),
    Name(String),
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => write!(f, "`{name}`"),
        }
    }
}

/// What an owner of a table says of its columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Classes, or the numbers to be predicted.
    pub targets: Vec<Column>,
    /// The option that names them.
    pub key: &'static str,
    /// Who a row comes from.
    pub owner: Option<Column>,
    /// Columns that are no features.
    pub skip: Vec<Column>,
}

/// Which fields of a row are what.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// Fields of a row.
    pub fields: usize,
    pub targets: Vec<usize>,
    pub owner: Option<usize>,
    pub features: Vec<usize>,
    /// Names of all fields, if there is a header.
    names: Option<Vec<String>>,
    /// Whether the first field is the name of its row though the header has a place for it: pandas writes its index so.
    pub index: bool,
}

/// What pandas calls the column of an index that was saved and read again.
const UNNAMED: &str = "Unnamed: 0";

impl Columns {
    /// Of a file to train on, whose rows have so many fields.
    ///
    /// # Errors
    /// Columns that are not there, or none that is left; names that stand twice.
    pub fn of(
        wanted: &Wanted,
        header: Option<&::csv::StringRecord>,
        fields: usize,
        path: &Path,
    ) -> Result<Self, OptionError> {
        let columns = header.map_or(fields, ::csv::StringRecord::len);
        // R writes one name fewer than values: the first value is the name of the row.
        let unlisted = usize::from(fields == columns + 1);
        let names = header.map(|header| names(header, fields, path)).transpose()?;
        let find = |key: &str, column: &Column| {
            let at = match column {
                Column::Number(number) => Some(number + unlisted).filter(|at| *at < fields),
                Column::Name(name) => names.as_ref().and_then(|names| names.iter().position(|n| n == name)),
            };
            at.ok_or_else(|| {
                let allowed = match header {
                    Some(header) => header.iter().collect::<Vec<_>>().join(", "),
                    None => format!("a number from 0 to {}", columns - 1),
                };
                OptionError::new(key, format!("no column {column} in `{}`", path.display()), allowed)
            })
        };
        let targets: Vec<usize> =
            wanted.targets.iter().map(|c| find(wanted.key, c)).collect::<Result<_, _>>()?;
        let owner = wanted.owner.as_ref().map(|c| find("owner", c)).transpose()?;
        let skipped: BTreeSet<usize> =
            wanted.skip.iter().map(|c| find("skip", c)).collect::<Result<_, _>>()?;
        let taken = |at: &usize| targets.contains(at) || owner == Some(*at) || skipped.contains(at);
        let unnamed = names.as_ref().is_some_and(|names| names[0].is_empty() || names[0] == UNNAMED);
        let index = unlisted == 0 && unnamed && fields > 1 && !taken(&0);
        let first = if index { 1 } else { unlisted };
        let features: Vec<usize> = (first..fields).filter(|at| !taken(at)).collect();
        if features.is_empty() {
            return Err(wrong(path, "has no column left for features", "1 or more"));
        }
        Ok(Self { fields, targets, owner, features, names, index })
    }

    /// The same columns in another file of the set: by their names, where both files have a header.
    ///
    /// # Errors
    /// Columns that only one of the files has.
    pub fn like(
        &self,
        wanted: &Wanted,
        header: Option<&::csv::StringRecord>,
        fields: usize,
        path: &Path,
    ) -> Result<Self, OptionError> {
        let (Some(own), Some(header)) = (&self.names, header) else {
            return Self::of(wanted, header, fields, path);
        };
        let names = names(header, fields, path)?;
        let places: HashMap<&str, usize> =
            names.iter().enumerate().rev().map(|(at, name)| (name.as_str(), at)).collect();
        let find = |at: &usize| {
            places.get(own[*at].as_str()).copied().ok_or_else(|| {
                let message = format!("has no column `{}`", own[*at]);
                let mut error = wrong(path, &message, listed(own));
                error.hint =
                    "name its columns as the training file's, or write `header: false` if neither file \
                              names them"
                        .to_owned();
                error
            })
        };
        let targets: Vec<usize> = self.targets.iter().map(find).collect::<Result<_, _>>()?;
        let owner = self.owner.as_ref().and_then(|at| find(at).ok());
        let features: Vec<usize> = self.features.iter().map(find).collect::<Result<_, _>>()?;
        let known: BTreeSet<&str> = own.iter().map(String::as_str).collect();
        let more = names.iter().find(|name| !known.contains(name.as_str()) && !is_unnamed(name));
        if let Some(name) = more {
            let message = format!("has a column `{name}` that the training file lacks");
            return Err(wrong(path, &message, listed(own)));
        }
        Ok(Self { fields, targets, owner, features, names: Some(names), index: false })
    }

    /// What a message calls a feature: its name, else its number.
    pub fn feature(&self, number: usize) -> String {
        let at = self.features[number];
        match &self.names {
            Some(names) => format!("`{}`", names[at]),
            None => format!("{at}"),
        }
    }

    /// Whether the header holds numbers only, as a first row of a table without one does.
    pub fn header_of_numbers(&self) -> bool {
        let is_number = |name: &String| name.parse::<f64>().is_ok();
        let named = |names: &Vec<String>| {
            let mut written = names.iter().filter(|name| !name.is_empty()).peekable();
            written.peek().is_some() && written.all(is_number)
        };
        self.names.as_ref().is_some_and(named)
    }
}

fn is_unnamed(name: &str) -> bool {
    name.is_empty() || name == UNNAMED
}

fn listed(names: &[String]) -> String {
    names.iter().filter(|name| !is_unnamed(name)).cloned().collect::<Vec<_>>().join(", ")
}

/// The names of all fields; the name of rows' names is empty.
fn names(header: &::csv::StringRecord, fields: usize, path: &Path) -> Result<Vec<String>, OptionError> {
    let columns = header.len();
    if fields != columns && fields != columns + 1 {
        let message = format!("names {columns} columns, but its rows have {fields} values");
        return Err(wrong(path, &message, "as many of each, or one more for the names of rows"));
    }
    let unlisted = (fields > columns).then(String::new);
    let names: Vec<String> = unlisted.into_iter().chain(header.iter().map(str::to_owned)).collect();
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !name.is_empty() && !seen.insert(name.as_str())) {
        // Numbers that stand twice are no names: the table has no header, which is told otherwise.
        if twice.parse::<f64>().is_err() {
            return Err(wrong(path, &format!("names two columns `{twice}`"), "each name once"));
        }
    }
    Ok(names)
}
