//! From what is written to hosts with their variables.

use super::raw::{Raw, Var, refuse_templates};
use super::vars_dirs::Layers;
use super::{Host, Inventory, words};
use crate::error::UserError;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Resolves every host of an inventory.
///
/// # Errors
/// [`UserError`] for groups that contain themselves and for values of variables that cannot be used.
pub(super) fn inventory(file: &str, mut raw: Raw, layers: &Layers) -> Result<Inventory, UserError> {
    let all = under_all(&mut raw);
    let depths = depths(&raw, all)?;
    let mut groups = BTreeMap::new();
    for (index, group) in raw.groups.iter().enumerate() {
        groups.insert(group.name.clone(), members(&raw, index));
    }
    let mut order: Vec<usize> = (0..raw.groups.len()).collect();
    order.sort_by_key(|&group| (depths[group], &raw.groups[group].name));
    let sets: Vec<BTreeSet<usize>> =
        raw.groups.iter().map(|group| groups[&group.name].iter().copied().collect()).collect();
    let mut hosts = Vec::with_capacity(raw.hosts.len());
    let mut warnings = std::mem::take(&mut raw.warnings);
    for (index, entry) in raw.hosts.iter().enumerate() {
        let mine: Vec<usize> = order.iter().copied().filter(|&group| sets[group].contains(&index)).collect();
        let mut vars: BTreeMap<&str, &Var> = BTreeMap::new();
        let from_files = |group: usize| layers.groups.get(&raw.groups[group].name);
        // Ansible's layers, the weakest first: written in the inventory, then group_vars/all, then other group_vars.
        let (root, rest): (Vec<usize>, Vec<usize>) = mine.iter().partition(|&&group| group == all);
        let written = mine.iter().map(|&group| &raw.groups[group].vars);
        let files = root.iter().chain(&rest).filter_map(|&group| from_files(group));
        let own = std::iter::once(&entry.vars).chain(layers.hosts.get(&entry.name));
        for layer in written.chain(files).chain(own) {
            vars.extend(layer.iter().map(|(key, var)| (key.as_str(), var)));
        }
        hosts.push(host(&entry.name, &vars, &mut warnings)?);
    }
    Ok(Inventory { file: file.to_owned(), hosts, groups, warnings })
}

/// Puts `ungrouped` and every group without a parent below `all`, as Ansible does; the index of `all`.
fn under_all(raw: &mut Raw) -> usize {
    let place = super::raw::Place::default();
    let ungrouped = raw.group("ungrouped", &place);
    let all = raw.group("all", &place);
    let mut has_parent = vec![false; raw.groups.len()];
    for group in &raw.groups {
        group.children.iter().for_each(|(child, _)| has_parent[*child] = true);
    }
    let written = std::mem::take(&mut raw.groups[all].children);
    let orphans = (0..raw.groups.len()).filter(|&group| group != all && group != ungrouped);
    let orphans: Vec<usize> = orphans.filter(|&group| !has_parent[group]).collect();
    let mut children = vec![(ungrouped, place.clone())];
    children.extend(written);
    children.extend(orphans.into_iter().map(|group| (group, place.clone())));
    raw.groups[all].children = children;
    let grouped: BTreeSet<usize> = raw.groups.iter().flat_map(|group| group.hosts.iter().copied()).collect();
    let alone: Vec<usize> = (0..raw.hosts.len()).filter(|host| !grouped.contains(host)).collect();
    raw.join(ungrouped, &alone);
    all
}

/// The longest way from `all` to each group.
fn depths(raw: &Raw, all: usize) -> Result<Vec<usize>, UserError> {
    let mut depths = vec![0; raw.groups.len()];
    // Without a cycle no depth grows more often than there are groups.
    for round in 0..=raw.groups.len() {
        let mut grown = None;
        for (index, group) in raw.groups.iter().enumerate() {
            for (child, place) in &group.children {
                if depths[*child] < depths[index] + 1 {
                    depths[*child] = depths[index] + 1;
                    grown = Some((child, place));
                }
            }
        }
        match grown {
            None => break,
            Some((child, place)) if round == raw.groups.len() => {
                let message = format!("the group `{}` contains itself", raw.groups[*child].name);
                return Err(place.error("", message, "", "take it out of its own children"));
            }
            Some(_) => {}
        }
    }
    depths[all] = 0;
    Ok(depths)
}

/// Its own hosts, then those of its children, then those of theirs; each once.
fn members(raw: &Raw, group: usize) -> Vec<usize> {
    let (mut hosts, mut groups) = (Vec::new(), vec![group]);
    let mut seen: BTreeSet<usize> = BTreeSet::from([group]);
    let mut known: BTreeSet<usize> = BTreeSet::new();
    let mut at = 0;
    while let Some(&now) = groups.get(at) {
        hosts.extend(raw.groups[now].hosts.iter().copied().filter(|host| known.insert(*host)));
        groups.extend(
            raw.groups[now].children.iter().map(|(child, _)| *child).filter(|child| seen.insert(*child)),
        );
        at += 1;
    }
    hosts
}

fn host(name: &str, vars: &BTreeMap<&str, &Var>, warnings: &mut Vec<String>) -> Result<Host, UserError> {
    // Of two names of a variable the newer one counts.
    let get = |keys: &[&str]| -> Result<Option<(String, &Var)>, UserError> {
        for key in keys {
            if let Some(var) = vars.get(key) {
                refuse_templates(&var.text, key, &var.place)?;
                return Ok(Some((var.text.clone(), *var)).filter(|(text, _)| !text.is_empty()));
            }
        }
        Ok(None)
    };
    let text = |keys: &[&str]| Ok::<_, UserError>(get(keys)?.map(|(text, _)| text));
    let mut ssh_args = Vec::new();
    for key in ["ansible_ssh_common_args", "ansible_ssh_extra_args"] {
        if let Some((text, var)) = get(&[key])? {
            let words = words::split(&text).map_err(|problem| var.place.error(key, problem, "", ""))?;
            ssh_args.extend(words);
        }
    }
    let mut port = None;
    if let Some((text, var)) = get(&["ansible_port", "ansible_ssh_port"])? {
        let number = text.parse::<u16>().ok().filter(|port| *port > 0);
        let wrong =
            || var.place.error("ansible_port", format!("expected a port, found `{text}`"), "1 to 65535", "");
        port = Some(number.ok_or_else(wrong)?);
    }
    let mut local = false;
    if let Some((text, var)) = get(&["ansible_connection"])? {
        local = text == "local";
        if !matches!(
            text.as_str(),
            "local" | "ssh" | "smart" | "openssh" | "ansible.builtin.ssh" | "paramiko"
        ) {
            let message = format!("devices cannot be reached by `{text}`");
            return Err(var.place.error("ansible_connection", message, "ssh, local", ""));
        }
    }
    if vars.contains_key("ansible_password") || vars.contains_key("ansible_ssh_pass") {
        warnings.push(format!("the password of `{name}` is not used; SSH needs a key: `ssh-copy-id {name}`"));
    }
    Ok(Host {
        name: name.to_owned(),
        address: text(&["ansible_host", "ansible_ssh_host"])?,
        user: text(&["ansible_user", "ansible_ssh_user"])?,
        port,
        key: text(&["ansible_ssh_private_key_file", "ansible_private_key_file"])?.map(|path| home(&path)),
        ssh_args,
        reached_at: text(&["hcddl_address"])?,
        local,
    })
}

/// `~/.ssh/id` with the home directory of this machine.
fn home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}
