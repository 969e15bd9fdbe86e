//! `hcddl node RUN_DIR NAME` and `hcddl node --join ADDRESS`

use super::{Ending, Usage, interrupt};
use anyhow::Context;
use clap::Args;
use hcddl_deploy::deploy;
use hcddl_deploy::deploy::join::{Token, serve};
use hcddl_plan::registry::Registry;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The run's directory on this device: deployment.json, scenario.yml, tls/, data/
    #[arg(value_name = "RUN_DIR", required_unless_present = "join")]
    dir: Option<PathBuf>,
    /// The node, as deployment.json names it
    #[arg(value_name = "NODE", required_unless_present = "join")]
    node: Option<String>,
    /// Wait for runs of the controller at this address (`hcddl deploy run --join`), one after the other
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["dir", "node"], requires = "token")]
    join: Option<String>,
    /// This device's token (`hcddl deploy token`)
    #[arg(long, value_name = "FILE", requires = "join")]
    token: Option<PathBuf>,
    /// What this device is called [default: its host name]
    #[arg(long, value_name = "NAME", requires = "join")]
    name: Option<String>,
}

impl NodeArgs {
    /// What the process is called in its log.
    pub fn name(&self) -> &str {
        self.node.as_deref().or(self.name.as_deref()).unwrap_or("device")
    }
}

pub fn execute(args: &NodeArgs, registry: &Registry) -> anyhow::Result<Ending> {
    if let (Some(address), Some(token)) = (&args.join, &args.token) {
        let identity = Token::read(token, "device")?.identity();
        let name = match &args.name {
            Some(name) => name.clone(),
            None => host_name().context("what is this device called? --name says it")?,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(serve(address, &identity, &name, interrupt::flag()));
        runtime.shutdown_background();
        return Ok(Ending::Interrupted);
    }
    let (Some(dir), Some(node)) = (&args.dir, &args.node) else {
        return Err(Usage("name a run directory and a node, or --join a controller".to_owned()).into());
    };
    let ended_well = deploy::node::run(dir, node, registry, interrupt::flag())?;
    Ok(if ended_well { Ending::Done } else { Ending::Failed })
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
