//! `hcddl init [FILE]`

use super::{Ending, Usage, output};
use clap::Args;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The file to write; `-` for stdout
    #[arg(default_value = "scenario.yml")]
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

/// A scenario that runs as it is, each key explained.
pub const TEMPLATE: &str = include_str!("init.yml");

pub fn execute(args: &InitArgs) -> anyhow::Result<Ending> {
    if args.file.as_os_str() == "-" {
        output::result(TEMPLATE)?;
        return Ok(Ending::Done);
    }
    let file = args.file.display();
    let mut open = OpenOptions::new();
    open.write(true).truncate(args.force).create(args.force).create_new(!args.force);
    let written = open.open(&args.file).and_then(|mut opened| opened.write_all(TEMPLATE.as_bytes()));
    match written {
        Ok(()) => {
            output::result(&format!("wrote {file}; next: hcddl check {file}, then hcddl sim {file}\n"))?;
            Ok(Ending::Done)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Usage(format!("`{file}` exists; name another file, or replace it with --force")).into())
        }
        Err(error) => {
            Err(Usage(format!("cannot write `{file}`: {error}; name a file in a folder that exists")).into())
        }
    }
}
