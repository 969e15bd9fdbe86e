//! `hcddl deploy render`
use super::args::TargetArgs;
use crate::cli::Ending;
use crate::registry::Registry;
use clap::Args;

#[derive(Debug, Args)]
pub struct RenderArgs {
    #[command(flatten)]
    target: TargetArgs,
}

pub fn execute(_: &RenderArgs, _: &Registry) -> anyhow::Result<Ending> {
    anyhow::bail!("")
}
