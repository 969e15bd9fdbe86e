//! Tables of pluggable things: one file and one row for each policy, model, codec, topology and so on.
//!
//! `hcddl list` prints the tables, `hcddl schema` offers their rows with all options, the conformance tests walk them,
//! and an unknown name is answered with the allowed ones.

use super::choice::{Choice, OptionError};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::any::{Any, TypeId};

/// One pluggable thing.
#[derive(Clone, Copy, Debug)]
pub struct Row<B> {
    /// The name used in a scenario.
    pub name: &'static str,
    /// One line for `hcddl list`.
    pub summary: &'static str,
    /// YAML of a choice of this row with every option at its default; tests parse it.
    pub example: &'static str,
    /// Options that may be given by position in the short form, as in `ssp(3)`.
    pub positional: &'static [&'static str],
    /// Its options, as [`options`] of the type that the builder reads.
    pub options: Options,
    /// Makes the thing from its options.
    pub build: B,
}

/// The JSON Schema of a row's options.
pub type Options = fn(&mut SchemaGenerator) -> Schema;

/// The options of a row that reads them as this type: their names, types and defaults, and as descriptions the doc
/// comments of its fields.
pub fn options<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

/// The options of a row that reads them as two types, one after the other.
pub fn both<A: JsonSchema, B: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let (mut all, mut more) = (A::json_schema(generator), B::json_schema(generator));
    add(&mut all, &mut more);
    all
}

/// The names of options, in their documented order.
#[must_use]
pub fn option_names(options: Options) -> Vec<String> {
    let schema = options(&mut SchemaGenerator::default());
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(Map::keys).cloned().collect()
}

/// Adds options to others. What both have may be as either says.
pub fn add(all: &mut Schema, more: &mut Schema) {
    let (all, more) = (all.ensure_object(), more.ensure_object());
    if let Some(Value::Object(more)) = more.remove("properties") {
        let all = all.entry("properties").or_insert_with(|| Map::new().into());
        for (name, option) in more {
            match all.get_mut(&name) {
                Some(own) => *own = json!({ "anyOf": [own, option] }),
                None => all[&name] = option,
            }
        }
    }
    if let Some(Value::Array(more)) = more.remove("required") {
        let all = all.entry("required").or_insert_with(|| Value::Array(vec![]));
        all.as_array_mut().expect("a list of names").extend(more);
    }
}

/// The options of a row that has none: any key is an error.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// Something that is chosen by name. Its type leads to its table, and tells where that is listed.
pub trait Pluggable: 'static {
    /// What makes one from its options.
    type Build: Copy + 'static;
    /// What one is called: "policy".
    const KIND: &'static str;
    /// What the table is called on the command line and in the schema: "policies".
    const LIST: &'static str;
    /// The row that is meant where no name is written: by a value alone, as in `20ms`, its first positional option, or
    /// by a map without `name`.
    const UNNAMED: Option<&'static str> = None;
    /// Options of every row besides its own, which the builders do not see.
    const COMMON: Option<Options> = None;
}

/// Everything of one kind, built in or added by a user's crate.
#[derive(Clone, Debug)]
pub struct Table<B> {
    /// What the rows are, in the singular: "policy".
    pub kind: &'static str,
    /// What the table is called: "policies".
    pub list: &'static str,
    /// The row that is meant where no name is written.
    pub unnamed: Option<&'static str>,
    /// Options of every row besides its own.
    pub common: Option<Options>,
    rows: Vec<Row<B>>,
}

impl<B> Table<B> {
    /// A table of these rows.
    #[must_use]
    pub fn new<T: ?Sized + Pluggable<Build = B>>(rows: Vec<Row<B>>) -> Self {
        Self { kind: T::KIND, list: T::LIST, unnamed: T::UNNAMED, common: T::COMMON, rows }
    }

    /// Adds a row; a row of the same name is replaced.
    pub fn add(&mut self, row: Row<B>) {
        self.rows.retain(|r| r.name != row.name);
        self.rows.push(row);
    }

    /// The rows in their documented order.
    #[must_use]
    pub fn rows(&self) -> &[Row<B>] {
        &self.rows
    }

    /// The names in their documented order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.rows.iter().map(|r| r.name).collect()
    }

    /// The row of this name.
    ///
    /// # Errors
    /// [`OptionError`] with the allowed names and the nearest one.
    pub fn get(&self, name: &str) -> Result<&Row<B>, OptionError> {
        self.rows.iter().find(|r| r.name == name).ok_or_else(|| {
            let near = nearest(name, self.names());
            OptionError {
                key: String::new(),
                message: format!("unknown {} `{name}`", self.kind),
                allowed: self.names().join(", "),
                hint: near.map_or_else(
                    || format!("`hcddl list` shows each {} with an example", self.kind),
                    |near| format!("did you mean `{near}`?"),
                ),
            }
        })
    }

    /// The row of this choice and the choice with its positional options named.
    ///
    /// # Errors
    /// As [`Table::get`], and when there are more positional options than the row takes.
    pub fn resolve(&self, choice: &Choice) -> Result<(&Row<B>, Choice), OptionError> {
        let row = self.get(&choice.name)?;
        let mut named =
            Choice { name: choice.name.clone(), options: choice.options.clone(), positional: vec![] };
        for (i, value) in choice.positional.iter().enumerate() {
            let Some(key) = row.positional.get(i) else {
                return Err(OptionError {
                    key: String::new(),
                    message: format!("`{}` takes {} value(s) in parentheses", row.name, row.positional.len()),
                    allowed: row.example.to_owned(),
                    hint: "name the options instead".to_owned(),
                });
            };
            named.options.insert((*key).to_owned(), value.clone());
        }
        Ok((row, named))
    }
}

/// Every table that a row's own options may name rows of; a [`super::Pick`] finds its own one there.
pub trait Tables {
    /// The table of this type.
    fn find(&self, table: TypeId) -> Option<&dyn Any>;
}

impl dyn Tables + '_ {
    /// The table of these things.
    ///
    /// # Panics
    /// If it is not among them, which is a bug.
    #[must_use]
    pub fn of<T: ?Sized + Pluggable>(&self) -> &Table<T::Build> {
        let found = self.find(TypeId::of::<Table<T::Build>>()).and_then(<dyn Any>::downcast_ref);
        found.unwrap_or_else(|| panic!("there is no table of {}", T::LIST))
    }
}

/// A table alone, for what names rows of no other.
impl<B: 'static> Tables for Table<B> {
    fn find(&self, table: TypeId) -> Option<&dyn Any> {
        (table == TypeId::of::<Self>()).then_some(self)
    }
}

/// For what can name nothing.
impl Tables for () {
    fn find(&self, _: TypeId) -> Option<&dyn Any> {
        None
    }
}

impl<A: Tables, B: Tables> Tables for (A, B) {
    fn find(&self, table: TypeId) -> Option<&dyn Any> {
        self.0.find(table).or_else(|| self.1.find(table))
    }
}

/// Makes a thing from its options, where these are all that it depends on.
pub type Build<T> = fn(&Choice, &dyn Tables) -> Result<T, OptionError>;

/// A table whatever its rows make.
pub trait AnyTable: Any + Tables {
    /// The same with rows that make nothing.
    fn outline(&self) -> Table<()>;
}

impl<B: 'static> AnyTable for Table<B> {
    fn outline(&self) -> Table<()> {
        let row = |row: &Row<B>| {
            let Row { name, summary, example, positional, options, .. } = *row;
            Row { name, summary, example, positional, options, build: () }
        };
        let Self { kind, list, unnamed, common, rows } = self;
        Table { kind, list, unnamed: *unnamed, common: *common, rows: rows.iter().map(row).collect() }
    }
}

/// The nearest of the allowed names, if any is near enough to be a slip of the finger.
#[must_use]
pub fn nearest<'a>(name: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    allowed
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4 && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Thing;

    impl Pluggable for Thing {
        type Build = ();
        const KIND: &'static str = "policy";
        const LIST: &'static str = "policies";
    }

    #[test]
    fn names_positional_options_by_the_row() {
        let row = Row {
            name: "ssp",
            summary: "",
            example: "{name: ssp, slack: 3}",
            positional: &["slack"],
            options: options::<NoOptions>,
            build: (),
        };
        let table = Table::new::<Thing>(vec![row]);
        let (_, named) = table.resolve(&Choice::from_value(&json!("ssp(4)")).unwrap()).unwrap();
        assert_eq!(named, Choice::from_value(&json!({"name": "ssp", "slack": 4})).unwrap());
        let error = table.resolve(&Choice::from_value(&json!("ssp(4, 5)")).unwrap()).unwrap_err();
        assert!(error.to_string().contains("takes 1 value"), "{error}");
        let unknown = table.resolve(&Choice::named("sps")).unwrap_err();
        assert!(unknown.to_string().contains("did you mean `ssp`?"), "{unknown}");
    }
}
