//! Ansible's INI inventories: `[group]`, `[group:children]`, `[group:vars]`.

use super::raw::{Place, Raw, Var, refuse_templates};
use super::words;
use hcddl_core::error::UserError;

enum Section {
    Hosts(usize),
    Children(usize),
    Vars(usize),
}

/// Reads an inventory.
///
/// # Errors
/// [`UserError`] with the line.
pub(super) fn parse(file: &str, text: &str) -> Result<Raw, UserError> {
    let mut raw = Raw::default();
    let mut place = Place { file: file.to_owned(), line: None };
    let mut section = Section::Hosts(raw.group("ungrouped", &place));
    for (number, line) in text.lines().enumerate() {
        place.line = Some(number + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(head) = section_head(line) {
            section = open(&mut raw, head, &place)?;
            continue;
        }
        match section {
            Section::Hosts(group) => host_line(&mut raw, group, line, &place)?,
            Section::Children(group) => {
                let name = line.split(['#', ';', ' ', '\t']).next().unwrap_or_default();
                refuse_templates(line, "", &place)?;
                let child = raw.group(name, &place);
                raw.groups[group].children.push((child, place.clone()));
            }
            Section::Vars(group) => {
                let (key, value) = assignment(line, &place)?;
                raw.groups[group].vars.insert(key, Var { text: unquoted(&value), place: place.clone() });
            }
        }
    }
    undefined(&raw)?;
    Ok(raw)
}

/// What is between the brackets of a section's head; a host may begin with a bracket too (`[1:3]pi`,
/// `[2001:db8::1]`).
fn section_head(line: &str) -> Option<&str> {
    let (inside, after) = line.strip_prefix('[')?.split_once(']')?;
    let after = after.trim();
    let alone = after.is_empty() || after.starts_with(['#', ';']);
    (alone && inside.parse::<std::net::Ipv6Addr>().is_err()).then_some(inside)
}

fn open(raw: &mut Raw, head: &str, place: &Place) -> Result<Section, UserError> {
    let (name, kind) = head.split_once(':').unwrap_or((head, "hosts"));
    if name.is_empty() || name.contains(char::is_whitespace) {
        let message = format!("`[{head}]` has no name of a group");
        return Err(place.error("", message, "[pool], [pool:children], [pool:vars]", ""));
    }
    let group = raw.group(name, place);
    match kind {
        "vars" => return Ok(Section::Vars(group)),
        "hosts" | "children" => raw.groups[group].defined = true,
        other => {
            let message = format!("`[{head}]`: unknown kind of section `{other}`");
            return Err(place.error("", message, "hosts, children, vars", ""));
        }
    }
    Ok(if kind == "children" { Section::Children(group) } else { Section::Hosts(group) })
}

/// `pi1 ansible_host=10.0.0.1 ansible_user=pi  # in the attic`
fn host_line(raw: &mut Raw, group: usize, line: &str, place: &Place) -> Result<(), UserError> {
    refuse_templates(line.split_whitespace().next().unwrap_or_default(), "", place)?;
    let words = words::split(line)
        .map_err(|problem| place.error("", problem, "", "close the quotes, or leave them out"))?;
    let Some((pattern, assignments)) = words.split_first() else { return Ok(()) };
    let hosts = raw.pattern(pattern, place)?;
    raw.spend(hosts.len().saturating_mul(assignments.len()), place)?;
    for word in assignments {
        let (key, value) = assignment(word, place)?;
        for &host in &hosts {
            let var = Var { text: unquoted(&value), place: place.clone() };
            raw.hosts[host].vars.insert(key.clone(), var);
        }
    }
    raw.join(group, &hosts);
    Ok(())
}

fn assignment(text: &str, place: &Place) -> Result<(String, String), UserError> {
    let Some((key, value)) = text.split_once('=') else {
        let message = format!("`{text}` has no `=`");
        return Err(place.error(
            "",
            message,
            "",
            "write variables as `ansible_user=pi`, one host on each line",
        ));
    };
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// `"pi"` and `'pi'  # a comment` are `pi`, as Python literals are; anything else is itself.
fn unquoted(value: &str) -> String {
    for quote in ['"', '\''] {
        let Some((inside, after)) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) else {
            continue;
        };
        let after = after.trim();
        if after.is_empty() || after.starts_with('#') {
            return inside.to_owned();
        }
    }
    value.to_owned()
}

fn undefined(raw: &Raw) -> Result<(), UserError> {
    for group in &raw.groups {
        let builtin = matches!(group.name.as_str(), "all" | "ungrouped");
        if !group.defined && !builtin {
            let message = format!("the group `{}` is named, but has no section", group.name);
            let next = format!("add `[{}]` with its hosts, or correct the name", group.name);
            return Err(group.place.error("", message, "", next));
        }
    }
    Ok(())
}
