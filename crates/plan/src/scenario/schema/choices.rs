//! What can be chosen by name: for each table its rows with their options, in every form that a scenario may use.

use crate::registry::Registry;
use hcddl_core::domain::table::add;
use hcddl_core::domain::{Row, Table, pick};
use hcddl_core::yaml;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

/// For each table what may be written where one of its rows is wanted, and their names alone.
pub(super) fn definitions(registry: &Registry, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut all = Map::new();
    for table in registry.outlines() {
        all.insert(pick::name_definition(table.list), json!({ "enum": table.names() }));
        all.insert(pick::definition(table.list), choice(&table, generator));
    }
    all
}

/// A name, `name(value, ..)`, a map; and what is written without a name.
fn choice(table: &Table<()>, generator: &mut SchemaGenerator) -> Value {
    let maps: Vec<Value> = table.rows().iter().map(|row| map(table, row, generator)).collect();
    let (mut alone, mut called) = (Vec::new(), Vec::new());
    for (row, map) in table.rows().iter().zip(&maps) {
        let needed = needed(map);
        if needed.is_empty() {
            alone.push(row.name);
        }
        if needed.iter().all(|key| row.positional.contains(key)) {
            called.push(row.name.replace('.', r"\."));
        }
    }
    let called = format!(r"^\s*(?:{})\s*\(.*\)\s*$", called.join("|"));
    let mut forms = vec![
        json!({ "enum": alone }),
        json!({ "type": "string", "pattern": called, "description": "a name with its first options" }),
    ];
    if let Some(name) = table.unnamed {
        let first = table.get(name).ok().and_then(|row| row.positional.first());
        let quantity = format!("the option `{}` of `{name}`", first.copied().unwrap_or_default());
        forms.push(json!({ "type": "string", "pattern": r"^\s*[-+.0-9]", "description": quantity }));
        forms.push(json!({ "type": "number", "description": quantity }));
    }
    forms.extend(maps);
    json!({ "title": table.kind, "anyOf": forms })
}

/// The options that must be given, the name aside.
fn needed(map: &Value) -> Vec<&str> {
    let required = map["required"].as_array().into_iter().flatten();
    required.filter_map(Value::as_str).filter(|key| *key != "name").collect()
}

/// A row as a map of its options.
fn map(table: &Table<()>, row: &Row<()>, generator: &mut SchemaGenerator) -> Value {
    let mut own = (row.options)(generator);
    if let Some(common) = table.common {
        add(&mut own, &mut common(generator));
    }
    let own = own.to_value();
    let example = yaml::parse(row.example).map(|parsed| parsed.value).unwrap_or_default();
    let mut properties = Map::from_iter([("name".to_owned(), json!({ "const": row.name }))]);
    for (key, option) in own["properties"].as_object().into_iter().flatten() {
        properties.insert(key.clone(), property(option, example.get(key)));
    }
    let mut required: Vec<Value> = own["required"].as_array().cloned().unwrap_or_default();
    if table.unnamed != Some(row.name) {
        required.insert(0, "name".into());
    }
    json!({
        "title": row.name,
        "description": row.summary,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// An option: its description in one line, its default as one would write it, and the value in the row's example unless
/// that is the default.
fn property(option: &Value, example: Option<&Value>) -> Value {
    let mut option = match option {
        Value::Object(map) => map.clone(),
        // Anything goes.
        _ => Map::new(),
    };
    if let Some(Value::String(text)) = option.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    if let Some(default) = option.get_mut("default") {
        shorten(default);
    }
    if let Some(example) = example.filter(|example| option.get("default") != Some(example)) {
        option.insert("examples".to_owned(), json!([example]));
    }
    option.into()
}

/// Numbers that went through f32 with the digits that tell them apart as such: 0.1, not 0.10000000149011612.
fn shorten(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let Some(wide) =
                number.as_f64().filter(|wide| number.is_f64() && f64::from(*wide as f32) == *wide)
            else {
                return;
            };
            let short = (wide as f32).to_string().parse().ok().and_then(serde_json::Number::from_f64);
            *number = short.unwrap_or_else(|| number.clone());
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        _ => {}
    }
}
