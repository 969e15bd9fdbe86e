//! An inventory as it is written, whatever its format.

use super::range;
use hcddl_core::error::UserError;
use std::collections::{BTreeMap, BTreeSet};

/// Hosts and their variables that an inventory may stand for, patterns written out. A few lines with ranges can mean
/// far more than anybody has.
const MEANT_MAX: usize = 2_000_000;

/// Where something is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub file: String,
    pub line: Option<usize>,
}

impl Place {
    /// An error here.
    pub fn error(
        &self,
        path: &str,
        message: impl Into<String>,
        allowed: &str,
        next: impl Into<String>,
    ) -> UserError {
        UserError {
            file: self.file.clone(),
            line: self.line,
            path: path.to_owned(),
            message: message.into(),
            allowed: allowed.to_owned(),
            next_step: next.into(),
        }
    }
}

/// The value of a variable as text, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Var {
    pub text: String,
    pub place: Place,
}

pub(super) type Vars = BTreeMap<String, Var>;

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: String,
    pub vars: Vars,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub name: String,
    pub place: Place,
    /// Whether it has a section or key of its own; a child must.
    pub defined: bool,
    /// Each once, in order.
    pub hosts: Vec<usize>,
    known: BTreeSet<usize>,
    pub children: Vec<(usize, Place)>,
    pub vars: Vars,
}

/// Hosts and groups in the order in which they are first written.
#[derive(Clone, Debug, Default)]
pub(super) struct Raw {
    pub hosts: Vec<Entry>,
    pub groups: Vec<Group>,
    pub warnings: Vec<String>,
    meant: usize,
    host_index: BTreeMap<String, usize>,
    group_index: BTreeMap<String, usize>,
}

impl Raw {
    pub fn host(&mut self, name: &str) -> usize {
        *self.host_index.entry(name.to_owned()).or_insert_with(|| {
            self.hosts.push(Entry { name: name.to_owned(), vars: Vars::new() });
            self.hosts.len() - 1
        })
    }

    /// The hosts of a pattern, each with the port behind it as a variable.
    pub fn pattern(&mut self, pattern: &str, place: &Place) -> Result<Vec<usize>, UserError> {
        refuse_templates(pattern, "", place)?;
        let (names, port) =
            range::hosts(pattern).map_err(|problem| place.error("", problem, "", "correct the name"))?;
        self.spend(names.len(), place)?;
        let mut hosts = Vec::with_capacity(names.len());
        for name in names {
            let host = self.host(&name);
            if let Some(port) = port {
                let var = Var { text: port.to_string(), place: place.clone() };
                self.hosts[host].vars.insert("ansible_port".to_owned(), var);
            }
            hosts.push(host);
        }
        Ok(hosts)
    }

    pub fn group(&mut self, name: &str, place: &Place) -> usize {
        *self.group_index.entry(name.to_owned()).or_insert_with(|| {
            self.groups.push(Group {
                name: name.to_owned(),
                place: place.clone(),
                defined: false,
                hosts: Vec::new(),
                known: BTreeSet::new(),
                children: Vec::new(),
                vars: Vars::new(),
            });
            self.groups.len() - 1
        })
    }

    /// Adds hosts to a group, each once.
    pub fn join(&mut self, group: usize, hosts: &[usize]) {
        let group = &mut self.groups[group];
        group.hosts.extend(hosts.iter().copied().filter(|host| group.known.insert(*host)));
    }

    /// Counts what is meant by a line.
    pub fn spend(&mut self, meant: usize, place: &Place) -> Result<(), UserError> {
        self.meant = self.meant.saturating_add(meant);
        if self.meant <= MEANT_MAX {
            return Ok(());
        }
        let message = format!("up to here more than {MEANT_MAX} hosts and variables of hosts are meant");
        Err(place.error("", message, "", "shorten the ranges; put variables that all share in [all:vars]"))
    }
}

/// Jinja and vault need Ansible itself.
pub(super) fn refuse_templates(text: &str, key: &str, place: &Place) -> Result<(), UserError> {
    if text.contains("{{") || text.contains("{%") {
        let message = format!("`{}` is a Jinja template", shortened(text));
        return Err(place.error(key, message, "plain text", "write the value itself"));
    }
    if text.contains("$ANSIBLE_VAULT") || text.contains("!vault") || text.contains("__ansible_vault") {
        let message = "this is encrypted with Ansible Vault";
        return Err(place.error(key, message, "plain text", vault_step(&place.file)));
    }
    Ok(())
}

/// What to do about an encrypted file or value.
pub(super) fn vault_step(file: &str) -> String {
    format!(
        "let Ansible decrypt it: `ansible-inventory -i {file} --list --ask-vault-pass > inventory.json`, then \
         `--inventory-json inventory.json`"
    )
}

/// What to do about what only Ansible understands.
pub(super) fn list_step(file: &str) -> String {
    format!(
        "let Ansible read it: `ansible-inventory -i {file} --list > inventory.json`, then \
         `--inventory-json inventory.json`"
    )
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { short + "..." } else { short }
}
