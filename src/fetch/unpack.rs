//! Unpacks `.tar.gz` and `.zip`: plain files and folders, within one folder.

use super::FetchError;
use hcddl_learn::data::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Files of an archive, and folders in each other.
const FILES_MAX: usize = 2_000_000;
const DEPTH_MAX: usize = 32;
/// What an archive may unpack to: so many bytes, and so many for each byte of the archive. Data that is worth a
/// download shrinks to a tenth, empty pictures to a hundredth, a bomb to a thousandth.
const BYTES_FREE: u64 = 64 << 20;
const BYTES_PER_BYTE: u64 = 200;

/// What is still allowed to come out of an archive.
struct Left {
    files: usize,
    bytes: u64,
}

/// Unpacks an archive into a folder; returns how many files came out.
pub(super) fn archive(path: &Path, file: &File, folder: &Path) -> Result<usize, FetchError> {
    let open = std::fs::File::open(path).map_err(FetchError::io("open", path))?;
    let length = open.metadata().map_err(FetchError::io("read", path))?.len();
    let open = std::io::BufReader::new(open);
    unpack(path, open, length, file.path.ends_with(".tar.gz"), folder)
}

fn unpack(
    path: &Path,
    from: impl Read + std::io::Seek,
    length: u64,
    is_tar: bool,
    folder: &Path,
) -> Result<usize, FetchError> {
    let bytes = length.saturating_mul(BYTES_PER_BYTE).saturating_add(BYTES_FREE);
    let mut left = Left { files: FILES_MAX, bytes };
    if is_tar {
        // A little more for the heads of the entries.
        let from = flate2::bufread::MultiGzDecoder::new(std::io::BufReader::new(from)).take(bytes * 2);
        tar(path, from, folder, &mut left)?;
    } else {
        zip(path, from, folder, &mut left)?;
    }
    Ok(FILES_MAX - left.files)
}

/// Unpacks bytes: a zip, a tar, a tar.gz.
#[cfg(feature = "fuzzing")]
pub(crate) fn bytes(bytes: &[u8], kind: u8, folder: &Path) {
    let (path, length) = (Path::new("archive"), bytes.len() as u64);
    let _ = std::fs::remove_dir_all(folder);
    let _ = match kind {
        1 => tar(path, bytes, folder, &mut Left { files: FILES_MAX, bytes: BYTES_FREE }).map(|()| 0),
        kind => unpack(path, std::io::Cursor::new(bytes), length, kind == 0, folder),
    };
}

fn tar(path: &Path, from: impl Read, folder: &Path, left: &mut Left) -> Result<(), FetchError> {
    let damaged = |error: std::io::Error| FetchError::wrong(path, format!("cannot be unpacked: {error}"));
    for entry in tar::Archive::new(from).entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.into_owned();
        let to = within(path, folder, &name)?;
        match entry.header().entry_type() {
            tar::EntryType::Directory => make(&to)?,
            tar::EntryType::Regular | tar::EntryType::Continuous => write(path, &mut entry, &to, left)?,
            tar::EntryType::XGlobalHeader => {}
            other => {
                let problem =
                    format!("holds `{}`, which is neither file nor folder: {other:?}", name.display());
                return Err(FetchError::wrong(path, problem));
            }
        }
    }
    Ok(())
}

fn zip(
    path: &Path,
    from: impl Read + std::io::Seek,
    folder: &Path,
    left: &mut Left,
) -> Result<(), FetchError> {
    let damaged =
        |error: zip::result::ZipError| FetchError::wrong(path, format!("cannot be unpacked: {error}"));
    let mut archive = zip::ZipArchive::new(from).map_err(damaged)?;
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
            write(path, &mut entry, &to, left)?;
        }
    }
    Ok(())
}

/// Where an entry goes, unless its name leads out of the folder.
fn within(path: &Path, folder: &Path, name: &Path) -> Result<PathBuf, FetchError> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    // A backslash is a separator to some systems and part of a name to others: no archive of data has one.
    if name.components().count() > DEPTH_MAX {
        let problem = format!("holds a file in more than {DEPTH_MAX} folders");
        return Err(FetchError::wrong(path, problem));
    }
    if name.components().all(plain) && !name.to_string_lossy().contains('\\') {
        return Ok(folder.join(name));
    }
    let problem = format!("holds `{}`, which lies outside of its folder", name.display());
    Err(FetchError::wrong(path, problem))
}

fn make(folder: &Path) -> Result<(), FetchError> {
    std::fs::create_dir_all(folder).map_err(FetchError::io("create", folder))
}

fn write(archive: &Path, from: &mut impl Read, to: &Path, left: &mut Left) -> Result<(), FetchError> {
    let too_much = |what: String| {
        FetchError::wrong(archive, format!("unpacks to more than {what}: data of this kind is not so large"))
    };
    left.files = left.files.checked_sub(1).ok_or_else(|| too_much(format!("{FILES_MAX} files")))?;
    to.parent().map_or(Ok(()), make)?;
    let mut file = std::fs::File::create(to).map_err(FetchError::io("create", to))?;
    let written = std::io::copy(&mut from.take(left.bytes + 1), &mut file).map_err(|error| {
        FetchError::wrong(archive, format!("cannot be unpacked to `{}`: {error}", to.display()))
    })?;
    let of = || format!("{BYTES_PER_BYTE} times its own length");
    left.bytes = left.bytes.checked_sub(written).ok_or_else(|| too_much(of()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};

    fn gzipped_tar(files: &[(&str, u64)]) -> Vec<u8> {
        let mut tar =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best()));
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(*bytes);
            header.set_mode(0o600);
            tar.append_data(&mut header, name, std::io::repeat(0).take(*bytes)).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn unpacked(bytes: &[u8], is_tar: bool) -> Result<usize, String> {
        let folder = tempfile::tempdir().unwrap();
        let (path, length) = (Path::new("set"), bytes.len() as u64);
        unpack(path, Cursor::new(bytes), length, is_tar, folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_plain_comes_out() {
        assert_eq!(unpacked(&gzipped_tar(&[("a/b", 10), ("c", 0)]), true), Ok(2));
    }

    #[test]
    fn a_bomb_is_given_up() {
        const BYTES: u64 = 200 << 20;
        let bomb = gzipped_tar(&[("zeros", BYTES)]);
        assert!(BYTES_FREE + bomb.len() as u64 * BYTES_PER_BYTE < BYTES, "{} bytes are no bomb", bomb.len());
        assert!(unpacked(&bomb, true).unwrap_err().contains("200 times its own length"));
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("zeros", zip::write::SimpleFileOptions::default()).unwrap();
        for _ in 0..BYTES >> 20 {
            zip.write_all(&vec![0; 1 << 20]).unwrap();
        }
        let bomb = zip.finish().unwrap().into_inner();
        assert!(unpacked(&bomb, false).unwrap_err().contains("200 times its own length"));
    }

    #[test]
    fn endless_folders_are_refused() {
        let deep = "d/".repeat(40) + "f";
        assert!(unpacked(&gzipped_tar(&[(&deep, 1)]), true).unwrap_err().contains("32 folders"));
    }
}
