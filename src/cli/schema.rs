//! `hcddl schema`

use super::{Ending, output};
use clap::Args;

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Print the page of all keys (Markdown) instead
    #[arg(long)]
    keys: bool,
}

pub fn execute(args: &SchemaArgs) -> anyhow::Result<Ending> {
    if args.keys {
        output::result(&hcddl_plan::scenario::keys_markdown())?;
    } else {
        output::result(&(serde_json::to_string_pretty(&hcddl_plan::scenario::schema())? + "\n"))?;
    }
    Ok(Ending::Done)
}
