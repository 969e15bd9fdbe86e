//! `hcddl completions SHELL`

use super::{Cli, Ending, output};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell that will read the script
    shell: Shell,
}

pub fn execute(args: &CompletionsArgs) -> anyhow::Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hcddl", &mut script);
    output::result(&String::from_utf8_lossy(&script))?;
    Ok(Ending::Done)
}
