//! What to change in a scenario so that its simulation comes nearer to a deployed run: from the medians of what each node
//! and link did in both, for those that make a difference on the critical path.

use super::super::figure::Quantity;
use super::super::read::Run;
use super::super::read::timeline::{Kind, TimeSpan, Timeline};
use super::why::{Part, Who};
use hcddl_core::stats::quantile::mean;

/// Differences below this share of the whole are left alone.
const MATTERS: f64 = 0.05;
/// Ratios nearer to 1 than this are not named.
const ALIKE: f64 = 0.05;
/// Bytes of a message whose time is latency.
const SMALL: f64 = 1024.0;
/// Hints at most.
const HINTS: usize = 6;

/// Hints, a line each; nothing unless one of the runs was deployed and the other one simulated.
pub(super) fn hints(a: &Run, b: &Run, differences: &[((Part, Who), f64)], whole: f64) -> String {
    let (deployed, simulated) = match (a.deployed, b.deployed) {
        (true, false) => (a, b),
        (false, true) => (b, a),
        _ => return String::new(),
    };
    let (Some(real), Some(model)) = (&deployed.timeline, &simulated.timeline) else { return String::new() };
    let worth = differences.iter().filter(|(_, seconds)| seconds.abs() >= MATTERS * whole && *seconds != 0.0);
    let mut lines: Vec<String> = Vec::new();
    for ((part, who), _) in worth {
        let line = match (part, who) {
            (Part::Computing, (node, _)) => computing(real, model, node),
            (Part::Folding | Part::Coding, (node, _)) => arithmetic(real, model, node, *part),
            (Part::Sending | Part::Behind, (from, Some(to))) => sending(real, model, from, to),
            (Part::Waiting, (node, _)) => Some(format!(
                "{node} waits for nothing that was recorded: timers, faults, or a process that had to wait for a core \
                 (hosts/<host>/host.csv has the load); set faults or devices.slowdown.{node}"
            )),
            _ => None,
        };
        lines.extend(line.filter(|line| !lines.contains(line)));
    }
    if lines.is_empty() {
        return String::new();
    }
    lines.truncate(HINTS);
    let dir = deployed.dir.display();
    lines.push(format!("`hcddl profile {dir}` fits all of devices and network to the deployed run"));
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("hints:\n{lines}")
}

/// The median length of the spans that are wanted; `None` of none.
fn median<'a>(timeline: &'a Timeline, wanted: impl Fn(&'a TimeSpan) -> bool) -> Option<f64> {
    let mut all: Vec<f64> =
        timeline.spans.iter().filter(|span| wanted(span)).map(|span| span.end - span.start).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

fn place(timeline: &Timeline, name: &str) -> Option<usize> {
    timeline.nodes.iter().position(|node| node.name == name)
}

/// Median length of a node's jobs of a part.
fn jobs(timeline: &Timeline, name: &str, part: Part) -> Option<f64> {
    let node = place(timeline, name)?;
    median(timeline, |span| {
        span.node == node && span.kind == Kind::Compute && Part::of_job(&span.label) == part
    })
}

fn times(ratio: f64) -> String {
    if ratio >= 1.0 { format!("{ratio:.2} times slower") } else { format!("{:.2} times faster", 1.0 / ratio) }
}

/// `None` where it is alike, or cannot be compared.
fn ratio(real: f64, model: f64) -> Option<f64> {
    let ratio = real / model;
    (ratio.is_finite() && (ratio - 1.0).abs() > ALIKE).then_some(ratio)
}

fn computing(real: &Timeline, model: &Timeline, name: &str) -> Option<String> {
    let of = |name: &str| {
        let (real, model) = (jobs(real, name, Part::Computing)?, jobs(model, name, Part::Computing)?);
        Some((real, model, real / model))
    };
    let (took, modelled, all) = of(name)?;
    let own = ratio(took, modelled)?;
    let group = &real.nodes[place(real, name)?].group;
    let others: Vec<(f64, f64, f64)> =
        real.nodes.iter().filter(|node| node.group == *group).filter_map(|node| of(&node.name)).collect();
    let usual = mean(&others.iter().map(|other| other.2).collect::<Vec<_>>());
    if others.len() > 1 && others.iter().all(|other| (other.2 / usual - 1.0).abs() <= 2.0 * ALIKE) {
        let of = |pick: fn(&(f64, f64, f64)) -> f64| {
            Quantity::Seconds.text(mean(&others.iter().map(pick).collect::<Vec<_>>()))
        };
        return Some(format!(
            "{group} compute {} than modelled, all alike ({} a job, modelled {}): set devices.workers, its step_time or \
             gflops",
            times(usual),
            of(|other| other.0),
            of(|other| other.1)
        ));
    }
    let (took, modelled) = (Quantity::Seconds.text(took), Quantity::Seconds.text(modelled));
    Some(format!(
        "{name} computes {} than modelled ({took} a job, modelled {modelled}): set devices.slowdown.{name}: {all:.2}, or \
         devices.nodes.{name}",
        times(own)
    ))
}

fn arithmetic(real: &Timeline, model: &Timeline, name: &str, part: Part) -> Option<String> {
    let (took, modelled) = (jobs(real, name, part)?, jobs(model, name, part).unwrap_or(0.0));
    let what = if part == Part::Folding { "folds" } else { "codes" };
    let how = if modelled > 0.0 {
        format!("{} than modelled", times(ratio(took, modelled)?))
    } else {
        "and the model has that take no time".to_owned()
    };
    let (took, modelled) = (Quantity::Seconds.text(took), Quantity::Seconds.text(modelled));
    Some(format!(
        "{name} {what} {how} ({took} a job, modelled {modelled}): set the overhead and memory of devices.nodes.{name}"
    ))
}

fn sending(real: &Timeline, model: &Timeline, from: &str, to: &str) -> Option<String> {
    let took = |timeline: &Timeline, small: bool| {
        let (from, to) = (place(timeline, from)?, place(timeline, to)?);
        median(timeline, |span| span.node == from && span.to == Some(to) && (span.bytes < SMALL) == small)
    };
    let between = format!("between: [{from}, {to}]");
    if let (Some(took), Some(modelled)) = (took(real, true), took(model, true))
        && ratio(took, modelled).is_some()
    {
        let (took, modelled) = (Quantity::Seconds.text(took), Quantity::Seconds.text(modelled));
        return Some(format!(
            "small messages from {from} to {to} take {took}, modelled {modelled}: set latency in network.links: [{{{between}, \
             latency: ..}}], or network.lan.latency"
        ));
    }
    let (took, modelled) = (took(real, false)?, took(model, false)?);
    let ratio = ratio(took, modelled)?;
    let (took, modelled) = (Quantity::Seconds.text(took), Quantity::Seconds.text(modelled));
    Some(format!(
        "messages from {from} to {to} take {took}, modelled {modelled}, which is {}: set rate in network.links: \
         [{{{between}, rate: ..}}], network.lan.rate, or network.contention, if others are on their way at the same time",
        times(ratio)
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::read::timeline::TimelineNode;
    use super::*;

    fn timeline(steps: [f64; 3]) -> Timeline {
        let nodes =
            ["a", "b", "c"].map(|name| TimelineNode { name: name.to_owned(), group: "workers".to_owned() });
        let job = |(node, step): (usize, f64)| TimeSpan {
            node,
            kind: Kind::Compute,
            start: 1.0,
            end: 1.0 + step,
            label: "train".to_owned(),
            to: None,
            bytes: 0.0,
        };
        Timeline { nodes: nodes.to_vec(), spans: steps.into_iter().enumerate().map(job).collect(), cut: None }
    }

    #[test]
    fn one_slow_worker_is_named_and_all_of_them_are_a_device() {
        let model = timeline([1.0, 1.0, 1.0]);
        let one = computing(&timeline([1.0, 1.4, 1.0]), &model, "b").unwrap();
        assert!(
            one.contains("b computes 1.40 times slower") && one.contains("devices.slowdown.b: 1.40"),
            "{one}"
        );
        let all = computing(&timeline([1.4, 1.4, 1.42]), &model, "b").unwrap();
        assert!(
            all.starts_with("workers compute 1.41 times slower") && all.contains("devices.workers"),
            "{all}"
        );
        assert_eq!(computing(&timeline([1.4, 1.0, 1.0]), &model, "b"), None, "b itself is as modelled");
    }
}
