//! As much of JSON Schema as the schema of scenarios uses, for tests. A keyword that is not known here fails the test.

use regex::Regex;
use serde_json::Value;

/// What is wrong with a value, with its place; nothing if it is valid.
pub(super) fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let map = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Object(map) => map,
        other => return Err(format!("{at}: expected a schema, found {other}")),
    };
    for (keyword, rule) in map {
        if !holds(root, map, (keyword.as_str(), rule), value, at)? {
            return Err(format!("{at}: {value} is refused by {keyword}: {rule}"));
        }
    }
    Ok(())
}

fn holds(
    root: &Value,
    map: &serde_json::Map<String, Value>,
    (keyword, rule): (&str, &Value),
    value: &Value,
    at: &str,
) -> Result<bool, String> {
    let number = || value.as_f64().zip(rule.as_f64());
    let length = || Some((value.as_array()?.len() as u64, rule.as_u64()?));
    Ok(match keyword {
        "$ref" => {
            let name = rule.as_str().and_then(|path| path.strip_prefix("#/$defs/")).unwrap_or_default();
            let target = root["$defs"].get(name).ok_or_else(|| format!("{at}: no definition of {rule}"))?;
            check(root, target, value, at)?;
            true
        }
        "anyOf" | "oneOf" => {
            let tried: Vec<String> = (rule.as_array().into_iter().flatten())
                .filter_map(|one| check(root, one, value, at).err())
                .collect();
            if tried.len() == rule.as_array().map_or(0, Vec::len) {
                return Err(format!("{at}: {value} is none of these: {}", tried.join(" / ")));
            }
            true
        }
        "allOf" => {
            (rule.as_array().into_iter().flatten()).try_for_each(|one| check(root, one, value, at))?;
            true
        }
        "type" => match rule {
            Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
            kind => is(kind, value),
        },
        "enum" => rule.as_array().is_some_and(|all| all.contains(value)),
        "const" => rule == value,
        "pattern" => {
            let regex = Regex::new(rule.as_str().unwrap_or_default()).map_err(|error| error.to_string())?;
            value.as_str().is_none_or(|text| regex.is_match(text))
        }
        "minimum" => number().is_none_or(|(value, least)| value >= least),
        "maximum" => number().is_none_or(|(value, most)| value <= most),
        "minItems" => length().is_none_or(|(len, least)| len >= least),
        "maxItems" => length().is_none_or(|(len, most)| len <= most),
        "minLength" | "maxLength" => true,
        "required" => value.as_object().is_none_or(|all| {
            rule.as_array()
                .into_iter()
                .flatten()
                .all(|key| all.contains_key(key.as_str().unwrap_or_default()))
        }),
        "properties" => {
            for (key, value) in value.as_object().into_iter().flatten() {
                if let Some(schema) = rule.get(key) {
                    check(root, schema, value, &format!("{at}.{key}"))?;
                }
            }
            true
        }
        "additionalProperties" => {
            for (key, value) in value.as_object().into_iter().flatten() {
                let known = map.get("properties").is_some_and(|all| all.get(key).is_some());
                match rule {
                    Value::Bool(false) if !known => return Err(format!("{at}: unknown key `{key}`")),
                    rule if !known => check(root, rule, value, &format!("{at}.{key}"))?,
                    _ => {}
                }
            }
            true
        }
        "prefixItems" => {
            let pairs = value.as_array().into_iter().flatten().zip(rule.as_array().into_iter().flatten());
            pairs.into_iter().try_for_each(|(value, rule)| check(root, rule, value, at))?;
            true
        }
        "items" => {
            for (i, value) in value.as_array().into_iter().flatten().enumerate() {
                check(root, rule, value, &format!("{at}.{i}"))?;
            }
            true
        }
        "$schema" | "$defs" | "title" | "description" | "default" | "examples" | "format" => true,
        other => return Err(format!("the checker does not know `{other}`")),
    })
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str() {
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some("null") => value.is_null(),
        Some("number") => value.is_number(),
        Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => false,
    }
}
