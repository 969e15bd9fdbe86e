//! The JSON Schema of a scenario and the page of its keys, both generated from the types of [`super::file`]; what can
//! be chosen by name, from a registry's tables.

#[cfg(test)]
mod check;
mod choices;

use super::file::ScenarioFile;
use crate::registry::Registry;
use schemars::SchemaGenerator;
use serde_json::{Map, Value};
use std::fmt::Write;

/// The JSON Schema of a scenario, for editors: its keys, and wherever a row of a table is named the rows with their
/// options.
#[must_use]
pub fn schema(registry: &Registry) -> Value {
    let mut generator = SchemaGenerator::default();
    let choices = choices::definitions(registry, &mut generator);
    let mut schema = generator.into_root_schema_for::<ScenarioFile>().to_value();
    schema["title"] = "hcddl scenario".into();
    if let Some(definitions) = schema["$defs"].as_object_mut() {
        definitions.extend(choices);
    }
    schema
}

/// The same without what can be chosen by name.
fn of_keys() -> Value {
    SchemaGenerator::default().into_root_schema_for::<ScenarioFile>().to_value()
}

/// The names of the sections: the first words of all keys.
#[must_use]
pub fn sections() -> Vec<String> {
    of_keys()["properties"].as_object().into_iter().flat_map(Map::keys).cloned().collect()
}

/// The page of all keys with type, default and meaning.
#[must_use]
pub fn keys_markdown() -> String {
    let schema = of_keys();
    let mut page = String::from(
        "# Scenario keys\n\n\
         Generated from the types that read a scenario; `UPDATE_DOCS=1 cargo test scenario_keys` rewrites this \
         page.\n\n\
         Durations carry a unit (`ns`, `us`, `ms`, `s`, `min`, `h`, `d`), rates too (`kbit`, `mbit`, `gbit` per \
         second, or `kB/s`, `MB/s`, `GB/s`), sizes too (`kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`); only 0 needs none. \
         A choice is a name (`sync`), a name with its first options (`ssp(3)`) or a map \
         (`{name: ssp, slack: 3}`); `hcddl list` shows the names and options. Any key can be set on the command \
         line: `--set tiers.global.policy=async`, `--set faults.events.0.at=20s`. An unknown key is an error.\n\n\
         | key | type | default | meaning |\n|---|---|---|---|\n",
    );
    rows(&schema, &schema, "", 0, &mut page);
    page
}

/// The paths of all keys with this last name: `training.rounds` of `rounds`.
#[must_use]
pub fn paths_of(name: &str) -> Vec<String> {
    let page = keys_markdown();
    let paths = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    paths.filter(|path| path.rsplit('.').next() == Some(name)).map(str::to_owned).collect()
}

/// The definition behind `$ref`, or a lone `allOf`/`anyOf` with null.
fn target<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/$defs/");
        return target(root, &root["$defs"][name]);
    }
    for key in ["allOf", "anyOf"] {
        if let Some(options) = schema[key].as_array() {
            let mut real = options.iter().filter(|option| option["type"] != "null");
            if let (Some(only), None) = (real.next(), real.next()) {
                return target(root, only);
            }
        }
    }
    schema
}

fn rows(root: &Value, schema: &Value, above: &str, depth: usize, page: &mut String) {
    let empty = Map::new();
    // Deeper than any section: a guard against a type that contains itself.
    if depth > 8 {
        return;
    }
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in schema["properties"].as_object().unwrap_or(&empty) {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        let shape = target(root, property);
        let description = property["description"].as_str().or(shape["description"].as_str()).unwrap_or("");
        let default = match &property["default"] {
            _ if required.contains(&name.as_str()) => "required".to_owned(),
            Value::Null => String::new(),
            Value::Object(_) => String::new(),
            Value::String(text) if text.is_empty() => String::new(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let kind = type_name(root, property);
        let _ = writeln!(
            page,
            "| `{path}` | {kind} | {default} | {} |",
            description.replace('\n', " ").replace('|', "\\|")
        );
        let (inner, path) = match () {
            () if shape["items"].is_object() => (target(root, &shape["items"]), format!("{path}.N")),
            () if shape["additionalProperties"].is_object() => {
                (target(root, &shape["additionalProperties"]), format!("{path}.NAME"))
            }
            () => (shape, path),
        };
        if inner["properties"].is_object() {
            rows(root, inner, &path, depth + 1, page);
        }
    }
}

fn type_name(root: &Value, property: &Value) -> String {
    if let Some(name) = property["$ref"]
        .as_str()
        .or_else(|| property["anyOf"].as_array()?.iter().find_map(|option| option["$ref"].as_str()))
    {
        match name.trim_start_matches("#/$defs/") {
            "Amount" | "TopologyPlace" => return "choice".to_owned(),
            name if name.starts_with("choice-of-") => return "choice".to_owned(),
            "Duration" => return "duration".to_owned(),
            "Rate" => return "rate".to_owned(),
            "Bytes" => return "size".to_owned(),
            "PlaceFile" | "TracePlaceFile" => return "text or list".to_owned(),
            _ => {}
        }
    }
    let shape = target(root, property);
    let names = shape["enum"].as_array().cloned().or_else(|| {
        let options = shape["oneOf"].as_array()?;
        options.iter().map(|option| option.get("const").cloned()).collect::<Option<Vec<_>>>()
    });
    if let Some(names) = names {
        let names: Vec<String> = names.iter().filter_map(Value::as_str).map(|n| format!("`{n}`")).collect();
        return names.join(" or ");
    }
    let kind = match &shape["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default(),
        other => other.clone(),
    };
    match kind.as_str().unwrap_or_default() {
        "integer" => "whole number",
        "number" => "number",
        "boolean" => "true or false",
        "string" => "text",
        "array" => "list",
        "object" => "map",
        _ => "",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page must be that of the types; `UPDATE_DOCS=1` rewrites it.
    #[test]
    fn the_page_of_scenario_keys_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scenario-keys.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")).unwrap();
            std::fs::write(path, keys_markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == keys_markdown(),
            "docs/scenario-keys.md is old: UPDATE_DOCS=1 cargo test scenario_keys"
        );
    }

    #[test]
    fn every_key_is_described() {
        for line in keys_markdown().lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.split(" | ").collect();
            assert!(cells.last().is_some_and(|meaning| meaning.trim_end_matches('|').len() > 5), "{line}");
            assert!(!cells[1].trim().is_empty(), "no type: {line}");
        }
    }
}

#[cfg(test)]
#[path = "schema/tests.rs"]
mod of_rows;
