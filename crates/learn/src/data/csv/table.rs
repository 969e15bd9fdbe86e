//! Rows of numbers, classes and owners, read from files whose columns are known by name or by place.

use super::columns::{Column, Columns, Wanted};
use crate::data::files::{file_error, open, wrong};
use crate::data::{DataSet, Features, Labels, Owners, Samples};
use crate::model::{DataShape, Output};
use hcddl_core::domain::{OptionError, text};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where rows to test on are.
pub(super) enum Test<'a> {
    Files(&'a [PathBuf]),
    /// So many last ones of the training file.
    Rows(usize),
}

/// What files look like.
pub(super) struct Form {
    pub columns: Wanted,
    /// Targets are numbers to be predicted, not classes.
    pub numbers: bool,
    pub header: bool,
    pub separator: Option<char>,
}

impl Form {
    /// Classes in one column, separated by commas.
    pub fn of_classes(label: Column, skip: Vec<Column>, header: bool) -> Self {
        let columns = Wanted { targets: vec![label], key: "label", owner: None, skip };
        Self { columns, numbers: false, header, separator: Some(',') }
    }
}

/// Rows that were read.
#[derive(Default)]
struct Table {
    rows: usize,
    values: Vec<f32>,
    /// Numbers of [`Classes`], unless rows have targets.
    labels: Vec<u32>,
    /// Numbers to be predicted.
    targets: Vec<f32>,
    /// Numbers of [`Names`], if rows have owners.
    owners: Vec<u32>,
}

impl Table {
    /// Takes the rows from `first` on.
    fn split_off(&mut self, first: usize, width: usize) -> Self {
        let targets = self.targets.len() / self.rows;
        let rest = Self {
            rows: self.rows - first,
            values: self.values.split_off(first * width),
            labels: self.labels.split_off(first.min(self.labels.len())),
            targets: self.targets.split_off(first * targets),
            owners: self.owners.split_off(first.min(self.owners.len())),
        };
        self.rows = first;
        rest
    }
}

/// Names in order of appearance.
#[derive(Default)]
struct Names {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }
}

/// The classes that were read, in order of appearance.
#[derive(Default)]
struct Classes {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
}

impl Classes {
    /// The number of a class; `1`, `1.0` and `1e0` are the same one. `None` for numbers that are not whole.
    fn number(&mut self, field: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(field) {
            return Some(*number);
        }
        let name = match field.parse::<f64>() {
            Ok(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{}", value as i64),
            Ok(_) => return None,
            Err(_) => field.to_owned(),
        };
        let number = self.numbers.get(&name).copied().unwrap_or_else(|| {
            self.names.push(name.clone());
            let number = self.names.len() as u32 - 1;
            self.numbers.insert(name, number);
            number
        });
        self.numbers.insert(field.to_owned(), number);
        Some(number)
    }

    /// Class of each number: by value if all are numbers, else by name.
    fn order(&self) -> Vec<u16> {
        let values: Result<Vec<i64>, _> = self.names.iter().map(|name| name.parse()).collect();
        let mut sorted: Vec<usize> = (0..self.names.len()).collect();
        match values {
            Ok(values) => sorted.sort_by_key(|i| values[*i]),
            Err(_) => sorted.sort_by_key(|i| &self.names[*i]),
        }
        let mut order = vec![0; sorted.len()];
        sorted.into_iter().enumerate().for_each(|(class, number)| order[number] = class as u16);
        order
    }
}

impl Form {
    /// The rows of a file to train on, and those to test on.
    pub fn load(&self, train: &Path, test: &Test<'_>, standardise: bool) -> Result<DataSet, OptionError> {
        let (mut labels, mut owners) = (Classes::default(), Names::default());
        let mut trained = Table::default();
        let columns = self.read(train, None, &mut trained, &mut labels, &mut owners)?;
        let (mut tested, width) = (Table::default(), columns.features.len());
        match test {
            Test::Files(paths) => {
                let known = labels.names.len();
                for path in *paths {
                    let read = self.read(path, Some(&columns), &mut tested, &mut labels, &mut owners)?;
                    if let Some(name) = labels.names.get(known) {
                        let allowed = format!("the classes of `{}`", train.display());
                        return Err(wrong(path, &format!("has the class `{name}`"), allowed));
                    }
                    if read.features.len() != width {
                        let message =
                            format!("{width} features to train on, {} to test on", read.features.len());
                        return Err(file_error(message, "files of the same set"));
                    }
                }
            }
            Test::Rows(rows) => {
                let all = trained.rows;
                let allowed = format!("1 to {} of the {all} rows", all - 1);
                OptionError::check((1..all).contains(rows), "test_rows", rows, &allowed)?;
                tested = trained.split_off(all - rows, width);
            }
        }
        let notes = doubts(&columns, &trained, train);
        if standardise {
            self::standardise(&mut trained.values, &mut tested.values, width);
        }
        let (order, targets) = (labels.order(), self.columns.targets.len());
        let output = if self.numbers { Output::Numbers(targets) } else { Output::Classes(order.len()) };
        let samples = |table: Table| {
            let labels = match self.numbers {
                true => Labels::Values { values: table.targets, len: targets },
                false => Labels::Classes(table.labels.iter().map(|number| order[*number as usize]).collect()),
            };
            let samples = Samples::new(Features::Floats(table.values), labels, width);
            match table.owners.len() == samples.len() {
                true => samples.owned_by(Owners { of: table.owners, names: owners.names.clone() }),
                false => samples,
            }
        };
        let shape = DataShape { output, ..DataShape::features(width, 1) };
        Ok(DataSet { notes, ..DataSet::new(shape, samples(trained), samples(tested)) })
    }

    /// Appends the rows of a file, whose columns are `like` those of another one; returns what its columns mean.
    fn read(
        &self,
        path: &Path,
        like: Option<&Columns>,
        to: &mut Table,
        classes: &mut Classes,
        owners: &mut Names,
    ) -> Result<Columns, OptionError> {
        let mut from = open(path)?;
        let start = start(path, &mut from)?;
        let separator = self.separator(path, &start)?;
        let mut builder = ::csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true).trim(::csv::Trim::All).delimiter(separator as u8);
        let mut reader = builder.from_reader(start.as_slice().chain(from));
        let mut record = ::csv::StringRecord::new();
        let mut next = |record: &mut ::csv::StringRecord| {
            reader.read_record(record).map_err(|e| wrong(path, &format!("cannot be read: {e}"), "a CSV file"))
        };
        let header = if self.header && next(&mut record)? { Some(record.clone()) } else { None };
        let mut columns: Option<Columns> = None;
        let mut number = usize::from(self.header);
        while next(&mut record)? {
            number += 1;
            let columns = match &columns {
                Some(columns) => columns,
                None => columns.insert(match like {
                    None => Columns::of(&self.columns, header.as_ref(), record.len(), path)?,
                    Some(like) => like.like(&self.columns, header.as_ref(), record.len(), path)?,
                }),
            };
            if record.len() != columns.fields {
                let message = format!("has {} values in row {number}", record.len());
                return Err(wrong(path, &message, format!("{} values", columns.fields)));
            }
            let value = |at: &usize| {
                record[*at].parse::<f32>().ok().filter(|value| value.is_finite()).ok_or_else(|| {
                    let message =
                        format!("has `{}` in row {number}, column {at}", record[*at].escape_debug());
                    wrong(path, &message, "a number, or skip the column")
                })
            };
            for at in &columns.features {
                to.values.push(value(at)?);
            }
            if self.numbers {
                for at in &columns.targets {
                    to.targets.push(value(at)?);
                }
            } else {
                let label = &record[columns.targets[0]];
                let Some(class) = classes.number(label).filter(|class| *class < 1 << 16) else {
                    let message = format!("has the class `{}` in row {number}", label.escape_debug());
                    let mut error = wrong(path, &message, "a whole number or a name, at most 65536 of them");
                    error.hint =
                        "numbers to be predicted go into `target: COLUMN` instead of `label`".to_owned();
                    return Err(error);
                };
                to.labels.push(class);
            }
            to.owners.extend(columns.owner.map(|at| owners.number(&record[at])));
            to.rows += 1;
        }
        columns.ok_or_else(|| wrong(path, "holds no rows", "1 or more"))
    }

    /// What parts the columns: as told, else as the start of the file looks.
    fn separator(&self, path: &Path, start: &[u8]) -> Result<char, OptionError> {
        let allowed = "`separator: \",\"`, `\";\"` or `\"\\t\"`";
        if let Some(separator) = self.separator {
            OptionError::check(separator.is_ascii(), "separator", separator, allowed)?;
            return Ok(separator);
        }
        let text = String::from_utf8_lossy(start);
        // The last line may be cut.
        let whole = text.rfind(['\n', '\r']).map_or(&*text, |end| &text[..end]);
        text::separator(&text::unified(whole.to_owned())).map_err(|candidates| {
            let found: Vec<String> = candidates.iter().map(|c| format!("`{}`", c.escape_debug())).collect();
            let message = format!("may have its columns parted by {}", found.join(" or "));
            OptionError { key: "separator".to_owned(), ..wrong(path, &message, allowed) }
        })
    }
}

/// The start of a file, from which its separator is told.
fn start(path: &Path, from: &mut dyn Read) -> Result<Vec<u8>, OptionError> {
    const START: u64 = 1 << 16;
    let mut bytes = Vec::new();
    let read = from.take(START).read_to_end(&mut bytes);
    read.map_err(|e| wrong(path, &format!("cannot be read: {e}"), "a CSV file"))?;
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = bytes[..] {
        return Err(wrong(path, "is UTF-16", "UTF-8"));
    }
    Ok(bytes)
}

/// What is unlikely about a table, each a sentence.
fn doubts(columns: &Columns, table: &Table, path: &Path) -> Vec<String> {
    /// Rows from which on a column that counts up by one is taken for their numbers.
    const COUNTED: usize = 10;
    let (width, file) = (columns.features.len(), path.display());
    let mut notes = Vec::new();
    if columns.header_of_numbers() {
        notes.push(format!(
            "every field of the header of `{file}` is a number; if its first line is a row, write `header: false`"
        ));
    }
    if columns.index {
        notes
            .push(format!("the first column of `{file}` has no name: it is taken for the names of the rows"));
    }
    let column = |feature: usize| table.values.iter().skip(feature).step_by(width);
    for feature in 0..width {
        let name = || columns.feature(feature);
        let mut pairs = column(feature).zip(column(feature).skip(1));
        if table.rows >= COUNTED && pairs.clone().all(|(a, b)| *b == a + 1.0) {
            notes.push(format!("the column {} of `{file}` numbers its rows; `skip` leaves it out", name()));
        } else if table.rows > 1 && pairs.all(|(a, b)| a == b) {
            notes.push(format!("the column {} of `{file}` has one value only", name()));
        }
    }
    /// Notes that are shown of one file.
    const SHOWN: usize = 8;
    if notes.len() > SHOWN {
        let more = notes.len() - SHOWN;
        notes.truncate(SHOWN);
        notes.push(format!("and {more} more columns of `{file}` are unlikely"));
    }
    notes
}

/// (x - mean) / deviation by feature, both of the training rows; a constant feature becomes 0.
fn standardise(train: &mut [f32], test: &mut [f32], width: usize) {
    let rows = (train.len() / width) as f64;
    for feature in 0..width {
        let column = || train.iter().skip(feature).step_by(width).map(|v| f64::from(*v));
        let mean = column().sum::<f64>() / rows;
        let deviation = (column().map(|v| (v - mean) * (v - mean)).sum::<f64>() / rows).sqrt();
        let deviation = if deviation > 0.0 { deviation } else { 1.0 };
        for value in train.iter_mut().chain(&mut *test).skip(feature).step_by(width) {
            *value = ((f64::from(*value) - mean) / deviation) as f32;
        }
    }
}
