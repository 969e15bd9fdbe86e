//! What the hosts are given: who is where, the scenario, identities and samples.

use super::target::Target;
use crate::deploy::controller::{NodeParcel, Parcel, RunFile, random_hex};
use crate::deploy::deployment::Deployment;
use crate::domain::NodeId;
use std::path::PathBuf;

/// Puts together what a run needs on its hosts.
pub fn parcel(
    target: &Target<'_>,
    deployment: Deployment,
    attached: bool,
    node_program: Option<PathBuf>,
) -> anyhow::Result<Parcel> {
    let common = vec![
        ("deployment.json".to_owned(), serde_json::to_vec_pretty(&deployment)?),
        ("scenario.yml".to_owned(), target.session.effective()?.into_bytes()),
        ("tls/secret".to_owned(), random_hex(32)?.into_bytes()),
    ];
    let mut nodes = Vec::new();
    for node in 0..deployment.nodes.len() as u32 {
        nodes.push(NodeParcel::new(identity(&deployment, NodeId(node)), node_data(target, NodeId(node))));
    }
    Ok(Parcel { deployment, common, nodes, attached, node_program })
}

/// Certificate and key of a node. Processes make no connections before there are identities, so there are none to give.
fn identity(_: &Deployment, _: NodeId) -> Vec<RunFile> {
    Vec::new()
}

/// The samples that a node needs, when they are pushed.
fn node_data(_: &Target<'_>, _: NodeId) -> Option<Vec<u8>> {
    None
}
