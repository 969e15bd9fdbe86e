//! The validity card: what was modelled, from what, and where the models are known to be weak.

use super::page::{Block, Section};
use hcddl_core::device::Profile;
use hcddl_plan::plan::{Contention, LinkPlan, Plan};
use serde_json::Value;

/// The section of a report.
#[must_use]
pub fn section(facts: &[(String, String)]) -> Section {
    let mut section = Section::new("Validity");
    section.text(
        "What stands behind these numbers. Gradients, folds, codecs and policies are really executed; time, traffic and \
         energy are modelled as said here.",
    );
    section.blocks.push(Block::Facts(facts.to_vec()));
    section
}

/// The card of a simulated run or study, from what was meant; `calibrated` says whether the scenario sets numbers of
/// devices or links itself.
#[must_use]
pub fn card(plan: &Plan, calibrated: Calibrated) -> Vec<(String, String)> {
    let mut facts = super::explain::plan(plan, None);
    facts.retain(|(subject, _)| subject != "seeds" && subject != "expects" && subject != "evaluation");
    let mut weak: Vec<String> = weak_network(plan);
    weak.extend(weak_devices(plan, calibrated));
    if plan.timing_only {
        weak.push("timing only: no gradients were computed, so nothing depends on what is learnt".to_owned());
    }
    facts.extend(weak.into_iter().map(|text| ("weak point".to_owned(), text)));
    facts
}

/// What a scenario sets itself rather than taking a profile's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calibrated {
    /// Speed or time of devices.
    pub devices: bool,
    /// Latency or rate of links.
    pub links: bool,
}

impl Calibrated {
    /// From a scenario as it was written.
    #[must_use]
    pub fn of(scenario: &Value) -> Self {
        let sets =
            |section: &str, keys: &[&str]| scenario.get(section).is_some_and(|value| names(value, keys));
        Self {
            devices: sets("devices", &["gflops", "step_time"]),
            links: sets("network", &["latency", "rate", "up", "down"]),
        }
    }
}

/// Whether one of these keys is somewhere below a value.
fn names(value: &Value, keys: &[&str]) -> bool {
    match value {
        Value::Object(map) => {
            map.iter().any(|(key, value)| keys.contains(&key.as_str()) || names(value, keys))
        }
        Value::Array(items) => items.iter().any(|item| names(item, keys)),
        _ => false,
    }
}

/// The card of a deployed run.
#[must_use]
pub fn deployed() -> Vec<(String, String)> {
    vec![
        ("time".to_owned(), "measured: the run was executed on real devices, by their own clocks".to_owned()),
        (
            "energy".to_owned(),
            "measured where hosts have sensors, else estimated from the scenario's devices; its section says which".to_owned(),
        ),
        (
            "weak point".to_owned(),
            "moments of different nodes are on one clock but for half of the fastest round trip between them; those of one \
             node are exact"
                .to_owned(),
        ),
    ]
}

fn weak_network(plan: &Plan) -> Vec<String> {
    let network = &plan.network;
    let mut weak = Vec::new();
    match network.contention {
        Contention::None => weak.push(
            "transfers do not disturb each other: pushes that meet at a server look faster than they are; use tcp for a \
             parameter server"
                .to_owned(),
        ),
        Contention::Fifo => weak.push(
            "transfers pass one after the other: TCP shares instead, so first arrivals look too early".to_owned(),
        ),
        Contention::Tcp(_) => weak.push(
            "TCP is simulated by rounds of its windows, not by packets: see the errors in docs/fidelity.md; queues are \
             first in, first out (no fq_codel)"
                .to_owned(),
        ),
        Contention::FairShare { unfairness } => {
            weak.push(
                "transfers are fluid and share rates at once: no packets, no slow start after a pause, no queues that \
                 delay small messages on a busy link, no incast"
                    .to_owned(),
            );
            if unfairness == 0.0 {
                weak.push(
                    "rates are shared exactly evenly, so that asynchronous workers fall in step as they do not in \
                     reality: use tcp"
                        .to_owned(),
                );
            }
        }
    }
    let far = |link: &LinkPlan| link.latency.mean().is_some_and(|mean| mean.0 >= 5_000_000);
    if network.links.iter().any(far) && !matches!(network.contention, Contention::Tcp(_)) {
        weak.push(
            "links with 5 ms or more: slow start costs several round trips after each pause there, which is not charged"
                .to_owned(),
        );
    }
    if network.links.iter().any(|link| link.loss > 0.01) {
        weak.push("loss above 1 %: its effect on TCP's rate is coarse there".to_owned());
    }
    if plan.hosts.iter().any(|host| host.up == host.down) {
        weak.push("a cell of WiFi is one medium that its stations share by airtime, with a fixed efficiency: retries, collisions and \
             other networks on the channel are not modelled"
                .to_owned(),
       );
    }
    weak
}

fn weak_devices(plan: &Plan, calibrated: Calibrated) -> Vec<String> {
    let mut weak = Vec::new();
    let theory = |profile: &Profile| profile.step_time.is_some() || profile.flops_per_second.is_infinite();
    if !calibrated.devices && !plan.hosts.iter().all(|host| theory(&host.device)) {
        weak.push(
            "device speeds are defaults, not measured here: boards of one kind differ by up to 2.6 times, and kernels on \
             small batches reach 30 to 60 % of the default; calibrate with `hcddl profile`"
                .to_owned(),
        );
    }
    if !calibrated.links {
        weak.push(
            "latencies and rates are those of profiles, which are assumed; calibrate with `hcddl profile`"
                .to_owned(),
        );
    }
    if plan.hosts.iter().any(|host| host.device.load_watts > 0.0) {
        weak.push(
            "energy is idle and load power times time, from documentation and owners' reports; switches and access \
             points are not counted"
                .to_owned(),
        );
    }
    weak
}
