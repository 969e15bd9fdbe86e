//! How a run is deployed.

use super::Resolver;
use super::names::Names;
use crate::plan::{DeployPlan, Settings};
use hcddl_core::error::UserError;
use std::path::PathBuf;

pub(super) fn resolve(cx: &mut Resolver<'_>, names: &Names<'_>) -> Result<DeployPlan, UserError> {
    let file = &cx.file.deploy;
    let mut placement = Vec::new();
    for (node, host) in &file.placement {
        let path = format!("deploy.placement.{node}");
        placement.push((names.find(cx.source, &path, node)?, host.clone()));
    }
    placement.sort_unstable();
    cx.check(file.port > 0, "deploy.port", file.port, "1 to 65535")?;
    let positive = [
        ("deploy.detection", file.detection),
        ("deploy.heartbeat", file.heartbeat),
        ("deploy.start_timeout", file.start_timeout),
        ("deploy.lease", file.lease),
    ];
    for (path, duration) in positive {
        cx.check(duration.0.0 > 0, path, duration.0, "more than 0s")?;
    }
    let silence = file.detection.0.0 / file.heartbeat.0.0;
    cx.check(silence >= 2, "deploy.heartbeat", file.heartbeat.0, "at most half of deploy.detection")?;
    let data = PathBuf::from(&file.data);
    let on_device = file.data != "push";
    cx.check(!on_device || data.is_absolute(), "deploy.data", &file.data, "push, or an absolute path")?;
    let settings = Settings {
        data_on_device: on_device.then_some(data),
        detection: file.detection.0,
        heartbeat: file.heartbeat.0,
        start_timeout: file.start_timeout.0,
        lease: file.lease.0,
        tls: file.tls,
        checkpoint_every: file.checkpoint_every,
        threads: file.threads,
        paced: file.paced,
        metrics_port: file.metrics_port,
    };
    Ok(DeployPlan { placement, port: file.port, settings })
}
