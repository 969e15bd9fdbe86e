//! `hcddl deploy`: the nodes of a scenario on real devices, or as processes of this machine.

mod args;
mod check;
mod host;
mod known;
mod logs;
mod plan;
mod progress;
mod render;
mod results;
mod run;
mod supplies;
mod target;

pub use args::TargetArgs;
pub use host::{AgentArgs, RemoteArgs, agent, remote};

use super::{Ending, output};
use args::KnownArgs;
use clap::{Args, Subcommand};
use hcddl_plan::registry::Registry;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DeployArgs {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Whether the hosts can take part: SSH, architecture, disk, clock, ports
    Check(TargetArgs),
    /// Who would be where, and what would be pushed; talks to no host
    Plan(TargetArgs),
    /// Push, start, follow, fetch, stop, clean (the same as without a word)
    Run(Box<run::RunArgs>),
    /// Where a run stands
    Status(known::StatusArgs),
    /// What the nodes of a run say
    Logs(logs::LogsArgs),
    /// Stop a run; its files stay on the hosts
    Stop(KnownArgs),
    /// Stop a run and remove its files from the hosts
    Clean(known::CleanArgs),
    /// Copy what the nodes wrote into the local run directory
    Fetch(KnownArgs),
    /// Write a pair of tokens for devices that register themselves
    Token(TokenArgs),
    /// Write unit files, a compose file or a playbook that start the same nodes
    Render(render::RenderArgs),
}

#[derive(Debug, Args)]
struct TokenArgs {
    /// Where to write controller.token, which stays here, and device.token, which every device gets
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

fn token(args: &TokenArgs) -> anyhow::Result<Ending> {
    hcddl_deploy::deploy::join::write_tokens(&args.dir)?;
    let dir = args.dir.display();
    output::note(
        "tokens",
        &format!("{dir}/controller.token stays here; every device gets {dir}/device.token"),
    );
    Ok(Ending::Done)
}

/// `hcddl deploy run` of another command, without its notes.
pub fn run_quietly(target: TargetArgs, out: &Path, registry: &Registry) -> anyhow::Result<Ending> {
    let args = run::RunArgs::quiet(target, out);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run::execute(&args, registry))
}

pub fn execute(args: &DeployArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match &args.what {
            None => run::execute(&args.run, registry).await,
            Some(What::Run(args)) => run::execute(args, registry).await,
            Some(What::Check(args)) => check::execute(args, registry).await,
            Some(What::Plan(args)) => plan::execute(args, registry),
            Some(What::Status(args)) => known::status(args).await,
            Some(What::Logs(args)) => logs::execute(args).await,
            Some(What::Stop(args)) => known::stop(args).await,
            Some(What::Clean(args)) => known::clean(args).await,
            Some(What::Fetch(args)) => known::fetch(args, registry).await,
            Some(What::Token(args)) => token(args),
            Some(What::Render(args)) => render::execute(args, registry),
        }
    })
}
