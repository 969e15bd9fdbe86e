//! `hcddl data show SCENARIO`

use super::Ending;
use crate::cli::{ScenarioArgs, output, session};
use anyhow::Context;
use clap::{Args, ValueEnum};
use hcddl_learn::data::Samples;
use hcddl_learn::split::Holdings;
use hcddl_plan::plan::Plan;
use hcddl_plan::registry::Registry;
use hcddl_report::holdings::{self, By, Held, Node};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    file: PathBuf,
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// What to count [default: classes, else owners]
    #[arg(long, value_enum)]
    by: Option<Count>,
    /// Show every node, however many
    #[arg(long)]
    all: bool,
    /// Also write a plot as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Count {
    /// The samples of each class
    Class,
    /// The samples of each user, speaker or robot
    Owner,
}

pub fn execute(args: &ShowArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let session = session::load(&args.file, &args.scenario, registry)?;
    let holdings = session.holdings()?;
    let held = held(&session.plan, &holdings, args.by);
    held.look.doubts.iter().for_each(|doubt| output::note("warning", doubt));
    if let Some(path) = &args.svg {
        std::fs::write(path, holdings::svg(&held))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    output::result(&match args.json {
        true => holdings::json(&held),
        false => holdings::text(&held, if args.all { usize::MAX } else { holdings::NODES_SHOWN }),
    })?;
    Ok(Ending::Done)
}

/// Counts what each node holds.
fn held(plan: &Plan, holdings: &Holdings, by: Option<Count>) -> Held {
    let data = &holdings.data;
    let (by, group, names) = groups(&data.train, by);
    let node = |node: &hcddl_plan::plan::NodePlan| {
        let shard = &holdings.shards[node.shard? as usize];
        let mut counts = BTreeMap::new();
        for sample in shard {
            *counts.entry(group(*sample as usize)).or_insert(0) += 1;
        }
        Some(Node { name: node.name.to_string(), samples: shard.len(), counts })
    };
    Held {
        scenario: plan.name.clone(),
        partition: plan.learning.partition.name.clone(),
        by,
        names,
        nodes: plan.nodes.iter().filter_map(node).collect(),
        train: data.train.len(),
        validation: data.validation.as_ref().map(Samples::len),
        test: data.test.len(),
        look: data.look(),
    }
}

/// What samples are told apart by: the number of each one's group, and the names of the groups.
fn groups(samples: &Samples, by: Option<Count>) -> (By, impl Fn(usize) -> u32, Vec<String>) {
    let classes = samples.classes().filter(|_| !matches!(by, Some(Count::Owner)));
    let owners = samples.owners().filter(|_| !matches!(by, Some(Count::Class)));
    let (by, names) = match (classes, owners) {
        (Some(_), _) => {
            let last = samples.largest_label().unwrap_or(0);
            (By::Class, (0..=last).map(|class| class.to_string()).collect())
        }
        (None, Some(owners)) => (By::Owner, owners.names.clone()),
        (None, None) => (By::Nothing, vec!["all".to_owned()]),
    };
    let group = move |sample: usize| match (classes, owners) {
        (Some(classes), _) => u32::from(classes[sample]),
        (None, Some(owners)) => owners.of[sample],
        (None, None) => 0,
    };
    (by, group, names)
}
