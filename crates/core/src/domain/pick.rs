//! A choice as written, of which the type tells what it chooses.

use super::choice::{Choice, OptionError};
use super::table::{Build, Pluggable, Row, Tables};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A row of a table as written: `sync`, `ssp(3)`, `{name: ssp, slack: 3}`. In the schema it is a reference to the
/// table's rows, [`definition`].
pub struct Pick<T: ?Sized> {
    value: Value,
    of: PhantomData<fn() -> *const T>,
}

impl<T: ?Sized> From<Value> for Pick<T> {
    fn from(value: Value) -> Self {
        Self { value, of: PhantomData }
    }
}

impl<T: ?Sized> Pick<T> {
    /// The short form.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Value::from(text).into()
    }

    /// What is written.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }
}

impl<T: ?Sized + Pluggable> Pick<T> {
    /// Its name and options.
    ///
    /// # Errors
    /// When it has none of the three forms.
    pub fn choice(&self) -> Result<Choice, OptionError> {
        let Some(unnamed) = T::UNNAMED else { return Choice::from_value(&self.value) };
        match &self.value {
            Value::Object(map) if !map.contains_key("name") => {
                Ok(Choice { options: map.clone(), ..Choice::named(unnamed) })
            }
            value if is_quantity(value) => {
                Ok(Choice { positional: vec![value.clone()], ..Choice::named(unnamed) })
            }
            value => Choice::from_value(value),
        }
    }

    /// Its row, and the choice with its positional options named.
    ///
    /// # Errors
    /// As [`Pick::choice`] and [`super::Table::resolve`].
    pub fn resolve<'t>(&self, tables: &'t dyn Tables) -> Result<(&'t Row<T::Build>, Choice), OptionError> {
        tables.of::<T>().resolve(&self.choice()?)
    }

    /// What it names; `build` calls the row's builder with what that needs besides options.
    ///
    /// # Errors
    /// As [`Pick::resolve`], and what the builder says.
    pub fn make<M>(
        &self,
        tables: &dyn Tables,
        build: impl FnOnce(T::Build, &Choice) -> Result<M, OptionError>,
    ) -> Result<M, OptionError> {
        let (row, choice) = self.resolve(tables)?;
        build(row.build, &choice).map_err(|mut error| {
            // The user has written no option, only its value, and no name: an example of both would lead astray.
            if T::UNNAMED.is_some() && is_quantity(&self.value) {
                error.key.clear();
                return error;
            }
            error.with_example(row.example)
        })
    }

    /// What it names, if options are all that this depends on.
    ///
    /// # Errors
    /// As [`Pick::make`].
    pub fn build<M>(&self, tables: &dyn Tables) -> Result<M, OptionError>
    where
        T: Pluggable<Build = Build<M>>,
    {
        self.make(tables, |build, choice| build(choice, tables))
    }
}

/// Where a schema holds what can be chosen from a table, below `$defs`.
#[must_use]
pub fn definition(list: &str) -> String {
    format!("choice-of-{list}")
}

/// Whether it is a number, or begins as one: `20ms`.
fn is_quantity(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            text.trim_start().starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        }
        value => value.is_number(),
    }
}

impl<T: ?Sized> Clone for Pick<T> {
    fn clone(&self) -> Self {
        self.value.clone().into()
    }
}

impl<T: ?Sized> fmt::Debug for Pick<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pick({})", self.value)
    }
}

impl<T: ?Sized> PartialEq for Pick<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<'de, T: ?Sized> Deserialize<'de> for Pick<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            value @ (Value::String(_) | Value::Object(_) | Value::Number(_)) => Ok(value.into()),
            other => Err(D::Error::custom(format!(
                "`{other}` is not a choice; allowed: a name, `name(value, ..)` or `{{name: .., option: value}}`"
            ))),
        }
    }
}

impl<T: ?Sized> Serialize for Pick<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: ?Sized + Pluggable> JsonSchema for Pick<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        definition(T::LIST).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "$ref": format!("#/$defs/{}", definition(T::LIST)) })
    }
}

/// In a schema the type of a text that is the name of a row, without options: `lan-gige`.
pub struct Name<T: ?Sized>(PhantomData<fn() -> *const T>);

impl<T: ?Sized + Pluggable> JsonSchema for Name<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        name_definition(T::LIST).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "$ref": format!("#/$defs/{}", name_definition(T::LIST)) })
    }
}

/// Where a schema holds the names of a table, below `$defs`.
#[must_use]
pub fn name_definition(list: &str) -> String {
    format!("name-of-{list}")
}
