//! Measured latencies in CSV: samples of a distribution, and latencies over time. Columns are found by the names in the
//! first line, and units by what follows the last underscore of a name.

use super::table::{Lines, Problem, unit_of, with_unit};
use hcddl_core::domain::units::Duration;
use serde_json::Value;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Time,
    /// One way.
    Latency,
    /// There and back: twice a latency.
    RoundTrip,
}

/// A column that was found.
struct Column {
    at: usize,
    quantity: Quantity,
    unit: String,
}

pub(super) const TIMES: [&str; 6] = ["time", "t", "at", "timestamp", "elapsed", "seconds"];
pub(super) const LATENCIES: [&str; 6] = ["latency", "delay", "one_way", "owd", "lag", "value"];
pub(super) const ROUND_TRIPS: [&str; 3] = ["rtt", "round_trip", "ping"];

/// Latencies of a distribution, as durations. Without a heading the first column, each with its unit; with one the
/// column of latencies, whose name ends in the unit: `latency_ms`, `rtt_us` (halved).
///
/// # Errors
/// The line and what is wrong with it.
pub(super) fn samples(text: &str) -> Result<Vec<Value>, Problem> {
    let lines = Lines::of(text)?;
    let column = match &lines.heading {
        None => Column { at: 0, quantity: Quantity::Latency, unit: String::new() },
        Some(names) => found(names, &[Quantity::Latency, Quantity::RoundTrip])
            .ok_or_else(|| unknown(&lines, names, "a column of latencies"))?,
    };
    lines.rows().map(|(line, fields)| column.duration(line, &fields)).collect()
}

/// Moments and latencies, as pairs of durations. Without a heading seconds and milliseconds; with one a column of times
/// and one of latencies, in any order, whose names may end in a unit: `time_s`, `latency_ms`.
///
/// # Errors
/// The line and what is wrong with it.
pub(super) fn records(text: &str) -> Result<Vec<Value>, Problem> {
    let lines = Lines::of(text)?;
    let [mut time, mut latency] = match &lines.heading {
        None => [(0, Quantity::Time), (1, Quantity::Latency)].map(|(at, quantity)| Column {
            at,
            quantity,
            unit: String::new(),
        }),
        Some(names) => {
            let expected = "a column of times and one of latencies";
            let time = found(names, &[Quantity::Time]).ok_or_else(|| unknown(&lines, names, expected))?;
            let latency = found(names, &[Quantity::Latency, Quantity::RoundTrip])
                .ok_or_else(|| unknown(&lines, names, expected))?;
            [time, latency]
        }
    };
    for (column, unit) in [(&mut time, "s"), (&mut latency, "ms")] {
        if column.unit.is_empty() {
            unit.clone_into(&mut column.unit);
        }
    }
    let pair = |(line, fields): (usize, Vec<&str>)| {
        Ok(vec![time.duration(line, &fields)?, latency.duration(line, &fields)?].into())
    };
    lines.rows().map(pair).collect()
}

fn unknown(lines: &Lines<'_>, names: &[&str], expected: &str) -> Problem {
    let lists = [&TIMES[..], &LATENCIES, &ROUND_TRIPS].concat().join(", ");
    let found = names.join(", ");
    let found = found.escape_debug();
    let message = format!(
        "expected {expected}, found the heading `{found}`; allowed: {lists}, each with or without a unit behind `_`: \
         `latency_ms`"
    );
    (lines.heading_line, message)
}

/// The first column of one of these quantities.
fn found(names: &[&str], wanted: &[Quantity]) -> Option<Column> {
    let columns = names.iter().enumerate().filter_map(|(at, name)| {
        let (quantity, unit) = meaning(&name.to_ascii_lowercase())?;
        Some(Column { at, quantity, unit })
    });
    let columns: Vec<Column> = columns.collect();
    wanted.iter().find_map(|quantity| {
        let column = columns.iter().find(|column| column.quantity == *quantity)?;
        Some(Column { unit: column.unit.clone(), ..*column })
    })
}

/// What a column of this name holds, and its unit if that is told.
fn meaning(name: &str) -> Option<(Quantity, String)> {
    let known = |name: &str| {
        let of = |names: &[&str], quantity| names.contains(&name).then_some(quantity);
        of(&TIMES, Quantity::Time)
            .or_else(|| of(&LATENCIES, Quantity::Latency))
            .or_else(|| of(&ROUND_TRIPS, Quantity::RoundTrip))
    };
    if name == "seconds" {
        return Some((Quantity::Time, "s".to_owned()));
    }
    if let Some(quantity) = known(name) {
        return Some((quantity, String::new()));
    }
    let (name, unit) = unit_of(name)?;
    let is_unit = format!("1{unit}").parse::<Duration>().is_ok();
    known(name).filter(|_| is_unit).map(|quantity| (quantity, unit.to_owned()))
}

impl Column {
    fn duration(&self, line: usize, fields: &[&str]) -> Result<Value, Problem> {
        let field = fields.get(self.at).copied().unwrap_or_default();
        let mut duration: Duration =
            with_unit(field, &self.unit).parse().map_err(|error| (line, format!("{error}")))?;
        if self.quantity == Quantity::RoundTrip {
            duration.0.0 /= 2;
        }
        Ok(duration.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_units_of_their_own_or_of_the_heading() {
        assert_eq!(samples("latency_ms,host\n1.5,a\n20us,b\n").unwrap(), ["1.5ms", "20us"]);
        assert_eq!(samples("host,latency_ms\na,1.5\n").unwrap(), ["1.5ms"]);
        assert_eq!(samples("host;rtt_ms\na;3\n").unwrap(), ["1.5ms"], "half of the way there and back");
        assert_eq!(samples("3ms\n").unwrap(), ["3ms"]);
        assert_eq!(samples("latency\n3\n").unwrap_err().0, 2);
        assert_eq!(samples("3\n").unwrap_err().0, 1);
        assert!(samples("host,speed_ms\na,3\n").unwrap_err().1.contains("allowed: time"));
    }

    #[test]
    fn records_go_by_their_heading() {
        let pair = |time: &str, latency: &str| Value::from(vec![time, latency]);
        for (text, expected) in [
            ("0,10\n1.5,20\n", vec![pair("0ns", "10ms"), pair("1.5s", "20ms")]),
            ("time,latency\n1,10\n", vec![pair("1s", "10ms")]),
            ("time_ms,latency_us\n0,10\n50,20\n", vec![pair("0ns", "10us"), pair("50ms", "20us")]),
            ("latency_ms,time_s\n10,0\n20,1\n", vec![pair("0ns", "10ms"), pair("1s", "20ms")]),
            ("time_s,rtt_ms,host\n1,10,a\n", vec![pair("1s", "5ms")]),
            ("t (s)\tdelay (us)\n1\t10\n", vec![pair("1s", "10us")]),
        ] {
            assert_eq!(records(text).unwrap(), expected, "{text}");
        }
        for text in ["a,b\n0,10\n", "latency_ms,rtt_ms\n1,2\n", "time_s,latency_parsec\n0,1\n"] {
            assert!(records(text).unwrap_err().1.contains("found the heading"), "{text}");
        }
        assert_eq!(records("0,10\nx,20\n").unwrap_err().0, 2);
    }
}
