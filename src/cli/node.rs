//! `hcddl node RUN_DIR NAME`

use super::{Ending, interrupt};
use crate::deploy;
use crate::registry::Registry;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The run's directory on this device: deployment.json, scenario.yml, tls/, data/
    #[arg(value_name = "RUN_DIR")]
    dir: PathBuf,
    /// The node, as deployment.json names it
    #[arg(value_name = "NAME")]
    name: String,
}

pub fn execute(args: &NodeArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let ended_well = deploy::node::run(&args.dir, &args.name, registry, interrupt::flag())?;
    Ok(if ended_well { Ending::Done } else { Ending::Failed })
}
