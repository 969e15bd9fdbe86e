//! A choice as written, before its table is known.

use hcddl_core::domain::{Choice, OptionError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// A row of a table as written: `sync`, `ssp(3)`, `{name: ssp, slack: 3}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pick(pub Value);

impl Pick {
    /// The short form.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self(Value::String(text.to_owned()))
    }

    /// Its name and options.
    ///
    /// # Errors
    /// When it has none of the three forms.
    pub fn choice(&self) -> Result<Choice, OptionError> {
        Choice::from_value(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pick {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            value @ (Value::String(_) | Value::Object(_) | Value::Number(_)) => Ok(Self(value)),
            other => Err(D::Error::custom(format!(
                "`{other}` is not a choice; allowed: a name, `name(value, ..)` or `{{name: .., option: value}}`"
            ))),
        }
    }
}

impl Serialize for Pick {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for Pick {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Choice")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A name, `name(value, ..)` or `{name: .., option: value}`.",
            "anyOf": [
                { "type": "string" },
                { "type": "number" },
                { "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] },
            ],
        })
    }
}

/// A choice of local optimiser: as [`Pick`], but a map without a name means `sgd`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OptimizerPick(Pick);

impl OptimizerPick {
    /// With its name.
    #[must_use]
    pub fn named(&self) -> Pick {
        let mut pick = self.0.clone();
        if let Value::Object(map) = &mut pick.0 {
            map.entry("name").or_insert_with(|| "sgd".into());
        }
        pick
    }
}

impl Default for OptimizerPick {
    fn default() -> Self {
        Self(Pick::text("sgd"))
    }
}

impl JsonSchema for OptimizerPick {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("OptimizerChoice")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A name, `name(value, ..)` or `{name: .., option: value}`; without a name it is `sgd`.",
            "anyOf": [
                { "type": "string" },
                { "type": "object", "properties": { "name": { "type": "string" } } },
            ],
        })
    }
}
