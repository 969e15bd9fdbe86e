//! Finding and opening the files of a data set, and the errors that this can end in.

use super::{DataContext, source};
use crate::domain::OptionError;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Something is wrong with what a file holds.
pub(super) fn file_error(message: impl Into<String>, allowed: impl Into<String>) -> OptionError {
    let hint = "fetch the file again, or point --data-dir or HCDDL_DATA at another directory";
    OptionError { hint: hint.to_owned(), ..OptionError::new("", message, allowed) }
}

/// The error of a file that is wrong, by its name.
pub(super) fn wrong(path: &Path, message: &str, allowed: impl Into<String>) -> OptionError {
    file_error(format!("`{}` {message}", path.display()), allowed)
}

/// What to do about a missing file of the data set `name`.
fn next_step(name: &str) -> String {
    let set = "set --data-dir or HCDDL_DATA to the directory that holds it";
    match source(name) {
        Some(source) if source.files.is_empty() => format!("{}, or {set}", source.note),
        Some(_) => format!("run `hcddl data fetch {name}`, or {set}"),
        None => set.to_owned(),
    }
}

/// The data directory, or how to name one.
pub(super) fn directory<'a>(name: &str, context: &'a DataContext) -> Result<&'a Path, OptionError> {
    context.data_dir.as_deref().ok_or_else(|| OptionError {
        hint: next_step(name),
        ..OptionError::new("", format!("no data directory to look for {name} in"), "")
    })
}

/// The first of `DIR/NAME/FOLDER/FILE` for each folder, then `DIR/NAME/FILE` and `DIR/FILE`, each plain or with
/// `.gz`.
///
/// # Errors
/// No such file, with all that were looked for.
pub(super) fn find(
    name: &str,
    folders: &[&str],
    file: &str,
    context: &DataContext,
) -> Result<PathBuf, OptionError> {
    let base = directory(name, context)?;
    let own = base.join(name);
    let mut places: Vec<PathBuf> = folders.iter().map(|folder| own.join(folder)).collect();
    places.extend([own, base.to_owned()]);
    let candidates = places.iter().flat_map(|d| [d.join(file), d.join(format!("{file}.gz"))]);
    first_of(name, candidates.collect(), Path::is_file, "file")
}

/// As [`find`], a folder.
pub(super) fn find_folder(
    name: &str,
    folders: &[&str],
    context: &DataContext,
) -> Result<PathBuf, OptionError> {
    let own = directory(name, context)?.join(name);
    let mut candidates: Vec<PathBuf> = folders.iter().map(|folder| own.join(folder)).collect();
    candidates.push(own);
    first_of(name, candidates, Path::is_dir, "folder")
}

/// A file or folder that an option names: an absolute path, or one below the data directory or else the working
/// directory.
pub(super) fn given(key: &str, path: &Path, context: &DataContext) -> Result<PathBuf, OptionError> {
    let below = context.data_dir.as_ref().map(|directory| directory.join(path));
    let candidates: Vec<PathBuf> = below.into_iter().chain([path.to_owned()]).collect();
    let mut found = first_of("", candidates, Path::exists, "file or folder");
    if let Err(error) = &mut found {
        key.clone_into(&mut error.key);
    }
    found
}

/// The first of these paths that is `right`.
pub(super) fn first_of(
    name: &str,
    mut candidates: Vec<PathBuf>,
    right: fn(&Path) -> bool,
    kind: &str,
) -> Result<PathBuf, OptionError> {
    candidates.dedup();
    candidates.iter().find(|path| right(path)).cloned().ok_or_else(|| {
        let looked: Vec<String> = candidates.iter().map(|path| format!("`{}`", path.display())).collect();
        OptionError {
            hint: next_step(name),
            ..OptionError::new("", format!("no {kind} {}", looked.join(", ")), "one of these")
        }
    })
}

/// Opens a file; one that ends in `.gz` is unpacked on the way.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, OptionError> {
    let file = File::open(path).map_err(|e| wrong(path, &format!("cannot be opened: {e}"), ""))?;
    let file = BufReader::with_capacity(1 << 16, file);
    if path.extension().is_some_and(|e| e == "gz") {
        return Ok(Box::new(BufReader::with_capacity(1 << 16, flate2::read::MultiGzDecoder::new(file))));
    }
    Ok(Box::new(file))
}

/// All that a file holds.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, OptionError> {
    let mut bytes = Vec::new();
    let read = open(path)?.read_to_end(&mut bytes);
    read.map_err(|e| wrong(path, &format!("cannot be read: {e}"), ""))?;
    Ok(bytes)
}

/// All that a file holds, as text.
pub(super) fn read_text(path: &Path) -> Result<String, OptionError> {
    String::from_utf8(read_bytes(path)?).map_err(|e| {
        let message = format!("is not UTF-8: byte {}", e.utf8_error().valid_up_to());
        wrong(path, &message, "a text in UTF-8")
    })
}

/// What is within a folder, in order of the names; hidden entries are left out.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, OptionError> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let all: std::io::Result<Vec<_>> = std::fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect();
        let hidden = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        Ok(all?.into_iter().filter(|path| !hidden(path)).collect())
    };
    let mut all = read().map_err(|e| wrong(folder, &format!("cannot be read: {e}"), ""))?;
    all.sort();
    Ok(all)
}
