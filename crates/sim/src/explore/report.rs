//! What a search reports: a table for people, JSON and CSV for programs, schedules as files.

use super::search::{Exploration, ExploreOptions, Finding, Tried};
use super::strategy::Strategy;
use comfy_table::{CellAlignment, Table, presets};
use hcddl_core::domain::Span;
use hcddl_plan::plan::Plan;
use hcddl_plan::plan::schedule::{self, Schedule};
use serde_json::{Value, json};
use std::fmt::Write;

/// Decisions that are shown in the terminal.
const SHOWN: usize = 20;

/// How the results of several runs are distributed. A run that never reached its target counts as the latest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// At least half of the runs are as good as this.
    pub median: f64,
    /// At least 99 of 100 runs are as good as this.
    pub p99: f64,
    /// The worst.
    pub worst: f64,
}

impl Spread {
    /// Of values of which the largest are the worst; `None` of none. Quantiles are values that occurred.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let worst = *values.last()?;
        let quantile =
            |q: f64| values[((q * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1];
        Some(Self { median: quantile(0.5), p99: quantile(0.99), worst })
    }
}

impl Exploration {
    /// What a run's time is: until the target if there is one, else until the end.
    #[must_use]
    pub fn time(&self, plan: &Plan, tried: &Tried) -> f64 {
        match plan.stop.target_accuracy {
            Some(_) => tried.time_to_target_s.unwrap_or(f64::INFINITY),
            None => tried.virtual_time_s,
        }
    }

    /// Schedules of a strategy (all if `None`) that broke no law.
    fn sound(&self, strategy: Option<Strategy>) -> impl Iterator<Item = &Tried> {
        let of = move |tried: &&Tried| strategy.is_none() || tried.strategy == strategy;
        self.tried.iter().filter(|tried| tried.broken.is_none()).filter(of)
    }

    /// Times of the random schedules.
    #[must_use]
    pub fn random_times(&self, plan: &Plan) -> Option<Spread> {
        Spread::of(self.sound(Some(Strategy::Random)).map(|tried| self.time(plan, tried)).collect())
    }

    /// Final accuracies of the random schedules: their worst are the least.
    #[must_use]
    pub fn random_accuracies(&self) -> Option<Spread> {
        let accuracies = self.sound(Some(Strategy::Random)).map(|tried| -tried.accuracy.unwrap_or(0.0));
        let Spread { median, p99, worst } = Spread::of(accuracies.collect())?;
        Some(Spread { median: -median, p99: -p99, worst: -worst })
    }

    /// The schedule of this number.
    #[must_use]
    pub fn number(&self, number: usize) -> &Tried {
        if number == 0 { &self.base } else { &self.tried[number - 1] }
    }
}

fn source(tried: &Tried) -> String {
    let strategy = tried.strategy.map_or("the scenario as it is", Strategy::name);
    if tried.number == 0 { strategy.to_owned() } else { format!("{strategy}, schedule {}", tried.number) }
}

fn time_text(time: f64) -> String {
    if time.is_finite() { Span::from_seconds(time).to_string() } else { "not reached".to_owned() }
}

/// The table for the terminal; ends in a line break.
#[must_use]
pub fn table(plan: &Plan, options: &ExploreOptions, found: &Exploration) -> String {
    let mut text = String::new();
    let count = |strategy: &Strategy| {
        let of = found.tried.iter().filter(|tried| tried.strategy == Some(*strategy)).count();
        (of > 0).then(|| format!("{of} {}", strategy.name()))
    };
    let counts: Vec<String> = Strategy::ALL.iter().filter_map(count).collect();
    let _ = writeln!(
        text,
        "{}: {} schedules tried ({}), delays up to {}",
        plan.name,
        found.tried.len(),
        counts.join(", "),
        options.reach
    );
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["", "as it is", "random median", "random p99", "worst found", "by"]);
    let what = if plan.stop.target_accuracy.is_some() { "time to target" } else { "virtual time" };
    if let Some((number, _)) = &found.worst_time {
        let random = found.random_times(plan);
        let of = |part: fn(&Spread) -> f64| random.map_or("-".to_owned(), |spread| time_text(part(&spread)));
        let worst = found.number(*number);
        let (base, most) = (time_text(found.time(plan, &found.base)), found.time(plan, worst));
        let (median, p99) = (of(|s| s.median), of(|s| s.p99));
        table.add_row([what.to_owned(), base, median, p99, time_text(most), source(worst)]);
    }
    if let Some((number, _)) = &found.worst_accuracy {
        let random = found.random_accuracies();
        let of = |part: fn(&Spread) -> f64| random.map_or("-".to_owned(), |s| format!("{:.4}", part(&s)));
        let worst = found.number(*number);
        let accuracy = |tried: &Tried| tried.accuracy.map_or("failed".to_owned(), |a| format!("{a:.4}"));
        let (median, p99) = (of(|s| s.median), of(|s| s.p99));
        let row = [accuracy(&found.base), median, p99, accuracy(worst), source(worst)];
        table.add_row(std::iter::once("final accuracy".to_owned()).chain(row));
    }
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if found.worst_time.is_some() || found.worst_accuracy.is_some() {
        let _ = writeln!(text, "{table}");
    }
    if found.findings.is_empty() {
        text.push_str("no law is broken\n");
    }
    text
}

/// What is said of a broken law; ends in a line break. `replay` is the command that shows it again.
#[must_use]
pub fn finding(plan: &Plan, found: &Exploration, finding: &Finding, replay: &str) -> String {
    let Finding { breach, schedule, decisions_before, runs, .. } = finding;
    let mut text = format!("broken: {} ({})\n", breach.law, source(found.number(finding.number)));
    let _ = writeln!(text, "  {}", breach.what);
    let _ = writeln!(
        text,
        "  at {}, after {} commits and {} events; {decisions_before} decisions shrunk to {} in {runs} runs",
        breach.at,
        breach.commits,
        breach.events,
        schedule.decisions.len()
    );
    for decision in schedule.decisions.iter().take(SHOWN) {
        let _ = writeln!(text, "    {}", schedule::line(decision, plan));
    }
    if schedule.decisions.len() > SHOWN {
        let _ = writeln!(text, "    and {} more", schedule.decisions.len() - SHOWN);
    }
    let _ = writeln!(text, "  replay: {replay}");
    text
}

/// The text of explore.json.
#[must_use]
pub fn json(plan: &Plan, digest: &str, options: &ExploreOptions, found: &Exploration) -> String {
    let range = |range: &super::bounds::Range| json!([range.min.seconds(), range.max.seconds()]);
    let links = plan.network.links.iter().zip(&found.bounds.links);
    let links: Vec<Value> =
        links.map(|(link, bounds)| json!({ "link": link.name, "latency_s": range(bounds) })).collect();
    let jobs = found.bounds.jobs();
    let job = |(device, flops, steps, bounds): &(String, f64, u64, super::bounds::Range)| json!({ "device": device, "flops": flops, "steps": steps, "duration_s": range(bounds) });
    let jobs: Vec<Value> = jobs.iter().map(job).collect();
    // JSON has no infinity: null is a target that was not reached.
    let spread = |spread: Option<Spread>| {
        spread.map(|s| json!({ "median": s.median, "p99": s.p99, "worst": s.worst }))
    };
    let worst = |worst: &Option<(usize, Schedule)>| worst.as_ref().map(|(number, _)| found.number(*number));
    let findings: Vec<Value> = found
        .findings
        .iter()
        .map(|finding| {
            json!({
                "schedule": finding.number,
                "strategy": finding.strategy,
                "breach": finding.breach,
                "decisions_before": finding.decisions_before,
                "decisions": finding.schedule.decisions.len(),
                "rounds": finding.schedule.rounds,
                "runs": finding.runs,
                "trace_digest": finding.trace_digest,
                "weight_digest": finding.weight_digest,
                "file": finding_file(finding),
            })
        })
        .collect();
    hcddl_files::json(&json!({
        "scenario": plan.name,
        "digest": digest,
        "seed": options.seed,
        "strategies": options.strategies,
        "schedules": found.tried.len(),
        "reach": options.reach.to_string(),
        "bounds": { "links": links, "jobs": jobs },
        "as_it_is": found.base,
        "random": {
            "time_s": spread(found.random_times(plan)),
            "accuracy": spread(found.random_accuracies().filter(|_| !plan.timing_only)),
        },
        "worst_time": worst(&found.worst_time),
        "worst_accuracy": worst(&found.worst_accuracy),
        "findings": findings,
    }))
}

/// The text of explore.csv: a row for each schedule.
///
/// # Errors
/// When a row cannot be written.
pub fn csv(found: &Exploration) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "schedule",
        "strategy",
        "seed",
        "ended",
        "time_to_target_s",
        "virtual_time_s",
        "accuracy",
        "loss",
        "commits",
        "staleness_mean",
        "staleness_max",
        "decisions",
        "trace_digest",
        "broken",
    ])?;
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for tried in std::iter::once(&found.base).chain(&found.tried) {
        writer.write_record([
            tried.number.to_string(),
            tried.strategy.map_or(String::new(), |strategy| strategy.name().to_owned()),
            tried.seed.to_string(),
            tried.ended.clone(),
            number(tried.time_to_target_s),
            tried.virtual_time_s.to_string(),
            number(tried.accuracy),
            number(tried.loss),
            tried.commits.to_string(),
            tried.staleness_mean.to_string(),
            tried.staleness_max.to_string(),
            tried.decisions.to_string(),
            tried.trace_digest.clone(),
            tried.broken.as_ref().map_or("", |breach| breach.law).to_owned(),
        ])?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The name of a finding's file.
#[must_use]
pub fn finding_file(finding: &Finding) -> String {
    format!("broken-{}.yml", finding.breach.law.replace(' ', "-"))
}

/// The text of a finding's file.
#[must_use]
pub fn finding_text(plan: &Plan, digest: &str, found: &Exploration, finding: &Finding) -> String {
    let mut about = vec![
        ("by", source(found.number(finding.number))),
        ("broken", finding.breach.law.to_owned()),
        ("what", finding.breach.what.clone()),
        ("at", finding.breach.at.to_string()),
    ];
    about.extend(finding.trace_digest.clone().map(|digest| ("trace_digest", digest)));
    about.extend(finding.weight_digest.clone().map(|digest| ("weight_digest", digest)));
    schedule::text(&finding.schedule, plan, digest, &about)
}

/// The text of the file of a worst schedule.
#[must_use]
pub fn worst_text(plan: &Plan, digest: &str, tried: &Tried, schedule: &Schedule) -> String {
    let mut about =
        vec![("by", source(tried)), ("virtual_time", Span::from_seconds(tried.virtual_time_s).to_string())];
    about.extend(tried.time_to_target_s.map(|time| ("time_to_target", Span::from_seconds(time).to_string())));
    about.extend(tried.accuracy.map(|accuracy| ("accuracy", accuracy.to_string())));
    about.push(("trace_digest", tried.trace_digest.clone()));
    schedule::text(schedule, plan, digest, &about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let spread = Spread::of((1..=200).rev().map(f64::from).collect()).unwrap();
        assert_eq!(spread, Spread { median: 100.0, p99: 198.0, worst: 200.0 });
        assert_eq!(Spread::of(vec![3.0]), Some(Spread { median: 3.0, p99: 3.0, worst: 3.0 }));
        let censored = Spread::of(vec![1.0, f64::INFINITY, 2.0]).unwrap();
        assert_eq!((censored.median, censored.p99), (2.0, f64::INFINITY));
        assert_eq!(Spread::of(vec![]), None);
    }
}
