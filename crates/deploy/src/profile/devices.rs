//! The section `devices`: how long steps take on each node, and servers' arithmetic.
//!
//! A job of k steps varies as a whole, while a simulation draws each step: deviations from the mean are widened by the
//! root of k, so that jobs vary as much as they did. Nodes whose mean steps differ by less than [`ALIKE`], or than chance explains,
//! are one class;
//! the largest class is `workers`, the others are named.

use super::distribution::{Fitted, fit, median, nanos};
use crate::deploy::trace::observed::Job;
use hcddl_core::device::JobCost;
use hcddl_core::domain::{NodeId, math};
use hcddl_plan::plan::{Plan, Role};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Share by which steps of nodes of one class differ at most.
const ALIKE: f64 = 0.05;
/// Standard errors by which means of nodes of one class differ at most.
const ERRORS: f64 = 3.0;
/// Bytes moved by a fold below which handing it to a thread is what takes its time.
const SMALL_FOLD: f64 = 1e6;
/// Sustained operations and bytes per second of a device whose jobs take their overhead alone.
const AT_ONCE: (f64, &str) = (1e6, "1000GB/s");
/// Of a device, the largest jitter that a scenario may ask for.
const JITTER_MAX: f64 = 2.0;

/// What the jobs of nodes take.
pub(super) fn section(plan: &Plan, jobs: &[&Job]) -> Value {
    let mut of: BTreeMap<NodeId, Vec<&Job>> = BTreeMap::new();
    jobs.iter().for_each(|job| of.entry(job.node).or_default().push(job));
    let is_server = |node: &NodeId| matches!(plan.nodes[node.index()].role, Role::Server(_));
    let mut section = Map::from_iter([("default".to_owned(), json!("pc"))]);
    let mut nodes = Map::new();
    let classes = classes(&of);
    for (i, class) in classes.iter().enumerate() {
        let steps: Vec<f64> =
            class.iter().flat_map(|(node, _)| widened(&of[node], overhead(&of[node]))).collect();
        let Some(steps) = fit(&steps) else { continue };
        let all: Vec<&Job> = class.iter().flat_map(|(node, _)| of[node].iter().copied()).collect();
        let device = worker(&steps, &all);
        if i == 0 {
            section.insert("workers".to_owned(), device);
        } else {
            let names = class.iter().map(|(node, _)| plan.nodes[node.index()].name.to_string());
            nodes.extend(names.map(|name| (name, device.clone())));
        }
    }
    let folding: Vec<&Job> =
        of.iter().filter(|(node, _)| is_server(node)).flat_map(|(_, jobs)| jobs.iter().copied()).collect();
    if let Some(server) = server(&folding) {
        section.insert("servers".to_owned(), server);
    }
    if !nodes.is_empty() {
        section.insert("nodes".to_owned(), Value::Object(nodes));
    }
    Value::Object(section)
}

fn nanoseconds(job: &Job) -> f64 {
    job.end.since(job.begin).0 as f64
}

fn is_training(job: &&Job) -> bool {
    job.label == "train" && job.count > 0
}

/// What coding of a worker takes, which a device has as the cost of each job.
fn overhead(jobs: &[&Job]) -> f64 {
    median(jobs.iter().filter(|job| job.label != "train").map(|job| nanoseconds(job)).collect())
        .unwrap_or(0.0)
}

/// Nanoseconds of single steps that vary so much that jobs of them vary as these did.
fn widened(jobs: &[&Job], overhead: f64) -> Vec<f64> {
    let training: Vec<&&Job> = jobs.iter().filter(|job| is_training(job)).collect();
    let steps = |job: &Job| (nanoseconds(job) - overhead).max(0.0) / job.count as f64;
    let mean = training.iter().map(|job| steps(job)).sum::<f64>() / training.len().max(1) as f64;
    let wide = |job: &&&Job| (mean + (steps(job) - mean) * (job.count as f64).sqrt()).max(0.0);
    training.iter().map(wide).collect()
}

/// Nodes that train, in classes by their mean steps, the largest class first.
fn classes(of: &BTreeMap<NodeId, Vec<&Job>>) -> Vec<Vec<(NodeId, (f64, f64))>> {
    // Mean, and its standard error: what differs by chance is alike.
    let mean = |jobs: &Vec<&Job>| {
        let steps = widened(jobs, overhead(jobs));
        let n = steps.len() as f64;
        let mean = steps.iter().sum::<f64>() / n;
        let variance = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / n;
        (!steps.is_empty()).then(|| (mean, variance / n))
    };
    let mut means: Vec<(NodeId, (f64, f64))> =
        of.iter().filter_map(|(node, jobs)| Some((*node, mean(jobs)?))).collect();
    means.sort_by(|a, b| a.1.0.total_cmp(&b.1.0).then(a.0.cmp(&b.0)));
    let mut classes: Vec<Vec<(NodeId, (f64, f64))>> = Vec::new();
    for (node, step) in means {
        let is_alike = |first: (f64, f64)| {
            let chance = ERRORS * (first.1 + step.1).sqrt();
            step.0 - first.0 <= (ALIKE * first.0).max(chance)
        };
        match classes.last_mut() {
            Some(class) if is_alike(class[0].1) => class.push((node, step)),
            _ => classes.push(vec![(node, step)]),
        }
    }
    // The first of several that are as large: the fastest.
    classes.sort_by_key(|class| std::cmp::Reverse(class.len()));
    classes
}

fn worker(steps: &Fitted, jobs: &[&Job]) -> Value {
    let mut device = json!({
        "name": "pc", "step_time": steps.written, "overhead": nanos(overhead(jobs)), "jitter": 0.0,
    });
    if jobs.iter().any(|job| job.label != "train") {
        (device["gflops"], device["memory"]) = (json!(AT_ONCE.0), json!(AT_ONCE.1));
    }
    device
}

/// Folds of large models take what their bytes take to move; of small ones, as long as handing them over.
fn server(jobs: &[&Job]) -> Option<Value> {
    let folds: Vec<&&Job> = jobs.iter().filter(|job| job.label == "fold").collect();
    let took = median(jobs.iter().map(|job| nanoseconds(job)).collect())?;
    let jitter = jitter(&jobs.iter().map(|job| nanoseconds(job)).collect::<Vec<_>>());
    let moved = |job: &Job| JobCost::fold(job.count as usize, (job.bytes / 4) as usize).bytes;
    let rates = folds.iter().filter(|job| moved(job) >= SMALL_FOLD && nanoseconds(job) > 0.0);
    Some(match median(rates.map(|job| moved(job) * 1e9 / nanoseconds(job)).collect()) {
        Some(rate) => {
            json!({"name": "pc", "gflops": AT_ONCE.0, "memory": format!("{rate:.0}B/s"), "overhead": "0ns",
                             "jitter": jitter})
        }
        None => {
            json!({"name": "pc", "gflops": AT_ONCE.0, "memory": AT_ONCE.1, "overhead": nanos(took), "jitter": 0.0})
        }
    })
}

/// Deviation of the logarithm, from quartiles: a few long ones say nothing about the others.
fn jitter(took: &[f64]) -> f64 {
    let mut logs: Vec<f64> = took.iter().filter(|took| **took > 0.0).map(|took| math::ln(*took)).collect();
    logs.sort_by(f64::total_cmp);
    let at = |share: f64| logs.get((logs.len().saturating_sub(1) as f64 * share).round() as usize).copied();
    // A normal variable's quartiles are 1.349 deviations apart.
    let sigma = at(0.75).zip(at(0.25)).map_or(0.0, |(high, low)| (high - low) / 1.349);
    (sigma.min(JITTER_MAX) * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_core::domain::Time;
    use hcddl_plan::fixture;

    fn job(node: u32, label: &str, took: u64, count: u64) -> Job {
        let (begin, end) = (Time(5), Time(5 + took));
        Job { node: NodeId(node), begin, end, label: label.to_owned(), count, bytes: 400 }
    }

    #[test]
    fn nodes_of_one_kind_are_a_class_and_slow_ones_are_named() {
        // The fixture's nodes: a root, a local server, workers.
        let plan = fixture::tree(1, 4);
        let workers: Vec<u32> =
            (0..plan.nodes.len() as u32).filter(|i| plan.nodes[*i as usize].role == Role::Worker).collect();
        let mut jobs = Vec::new();
        for (i, node) in workers.iter().enumerate() {
            let step = if i == 1 { 3_000_000 } else { 1_000_000 + i as u64 };
            jobs.extend((0..20).map(|_| job(*node, "train", 4 * step, 4)));
        }
        jobs.extend((0..20).map(|_| job(0, "fold", 70_000, 4)));
        let found = section(&plan, &jobs.iter().collect::<Vec<_>>());
        assert_eq!(found["workers"]["step_time"], "1000002ns", "{found}");
        let slow = plan.nodes[workers[1] as usize].name.to_string();
        assert_eq!(found["nodes"][&slow]["step_time"], "3000000ns", "{found}");
        assert_eq!(found["nodes"].as_object().unwrap().len(), 1);
        assert_eq!(found["servers"]["overhead"], "70000ns", "{found}");
    }

    #[test]
    fn jobs_of_several_steps_vary_as_they_did() {
        let jobs = [job(0, "train", 36, 4), job(0, "train", 44, 4)];
        assert_eq!(widened(&jobs.iter().collect::<Vec<_>>(), 0.0), [8.0, 12.0]);
    }
}
