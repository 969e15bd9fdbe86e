//! Unpacks `.tar.gz` and `.zip`: plain files and folders, within one folder.

use super::FetchError;
use crate::learn::data::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Unpacks an archive into a folder; returns how many files came out.
pub(super) fn archive(path: &Path, file: &File, folder: &Path) -> Result<usize, FetchError> {
    let open = std::fs::File::open(path).map_err(FetchError::io("open", path))?;
    let open = std::io::BufReader::new(open);
    if file.path.ends_with(".tar.gz") {
        tar(path, flate2::read::MultiGzDecoder::new(open), folder)
    } else {
        zip(path, open, folder)
    }
}

fn tar(path: &Path, from: impl Read, folder: &Path) -> Result<usize, FetchError> {
    let damaged = |error: std::io::Error| FetchError::wrong(path, format!("cannot be unpacked: {error}"));
    let mut count = 0;
    for entry in tar::Archive::new(from).entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.into_owned();
        let to = within(path, folder, &name)?;
        match entry.header().entry_type() {
            tar::EntryType::Directory => make(&to)?,
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                write(path, &mut entry, &to)?;
                count += 1;
            }
            tar::EntryType::XGlobalHeader => {}
            other => {
                let problem =
                    format!("holds `{}`, which is neither file nor folder: {other:?}", name.display());
                return Err(FetchError::wrong(path, problem));
            }
        }
    }
    Ok(count)
}

fn zip(path: &Path, from: impl Read + std::io::Seek, folder: &Path) -> Result<usize, FetchError> {
    let damaged =
        |error: zip::result::ZipError| FetchError::wrong(path, format!("cannot be unpacked: {error}"));
    let mut archive = zip::ZipArchive::new(from).map_err(damaged)?;
    let mut count = 0;
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(damaged)?;
        let name = PathBuf::from(entry.name().map_err(damaged)?.as_ref());
        let to = within(path, folder, &name)?;
        if entry.is_symlink() {
            return Err(FetchError::wrong(path, format!("holds the link `{}`", name.display())));
        }
        if entry.is_dir() {
            make(&to)?;
        } else {
            write(path, &mut entry, &to)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Where an entry goes, unless its name leads out of the folder.
fn within(path: &Path, folder: &Path, name: &Path) -> Result<PathBuf, FetchError> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    // A backslash is a separator to some systems and part of a name to others: no archive of data has one.
    if name.components().all(plain) && !name.to_string_lossy().contains('\\') {
        return Ok(folder.join(name));
    }
    let problem = format!("holds `{}`, which lies outside of its folder", name.display());
    Err(FetchError::wrong(path, problem))
}

fn make(folder: &Path) -> Result<(), FetchError> {
    std::fs::create_dir_all(folder).map_err(FetchError::io("create", folder))
}

fn write(archive: &Path, from: &mut impl Read, to: &Path) -> Result<(), FetchError> {
    to.parent().map_or(Ok(()), make)?;
    let mut file = std::fs::File::create(to).map_err(FetchError::io("create", to))?;
    std::io::copy(from, &mut file).map(drop).map_err(|error| {
        FetchError::wrong(archive, format!("cannot be unpacked to `{}`: {error}", to.display()))
    })
}
