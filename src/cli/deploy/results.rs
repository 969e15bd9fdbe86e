//! What the nodes of a run reported, as a run directory has it.

use crate::cli::{ScenarioArgs, output, session};
use hcddl_deploy::deploy::block;
use hcddl_deploy::deploy::gather::{self, Gathered};
use hcddl_plan::measure::outcome::Summary;
use hcddl_plan::registry::Registry;
use hcddl_sim::record::rundir::file;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes metrics.csv, commits.csv, summary.json, results.txt and the model of a fetched run.
pub fn gather(dir: &Path, registry: &Registry) -> anyhow::Result<Gathered> {
    let session = session::load(&dir.join(file::PLAN), &ScenarioArgs::default(), registry)?;
    // The digest of several peers' models needs to know their tensors.
    let needs_model = session.plan.peers.is_some() && session.plan.deploy.settings.data_on_device.is_none();
    let learner = needs_model.then(|| session.learner()).transpose()?;
    let gathered = gather::gather(dir, &session.plan, learner.as_deref())?;
    hcddl_files::atomic::replace(&dir.join("results.txt"), block::results_text(&gathered).as_bytes())?;
    Ok(gathered)
}

/// Says what came out; results of a run that ended early are what there is.
pub fn show(gathered: &Gathered) -> anyhow::Result<()> {
    for warning in &gathered.warnings {
        output::note("warning", warning);
    }
    if !gathered.energy.is_empty() {
        output::note("energy", &gathered.energy);
    }
    // The table does not say what was measured and what is an estimate; the note above does.
    let energy_by_host_j = BTreeMap::new();
    let summary = Summary { energy_j: 0.0, energy_by_host_j, ..gathered.summary.clone() };
    output::result(&hcddl_report::terminal::table(&summary))
}
