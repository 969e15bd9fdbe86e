//! The command line: one file for each subcommand.
//!
//! Results go to stdout and nothing else does; progress, warnings and errors go to stderr. Exit codes: 0 done,
//! 1 the run or a test failed, 2 a mistake in a file or on the command line, 130 interrupted.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(rustdoc::invalid_html_tags, reason = "comments on arguments are the text of --help")]

mod again;
mod check;
mod compare;
mod completions;
mod data;
mod deploy;
mod device;
mod explore;
mod export;
mod init;
mod interrupt;
mod list;
mod log;
mod node;
mod output;
mod profile;
mod replay;
mod report;
mod schema;
mod session;
mod sim;
mod study;
mod test;
mod topo;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, Parser, Subcommand};
use hcddl_learn::kernels::Isa;
use hcddl_plan::registry::Registry;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Hierarchical clustered distributed deep learning: simulate a training topology under virtual time.
#[derive(Debug, Parser)]
#[command(name = "hcddl", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
    /// Log more to stderr (-v what happens, -vv every event).
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Instruction set that computes: portable, avx2, avx512f, neon; all give the same bits [default:
    /// $HCDDL_KERNELS, else the fastest of this machine]
    #[arg(long, global = true, value_name = "NAME")]
    kernels: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario under virtual time
    Sim(Box<sim::SimArgs>),
    /// Run a scenario over levels of its keys and over seeds, on all cores; merge parts of it
    Study(Box<study::StudyArgs>),
    /// Check a scenario and explain what it means
    Check(check::CheckArgs),
    /// Search the orders of events that delays can bring about for the worst, and for broken laws
    Explore(explore::ExploreArgs),
    /// Draw a scenario's topology
    Topo(topo::TopoArgs),
    /// Show what a scenario can name: policies, models, devices...
    List(list::ListArgs),
    /// List, verify and download data sets; show who holds what
    Data(data::DataArgs),
    /// Write a commented scenario to start from
    Init(init::InitArgs),
    /// Run many scenarios and report which did what they expect
    Test(test::TestArgs),
    /// Run one node of a deployed run (what `hcddl deploy` starts on each device)
    Node(node::NodeArgs),
    /// Measure the devices and links of an inventory, or of a deployed run, for `sim`
    Profile(profile::ProfileArgs),
    /// Execute a run again and compare every committed model with it, to the bit
    Replay(replay::ReplayArgs),
    /// Figures, tables and statistics of runs and studies, as one HTML file
    Report(report::ReportArgs),
    /// Two runs or two studies side by side; of a deployed run and its simulation, where they differ in time
    Compare(compare::CompareArgs),
    /// A run for other programs: TensorBoard, JSON lines, Parquet
    Export(export::ExportArgs),
    /// Train on real devices: check, plan, run, status, logs, stop, clean, fetch, render
    Deploy(Box<deploy::DeployArgs>),
    /// The supervisor of a host
    #[command(hide = true)]
    Agent(deploy::AgentArgs),
    /// The controller's end on a host
    #[command(hide = true)]
    Remote(deploy::RemoteArgs),
    /// Print the JSON Schema of a scenario, for editors
    Schema(schema::SchemaArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Who writes the records of a deployed run.
    fn node(&self) -> Option<&str> {
        match self {
            Self::Node(args) => Some(args.name()),
            Self::Agent(_) => Some("supervisor"),
            _ => None,
        }
    }
}

/// Which scenario, and what is changed in it.
#[derive(Clone, Debug, Default, Args)]
struct ScenarioArgs {
    /// Set all seeds (data, init, interleaving)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Set a key of the scenario, for example tiers.global.policy=async; repeatable
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// Where data files are [default: the scenario's data_dir, else $HCDDL_DATA, else the cache of
    /// `hcddl data fetch`]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Compute no gradients: only times, bytes, versions and staleness
    #[arg(long)]
    timing_only: bool,
    /// Follow a file of decided delays, as `hcddl explore` writes it
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It did what was asked.
    Done,
    /// A run stalled or a test failed; it has been reported.
    Failed,
    /// Ctrl-C; what there was has been written.
    Interrupted,
}

/// The whole program with these tables: the `main` of a crate that adds rows of its own.
#[must_use]
pub fn main_with(registry: &Registry) -> ExitCode {
    run(std::env::args_os(), registry)
}

/// Reads a command line (program name first), does what it says and reports errors.
pub fn run(arguments: impl IntoIterator<Item = OsString>, registry: &Registry) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results, mistakes are not: clap knows which goes where.
            let _ = error.print();
            if let Some(hint) = key_for(&error) {
                output::note("note", &hint);
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(hcddl_core::error::EXIT_USER));
        }
    };
    log::to_stderr(cli.verbose, cli.command.node());
    let ended = select_kernels(cli.kernels).and_then(|()| execute(cli.command, registry));
    match ended {
        Ok(Ending::Done) => ExitCode::from(hcddl_core::error::EXIT_OK),
        Ok(Ending::Failed) => ExitCode::from(hcddl_core::error::EXIT_FAILED),
        Ok(Ending::Interrupted) => ExitCode::from(interrupt::EXIT_INTERRUPTED),
        Err(error) => {
            output::note("error", &format!("{error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

/// The key of a scenario that an unknown option is called like.
fn key_for(error: &clap::Error) -> Option<String> {
    let option = match (error.kind(), error.get(ContextKind::InvalidArg)?) {
        (ErrorKind::UnknownArgument, ContextValue::String(option)) => option,
        _ => return None,
    };
    let name = option.trim_start_matches('-').split('=').next()?.replace('-', "_");
    let key = hcddl_plan::scenario::schema::paths_of(&name).into_iter().next()?;
    Some(format!("`{key}` is a key of the scenario: --set {key}=VALUE"))
}

/// Decides what the process computes with, before it computes.
fn select_kernels(option: Option<String>) -> anyhow::Result<()> {
    let environment = || {
        std::env::var("HCDDL_KERNELS")
            .ok()
            .filter(|name| !name.is_empty())
            .map(|name| ("HCDDL_KERNELS", name))
    };
    let Some((from, name)) = option.map(|name| ("--kernels", name)).or_else(environment) else {
        return Ok(());
    };
    Isa::select(&name).map_err(|error| Usage(format!("{from}: {error}")))?;
    Ok(())
}

fn execute(command: Command, registry: &Registry) -> anyhow::Result<Ending> {
    match command {
        Command::Sim(args) => sim::execute(&args, registry),
        Command::Study(args) => study::execute(&args, registry),
        Command::Check(args) => check::execute(&args, registry),
        Command::Explore(args) => explore::execute(&args, registry),
        Command::Topo(args) => topo::execute(&args, registry),
        Command::List(args) => list::execute(&args, registry),
        Command::Data(args) => data::execute(&args, registry),
        Command::Init(args) => init::execute(&args),
        Command::Test(args) => test::execute(&args, registry),
        Command::Node(args) => node::execute(&args, registry),
        Command::Profile(args) => profile::execute(&args, registry),
        Command::Replay(args) => replay::execute(&args, registry),
        Command::Report(args) => report::execute(&args, registry),
        Command::Compare(args) => compare::execute(&args),
        Command::Export(args) => export::execute(&args),
        Command::Deploy(args) => deploy::execute(&args, registry),
        Command::Agent(args) => deploy::agent(&args),
        Command::Remote(args) => deploy::remote(&args),
        Command::Schema(args) => schema::execute(&args, registry),
        Command::Completions(args) => completions::execute(&args),
    }
}

/// A mistake on the command line that clap cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// 2 for what the user can mend before anything has run, 1 for the rest.
fn exit_code(error: &anyhow::Error) -> u8 {
    use hcddl_sim::record::RecordError;
    use hcddl_sim::record::checkpoint::CheckpointError;
    use hcddl_sim::study::StudyError;
    let user = error.is::<hcddl_core::error::UserError>()
        || error.is::<Usage>()
        || error.is::<CheckpointError>()
        || matches!(
            error.downcast_ref(),
            Some(
                StudyError::User(_)
                    | StudyError::Dir { .. }
                    | StudyError::TooMany(_)
                    | StudyError::Io { doing: "create", .. }
            )
        )
        || matches!(
            error.downcast_ref(),
            Some(
                RecordError::NotEmpty(_)
                    | RecordError::Resume { .. }
                    | RecordError::Io { doing: "create", .. }
            )
        );
    if user { hcddl_core::error::EXIT_USER } else { hcddl_core::error::EXIT_FAILED }
}
