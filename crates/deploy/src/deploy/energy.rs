//! Energy and load of a deployed run's hosts: what their supervisors measured (`hosts/<host>/host.csv`), and where there
//! was no sensor, what the devices of the scenario would have drawn for the work that was done, named so.

use super::agent::sample;
use super::deployment::Deployment;
use super::result::NodeResult;
use super::trace::merge::{Crossed, union};
use super::trace::observed::Observed;
use anyhow::Context;
use hcddl_core::device;
use hcddl_core::domain::{NodeId, Span};
use hcddl_plan::plan::Plan;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A row for each host.
pub const HOSTS: &str = "hosts.csv";
/// A row for each node.
pub const NODES: &str = "nodes.csv";
/// Bytes of a host's file that are read at most.
const BYTES_MAX: u64 = 256 << 20;
/// Watts beyond which a reading is a mistake: no machine that trains has them.
const WATTS_MAX: f64 = 100e3;
/// What stands for the profile's estimate instead of a sensor.
pub const ESTIMATE: &str = "estimate";

/// What a host drew.
#[derive(Clone, Debug, PartialEq)]
pub struct HostEnergy {
    /// Its name in the inventory.
    pub host: String,
    /// `hwmon`, `battery`, `rapl`, or [`ESTIMATE`].
    pub source: String,
    /// Joules.
    pub joules: f64,
    /// Seconds in which they were drawn.
    pub seconds: f64,
    /// Mean load of all its cores in percent; `None` where the system does not tell.
    pub cpu_percent: Option<f64>,
}

/// The hosts of a gathered run, in order of their names. Without `deployment.json` there are none.
#[must_use]
pub fn of_hosts(
    run: &Path,
    plan: &Plan,
    nodes: &[Option<NodeResult>],
    observed: &Observed,
    links: &BTreeMap<(NodeId, NodeId), Crossed>,
) -> Vec<HostEnergy> {
    let Some(deployment) = read_deployment(run) else { return Vec::new() };
    let mut by_host: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, node) in deployment.nodes.iter().enumerate().take(plan.nodes.len()) {
        by_host.entry(&node.host).or_default().push(i);
    }
    let energy = |(host, own): (&str, Vec<usize>)| {
        let sampled = sampled(&run.join("hosts").join(host).join(sample::FILE));
        let seconds =
            own.iter().filter_map(|i| nodes.get(*i)?.as_ref()).map(|node| node.seconds).fold(0.0, f64::max);
        let cpu_percent = sampled.cpu_percent;
        let host = host.to_owned();
        match sampled.measured {
            Some((source, joules, seconds)) => HostEnergy { host, source, joules, seconds, cpu_percent },
            None => {
                let joules = estimate(plan, &own, seconds, observed, links);
                HostEnergy { host, source: ESTIMATE.to_owned(), joules, seconds, cpu_percent }
            }
        }
    };
    by_host.into_iter().map(energy).collect()
}

pub(crate) fn read_deployment(run: &Path) -> Option<Deployment> {
    serde_json::from_slice(&std::fs::read(run.join("deployment.json")).ok()?).ok()
}

/// What the strongest of these nodes' devices would have drawn, idle included: they are one machine.
fn estimate(
    plan: &Plan,
    own: &[usize],
    seconds: f64,
    observed: &Observed,
    links: &BTreeMap<(NodeId, NodeId), Crossed>,
) -> f64 {
    let devices = own.iter().map(|i| &plan.hosts[plan.nodes[*i].host.index()].device);
    let Some(device) = devices.max_by(|a, b| a.load_watts.total_cmp(&b.load_watts)) else { return 0.0 };
    let is_own = |node: NodeId| own.contains(&node.index());
    let jobs = observed.jobs.iter().filter(|job| is_own(job.node)).map(|job| (job.begin.0, job.end.0));
    let busy = Span(union(jobs.collect()));
    // What stays on the host does not cross its card.
    let crossing = links.iter().filter(|((from, to), _)| is_own(*from) != is_own(*to));
    let bytes = crossing.fold(0u64, |sum, (_, crossed)| sum.saturating_add(crossed.bytes));
    let total = Span::from_seconds(seconds.clamp(0.0, 1e9)).max(busy);
    device::energy(device.idle_watts, device.load_watts, busy, total, bytes, device.joules_per_byte).0
}

/// What a host's file tells.
#[derive(Debug, Default, PartialEq)]
struct Sampled {
    /// Source, joules, seconds.
    measured: Option<(String, f64, f64)>,
    cpu_percent: Option<f64>,
}

fn sampled(path: &Path) -> Sampled {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    if read.is_ok() { parse(&text) } else { Sampled::default() }
}

/// The rows of a host, as a device wrote them: nothing about them is trusted. Each supervisor of the run begins to count
/// anew, so the parts between are added.
fn parse(text: &str) -> Sampled {
    let mut lines = text.lines();
    if lines.next() != Some(sample::HEADER.trim_end()) {
        return Sampled::default();
    }
    let (mut joules, mut seconds) = (0.0, 0.0);
    let mut before: Option<(f64, f64)> = None;
    let mut source = None;
    let mut loads = Vec::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let [at, "host", cpu, _, _, _, _, energy, from] = fields[..] else { continue };
        let number = |field: &str| field.parse::<f64>().ok().filter(|value| (0.0..1e12).contains(value));
        loads.extend(number(cpu).filter(|percent| *percent <= 100.0));
        let (Some(at), Some(energy)) = (number(at), number(energy)) else { continue };
        if !["hwmon", "battery", "rapl"].contains(&from) {
            continue;
        }
        if let Some((then, drawn)) = before.filter(|(then, drawn)| at > *then && energy >= *drawn) {
            let watts = (energy - drawn) / (at - then);
            if watts <= WATTS_MAX {
                joules += energy - drawn;
                seconds += at - then;
                source = Some(from.to_owned());
            }
        }
        before = Some((at, energy));
    }
    let cpu_percent = (!loads.is_empty()).then(|| loads.iter().sum::<f64>() / loads.len() as f64);
    // A sensor that stays at nothing, such as that of a battery on the mains, measures nothing.
    Sampled { measured: source.filter(|_| joules > 0.0).map(|source| (source, joules, seconds)), cpu_percent }
}

/// Where the joules are from, for people; empty without hosts.
#[must_use]
pub fn told(hosts: &[HostEnergy]) -> String {
    let mut of: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for host in hosts {
        let (joules, count) = of.entry(&host.source).or_default();
        *joules += host.joules;
        *count += 1;
    }
    let part = |(source, (joules, count)): (&str, (f64, usize))| {
        let how = if source == ESTIMATE {
            "estimated from the scenario's devices, without a sensor,".to_owned()
        } else {
            format!("measured ({source})")
        };
        format!("{joules:.1} J {how} on {count} {}", if count == 1 { "host" } else { "hosts" })
    };
    of.into_iter().map(part).collect::<Vec<_>>().join("; ")
}

/// Writes hosts.csv and nodes.csv.
///
/// # Errors
/// Files that cannot be written.
pub fn write(
    run: &Path,
    plan: &Plan,
    nodes: &[Option<NodeResult>],
    hosts: &[HostEnergy],
) -> anyhow::Result<()> {
    let put = |name: &str, text: String| {
        hcddl_files::atomic::replace(&run.join(name), text.as_bytes())
            .with_context(|| format!("cannot write `{}`", run.join(name).display()))
    };
    let mut text = "host,source,energy_j,seconds,cpu_percent\n".to_owned();
    for host in hosts {
        let cpu = host.cpu_percent.map_or(String::new(), |percent| format!("{percent:.1}"));
        let _ = writeln!(text, "{},{},{:.4},{:.3},{cpu}", host.host, host.source, host.joules, host.seconds);
    }
    put(HOSTS, text)?;
    let deployment = read_deployment(run);
    let mut text = "node,host,seconds,compute_s,cpu_s,cpu_percent\n".to_owned();
    for (i, node) in plan.nodes.iter().enumerate() {
        let Some(result) = nodes.get(i).and_then(Option::as_ref) else { continue };
        let host = deployment.as_ref().and_then(|all| all.nodes.get(i)).map_or("", |node| node.host.as_str());
        let share = result.cpu_s.map(|cpu| 100.0 * cpu / result.seconds.max(1e-3));
        let text_of =
            |value: Option<f64>| value.filter(|v| v.is_finite()).map_or(String::new(), |v| format!("{v:.2}"));
        let _ = writeln!(
            text,
            "{},{host},{:.3},{:.3},{},{}",
            node.name,
            result.seconds,
            result.compute_s,
            text_of(result.cpu_s),
            text_of(share)
        );
    }
    put(NODES, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rows: &[&str]) -> String {
        format!("{}{}\n", sample::HEADER, rows.join("\n"))
    }

    #[test]
    fn parts_of_several_supervisors_are_added_and_nonsense_is_left_out() {
        let text = file(&[
            "0.0,host,,1,,,,0.0000,rapl",
            "2.0,host,50.0,1,,,5.0,10.0000,rapl",
            "2.0,worker1,90.0,1,,,,,",
            "0.0,host,,1,,,,0.0000,rapl",
            "4.0,host,100.0,1,,,5.0,20.0000,rapl",
            "5.0,host,900,1,,,5.0,1e11,rapl",
            "6.0,host,,1,,,5.0,NaN,rapl",
            "7.0,host,,1,,,5.0,21,<script>",
        ]);
        let expected = Sampled { measured: Some(("rapl".to_owned(), 30.0, 6.0)), cpu_percent: Some(75.0) };
        assert_eq!(parse(&text), expected);
        assert_eq!(parse(&file(&["0.0,host,3.0,1,,,,,", "2.0,host,5.0,1,,,,,"])).measured, None);
        assert_eq!(parse("something,else\n"), Sampled::default());
    }
}
