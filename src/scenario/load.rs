//! Reads scenario files from disk: the only code of the scenario layer that touches the world.

use super::file::Pick;
use super::{Source, Written, parse};
use crate::error::UserError;
use std::path::{Path, PathBuf};

/// Reads a scenario and the topology file that it names; makes its paths relative to the working directory.
/// `sets` are `--set path=value` options.
///
/// # Errors
/// [`UserError`] when a file cannot be read or is not understood.
pub fn load(path: &Path, sets: &[String]) -> Result<Written, UserError> {
    let mut written = parse(&path.display().to_string(), &read(path)?, sets)?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let file = &mut written.file;
    if file.name.is_none() {
        file.name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    }
    file.data_dir = match file.data_dir.take() {
        Some(dir) => Some(folder.join(dir)),
        None => std::env::var_os("HCDDL_DATA").map(PathBuf::from),
    };
    file.training.init_from = file.training.init_from.take().map(|file| folder.join(file));
    if let Some(name) = file_name(&file.topology) {
        let path = folder.join(name);
        let text = read(&path).map_err(|error| {
            let message = format!("the topology file `{}`: {}", path.display(), error.message);
            written.source.error("topology", message, "", "the path is relative to the scenario's folder")
        })?;
        let (source, value) = Source::read(&path.display().to_string(), &text)?;
        written.topology = Some((value, source));
    }
    Ok(written)
}

/// A topology that is written in a file of its own.
fn file_name(topology: &Pick) -> Option<&str> {
    let text = topology.0.as_str()?;
    (text.ends_with(".yml") || text.ends_with(".yaml")).then_some(text)
}

fn read(path: &Path) -> Result<String, UserError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        UserError::in_file(&name, format!("cannot be read: {error}"), "check the path and the permissions")
    })?;
    String::from_utf8(bytes).map_err(|_| UserError::in_file(&name, "is not UTF-8 text", "save it as UTF-8"))
}
