//! What `ansible-inventory --list` prints (and what dynamic inventories do).

use super::raw::{Place, Raw, Var, Vars};
use super::yaml::text;
use hcddl_core::error::UserError;
use serde_json::Value;

/// Reads an inventory.
///
/// # Errors
/// [`UserError`]; with the line where the text is not JSON.
pub(super) fn parse(file: &str, source: &str) -> Result<Raw, UserError> {
    let place = Place { file: file.to_owned(), line: None };
    let value: Value = serde_json::from_str(source).map_err(|error| {
        let place = Place { line: Some(error.line()), ..place.clone() };
        let next = "write it with `ansible-inventory -i INVENTORY --list`";
        place.error("", format!("this is not JSON: {error}"), "", next)
    })?;
    let Value::Object(groups) = &value else {
        let allowed = "the output of `ansible-inventory --list`";
        return Err(place.error("", "expected a map of groups", allowed, ""));
    };
    let mut raw = Raw::default();
    for (name, body) in groups.iter().filter(|(name, _)| *name != "_meta") {
        let group = raw.group(name, &place);
        raw.groups[group].defined = true;
        let hosts = if body.is_array() { Some(body) } else { body.get("hosts") };
        for host in names(hosts, &format!("{name}.hosts"), &place)? {
            let host = raw.host(&host);
            raw.join(group, &[host]);
        }
        for child in names(body.get("children"), &format!("{name}.children"), &place)? {
            let child = raw.group(&child, &place);
            raw.groups[group].children.push((child, place.clone()));
        }
        raw.groups[group].vars = vars(body.get("vars"), &place);
    }
    if let Some(Value::Object(hosts)) = value.pointer("/_meta/hostvars") {
        for (name, values) in hosts {
            let host = raw.host(name);
            raw.hosts[host].vars = vars(Some(values), &place);
        }
    }
    Ok(raw)
}

fn names(list: Option<&Value>, path: &str, place: &Place) -> Result<Vec<String>, UserError> {
    match list {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(names)) => Ok(names.iter().map(text).collect()),
        Some(_) => Err(place.error(path, "expected a list of names", "", "")),
    }
}

fn vars(values: Option<&Value>, place: &Place) -> Vars {
    let Some(Value::Object(map)) = values else { return Vars::new() };
    map.iter().map(|(key, value)| (key.clone(), Var { text: text(value), place: place.clone() })).collect()
}
