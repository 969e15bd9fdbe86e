//! `group_vars/` and `host_vars/` beside an inventory.

use super::raw::{Raw, Vars};
use super::yaml;
use hcddl_core::error::UserError;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Variables of groups and hosts by name.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub groups: BTreeMap<String, Vars>,
    pub hosts: BTreeMap<String, Vars>,
}

/// Reads the files for the groups and hosts of an inventory. Encrypted files are left out with a warning: what SSH
/// needs is seldom in them.
///
/// # Errors
/// [`UserError`] when a file cannot be read or is not YAML.
pub(super) fn read(inventory: &Path, raw: &mut Raw) -> Result<Layers, UserError> {
    let folder = inventory.parent().unwrap_or(Path::new(""));
    let groups = raw.groups.iter().map(|group| group.name.as_str()).chain(["all", "ungrouped"]);
    let mut warnings = Vec::new();
    let layers = Layers {
        groups: layer(&folder.join("group_vars"), groups, &mut warnings)?,
        hosts: layer(&folder.join("host_vars"), raw.hosts.iter().map(|h| h.name.as_str()), &mut warnings)?,
    };
    raw.warnings.append(&mut warnings);
    Ok(layers)
}

fn layer<'a>(
    folder: &Path,
    names: impl Iterator<Item = &'a str>,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, Vars>, UserError> {
    let mut all = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(all);
    }
    // A name is that of a file in the folder, whatever it looks like.
    for name in names.filter(|name| is_file_name(name)) {
        let mut vars = Vars::new();
        for path in files(&folder.join(name)) {
            let file = path.display().to_string();
            let text = super::read_text(&path).map_err(|problem| UserError::in_file(&file, problem, ""))?;
            if text.starts_with("$ANSIBLE_VAULT") || text.contains("!vault") {
                warnings
                    .push(format!("`{file}` is encrypted with Ansible Vault, so its variables are not used"));
                continue;
            }
            vars.extend(yaml::vars(&file, &text)?);
        }
        all.insert(name.to_owned(), vars);
    }
    Ok(all)
}

fn is_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(only)), None) if only == name)
}

/// `name`, `name.yml`, `name.yaml`, `name.json`; the files of a directory `name` in order.
fn files(stem: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if let Ok(entries) = std::fs::read_dir(stem) {
        files.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()));
        files.sort();
    }
    let with = |ending: &str| PathBuf::from(format!("{}{ending}", stem.display()));
    files.extend(["", ".yml", ".yaml", ".json"].map(with).into_iter().filter(|path| path.is_file()));
    files
}
