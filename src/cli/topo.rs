//! `hcddl topo SCENARIO`

use super::{Ending, ScenarioArgs, output, session};
use clap::{Args, ValueEnum};
use hcddl_plan::registry::Registry;
use hcddl_plan::scenario::draw;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct TopoArgs {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    file: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    scenario: ScenarioArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For the terminal
    Text,
    /// A flowchart for Markdown
    Mermaid,
    /// For Graphviz
    Dot,
}

pub fn execute(args: &TopoArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let plan = session::load(&args.file, &args.scenario, registry)?.plan;
    output::result(&match args.format {
        Format::Text => draw::text(&plan),
        Format::Mermaid => draw::mermaid(&plan),
        Format::Dot => draw::dot(&plan),
    })?;
    Ok(Ending::Done)
}
