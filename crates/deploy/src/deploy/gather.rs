//! From what the nodes of a deployed run wrote to the files of a run directory, as a simulation has them: with
//! measured instead of modelled times. Times are of one clock, the root's, which starts with its process; evaluations
//! of peers are each by its own.

use super::energy;
use super::node_file;
use super::result::NodeResult;
use super::trace::observed::Observed;
use super::trace::{clocks, lives, merge as traces};
use anyhow::Context;
use hcddl_core::domain::text::in_cell;
use hcddl_core::domain::{NodeId, Strange, digest};
use hcddl_core::node::Reason;
use hcddl_learn::Learner;
use hcddl_learn::safetensors;
use hcddl_plan::measure::outcome::{Summary, TimeSplit};
use hcddl_plan::plan::{Plan, Role};
use hcddl_sim::record::order::{self, What};
use hcddl_sim::record::rundir::file;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What the nodes reported.
#[derive(Debug)]
pub struct Gathered {
    /// The run as a whole.
    pub summary: Summary,
    /// What each node reported at its end, in order of the nodes; `None` if it was not there at the end.
    pub nodes: Vec<Option<NodeResult>>,
    /// The best accuracy of any evaluation.
    pub best_accuracy: Option<f64>,
    /// What the user should know, each a sentence.
    pub warnings: Vec<String>,
    /// Mean seconds in which a client got its model and settings; `None` without traces.
    pub configuring_s: Option<f64>,
    /// Where the energy is from, for people.
    pub energy: String,
}

/// Writes metrics.csv, commits.csv, timeline.json, clocks.csv, links.csv, model.safetensors and summary.json of the run
/// whose nodes' files lie in `run/nodes/`. The digest of several peers' models needs the `learner`; without it there is none.
///
/// # Errors
/// Files that cannot be read or written. Nodes without a report are warned about.
pub fn gather(run: &Path, plan: &Plan, learner: Option<&dyn Learner>) -> anyhow::Result<Gathered> {
    let mut warnings = Vec::new();
    let lives: Vec<Vec<PathBuf>> = plan.nodes.iter().map(|node| lives(run, &node.name)).collect();
    let mut nodes = Vec::new();
    for (node, lives) in plan.nodes.iter().zip(&lives) {
        let result = lives.last().map(|life| read_result(life)).transpose()?.flatten();
        if result.is_none() {
            warnings.push(format!(
                "{} left no result: see nodes/{}/{}",
                node.name,
                node.name,
                node_file::LOG
            ));
        }
        nodes.push(result);
    }
    let tops: Vec<usize> =
        (0..plan.nodes.len()).filter(|i| super::node::evaluates(plan, NodeId(*i as u32))).collect();
    let observed = Observed::read(run, plan);
    warnings.extend(traces::write(run, plan, &observed)?);
    merge_tables(run, &lives, &tops, &observed, &mut warnings)?;
    let last: Vec<&PathBuf> = tops.iter().filter_map(|top| lives[*top].last()).collect();
    copy_models(run, last.first().copied())?;
    let weight_digest = match (&tops[..], learner) {
        ([root], _) => nodes[*root].as_ref().and_then(|root| root.weight_digest.clone()),
        (peers, Some(learner)) if peers.iter().all(|peer| nodes[*peer].is_some()) => {
            Some(digest_of_all(&last, learner)?)
        }
        _ => None,
    };
    warnings.extend(lost_commits(run, plan)?);
    let links = traces::links(&observed);
    let hosts = energy::of_hosts(run, plan, &nodes, &observed, &links);
    energy::write(run, plan, &nodes, &hosts)?;
    let summary = Summary {
        bytes_by_tier: traces::bytes_by_tier(plan, &links),
        energy_j: hosts.iter().map(|host| host.joules).sum(),
        energy_by_host_j: hosts.iter().map(|host| (host.host.clone(), host.joules)).collect(),
        ..summary(run, plan, &nodes, &tops, &observed, weight_digest)?
    };
    let path = run.join(file::SUMMARY);
    hcddl_files::atomic::replace(&path, hcddl_files::json(&summary).as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    let best_accuracy = best_accuracy(&run.join(file::METRICS));
    let configuring_s = traces::configuring_s(&observed);
    let energy = energy::told(&hosts);
    Ok(Gathered { summary, nodes, best_accuracy, warnings, configuring_s, energy })
}

/// What the nodes of a fetched run reported at their ends.
///
/// # Errors
/// A report that cannot be read.
pub fn results(run: &Path, plan: &Plan) -> anyhow::Result<Vec<NodeResult>> {
    let mut all = Vec::new();
    for node in &plan.nodes {
        let last = lives(run, &node.name).pop();
        all.extend(last.map(|life| read_result(&life)).transpose()?.flatten());
    }
    Ok(all)
}

fn read_result(life: &Path) -> anyhow::Result<Option<NodeResult>> {
    let path = life.join(NodeResult::FILE);
    match read_bounded(&path) {
        Ok(text) => {
            Ok(Some(serde_json::from_str(&text).with_context(|| format!("`{}` is damaged", path.display()))?))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// commits.csv of all nodes by time; metrics.csv of the root, of all its lives, or of every peer.
fn merge_tables(
    run: &Path,
    lives: &[Vec<PathBuf>],
    tops: &[usize],
    observed: &Observed,
    warnings: &mut Vec<String>,
) -> anyhow::Result<()> {
    let of = |node: usize| {
        lives[node].iter().enumerate().map(move |(life, dir)| ((node as u32, life as u32), dir))
    };
    let all = (0..lives.len()).flat_map(of);
    merge(run, file::COMMITS, hcddl_sim::record::table::COMMIT_COLUMNS, all, observed, warnings)?;
    let metrics = hcddl_sim::record::table::FIXED.join(",");
    merge(run, file::METRICS, &metrics, tops.iter().flat_map(|top| of(*top)), observed, warnings)
}

/// The largest value of the column `accuracy`.
fn best_accuracy(metrics: &Path) -> Option<f64> {
    let text = fs::read_to_string(metrics).ok()?;
    let column = text.lines().next()?.split(',').position(|column| column == "accuracy")?;
    let values = text.lines().skip(1).filter_map(|line| line.split(',').nth(column)?.parse::<f64>().ok());
    values.reduce(f64::max)
}

/// Bytes of a file of a device that is read whole at most.
const BYTES_MAX: u64 = 1 << 30;
/// Columns of a table of a device at most.
const COLUMNS_MAX: usize = 4096;
/// Characters of a word of a device at most.
const WORD_MAX: usize = 80;

/// Whether a name of a column is what our own tables have: nothing that a terminal or a spreadsheet would obey.
fn is_column(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '[' | ']' | '.' | '-' | ' ');
    !name.is_empty() && name.len() <= 200 && !name.starts_with(['-', '.', ' ']) && name.chars().all(plain)
}

/// A file of a device as text.
fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path)?;
    if file.metadata()?.len() > BYTES_MAX {
        return Err(std::io::Error::other(format!("it has more than {BYTES_MAX} bytes")));
    }
    file.take(BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Rows of several CSV files of the same columns, ordered by their column `virtual_time_s`, which becomes that of the
/// run's clock.
fn merge<'a>(
    run: &Path,
    name: &str,
    expected: &str,
    dirs: impl Iterator<Item = (clocks::Life, &'a PathBuf)>,
    observed: &Observed,
    warnings: &mut Vec<String>,
) -> anyhow::Result<()> {
    let (mut header, mut rows) = (String::new(), Vec::new());
    for (life, dir) in dirs {
        let Ok(text) = read_bounded(&dir.join(name)) else { continue };
        let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let Some(first) = lines.next() else { continue };
        let names = first.trim_end().split(',');
        if !first.starts_with(expected)
            || !names.clone().all(is_column)
            || names.clone().count() > COLUMNS_MAX
        {
            warnings.push(format!("`{}` has columns of its own and is left out", dir.join(name).display()));
            continue;
        }
        // A life with more columns has all that others have: columns are only ever added at the end.
        if first.len() > header.len() {
            first.clone_into(&mut header);
        }
        let fields = names.count();
        let column = first.trim_end().split(',').position(|column| column == "virtual_time_s").unwrap_or(0);
        for line in lines.filter(|line| line.matches(',').count() + 1 == fields) {
            let own: f64 = line.trim_end().split(',').nth(column).and_then(|t| t.parse().ok()).unwrap_or(0.0);
            match traces::on_one_clock(observed, life, own) {
                // Times of the root are the run's already, to the last digit.
                Some(time) if life != (0, 0) => rows.push((time, with_field(line, column, time))),
                _ => rows.push((own, line.to_owned())),
            }
        }
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let path = run.join(name);
    let text: String = std::iter::once(header).chain(rows.into_iter().map(|(_, line)| line)).collect();
    hcddl_files::atomic::replace(&path, text.as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// A line of CSV without quotes, with another number in a column.
fn with_field(line: &str, column: usize, value: f64) -> String {
    let fields: Vec<String> = line
        .trim_end()
        .split(',')
        .enumerate()
        .map(|(i, field)| if i == column { format!("{value}") } else { field.to_owned() })
        .collect();
    fields.join(",") + "\n"
}

/// Copies the final (and best) model of the root, or of the first peer.
fn copy_models(run: &Path, top: Option<&PathBuf>) -> anyhow::Result<()> {
    for name in [file::MODEL, file::BEST] {
        if let Some(from) = top.map(|life| life.join(name)).filter(|from| from.is_file()) {
            fs::copy(&from, run.join(name)).with_context(|| format!("cannot copy `{}`", from.display()))?;
        }
    }
    Ok(())
}

/// Digest of the models of all peers, one after the other.
fn digest_of_all(lives: &[&PathBuf], learner: &dyn Learner) -> anyhow::Result<String> {
    let mut values = Vec::new();
    for life in lives {
        let model = life.join(file::MODEL);
        let own = safetensors::load(&model, &learner.tensors()).map_err(anyhow::Error::msg)?;
        values.extend_from_slice(&own);
    }
    Ok(digest::of_values(&values).to_string())
}

/// Commits of a root that were lost because it was killed after its last checkpoint.
fn lost_commits(run: &Path, plan: &Plan) -> anyhow::Result<Vec<String>> {
    let mut lost = Vec::new();
    for node in plan.nodes.iter().filter(|node| node.parent.is_none() && matches!(node.role, Role::Server(_)))
    {
        let Ok((_, entries)) = order::read(&run.join("nodes").join(&node.name).join(node_file::ORDER)) else {
            continue;
        };
        let (mut version, mut at_checkpoint) = (0, BTreeMap::new());
        for entry in entries {
            match entry.what {
                What::Commit { version: committed, .. } => version = committed.0,
                What::Checkpoint { number } => {
                    at_checkpoint.insert(number, version);
                }
                What::Born { life, checkpoint } if life > 0 => {
                    let from = checkpoint.and_then(|number| at_checkpoint.get(&number)).copied().unwrap_or(0);
                    lost.push(format!(
                        "{} was started again from version {from}: {} commits since its last checkpoint are lost",
                        node.name,
                        version.saturating_sub(from)
                    ));
                    version = from;
                }
                _ => {}
            }
        }
    }
    Ok(lost)
}

fn summary(
    run: &Path,
    plan: &Plan,
    nodes: &[Option<NodeResult>],
    tops: &[usize],
    observed: &Observed,
    weight_digest: Option<String>,
) -> anyhow::Result<Summary> {
    let there: Vec<&NodeResult> = nodes.iter().flatten().collect();
    // What devices say is not trusted to add up.
    let sum = |of: fn(&NodeResult) -> u64| there.iter().fold(0u64, |sum, node| sum.saturating_add(of(node)));
    let empty = NodeResult::default();
    let root = tops.first().and_then(|top| nodes[*top].as_ref()).unwrap_or(&empty);
    let mut dropped: BTreeMap<String, u64> = BTreeMap::new();
    for (why, count) in there.iter().flat_map(|node| &node.dropped) {
        let dropped = dropped.entry(in_cell(why, WORD_MAX)).or_insert(0);
        *dropped = dropped.saturating_add(*count);
    }
    let mut metrics = mean_metrics(tops.iter().filter_map(|top| nodes[*top].as_ref()));
    // What servers of any tier noticed; `mean_metrics` has but the root's.
    for counter in Strange::COUNTERS {
        let counted: f64 = there.iter().filter_map(|node| node.metrics.get(counter)).sum();
        if counted > 0.0 && counted.is_finite() {
            metrics.insert(counter.to_owned(), counted);
        }
    }
    let settled =
        dropped.values().fold(sum(|node| node.updates_committed), |sum, count| sum.saturating_add(*count));
    metrics.insert("updates_open".to_owned(), sum(|node| node.updates_sent).saturating_sub(settled) as f64);
    let commits =
        tops.iter().filter_map(|top| nodes[*top].as_ref()).map(|node| node.version).min().unwrap_or(0);
    let reason = root.reason.clone().unwrap_or_else(|| {
        let name = tops.first().map_or("the root", |top| plan.nodes[*top].name.as_str());
        Reason::Failed(format!("{name} left no result"))
    });
    Ok(Summary {
        time_to_target_s: root.time_to_target_s,
        virtual_time_s: root.seconds,
        wall_time_s: root.seconds,
        commits,
        client_fits: sum(|node| node.client_fits),
        gradient_steps: sum(|node| node.gradient_steps),
        events: sum(|node| node.events),
        staleness: root.staleness,
        bytes_up: sum(|node| node.bytes_up),
        bytes_down: sum(|node| node.bytes_down),
        messages: sum(|node| node.messages),
        dropped_updates: dropped,
        time_split: time_split(plan, nodes, observed),
        trace_digest: trace_digest(run, plan)?,
        weight_digest: weight_digest.unwrap_or_default(),
        best: root.best.clone(),
        kernels: root.kernels.clone(),
        ..Summary::of(plan, reason, metrics)
    })
}

/// The mean over peers; a root's own.
fn mean_metrics<'a>(nodes: impl Iterator<Item = &'a NodeResult>) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (name, value) in nodes.flat_map(|node| &node.metrics).filter(|(name, _)| is_column(name)) {
        let (sum, count) = sums.entry(name.clone()).or_insert((0.0, 0.0));
        *sum += value;
        *count += 1.0;
    }
    sums.into_iter().map(|(name, (sum, count))| (name, sum / count)).collect()
}

/// Shares of time with a job, without one while a message of its own was on its way, and without either. Without traces
/// nobody knows when a message was there.
fn time_split(plan: &Plan, nodes: &[Option<NodeResult>], observed: &Observed) -> BTreeMap<String, TimeSplit> {
    let sending = traces::busy(observed);
    let mut sums: BTreeMap<String, (u64, f64, f64, f64)> = BTreeMap::new();
    for (i, _) in plan.nodes.iter().enumerate() {
        let Some(node) = &nodes[i] else { continue };
        let (count, compute, send, all) = sums.entry(in_cell(&node.kind, WORD_MAX)).or_default();
        *count += 1;
        *compute += node.compute_s;
        *send += sending.get(&NodeId(i as u32)).map_or(0.0, |(_, sending)| *sending as f64 / 1e9);
        *all += node.seconds;
    }
    let split = |(nodes, compute, send, all): (u64, f64, f64, f64)| {
        let share = |part: f64| if all > 0.0 { (part / all).clamp(0.0, 1.0) } else { 0.0 };
        let (compute, send) = (share(compute), share(send).min(1.0 - share(compute)));
        TimeSplit { nodes, compute, send, wait: 1.0 - compute - send, idle: 0.0 }
    };
    sums.into_iter().map(|(kind, sum)| (kind, split(sum))).collect()
}

/// The order of every node's inputs, as one digest.
fn trace_digest(run: &Path, plan: &Plan) -> anyhow::Result<String> {
    let mut all = Vec::new();
    for node in &plan.nodes {
        let path = run.join("nodes").join(&node.name).join(node_file::ORDER);
        all.extend(fs::read(&path).unwrap_or_default());
    }
    Ok(digest::of_bytes(&all).to_string())
}
