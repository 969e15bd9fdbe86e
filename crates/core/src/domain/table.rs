//! Tables of pluggable things: one file and one row for each policy, model, codec, topology and so on.
//!
//! `hcddl list` prints the tables, the conformance tests walk them, and an unknown name is answered with
//! the allowed ones.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// One pluggable thing.
#[derive(Clone, Debug)]
pub struct Row<B> {
    /// The name used in a scenario.
    pub name: &'static str,
    /// One line for `hcddl list`.
    pub summary: &'static str,
    /// YAML of a choice of this row with every option at its default; tests parse it.
    pub example: &'static str,
    /// Options that may be given by position in the short form, as in `ssp(3)`.
    pub positional: &'static [&'static str],
    /// Makes the thing from its options.
    pub build: B,
}

/// Everything of one kind, built in or added by a user's crate.
#[derive(Clone, Debug)]
pub struct Table<B> {
    /// What the rows are, in the singular: "policy".
    pub kind: &'static str,
    rows: Vec<Row<B>>,
}

impl<B> Table<B> {
    /// A table with these rows.
    #[must_use]
    pub fn new(kind: &'static str, rows: Vec<Row<B>>) -> Self {
        Self { kind, rows }
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

/// What a scenario writes where a table's row is wanted: `sync`, `ssp(3)` or `{name: ssp, slack: 3}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Name of the row.
    pub name: String,
    /// Named options, checked by the row.
    pub options: Map<String, Value>,
    /// Options of the short form, before the row has named them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positional: Vec<Value>,
}

impl Choice {
    /// A choice without options.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Reads what a scenario writes: `"sync"`, `"ssp(3)"` or `{name: ssp, slack: 3}`.
    ///
    /// In parentheses, numbers and `true`/`false` become such; anything else stays text, so that a choice
    /// may hold another one: `shifted(20ms, pareto(1ms, 1.5))`.
    ///
    /// # Errors
    /// [`OptionError`] when it is neither text nor a mapping with a `name`, or the text is not of that form.
    pub fn from_value(value: &Value) -> Result<Choice, OptionError> {
        const FORMS: &str = "a name, `name(value, ..)` or `{name: .., option: value}`";
        match value {
            Value::String(text) => Choice::from_text(text)
                .ok_or_else(|| OptionError::new("", format!("`{text}` is not a choice"), FORMS)),
            Value::Object(map) => {
                let mut options = map.clone();
                match options.shift_remove("name") {
                    Some(Value::String(name)) => Ok(Choice { name, options, positional: vec![] }),
                    Some(other) => {
                        Err(OptionError::new("name", format!("`{other}` is not a name"), "a text"))
                    }
                    None => Err(OptionError::new("", "this choice has no `name`", FORMS)),
                }
            }
            other => Err(OptionError::new("", format!("`{other}` is not a choice"), FORMS)),
        }
    }

    /// `name` or `name(value, ..)`; `None` when the text has another form.
    fn from_text(text: &str) -> Option<Choice> {
        let text = text.trim();
        let (name, inside) = match text.split_once('(') {
            Some((name, rest)) => (name.trim_end(), Some(rest.strip_suffix(')')?)),
            None => (text, None),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || !name.chars().all(is_name) {
            return None;
        }
        let positional = match inside {
            None => vec![],
            Some(inside) if inside.trim().is_empty() => vec![],
            Some(inside) => split_arguments(inside)?.into_iter().map(argument).collect(),
        };
        Some(Choice { name: name.to_owned(), options: Map::new(), positional })
    }

    /// The options as the row's own type, which refuses unknown keys.
    ///
    /// # Errors
    /// [`OptionError`] with the option's key.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T, OptionError> {
        serde_path_to_error::deserialize(Value::Object(self.options.clone())).map_err(|error| {
            let path = error.path().to_string();
            OptionError {
                key: if path == "." { String::new() } else { path },
                message: error.into_inner().to_string(),
                allowed: String::new(),
                hint: String::new(),
            }
        })
    }
}

/// Splits at the commas outside parentheses; `None` when parentheses do not match or a part is empty.
fn split_arguments(inside: &str) -> Option<Vec<&str>> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0i32, 0);
    for (at, c) in inside.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(inside[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    parts.push(inside[from..].trim());
    (depth == 0 && parts.iter().all(|part| !part.is_empty())).then_some(parts)
}

/// A number or `true`/`false` if the text is one, otherwise the text.
fn argument(text: &str) -> Value {
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    if let Ok(flag) = text.parse::<bool>() {
        return flag.into();
    }
    let number = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    number.map_or_else(|| text.into(), Value::Number)
}

/// A choice that cannot be built; the scenario adds file, path and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Path of the option below the choice; empty for the choice itself.
    pub key: String,
    /// What is wrong, with the value.
    pub message: String,
    /// What would be right; may be empty.
    pub allowed: String,
    /// The next step; may be empty.
    pub hint: String,
}

impl OptionError {
    /// An error unless `ok`: the option's value must be as `allowed` says.
    ///
    /// # Errors
    /// [`OptionError`] with the value.
    pub fn check(ok: bool, key: &str, value: impl fmt::Display, allowed: &str) -> Result<(), OptionError> {
        if ok { Ok(()) } else { Err(Self::new(key, format!("`{value}` is out of bounds"), allowed)) }
    }

    /// The same error of a choice that stands below `key` of another one.
    #[must_use]
    pub fn below(mut self, key: &str) -> Self {
        self.key = if self.key.is_empty() { key.to_owned() } else { format!("{key}.{}", self.key) };
        self
    }

    /// The same error, with the row's example as the next step when it has none.
    #[must_use]
    pub fn with_example(mut self, example: &str) -> Self {
        if self.hint.is_empty() {
            self.hint = format!("for example `{example}`");
        }
        self
    }

    /// An option whose value is out of bounds.
    #[must_use]
    pub fn new(key: &str, message: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { key: key.to_owned(), message: message.into(), allowed: allowed.into(), hint: String::new() }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if !self.allowed.is_empty() {
            write!(f, "; allowed: {}", self.allowed)?;
        }
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for OptionError {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_the_three_forms_of_a_choice() {
        let plain = Choice::named("sync");
        assert_eq!(Choice::from_value(&json!(" sync ")).unwrap(), plain);
        assert_eq!(Choice::from_value(&json!("sync()")).unwrap(), plain);
        assert_eq!(Choice::from_value(&json!("pi-4b")).unwrap(), Choice::named("pi-4b"));
        assert_eq!(Choice::from_value(&json!("ssp(3)")).unwrap().positional, [json!(3)]);
        assert_eq!(
            Choice::from_value(&json!("shifted( 20ms, pareto(1ms, 1.5),true )")).unwrap().positional,
            [json!("20ms"), json!("pareto(1ms, 1.5)"), json!(true)]
        );
        let named = Choice::from_value(&json!({"slack": 3, "name": "ssp"})).unwrap();
        assert_eq!((named.name.as_str(), named.options.get("slack")), ("ssp", Some(&json!(3))));
    }

    #[test]
    fn refuses_other_forms_and_says_which_are_right() {
        for bad in [json!(""), json!("ssp(3"), json!("ssp(3) x"), json!("a(b))"), json!("a(,)"), json!("a b")]
        {
            let error = Choice::from_value(&bad).unwrap_err().to_string();
            assert!(error.contains("is not a choice") && error.contains("name(value, ..)"), "{bad}: {error}");
        }
        for (bad, part) in [
            (json!(3), "`3` is not a choice"),
            (json!({"slack": 3}), "no `name`"),
            (json!({"name": 3}), "`3` is not a name"),
        ] {
            let error = Choice::from_value(&bad).unwrap_err().to_string();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }

    #[test]
    fn names_positional_options_by_the_row() {
        let row = Row {
            name: "ssp",
            summary: "",
            example: "{name: ssp, slack: 3}",
            positional: &["slack"],
            build: (),
        };
        let table = Table::new("policy", vec![row]);
        let (_, named) = table.resolve(&Choice::from_value(&json!("ssp(4)")).unwrap()).unwrap();
        assert_eq!(named, Choice::from_value(&json!({"name": "ssp", "slack": 4})).unwrap());
        let error = table.resolve(&Choice::from_value(&json!("ssp(4, 5)")).unwrap()).unwrap_err();
        assert!(error.to_string().contains("takes 1 value"), "{error}");
        let unknown = table.resolve(&Choice::named("sps")).unwrap_err();
        assert!(unknown.to_string().contains("did you mean `ssp`?"), "{unknown}");
    }
}
