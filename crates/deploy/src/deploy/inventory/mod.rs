//! Inventories: which devices there are and how SSH reaches them, in Ansible's formats (INI, YAML, and the JSON of
//! `ansible-inventory --list`), with `group_vars` and `host_vars` beside the file.
//!
//! Order and precedence are Ansible's: a group's own hosts come before those of its children; a variable of a host
//! outranks those of its groups, a deeper group a shallower one, of two equally deep ones the later by name.

mod address;
mod ini;
mod json;
mod range;
mod raw;
mod resolve;
mod vars_dirs;
mod words;
mod yaml;

use hcddl_core::domain::table::nearest;
use hcddl_core::domain::text;
use hcddl_core::error::UserError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A device and how to reach it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name in the inventory.
    pub name: String,
    /// `ansible_host`: where SSH connects to, when that is not the name.
    pub address: Option<String>,
    /// `ansible_user`; else SSH decides.
    pub user: Option<String>,
    /// `ansible_port`, or the port behind the name; else SSH decides.
    pub port: Option<u16>,
    /// `ansible_ssh_private_key_file`; else SSH decides.
    pub key: Option<PathBuf>,
    /// `ansible_ssh_common_args` and `ansible_ssh_extra_args`, as words.
    pub ssh_args: Vec<String>,
    /// `hcddl_address`: where the other devices reach it, when that is another address than SSH's.
    pub reached_at: Option<String>,
    /// `ansible_connection: local`: this machine, without SSH.
    pub local: bool,
}

impl Host {
    /// Where SSH connects to.
    #[must_use]
    pub fn destination(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.name)
    }

    /// This machine.
    #[must_use]
    pub fn here() -> Self {
        Self { name: "localhost".to_owned(), local: true, ..Self::default() }
    }
}

/// The formats of inventories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Ansible's INI.
    Ini,
    /// Ansible's YAML.
    Yaml,
    /// The output of `ansible-inventory --list`.
    Json,
}

/// An inventory, with every variable resolved.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// The file as the user named it.
    pub file: String,
    /// All hosts.
    pub hosts: Vec<Host>,
    /// Hosts of each group and of the groups below it, in order; `all` among them.
    pub groups: BTreeMap<String, Vec<usize>>,
    /// What the user should know, each a sentence.
    pub warnings: Vec<String>,
}

impl Inventory {
    /// Reads a file (its format by ending and content unless `format` says it), or a list of names: `pi1,pi2,`.
    ///
    /// # Errors
    /// [`UserError`] with file, line and next step.
    pub fn load(path: &Path, format: Option<Format>) -> Result<Self, UserError> {
        let file = path.display().to_string();
        if file.contains(',') && !path.exists() {
            let names: Vec<&str> = file.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
            return Self::parse("-i", &names.join("\n"), Format::Ini);
        }
        if path.is_dir() {
            let message = "this is a directory";
            return Err(UserError::in_file(
                &file,
                message,
                "name one file in it, or ".to_owned() + &raw::list_step(&file),
            ));
        }
        let text = read_text(path).map_err(|problem| {
            let next = "check the path; an inventory is a text file in UTF-8 with a host on each line";
            UserError::in_file(&file, problem, next)
        })?;
        let mut raw = read(&file, &text, format.unwrap_or_else(|| guess(path, &text)))?;
        let vars = vars_dirs::read(path, &mut raw)?;
        resolve::inventory(&file, raw, &vars)
    }

    /// Reads text, without `group_vars` and `host_vars`.
    ///
    /// # Errors
    /// As [`Inventory::load`].
    pub fn parse(file: &str, text: &str, format: Format) -> Result<Self, UserError> {
        resolve::inventory(file, read(file, text, format)?, &vars_dirs::Layers::default())
    }

    /// The devices to use, in order: those of `group`, else of the group `pool` if there is one, else all; of these
    /// the ones that `limit` leaves: names of hosts and groups separated by commas, `*` in them for any text, `!` in
    /// front for all but these.
    ///
    /// # Errors
    /// [`UserError`] for an unknown group, a limit that matches nothing, and an empty pool.
    pub fn pool(&self, group: Option<&str>, limit: Option<&str>) -> Result<Vec<Host>, UserError> {
        let named = group.unwrap_or(if self.groups.contains_key("pool") { "pool" } else { "all" });
        let Some(members) = self.groups.get(named) else {
            return Err(self.unknown("--group", "group", named, self.groups.keys().map(String::as_str)));
        };
        let mut chosen = members.clone();
        let terms =
            limit.unwrap_or_default().split([',', ':']).map(str::trim).filter(|term| !term.is_empty());
        let (without, with): (Vec<&str>, Vec<&str>) = terms.partition(|term| term.starts_with('!'));
        if !with.is_empty() {
            let wanted = self.matches(&with)?;
            chosen.retain(|host| wanted.contains(host));
        }
        let unwanted = self.matches(&without)?;
        chosen.retain(|host| !unwanted.contains(host));
        if chosen.is_empty() {
            let message = match limit {
                Some(limit) => format!("`--limit {limit}` leaves no host of the group `{named}`"),
                None => format!("the group `{named}` has no hosts"),
            };
            return Err(UserError::in_file(
                &self.file,
                message,
                "write one host on each line below `[pool]`",
            ));
        }
        Ok(chosen.into_iter().map(|host| self.hosts[host].clone()).collect())
    }

    fn matches(&self, terms: &[&str]) -> Result<BTreeSet<usize>, UserError> {
        let mut found = BTreeSet::new();
        for term in terms {
            let pattern = term.trim_start_matches('!');
            let named = (0..self.hosts.len()).filter(|host| wildcard(pattern, &self.hosts[*host].name));
            let groups = self.groups.iter().filter(|(name, _)| wildcard(pattern, name));
            let mut matching =
                named.chain(groups.flat_map(|(_, members)| members.iter().copied())).peekable();
            let nobody = matching.peek().is_none();
            found.extend(matching);
            if nobody {
                let names = self.hosts.iter().map(|host| host.name.as_str());
                let names = names.chain(self.groups.keys().map(String::as_str));
                return Err(self.unknown("--limit", "host or group", pattern, names));
            }
        }
        Ok(found)
    }

    fn unknown<'a>(
        &self,
        option: &str,
        what: &str,
        name: &str,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> UserError {
        let shown: Vec<&str> = names.clone().take(12).collect();
        UserError {
            file: self.file.clone(),
            path: option.to_owned(),
            message: format!("there is no {what} `{name}`"),
            allowed: shown.join(", "),
            next_step: nearest(name, names)
                .map_or_else(String::new, |near| format!("did you mean `{near}`?")),
            ..UserError::default()
        }
    }
}

/// The text of a file of a size that somebody may have written, without a byte order mark.
///
/// # Errors
/// What is wrong with the file, to be put behind its name.
fn read_text(path: &Path) -> Result<String, String> {
    const BYTES_MAX: u64 = 64 << 20;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("has more than {BYTES_MAX} bytes"));
    }
    text::decode(bytes)
}

fn read(file: &str, text: &str, format: Format) -> Result<raw::Raw, UserError> {
    let place = raw::Place { file: file.to_owned(), line: Some(1) };
    if text.starts_with("#!") {
        let message = "this is a script; hcddl runs no programs of an inventory";
        return Err(place.error("", message, "", raw::list_step(file)));
    }
    if text.starts_with("$ANSIBLE_VAULT") {
        raw::refuse_templates(text, "", &place)?;
    }
    match format {
        Format::Ini => ini::parse(file, text),
        Format::Yaml => yaml::parse(file, text),
        Format::Json => json::parse(file, text),
    }
}

fn guess(path: &Path, text: &str) -> Format {
    let begins = |c: char| text.trim_start().starts_with(c);
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("yml" | "yaml") => Format::Yaml,
        Some("json") => Format::Json,
        _ if begins('{') => Format::Json,
        _ if text.starts_with("---") => Format::Yaml,
        _ => Format::Ini,
    }
}

/// What is odd about where the devices of a pool are reached, each a sentence.
#[must_use]
pub fn doubtful_addresses(pool: &[Host]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut at: BTreeMap<(&str, Option<u16>), Vec<&str>> = BTreeMap::new();
    for host in pool.iter().filter(|host| !host.local) {
        at.entry((host.destination(), host.port)).or_default().push(&host.name);
    }
    for ((address, _), names) in at.iter().filter(|(_, names)| names.len() > 1) {
        let more = if names.len() > 4 { format!(" and {} more", names.len() - 4) } else { String::new() };
        let names = names[..names.len().min(4)].join(", ");
        warnings.push(format!(
            "{names}{more} have the same address `{address}`: they are one machine, whose cores and network their nodes \
             share"
        ));
    }
    let reached = |host: &&Host| host.reached_at.clone().unwrap_or_else(|| host.destination().to_owned());
    let remote: Vec<&Host> = pool.iter().filter(|host| !host.local).collect();
    let to_itself = remote.iter().find(|host| address::is_loopback(&reached(host)));
    if let Some(host) = to_itself.filter(|_| pool.len() > 1) {
        warnings.push(format!(
            "`{}` is reached at `{}`, which every device takes for itself: other devices will not find it there; \
             write `hcddl_address=ADDRESS` with one that they can reach",
            host.name,
            reached(host)
        ));
    }
    warnings
}

/// Whether a name is what a pattern says; `*` is any text.
fn wildcard(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut left) = name.strip_prefix(head).and_then(|left| left.strip_suffix(tail)) else {
        return false;
    };
    // The first place for each part leaves the most room for those behind it.
    middle.split('*').all(|part| {
        let after = left.find(part).map(|at| &left[at + part.len()..]);
        left = after.unwrap_or(left);
        after.is_some()
    })
}

#[cfg(test)]
mod tests;
