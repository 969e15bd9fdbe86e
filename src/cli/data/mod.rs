//! `hcddl data list|check|fetch|show`

mod check;
mod fetch;
mod list;
mod show;

use super::{Ending, Usage};
use clap::{Args, Subcommand};
use hcddl_core::domain::table::nearest;
use hcddl_learn::data::{File, Source, source};
use hcddl_plan::registry::Registry;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Show the data sets and which of them are here
    List(list::ListArgs),
    /// Verify the files of a data set and read it
    Check(check::CheckArgs),
    /// Download the files of a data set
    Fetch(fetch::FetchArgs),
    /// Show which node of a scenario holds what
    Show(show::ShowArgs),
}

pub fn execute(args: &DataArgs, registry: &Registry) -> anyhow::Result<Ending> {
    match &args.command {
        DataCommand::List(args) => list::execute(args, registry),
        DataCommand::Check(args) => check::execute(args, registry),
        DataCommand::Fetch(args) => fetch::execute(args, registry),
        DataCommand::Show(args) => show::execute(args, registry),
    }
}

/// The source of a data set of which files can be had.
fn source_of(name: &str, registry: &Registry) -> Result<Source, Usage> {
    if let Some(source) = source(name) {
        return Ok(source);
    }
    let names = registry.learn.data.names();
    if names.contains(&name) {
        return Err(Usage(format!("`{name}` reads no files of a known origin: there is nothing to fetch")));
    }
    Err(unknown(name, &names))
}

fn unknown(name: &str, names: &[&str]) -> Usage {
    let hint = nearest(name, names.iter().copied())
        .map_or_else(|| "`hcddl data list` shows them".to_owned(), |near| format!("did you mean `{near}`?"));
    Usage(format!("unknown data set `{name}`; allowed: {}; {hint}", names.join(", ")))
}

/// The file in a data directory: as it is listed, or unpacked.
fn found(directory: &Path, file: &File) -> Option<PathBuf> {
    let listed = directory.join(file.path);
    let plain = file.is_gzip().then(|| listed.with_extension(""));
    std::iter::once(listed).chain(plain).find(|path| path.is_file())
}

/// Whether a data set's files are there. One without a list of files, or whose archive somebody unpacked, is taken
/// to be there when its folder holds something.
fn at_hand(directory: &Path, source: &Source) -> bool {
    let all = source.files.iter().all(|file| found(directory, file).is_some());
    let archives = source.files.iter().all(File::is_archive);
    let folder = std::fs::read_dir(directory.join(source.name));
    let mut entries = folder.into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut holds_something = || entries.any(|name| !name.to_string_lossy().ends_with(".part"));
    (all && !source.files.is_empty()) || (archives && holds_something())
}

/// A length for people: `9.9 MB`.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
