//! What the hosts are given: who is where, the scenario, identities and samples.

use super::target::Target;
use hcddl_core::domain::NodeId;
use hcddl_deploy::deploy::bundle::{self, BundleFile, Keys};
use hcddl_deploy::deploy::controller::{NodeParcel, Parcel, RunFile};
use hcddl_deploy::deploy::deployment::Deployment;
use std::path::PathBuf;

/// Puts together what a run needs on its hosts.
pub fn parcel(
    target: &Target<'_>,
    deployment: Deployment,
    attached: bool,
    node_program: Option<PathBuf>,
) -> anyhow::Result<Parcel> {
    let (plan, keys) = (&target.session.plan, Keys::new(&deployment.run)?);
    let scenario = target.session.effective()?;
    let common = bundle::common(&deployment, &scenario).into_iter().chain(keys.common());
    let holdings = match plan.deploy.settings.data_on_device {
        Some(_) => None,
        None => Some(target.session.holdings()?),
    };
    let mut nodes = Vec::new();
    for (i, node) in deployment.nodes.iter().enumerate() {
        let identity = keys.of(&node.name)?.into_iter().map(named).collect();
        let data = holdings.as_ref().map(|holdings| bundle::data(plan, holdings, NodeId(i as u32)));
        nodes.push(NodeParcel::new(identity, data.transpose()?.map(|file| file.bytes)));
    }
    Ok(Parcel { deployment, common: common.map(named).collect(), nodes, attached, node_program })
}

/// On the hosts all files are readable by their owner alone.
fn named(file: BundleFile) -> RunFile {
    (file.path, file.bytes)
}
