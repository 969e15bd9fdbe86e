//! `hcddl check SCENARIO`

use super::{Ending, ScenarioArgs, output, session};
use clap::Args;
use hcddl_plan::registry::Registry;
use hcddl_report::explain;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    file: PathBuf,
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn execute(args: &CheckArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let session = session::load(&args.file, &args.scenario, registry)?;
    let learner = session.learner()?;
    let notes = learner.notes();
    let mut lines = explain::plan(&session.plan, Some(learner.as_ref()));
    let look = learner.look();
    explain::with_samples(&mut lines, look.lines);
    look.doubts.iter().for_each(|doubt| output::note("warning", doubt));
    let warnings = &session.plan.warnings;
    if args.json {
        let warnings: Vec<&String> = warnings.iter().chain(&notes).collect();
        let plan: Map<String, Value> = lines.into_iter().map(|(what, text)| (what, text.into())).collect();
        output::result(&format!("{:#}\n", json!({ "plan": plan, "warnings": warnings })))?;
    } else {
        output::result(&explain::as_text(&session.plan.name, &lines))?;
        for warning in warnings {
            output::note("warning", warning);
        }
    }
    Ok(Ending::Done)
}
