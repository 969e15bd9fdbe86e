//! Finding and opening the files of a data set, and the errors that this can end in.

use super::{DataContext, source};
use hcddl_core::domain::{OptionError, text};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// What to do about a file of one's own.
const OWN_FILE: &str = "correct the file, or name another one";

/// Something is wrong with what a file holds.
pub(super) fn file_error(message: impl Into<String>, allowed: impl Into<String>) -> OptionError {
    OptionError { hint: OWN_FILE.to_owned(), ..OptionError::new("", message, allowed) }
}

/// The error of reading the set `name`: where its files can be fetched, that is what to do about a damaged one.
pub(crate) fn of_set(name: &str, mut error: OptionError) -> OptionError {
    if error.hint == OWN_FILE && source(name).is_some_and(|source| !source.files.is_empty()) {
        error.hint = format!(
            "fetch it again with `hcddl data fetch {name}`, or point --data-dir or HCDDL_DATA at another directory"
        );
    }
    error
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
    let own = directory(name, context)?.join(name);
    find_in(name, folders.iter().map(|folder| own.join(folder)).collect(), file, context)
}

/// As [`find`], with other places to look into first.
pub(super) fn find_in(
    name: &str,
    mut places: Vec<PathBuf>,
    file: &str,
    context: &DataContext,
) -> Result<PathBuf, OptionError> {
    let base = directory(name, context)?;
    places.extend([base.join(name), base.to_owned()]);
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
    let packed = file.metadata().map_or(0, |metadata| metadata.len());
    let file = BufReader::with_capacity(1 << 16, file);
    if path.extension().is_some_and(|e| e == "gz") {
        let unpacked = Unpacked::new(flate2::read::MultiGzDecoder::new(file), packed);
        return Ok(Box::new(BufReader::with_capacity(1 << 16, unpacked)));
    }
    Ok(Box::new(file))
}

/// Unpacked bytes that are fine whatever they were packed from.
const UNPACKED_FREE: u64 = 256 << 20;
/// Beyond these, so many times the packed size: real data are packed to a few hundredths at best.
const UNPACKED_RATIO: u64 = 200;

/// Bytes that a decompressor gives, up to a bound: a small file must not fill the memory.
pub(super) struct Unpacked<R> {
    inner: R,
    left: u64,
    max: u64,
}

impl<R: Read> Unpacked<R> {
    /// What comes from `packed` bytes.
    pub(super) fn new(inner: R, packed: u64) -> Self {
        let max = packed.saturating_mul(UNPACKED_RATIO).max(UNPACKED_FREE);
        Self { inner, left: max, max }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            let message = format!("unpacks to more than {} bytes, {UNPACKED_RATIO} times its size", self.max);
            std::io::Error::new(std::io::ErrorKind::FileTooLarge, message)
        })?;
        Ok(count)
    }
}

/// All that a file holds.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, OptionError> {
    let mut bytes = Vec::new();
    let read = open(path)?.read_to_end(&mut bytes);
    read.map_err(|e| wrong(path, &format!("cannot be read: {e}"), ""))?;
    Ok(bytes)
}

/// All that a file holds, as text without a byte order mark, lines that end in `\n`.
pub(super) fn read_text(path: &Path) -> Result<String, OptionError> {
    text::decode(read_bytes(path)?).map_err(|problem| wrong(path, &problem, "a text in UTF-8"))
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
