//! Two runs or two studies side by side, as text for a terminal.

mod hints;
mod why;

use super::figure::Quantity;
use super::read::run::Commit;
use super::read::{Run, Study};
use super::study::{beats_across, measure};
use comfy_table::{CellAlignment, Table, presets};
use hcddl_core::error::UserError;
use hcddl_core::stats::paired::mean_over_pairs;
use hcddl_core::stats::quantile::mean;
use hcddl_core::stats::{Interval, Resampling};
use hcddl_plan::scenario::source::Source;
use serde_json::Value;
use std::collections::BTreeMap;

fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n")
}

/// Two runs: settings that differ, results, the first commit that differs, and what a difference in time comes from.
///
/// # Errors
/// [`UserError`] when a plan is damaged.
pub fn runs(a: &Run, b: &Run) -> Result<String, UserError> {
    let mut text = String::new();
    let differing = settings(a, b)?;
    if differing.is_empty() {
        text += "the same settings\n";
    } else {
        text += &table(&["setting", "A", "B"], differing);
    }
    text += &table(&["result", "A", "B", "B / A"], results(a, b));
    text += &first_difference(a, b);
    text += &why::explain(a, b);
    Ok(text)
}

/// Keys of the plans and seeds that differ.
fn settings(a: &Run, b: &Run) -> Result<Vec<Vec<String>>, UserError> {
    let keys = |run: &Run| -> Result<BTreeMap<String, String>, UserError> {
        let file = run.dir.join(hcddl_sim::record::rundir::file::PLAN).display().to_string();
        let (_, plan) = Source::read(&file, &run.plan)?;
        let mut keys = BTreeMap::new();
        flatten("", &plan, &mut keys);
        let [data, init, interleaving] = run.summary.seeds;
        for (name, seed) in [("data", data), ("init", init), ("interleaving", interleaving)] {
            keys.insert(format!("seeds.{name}"), seed.to_string());
        }
        keys.remove("seed");
        Ok(keys)
    };
    let (of_a, of_b) = (keys(a)?, keys(b)?);
    let all: std::collections::BTreeSet<&String> = of_a.keys().chain(of_b.keys()).collect();
    let text =
        |keys: &BTreeMap<String, String>, key: &String| keys.get(key).cloned().unwrap_or("–".to_owned());
    let rows = all.into_iter().map(|key| vec![key.clone(), text(&of_a, key), text(&of_b, key)]);
    Ok(rows.filter(|row| row[1] != row[2]).collect())
}

fn flatten(path: &str, value: &Value, keys: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, keys);
            }
        }
        Value::String(text) => {
            keys.insert(path.to_owned(), text.clone());
        }
        other => {
            keys.insert(path.to_owned(), other.to_string());
        }
    }
}

/// Whether the energy of a deployed run is not, or not all, measured.
fn estimated(run: &Run) -> bool {
    let hosts = &run.measured.hosts;
    let source = hosts.find("source");
    source.is_some_and(|column| hosts.rows.iter().any(|row| row[column] == "estimate"))
}

fn results(a: &Run, b: &Run) -> Vec<Vec<String>> {
    use Quantity::{Bytes, Count, Joules, Plain, Seconds, Share};
    let energy = if estimated(a) || estimated(b) { "energy (without sensors: estimated)" } else { "energy" };
    // What idling would have taken is not known of a deployed run.
    let above = |run: &Run| if run.deployed { f64::NAN } else { run.summary.energy_marginal_j };
    let (above_a, above_b) = (above(a), above(b));
    let (a, b) = (&a.summary, &b.summary);
    let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let of = |whole: u64| whole as f64;
    [
        ("accuracy", Share, known(a.accuracy), known(b.accuracy)),
        ("loss", Plain, known(a.loss), known(b.loss)),
        ("time to target", Seconds, known(a.time_to_target_s), known(b.time_to_target_s)),
        ("virtual time", Seconds, a.virtual_time_s, b.virtual_time_s),
        ("commits", Count, of(a.commits), of(b.commits)),
        ("client fits", Count, of(a.client_fits), of(b.client_fits)),
        ("mean staleness", Plain, a.staleness.mean, b.staleness.mean),
        ("largest staleness", Count, of(a.staleness.max), of(b.staleness.max)),
        ("bytes up", Bytes, of(a.bytes_up), of(b.bytes_up)),
        ("bytes down", Bytes, of(a.bytes_down), of(b.bytes_down)),
        ("lost updates", Count, of(a.lost_updates), of(b.lost_updates)),
        (energy, Joules, a.energy_j, b.energy_j),
        ("energy above idle", Joules, above_a, above_b),
    ]
    .into_iter()
    .filter(|(_, _, a, b)| !(a.is_nan() && b.is_nan()) && (*a != 0.0 || *b != 0.0))
    .map(|(name, quantity, a, b)| {
        let ratio = b / a;
        let ratio = if ratio.is_finite() { format!("{ratio:.3}") } else { "–".to_owned() };
        vec![name.to_owned(), quantity.text(a), quantity.text(b), ratio]
    })
    .collect()
}

/// Where the two stop being the same run, as far as commits.csv tells: in time, and in what went in.
fn first_difference(a: &Run, b: &Run) -> String {
    let all = a.commits.len().max(b.commits.len());
    let both = || a.commits.iter().zip(&b.commits);
    let same = both().take_while(|(a, b)| a == b).count();
    if same == all {
        let equal = |a: &str, b: &str| if a == b { "equal" } else { "different" };
        return format!(
            "all {same} commits have the same time and contributors; the trace is {}, the weights are {}\n",
            equal(&a.summary.trace_digest, &b.summary.trace_digest),
            equal(&a.summary.weight_digest, &b.summary.weight_digest)
        );
    }
    let same_content = |(a, b): &(&Commit, &Commit)| {
        (&a.node, a.version, &a.contributors) == (&b.node, b.version, &b.contributors)
    };
    let content = both().take_while(same_content).count();
    let mut text =
        format!("first commit that differs in anything, after {same} that do not:\n{}", tell(a, b, same));
    if content == all {
        text += "all commits have the same contributors in the same order; only times differ\n";
    } else if content > same {
        text += &format!(
            "first commit with other contributors, after {content} with the same:\n{}",
            tell(a, b, content)
        );
    }
    text
}

fn tell(a: &Run, b: &Run, at: usize) -> String {
    let of = |run: &Run| match run.commits.get(at) {
        None => "has ended".to_owned(),
        Some(commit) => {
            let time = Quantity::Seconds.text(commit.time);
            format!("version {} of {} at {time} from {}", commit.version, commit.node, contributors(commit))
        }
    };
    format!("  A: {}\n  B: {}\n", of(a), of(b))
}

/// Contributors that are named; the others are counted.
const NAMED: usize = 4;

fn contributors(commit: &Commit) -> String {
    let name = |(name, stale): &(String, u64)| match stale {
        0 => name.clone(),
        stale => format!("{name} (staleness {stale})"),
    };
    let names: Vec<String> = commit.contributors.iter().take(NAMED).map(name).collect();
    let more = commit.contributors.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.join(", "))
}

/// Two studies: setting by setting, with the same seeds.
///
/// # Errors
/// [`UserError`] when they have no setting and seeds in common.
pub fn studies(a: &Study, b: &Study) -> Result<String, UserError> {
    let how = Resampling::default();
    let (column, quantity) = if a.head.timing_only {
        ("virtual_time_s", Quantity::Seconds)
    } else {
        ("accuracy", Quantity::Share)
    };
    let mut rows = Vec::new();
    for (i, setting) in a.settings.iter().enumerate() {
        let Some(j) = b.settings.iter().position(|other| other.label == setting.label) else { continue };
        let pairs = pairs_across(a, i, b, j);
        let both: Vec<(f64, f64)> =
            pairs.iter().map(|(x, y)| (a.runs[*x].value(column), b.runs[*y].value(column))).collect();
        let both_known: Vec<_> = both.iter().filter(|(x, y)| !(x - y).is_nan()).collect();
        if both_known.is_empty() {
            continue;
        }
        let design = a.design(&pairs.iter().map(|pair| pair.0).collect::<Vec<_>>());
        let differences: Vec<f64> = both.iter().map(|(x, y)| y - x).collect();
        let difference = mean_over_pairs(&differences, &design, &how);
        let of = |pick: fn(&&(f64, f64)) -> f64| mean(&both_known.iter().map(pick).collect::<Vec<_>>());
        rows.push(vec![
            setting.label.clone(),
            pairs.len().to_string(),
            quantity.text(of(|pair| pair.0)),
            quantity.text(of(|pair| pair.1)),
            difference.map_or(String::new(), |found| signed(quantity, found.mean, found.interval)),
            beats_across(a, b, &pairs, &how).map_or(String::new(), |found| {
                let ends = found
                    .interval
                    .map_or(String::new(), |ends| format!(" [{:.2}, {:.2}]", ends.low, ends.high));
                format!("{:.2}{ends}", found.mean)
            }),
        ]);
    }
    if rows.is_empty() {
        let file = b.dir.display().to_string();
        let message = format!("has no setting and seeds in common with `{}`", a.dir.display());
        return Err(UserError::in_file(&file, message, "compare studies with the same axes and seeds"));
    }
    let what = column.trim_end_matches("_s").replace('_', " ");
    let mut text = format!("A: {}\nB: {}\n", a.head.name, b.head.name);
    let (in_a, in_b, wins) = (format!("{what}, A"), format!("{what}, B"), format!("P(A {})", measure(a)));
    text += &table(&["setting", "pairs", &in_a, &in_b, "B - A [95 %]", &wins], rows);
    text += "pairs have the same seeds; intervals resample levels of seeds, not runs\n";
    Ok(text)
}

/// Runs of a setting of each study with the same seeds.
fn pairs_across(a: &Study, i: usize, b: &Study, j: usize) -> Vec<(usize, usize)> {
    let of_b: BTreeMap<[u64; 3], usize> =
        b.of_setting(j).into_iter().map(|run| (b.runs[run].seeds, run)).collect();
    let pair = |run: usize| Some((run, *of_b.get(&a.runs[run].seeds)?));
    a.of_setting(i).into_iter().filter_map(pair).collect()
}

fn signed(quantity: Quantity, value: f64, interval: Option<Interval>) -> String {
    let text = |value: f64| format!("{}{}", if value > 0.0 { "+" } else { "" }, quantity.text(value));
    interval.map_or(text(value), |ends| format!("{} [{}, {}]", text(value), text(ends.low), text(ends.high)))
}
