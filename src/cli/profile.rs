//! `hcddl profile RUN_DIR`

use super::{Ending, ScenarioArgs, Usage, output, session};
use crate::deploy::gather::results;
use crate::domain::NodeId;
use crate::record::rundir::file;
use crate::record::yaml;
use crate::registry::Registry;
use crate::replay::{Logs, replay};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// The directory of a deployed run on the devices to describe; a few rounds are enough
    #[arg(value_name = "RUN_DIR")]
    dir: PathBuf,
    /// Where data files are [default: as the run had it]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Prints the sections `devices` and `network` of a scenario that behaves like the devices of a run.
pub fn execute(args: &ProfileArgs, registry: &Registry) -> anyhow::Result<Ending> {
    if !super::replay::is_deployed(&args.dir) {
        let dir = args.dir.display();
        let text = format!("`{dir}` is no deployed run: it has no deployment.json; see `hcddl deploy run`");
        return Err(Usage(text).into());
    }
    let scenario = ScenarioArgs { data_dir: args.data_dir.clone(), ..ScenarioArgs::default() };
    let session = session::load(&args.dir.join(file::PLAN), &scenario, registry)?;
    let logs = Logs::read(&args.dir, &session.plan)?;
    let mut replayed = replay(&session.plan, registry, session.learner()?, &logs, 0, None)?;
    for node in &results(&args.dir, &session.plan)? {
        let find = |name: &str| session.plan.nodes.iter().position(|node| node.name == name);
        for (other, took) in &node.round_trips {
            if let (Some(a), Some(b)) = (find(&node.name), find(other)) {
                replayed.timing.round_trip(NodeId(a as u32), NodeId(b as u32), *took);
            }
        }
    }
    output::result(&yaml::block(&replayed.timing.sections(&session.plan)))?;
    Ok(if replayed.divergence.is_none() { Ending::Done } else { Ending::Failed })
}
