//! From what is written to hosts with their variables.

use super::address::{address, is_host_name};
use super::raw::{Group, Raw, Var, refuse_templates};
use super::vars_dirs::Layers;
use super::{Host, Inventory, words};
use hcddl_core::error::UserError;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Hosts and groups that may be met on the way from every group to what is below it.
const STEPS_MAX: usize = 4_000_000;

/// The variables that mean something to us; an inventory may have any number of others.
const USED: [&str; 14] = [
    "ansible_connection",
    "ansible_host",
    "ansible_password",
    "ansible_port",
    "ansible_private_key_file",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_ssh_host",
    "ansible_ssh_pass",
    "ansible_ssh_port",
    "ansible_ssh_private_key_file",
    "ansible_ssh_user",
    "ansible_user",
    "hcddl_address",
];

/// Resolves every host of an inventory.
///
/// # Errors
/// [`UserError`] for groups that contain themselves and for values of variables that cannot be used.
pub(super) fn inventory(file: &str, mut raw: Raw, layers: &Layers) -> Result<Inventory, UserError> {
    let all = under_all(&mut raw);
    let depths = depths(&raw, all)?;
    let members = members(file, &raw)?;
    let mut order: Vec<usize> = (0..raw.groups.len()).collect();
    order.sort_by_key(|&group| (depths[group], &raw.groups[group].name));
    let mut groups_of = vec![Vec::new(); raw.hosts.len()];
    for &group in &order {
        members[group].iter().for_each(|&host| groups_of[host].push(group));
    }
    let mut hosts = Vec::with_capacity(raw.hosts.len());
    let mut warnings = std::mem::take(&mut raw.warnings);
    for (index, entry) in raw.hosts.iter().enumerate() {
        if !is_host_name(&entry.name) {
            let message = format!("expected a name of a host, found `{}`", entry.name.escape_debug());
            return Err(UserError::in_file(
                file,
                message,
                "use letters, digits, `.`, `_` and `-`, the first no dash",
            ));
        }
        let mine = &groups_of[index];
        let mut vars: BTreeMap<&str, &Var> = BTreeMap::new();
        let from_files = |group: usize| layers.groups.get(&raw.groups[group].name);
        // Ansible's layers, the weakest first: written in the inventory, then group_vars/all, then other group_vars.
        let (root, rest): (Vec<usize>, Vec<usize>) = mine.iter().partition(|&&group| group == all);
        let written = mine.iter().map(|&group| &raw.groups[group].vars);
        let files = root.iter().chain(&rest).filter_map(|&group| from_files(group));
        let own = std::iter::once(&entry.vars).chain(layers.hosts.get(&entry.name));
        for layer in written.chain(files).chain(own) {
            vars.extend(USED.iter().filter_map(|key| Some((*key, layer.get(*key)?))));
        }
        hosts.push(host(&entry.name, &vars, &mut warnings)?);
    }
    let groups = raw.groups.into_iter().map(|group| group.name).zip(members).collect();
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
    let mut parents_left = vec![0_usize; raw.groups.len()];
    let edges = || raw.groups.iter().flat_map(|group| &group.children);
    edges().for_each(|(child, _)| parents_left[*child] += 1);
    let mut ready: Vec<usize> = (0..raw.groups.len()).filter(|&group| parents_left[group] == 0).collect();
    let mut at = 0;
    while let Some(&group) = ready.get(at) {
        at += 1;
        for &(child, _) in &raw.groups[group].children {
            depths[child] = depths[child].max(depths[group] + 1);
            parents_left[child] -= 1;
            if parents_left[child] == 0 {
                ready.push(child);
            }
        }
    }
    depths[all] = 0;
    match parents_left.iter().position(|&parents| parents > 0) {
        None => Ok(depths),
        Some(group) => Err(in_itself(raw, group, &parents_left)),
    }
}

/// The error of a group that contains itself; `group` is one, or is below one.
fn in_itself(raw: &Raw, mut group: usize, parents_left: &[usize]) -> UserError {
    let mut above = vec![None; raw.groups.len()];
    let rest = raw.groups.iter().enumerate().filter(|(parent, _)| parents_left[*parent] > 0);
    for (parent, below) in rest {
        below.children.iter().for_each(|(child, place)| above[*child] = Some((parent, place)));
    }
    // Whoever goes up long enough is within the circle.
    for _ in 0..raw.groups.len() {
        group = above[group].map_or(group, |(parent, _)| parent);
    }
    let message = format!("the group `{}` contains itself", raw.groups[group].name);
    let place = above[group].map(|(_, place)| place.clone()).unwrap_or_default();
    place.error("", message, "", "take it out of its own children")
}

/// For each group its own hosts, then those of its children, then those of theirs; each once.
fn members(file: &str, raw: &Raw) -> Result<Vec<Vec<usize>>, UserError> {
    let mut steps = 0;
    let mut all = Vec::with_capacity(raw.groups.len());
    for group in 0..raw.groups.len() {
        let (mut hosts, mut groups) = (Vec::new(), vec![group]);
        let mut seen: BTreeSet<usize> = BTreeSet::from([group]);
        let mut known: BTreeSet<usize> = BTreeSet::new();
        let mut at = 0;
        while let Some(&now) = groups.get(at) {
            let Group { hosts: own, children, .. } = &raw.groups[now];
            steps += 1 + own.len() + children.len();
            if steps > STEPS_MAX {
                let message = "its groups contain each other too often: hosts and groups, each counted once for every \
                               group above it, are more than ";
                let next = "flatten the groups";
                return Err(UserError::in_file(file, format!("{message}{STEPS_MAX}"), next));
            }
            hosts.extend(own.iter().copied().filter(|host| known.insert(*host)));
            groups.extend(children.iter().map(|(child, _)| *child).filter(|child| seen.insert(*child)));
            at += 1;
        }
        all.push(hosts);
    }
    Ok(all)
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
    let place = |keys: &[&str]| match get(keys)? {
        Some((text, var)) => {
            address(&text).map(Some).map_err(|problem| var.place.error(keys[0], problem, "", ""))
        }
        None => Ok(None),
    };
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
    let user = text(&["ansible_user", "ansible_ssh_user"])?;
    if let Some(user) = user.as_ref().filter(|user| user.starts_with('-') || user.contains(char::is_control))
    {
        let (_, var) = get(&["ansible_user", "ansible_ssh_user"])?.expect("just read");
        let message = format!("expected a name of a user, found `{}`", user.escape_debug());
        return Err(var.place.error("ansible_user", message, "a name that does not begin with a dash", ""));
    }
    Ok(Host {
        name: name.to_owned(),
        address: place(&["ansible_host", "ansible_ssh_host"])?,
        user,
        port,
        key: text(&["ansible_ssh_private_key_file", "ansible_private_key_file"])?.map(|path| home(&path)),
        ssh_args,
        reached_at: place(&["hcddl_address"])?,
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
