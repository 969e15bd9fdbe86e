//! What a host sends back, taken as from a stranger: plain files with names that its own nodes write, of bounded number
//! and size, through a folder of their own. A device that somebody else controls can spoil the results of its own
//! nodes and nothing more; what the controller itself has written (`deploy.json`, `plan.yml`) never comes from a device.

use crate::deploy::node_file;
use crate::deploy::result::NodeResult;
use crate::deploy::trace;
use hcddl_core::domain::name::is_name;
use hcddl_sim::record::rundir::file;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// Files of one host at most: some for each life of each node.
const FILES_MAX: usize = 100_000;
/// Bytes of all files of one host at most.
pub(super) const BYTES_MAX: u64 = 16 << 30;

/// Bytes of what an archive adds about a file at most.
const EXTRA_MAX: u64 = 64 << 10;

/// What may come in an archive.
pub(super) enum Expected<'a> {
    /// `nodes/<node>/..` of these nodes.
    Nodes(&'a [String]),
    /// These files.
    Files(&'a [&'a str]),
}

/// Files in the directory of a node.
const OF_NODE: [&str; 5] =
    [node_file::PROGRESS, node_file::LOG, node_file::ORDER, node_file::LIVES, node_file::CHECKPOINT];
/// Files in the directory of a life of a node.
const OF_LIFE: [&str; 7] =
    [NodeResult::FILE, file::METRICS, file::COMMITS, file::SUMMARY, trace::FILE, file::MODEL, file::BEST];

impl Expected<'_> {
    /// Whether a file of this path may come: `Some(false)` for one of its own nodes that is of no use here, such as one
    /// that is still being written.
    fn takes(&self, path: &Path) -> Option<bool> {
        let parts: Option<Vec<&str>> = path
            .components()
            .filter(|part| *part != Component::CurDir)
            .map(|part| match part {
                Component::Normal(name) => name.to_str(),
                _ => None,
            })
            .collect();
        match (self, &parts?[..]) {
            (Self::Files(names), [name]) => names.contains(name).then_some(true),
            (Self::Nodes(nodes), ["nodes", node, rest @ ..]) if nodes.iter().any(|own| own == node) => {
                match rest {
                    [name] => Some(OF_NODE.contains(name)),
                    [life, name] => Some(is_life(life) && OF_LIFE.contains(name)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn is_life(name: &str) -> bool {
    is_name(name) && name.strip_prefix("life").is_some_and(|life| life.parse::<u32>().is_ok())
}

/// Unpacks an archive of a host into a folder that nobody else writes to, by way of `staging`, which is made and removed.
/// Nothing is taken of an archive in which anything is wrong.
///
/// # Errors
/// What is wrong with it, or that a file cannot be written.
pub(super) fn unpack(archive: &Path, expected: &Expected<'_>, staging: &Path, into: &Path) -> io::Result<()> {
    let _ = fs::remove_dir_all(staging);
    fs::create_dir_all(staging)?;
    let taken = stage(archive, expected, staging).and_then(|paths| {
        paths.iter().try_for_each(|path| {
            let to = into.join(path);
            fs::create_dir_all(to.parent().unwrap_or(into))?;
            fs::rename(staging.join(path), to)
        })
    });
    let removed = fs::remove_dir_all(staging);
    taken.and(removed)
}

fn stage(archive: &Path, expected: &Expected<'_>, staging: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut archive = tar::Archive::new(File::open(archive)?);
    let mut taken = BTreeSet::new();
    let (mut count, mut left) = (0, BYTES_MAX);
    // As they are written: names that go on in an entry of their own, of any length, are not needed here.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        count += 1;
        if count > FILES_MAX {
            return Err(refused(format!("it holds more than {FILES_MAX} files")));
        }
        let path = entry.path()?.into_owned();
        let shown = path.to_string_lossy().escape_debug().take(200).collect::<String>();
        match entry.header().entry_type() {
            tar::EntryType::Directory => continue,
            // What other systems add about times and owners.
            tar::EntryType::XHeader | tar::EntryType::XGlobalHeader if entry.size() <= EXTRA_MAX => continue,
            tar::EntryType::Regular => {}
            other => return Err(refused(format!("`{shown}` is not a plain file ({other:?})"))),
        }
        let Some(wanted) = expected.takes(&path) else {
            return Err(refused(format!("`{shown}` is not a file of its nodes")));
        };
        left = left
            .checked_sub(entry.size())
            .ok_or_else(|| refused(format!("its files have more than {BYTES_MAX} bytes")))?;
        if !wanted {
            continue;
        }
        let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        let to = staging.join(&path);
        fs::create_dir_all(to.parent().unwrap_or(staging))?;
        if !taken.insert(path) {
            return Err(refused(format!("`{shown}` comes twice")));
        }
        let size = entry.size();
        let mut file = File::create_new(&to)?;
        io::copy(&mut entry.by_ref().take(size), &mut file)?;
    }
    Ok(taken)
}

fn refused(why: String) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("what it sent is refused: {why}; nothing of it was taken"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::{Builder, EntryType, Header};

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(size);
        header
    }

    /// Any path, which the crate's own setters refuse.
    fn raw(mut header: Header, path: &str) -> Header {
        let name = &mut header.as_old_mut().name;
        name.fill(0);
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        header
    }

    fn file(tar: &mut Builder<Vec<u8>>, path: &str, bytes: &[u8]) {
        tar.append(&raw(header(EntryType::Regular, bytes.len() as u64), path), bytes).unwrap();
    }

    struct Sent {
        folder: tempfile::TempDir,
        result: Result<(), String>,
    }

    impl Sent {
        fn read(&self, path: &str) -> Option<String> {
            fs::read_to_string(self.folder.path().join("run").join(path)).ok()
        }
    }

    /// Unpacks into a run directory with a record of the controller.
    fn send(fill: impl FnOnce(&mut Builder<Vec<u8>>)) -> Sent {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir_all(run.join("hosts/pi1")).unwrap();
        fs::write(run.join("deploy.json"), "ours").unwrap();
        let mut tar = Builder::new(Vec::new());
        fill(&mut tar);
        let archive = folder.path().join("sent.tar");
        fs::write(&archive, tar.into_inner().unwrap()).unwrap();
        let nodes = ["worker1".to_owned(), "worker2".to_owned()];
        let staging = run.join("hosts/pi1/.incoming");
        let result = unpack(&archive, &Expected::Nodes(&nodes), &staging, &run).map_err(|e| e.to_string());
        assert!(!staging.exists());
        assert_eq!(fs::read_to_string(run.join("deploy.json")).unwrap(), "ours");
        Sent { folder, result }
    }

    #[test]
    fn files_of_its_own_nodes_are_taken_and_replaced() {
        let sent = send(|tar| {
            file(tar, "nodes/worker1/log.txt", b"hello");
            file(tar, "./nodes/worker2/life0/result.json", b"{}");
            file(tar, "nodes/worker2/.order.log.part", b"half");
            file(tar, "nodes/worker2/plan.yml", b"its own");
            file(tar, "nodes/worker2/life-1/result.json", b"{}");
        });
        assert_eq!(sent.result, Ok(()));
        assert_eq!(sent.read("nodes/worker1/log.txt").as_deref(), Some("hello"));
        assert_eq!(sent.read("nodes/worker2/life0/result.json").as_deref(), Some("{}"));
        for left_out in [".order.log.part", "plan.yml", "life-1/result.json"] {
            assert_eq!(sent.read(&format!("nodes/worker2/{left_out}")), None);
        }
    }

    #[test]
    fn anything_else_is_refused_and_nothing_is_taken() {
        for (path, kind, link) in [
            ("deploy.json", EntryType::Regular, ""),
            ("nodes/global/log.txt", EntryType::Regular, ""),
            ("nodes/worker1/life0/x/result.json", EntryType::Regular, ""),
            ("nodes/worker1/../../deploy.json", EntryType::Regular, ""),
            ("../deploy.json", EntryType::Regular, ""),
            ("/tmp/hcddl-escaped", EntryType::Regular, ""),
            ("nodes/worker1/log.txt", EntryType::Symlink, "/etc/passwd"),
            ("nodes/worker1", EntryType::Symlink, "/tmp"),
            ("nodes/worker1/log.txt", EntryType::Link, "deploy.json"),
            ("nodes/worker1/log.txt", EntryType::Fifo, ""),
            ("nodes/worker1/log.txt", EntryType::Char, ""),
            ("nodes/worker1/log.txt", EntryType::GNUSparse, ""),
            ("././@LongLink", EntryType::GNULongName, ""),
            ("././@LongLink", EntryType::GNULongLink, ""),
        ] {
            let sent = send(|tar| {
                file(tar, "nodes/worker1/births", b"1");
                let mut header = header(kind, 0);
                if !link.is_empty() {
                    header.set_link_name(link).unwrap();
                }
                tar.append(&raw(header, path), io::empty()).unwrap();
            });
            assert!(sent.result.unwrap_err().contains("refused"), "{path} {kind:?}");
            assert!(!sent.folder.path().join("run/nodes").exists(), "{path} {kind:?}");
        }
    }

    #[test]
    fn a_file_that_comes_twice_or_claims_too_much_is_refused() {
        let twice = send(|tar| {
            file(tar, "nodes/worker1/log.txt", b"1");
            file(tar, "nodes/worker1/log.txt", b"2");
        });
        assert!(twice.result.unwrap_err().contains("comes twice"));
        let extra = send(|tar| {
            let bytes = vec![b'x'; EXTRA_MAX as usize + 1];
            let header = raw(header(EntryType::XHeader, bytes.len() as u64), "pax");
            tar.append(&header, &bytes[..]).unwrap();
        });
        assert!(extra.result.unwrap_err().contains("not a plain file"));
        let large = send(|tar| {
            let header = raw(header(EntryType::Regular, BYTES_MAX + 1), "nodes/worker1/log.txt");
            tar.append(&header, io::empty()).unwrap();
        });
        assert!(large.result.unwrap_err().contains("bytes"));
    }

    #[test]
    fn too_many_entries_are_refused() {
        let sent = send(|tar| {
            let folder = raw(header(EntryType::Directory, 0), "nodes/worker1");
            (0..=FILES_MAX).for_each(|_| tar.append(&folder, io::empty()).unwrap());
        });
        assert!(sent.result.unwrap_err().contains("more than 100000 files"));
    }
}
