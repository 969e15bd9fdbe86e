//! A list of devices, one for each node that trains.

use super::Resolver;
use super::matrix::random;
use crate::plan::NodePlan;
use crate::scenario::file::{ListByFile, ListedDeviceFile};
use hcddl_core::device::Profile;
use hcddl_core::domain::{Seeds, Span, units::Rate};
use hcddl_core::error::UserError;
use hcddl_core::net::latency::Constant;
use std::sync::Arc;

/// A gradient step on a sample takes so many times the forward pass: as in FedScale (`augmentation_factor` of its client,
/// F. Lai et al.: FedScale, ICML 2022), and two products of the backward pass for each of the forward one.
const STEP_OF_FORWARD: f64 = 3.0;

/// Which device each node that trains has.
pub(super) struct Listed<'a> {
    devices: &'a [ListedDeviceFile],
    /// By the position among the nodes that train.
    of: Vec<usize>,
}

impl<'a> Listed<'a> {
    /// The list of the scenario, if there is one.
    pub fn new(cx: &Resolver<'a>, seeds: &Seeds, nodes: &[NodePlan]) -> Result<Option<Self>, UserError> {
        let Some(file) = &cx.file.devices.list else { return Ok(None) };
        let path = "devices.list";
        let devices = &file.devices;
        if devices.is_empty() {
            let message = match &file.file {
                Some(name) => format!("the devices in `{name}` have not been read"),
                None => "a list without devices".to_owned(),
            };
            return Err(cx.source.error(path, message, "`file` in a scenario file, or `devices`", ""));
        }
        for (i, device) in devices.iter().enumerate() {
            check(cx, device, &format!("{path}.devices.{i}"))?;
        }
        let training = nodes.iter().filter(|node| node.shard.is_some()).count();
        let by = file.by.unwrap_or(ListByFile::Order);
        if by == ListByFile::Order && training > devices.len() {
            let message = format!("{} devices for {training} workers or peers", devices.len());
            let next = "write `by: random`, or add devices";
            return Err(cx.source.error(path, message, "one for each", next));
        }
        let of = match by {
            ListByFile::Order => (0..training).collect(),
            ListByFile::Random => random(seeds, devices.len(), training),
        };
        Ok(Some(Self { devices, of }))
    }

    /// Makes a node's machine the one of the list; returns the rates of its line, if the list has them.
    pub fn change(
        &self,
        cx: &Resolver<'_>,
        node: &NodePlan,
        host: Option<&str>,
        device: &mut Profile,
    ) -> Result<Option<(f64, f64)>, UserError> {
        let Some(shard) = node.shard else { return Ok(None) };
        if let Some(host) = host {
            let message =
                format!("`{}` would have a device of its own, but is on the host `{host}`", node.name);
            return Err(cx.source.error("devices.list", message, "workers with machines of their own", ""));
        }
        let listed = &self.devices[self.of[shard as usize]];
        device.name += " of the list";
        if let Some(gflops) = listed.gflops {
            device.flops_per_second = gflops * 1e9;
            device.step_time = None;
        }
        if let Some(ms) = listed.compute_ms {
            let step_s = ms / 1e3 * STEP_OF_FORWARD * cx.file.training.batch as f64;
            device.step_time = Some(Arc::new(Constant { value: Span::from_seconds(step_s) }));
        }
        let rate = |own: Option<Rate>| own.or(listed.rate).map(|rate| rate.0);
        match (rate(listed.up), rate(listed.down)) {
            (None, None) => Ok(None),
            (Some(up), Some(down)) => Ok(Some((up, down))),
            _ => {
                let id = listed.id.as_deref().unwrap_or("a device of the list");
                let message = format!("`{id}` has a rate in one direction only");
                Err(cx.source.error(
                    "devices.list",
                    message,
                    "`rate`, or both `up` and `down`",
                    "add the other",
                ))
            }
        }
    }
}

fn check(cx: &Resolver<'_>, device: &ListedDeviceFile, path: &str) -> Result<(), UserError> {
    for (key, value) in [("compute_ms", device.compute_ms), ("gflops", device.gflops)] {
        let value = value.unwrap_or(1.0);
        cx.check(value > 0.0 && value.is_finite(), &format!("{path}.{key}"), value, "above 0")?;
    }
    for (key, rate) in [("rate", device.rate), ("up", device.up), ("down", device.down)] {
        let rate = rate.unwrap_or(Rate(1.0));
        cx.check(rate.0 > 0.0, &format!("{path}.{key}"), rate, "above 0, as in `5mbit`")?;
    }
    if device.compute_ms.is_some() && device.gflops.is_some() {
        let message = "both `compute_ms` and `gflops` say how fast this device is";
        return Err(cx.source.error(path, message, "one of the two", "leave one out"));
    }
    Ok(())
}
