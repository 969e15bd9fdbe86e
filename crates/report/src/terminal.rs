//! The final table on stdout.

use comfy_table::{CellAlignment, Table, presets};
use hcddl_plan::measure::outcome::{Staleness, Summary, TimeSplit};
use std::collections::BTreeMap;

/// The results of a run as tables for people; ends in a line break.
#[must_use]
pub fn table(summary: &Summary) -> String {
    let mut text = format!("{}: ended {}\n{}\n", summary.name, summary.reason, results(summary));
    if !summary.time_split.is_empty() {
        text.push_str(&format!("{}\n", split(&summary.time_split)));
    }
    text
}

fn results(summary: &Summary) -> Table {
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    if let Some(accuracy) = summary.accuracy {
        row("accuracy", format!("{accuracy:.4}"));
    }
    if let Some(loss) = summary.loss {
        row("loss", format!("{loss:.4}"));
    }
    for (name, value) in &summary.metrics {
        // Values of single nodes are in metrics.csv: a table of a thousand peers helps nobody.
        if name != "accuracy" && name != "loss" && !name.contains('[') {
            row(name, number(*value));
        }
    }
    if let Some(best) = &summary.best {
        row("best model", format!("version {} of {}", best.version.0, seconds(best.virtual_time_s)));
        row("  validation", format!("accuracy {:.4}, loss {:.4}", best.val_accuracy, best.val_loss));
        row("  test", format!("accuracy {:.4}, loss {:.4}", best.accuracy, best.loss));
    }
    if let Some(time) = summary.time_to_target_s {
        row("time to target", seconds(time));
    }
    row("virtual time", seconds(summary.virtual_time_s));
    row("commits", summary.commits.to_string());
    row("client fits", summary.client_fits.to_string());
    row("staleness", staleness(&summary.staleness));
    row("bytes up", bytes(summary.bytes_up));
    row("bytes down", bytes(summary.bytes_down));
    for (tier, sent) in &summary.bytes_by_tier {
        row(&format!("  {tier}"), bytes(*sent));
    }
    for (why, dropped) in &summary.dropped_updates {
        row(&format!("dropped: {why}"), dropped.to_string());
    }
    if summary.lost_updates > 0 {
        row("lost updates", summary.lost_updates.to_string());
    }
    // Of a deployed run it is told apart, with its source.
    if summary.energy_j > 0.0 || !summary.energy_by_host_j.is_empty() {
        row(
            "energy",
            format!("{} ({} above idle)", joules(summary.energy_j), joules(summary.energy_marginal_j)),
        );
    }
    row("events", summary.events.to_string());
    row("trace digest", summary.trace_digest.clone());
    row("weight digest", summary.weight_digest.clone());
    row("kernels", summary.kernels.clone());
    row("wall time", seconds(summary.wall_time_s));
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    for (name, value) in rows {
        table.add_row([name, value]);
    }
    table
}

fn split(split: &BTreeMap<String, TimeSplit>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["time of", "nodes", "compute", "send", "wait", "idle"]);
    for (kind, time) in split {
        let share = |value: f64| format!("{:.1} %", value * 100.0);
        table.add_row([
            kind.clone(),
            time.nodes.to_string(),
            share(time.compute),
            share(time.send),
            share(time.wait),
            share(time.idle),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn staleness(staleness: &Staleness) -> String {
    let Staleness { mean, p50, p90, p99, max } = staleness;
    format!("mean {mean:.2}, p50 {p50}, p90 {p90}, p99 {p99}, max {max}")
}

/// Seconds of virtual or real time, in the unit that suits them.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    hcddl_core::domain::Span::from_seconds(seconds).to_string()
}

/// Bytes with a decimal prefix: `1.25 MB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    format!("{}B", prefixed(bytes as f64))
}

/// A count with a decimal prefix: `1.25 M`.
#[must_use]
pub fn count(count: f64) -> String {
    prefixed(count).trim_end().to_owned()
}

fn joules(joules: f64) -> String {
    format!("{}J", prefixed(joules))
}

/// Three significant digits and a prefix with its blank: `1.25 M`, `12 `.
fn prefixed(value: f64) -> String {
    let (scale, prefix) = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")]
        .into_iter()
        .find(|(scale, _)| value.abs() >= *scale)
        .unwrap_or((1.0, ""));
    format!("{} {prefix}", number(value / scale))
}

/// Three significant digits, more before the point when there are.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if v == 0.0 || v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        v if v >= 0.001 => 4,
        _ => return format!("{value:.3e}"),
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_plan::fixture::summary;

    #[test]
    fn the_whole_table() {
        insta::assert_snapshot!(table(&summary()), @r#"
        quickstart: ended after the configured rounds
        ┌────────────────────────────────────────────────────────┐
        │ accuracy         0.9432                                │
        │ loss             0.2000                                │
        │ epochs           12.5                                  │
        │ time to target   1.25 s                                │
        │ virtual time     90 s                                  │
        │ commits          60                                    │
        │ client fits      240                                   │
        │ staleness        mean 3.00, p50 3, p90 4, p99 5, max 6 │
        │ bytes up         1.25 MB                               │
        │ bytes down       999 B                                 │
        │   depth 1 up     1.25 MB                               │
        │ dropped: stale   2                                     │
        │ energy           1.23 kJ (0 J above idle)              │
        │ events           12345                                 │
        │ trace digest     0123456789abcdef0123456789abcdef      │
        │ weight digest    fedcba9876543210fedcba9876543210      │
        │ kernels          portable                              │
        │ wall time        500 ms                                │
        └────────────────────────────────────────────────────────┘
        ┌─────────────────────────────────────────────────────┐
        │ time of   nodes   compute     send     wait    idle │
        ╞═════════════════════════════════════════════════════╡
        │ worker        4    50.0 %   25.0 %   25.0 %   0.0 % │
        └─────────────────────────────────────────────────────┘
        "#);
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!([0.0, 12.0, 1234.0, 1.5e6, 2e10].map(count), ["0", "12", "1.23 k", "1.5 M", "20 G"]);
        assert_eq!(
            [0.25, 0.001_23, 1e-5, -3.0, 1000.0].map(number),
            ["0.25", "0.0012", "1.000e-5", "-3", "1000"]
        );
        assert_eq!(bytes(100_000), "100 kB");
    }
}
