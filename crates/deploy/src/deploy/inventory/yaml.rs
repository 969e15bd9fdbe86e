//! Ansible's YAML inventories: groups with `hosts`, `children` and `vars`.

use super::raw::{Place, Raw, Var, Vars, list_step, refuse_templates, vault_step};
use hcddl_core::error::UserError;
use hcddl_core::yaml::{self, Document};
use serde_json::Value;

/// Groups below groups deeper than this are refused; the reader of YAML stops a little later.
const DEPTH_MAX: usize = 20;

/// Reads an inventory.
///
/// # Errors
/// [`UserError`] with the line.
pub(super) fn parse(file: &str, text: &str) -> Result<Raw, UserError> {
    let document = read(file, text)?;
    let mut reader = Reader { file, document: &document, raw: Raw::default() };
    let Value::Object(groups) = &document.value else {
        let message = "expected a map of groups";
        return Err(reader.place("").error("", message, "`pool: {hosts: {pi1: , pi2: }}`", ""));
    };
    if let Some(Value::String(plugin)) = groups.get("plugin") {
        let message = format!("this configures Ansible's inventory plugin `{plugin}`");
        return Err(reader.place("plugin").error("plugin", message, "", list_step(file)));
    }
    for (name, body) in groups {
        reader.group(name, body, name, 0)?;
    }
    Ok(reader.raw)
}

/// Reads the variables of a file in `group_vars` or `host_vars`.
///
/// # Errors
/// As [`parse`].
pub(super) fn vars(file: &str, text: &str) -> Result<Vars, UserError> {
    let document = read(file, text)?;
    let reader = Reader { file, document: &document, raw: Raw::default() };
    reader.vars(&document.value, "")
}

fn read(file: &str, text: &str) -> Result<Document, UserError> {
    yaml::parse(text).map_err(|error| {
        let place = Place { file: file.to_owned(), line: Some(error.line) };
        let line = text.lines().nth(error.line.saturating_sub(1)).unwrap_or_default();
        if line.contains("!vault") {
            let message = "this value is encrypted with Ansible Vault";
            return place.error(&error.path, message, "plain text", vault_step(file));
        }
        if line.contains("{{") {
            let message = format!("`{}` is a Jinja template", line.trim());
            return place.error(&error.path, message, "plain text", "write the value itself");
        }
        let known = ["anchors", "aliases", "tags", "merge keys"];
        let ansible = known.iter().any(|what| error.message.starts_with(what));
        let next = if ansible { list_step(file) } else { error.next_step };
        place.error(&error.path, error.message, "", next)
    })
}

struct Reader<'a> {
    file: &'a str,
    document: &'a Document,
    raw: Raw,
}

impl Reader<'_> {
    fn place(&self, path: &str) -> Place {
        Place { file: self.file.to_owned(), line: self.document.lines.get(path).copied() }
    }

    fn group(&mut self, name: &str, body: &Value, path: &str, depth: usize) -> Result<usize, UserError> {
        let place = self.place(path);
        if depth > DEPTH_MAX {
            let message = format!("groups below groups, more than {DEPTH_MAX} deep");
            return Err(place.error(path, message, "", "flatten them"));
        }
        refuse_templates(name, path, &place)?;
        let group = self.raw.group(name, &place);
        self.raw.groups[group].defined = true;
        let keys = match body {
            Value::Null => return Ok(group),
            Value::Object(keys) => keys,
            _ => return Err(place.error(path, "expected a group", "a map of hosts, children, vars", "")),
        };
        for (key, value) in keys {
            let path = format!("{path}.{key}");
            let place = self.place(&path);
            match (key.as_str(), value) {
                (_, Value::Null) => {}
                ("vars", vars) => {
                    let vars = self.vars(vars, &path)?;
                    self.raw.groups[group].vars.extend(vars);
                }
                ("hosts", Value::Object(hosts)) => {
                    for (pattern, vars) in hosts {
                        self.hosts(group, pattern, vars, &format!("{path}.{pattern}"))?;
                    }
                }
                ("hosts", Value::String(pattern)) => self.hosts(group, pattern, &Value::Null, &path)?,
                ("children", Value::Object(children)) => {
                    for (name, body) in children {
                        let child = self.group(name, body, &format!("{path}.{name}"), depth + 1)?;
                        self.raw.groups[group].children.push((child, place.clone()));
                    }
                }
                ("hosts" | "children", _) => {
                    let allowed = "a map: each name followed by a colon";
                    return Err(place.error(
                        &path,
                        "expected a map",
                        allowed,
                        "write `pi1:` instead of `- pi1`",
                    ));
                }
                _ => {
                    let message = format!("unknown key `{key}`");
                    let next = "put variables under `vars`";
                    return Err(place.error(&path, message, "hosts, children, vars", next));
                }
            }
        }
        Ok(group)
    }

    fn hosts(&mut self, group: usize, pattern: &str, vars: &Value, path: &str) -> Result<(), UserError> {
        let place = self.place(path);
        let vars = self.vars(vars, path)?;
        let hosts = self.raw.pattern(pattern, &place)?;
        self.raw.spend(hosts.len().saturating_mul(vars.len()), &place)?;
        for &host in &hosts {
            self.raw.hosts[host].vars.extend(vars.clone());
        }
        self.raw.join(group, &hosts);
        Ok(())
    }

    fn vars(&self, value: &Value, path: &str) -> Result<Vars, UserError> {
        let map = match value {
            Value::Null => return Ok(Vars::new()),
            Value::Object(map) => map,
            _ => {
                let message = "expected variables";
                return Err(self.place(path).error(path, message, "a map, as in `ansible_user: pi`", ""));
            }
        };
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let var = |(key, value): (&String, &Value)| {
            (key.clone(), Var { text: text(value), place: self.place(&below(key)) })
        };
        Ok(map.iter().map(var).collect())
    }
}

/// A value as the text that it stands for.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
