//! What changes over time in CSV: a column of times, and one for each of what changes. Columns are found by the names in
//! the first line, and units by what follows the last underscore of a name: `time_s,rate_mbit,available`.

use super::table::{Lines, Problem, rate_unit, unit_of, with_unit};
use super::traces::{LATENCIES, ROUND_TRIPS, TIMES};
use hcddl_core::domain::units::{Duration, Rate};
use serde_json::{Map, Value};

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Time,
    /// The key of a record that it becomes: `rate`, `up`, `down`.
    Rate(&'static str),
    Latency,
    RoundTrip,
    Available,
}

struct Column<'a> {
    name: &'a str,
    quantity: Quantity,
    unit: &'a str,
}

const RATES: [&str; 4] = ["rate", "bandwidth", "bw", "throughput"];
const UPS: [&str; 4] = ["up", "uplink", "upload", "tx"];
const DOWNS: [&str; 4] = ["down", "downlink", "download", "rx"];
const STATES: [&str; 4] = ["available", "availability", "state", "online"];
const ALLOWED: &str = "`time_s`, `rate_mbit`, `up_mbit`, `down_mbit`, `latency_ms`, `rtt_ms`, `available`";

/// Records as a scenario may write them, in order of time.
///
/// # Errors
/// The line and what is wrong with it: a column that is not known, no unit, no value, a time that does not grow.
pub(super) fn records(text: &str) -> Result<Vec<Value>, Problem> {
    let lines = Lines::of(text)?;
    let Some(heading) = &lines.heading else {
        return Err((1, format!("expected a heading such as `time_s,rate_mbit`; columns: {ALLOWED}")));
    };
    let columns: Vec<Column<'_>> = heading
        .iter()
        .map(|name| column(name).map_err(|problem| (lines.heading_line, problem)))
        .collect::<Result<_, _>>()?;
    check(&columns).map_err(|problem| (lines.heading_line, problem))?;
    let mut records = Vec::new();
    let mut before: Option<Duration> = None;
    for (line, fields) in lines.rows() {
        let (at, record) = record(&columns, &fields).map_err(|problem| (line, problem))?;
        if let Some(before) = before.filter(|before| at <= *before) {
            return Err((
                line,
                format!("the time {at} does not follow {before} on the line before; times grow"),
            ));
        }
        before = Some(at);
        records.push(record);
    }
    if records.is_empty() {
        return Err((lines.heading_line, "a heading without records".to_owned()));
    }
    Ok(records)
}

fn column(name: &str) -> Result<Column<'_>, String> {
    let known = |name: &str| {
        let name = name.to_ascii_lowercase();
        let of = |names: &[&str], quantity| names.contains(&name.as_str()).then_some(quantity);
        of(&TIMES, Quantity::Time)
            .or_else(|| of(&RATES, Quantity::Rate("rate")))
            .or_else(|| of(&UPS, Quantity::Rate("up")))
            .or_else(|| of(&DOWNS, Quantity::Rate("down")))
            .or_else(|| of(&LATENCIES, Quantity::Latency))
            .or_else(|| of(&ROUND_TRIPS, Quantity::RoundTrip))
            .or_else(|| of(&STATES, Quantity::Available))
    };
    if let Some(quantity) = known(name) {
        let unit = if name.eq_ignore_ascii_case("seconds") { "s" } else { "" };
        return Ok(Column { name, quantity, unit });
    }
    let shown = name.escape_debug();
    let unknown = || format!("unknown column `{shown}`; allowed: {ALLOWED}");
    let (stem, unit) = unit_of(name).ok_or_else(unknown)?;
    let quantity = known(stem).ok_or_else(unknown)?;
    let (fits, unit, units) = match quantity {
        Quantity::Rate(_) => {
            let unit = rate_unit(unit);
            (format!("1{unit}").parse::<Rate>().is_ok(), unit, "bit, kbit, mbit, gbit, kB/s, MB/s, GB/s")
        }
        Quantity::Available => (false, unit, "none: 0, 1, up, down, on, off"),
        _ => (format!("1{unit}").parse::<Duration>().is_ok(), unit, "ns, us, ms, s, min, h, d"),
    };
    if !fits {
        let unit = unit.escape_debug();
        return Err(format!("unknown unit `{unit}` of the column `{shown}`; allowed: {units}"));
    }
    Ok(Column { name, quantity, unit })
}

/// One column of times, at least one other, and none of them twice.
fn check(columns: &[Column<'_>]) -> Result<(), String> {
    let key = |quantity| match quantity {
        Quantity::RoundTrip => Quantity::Latency,
        other => other,
    };
    for (i, column) in columns.iter().enumerate() {
        if let Some(other) = columns[..i].iter().find(|other| key(other.quantity) == key(column.quantity)) {
            return Err(format!("the columns `{}` and `{}` say the same", other.name, column.name));
        }
    }
    let has_time = columns.iter().any(|column| column.quantity == Quantity::Time);
    if !has_time || columns.len() < 2 {
        return Err(format!("expected a column of times and one of what changes; allowed: {ALLOWED}"));
    }
    Ok(())
}

fn record(columns: &[Column<'_>], fields: &[&str]) -> Result<(Duration, Value), String> {
    if fields.len() > columns.len() {
        return Err(format!("{} values for {} columns", fields.len(), columns.len()));
    }
    let mut at = Duration::default();
    let mut record = Map::new();
    for (i, column) in columns.iter().enumerate() {
        let field = fields.get(i).copied().unwrap_or_default();
        if field.is_empty() {
            return Err(format!("no value for the column `{}`", column.name));
        }
        let unitless = if column.quantity == Quantity::Time { "s" } else { "" };
        let unit = if column.unit.is_empty() { unitless } else { column.unit };
        let text = with_unit(field, unit);
        let wrong = |error: hcddl_core::domain::OptionError| format!("`{}`: {error}", column.name);
        let duration = || text.parse::<Duration>().map_err(wrong);
        let (key, value) = match column.quantity {
            Quantity::Time => {
                at = duration()?;
                ("at", at.to_string().into())
            }
            Quantity::Latency => ("latency", duration()?.to_string().into()),
            Quantity::RoundTrip => {
                let mut latency = duration()?;
                latency.0.0 /= 2;
                ("latency", latency.to_string().into())
            }
            Quantity::Rate(key) => (key, text.parse::<Rate>().map_err(wrong)?.to_string().into()),
            Quantity::Available => ("available", state(field)?.into()),
        };
        record.insert(key.to_owned(), value);
    }
    Ok((at, record.into()))
}

fn state(field: &str) -> Result<bool, String> {
    match field.to_ascii_lowercase().as_str() {
        "1" | "up" | "on" | "true" => Ok(true),
        "0" | "down" | "off" | "false" => Ok(false),
        _ => Err(format!(
            "unknown state `{}`; allowed: 1, up, on, true; 0, down, off, false",
            field.escape_debug()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_have_names_and_units() {
        for (text, expected) in [
            (
                "time_s,rate_mbit\n0,10\n1.5,0\n",
                json!([{"at": "0ns", "rate": "10mbit"}, {"at": "1.5s", "rate": "0bit"}]),
            ),
            ("up_kbps;down_MB/s;t_ms\n8;1;0\n", json!([{"at": "0ns", "up": "8kbit", "down": "8mbit"}])),
            (
                "time,rtt_ms,state\n0,8,up\n1,9,down\n",
                json!([
                {"at": "0ns", "latency": "4ms", "available": true}, {"at": "1s", "latency": "4.5ms", "available": false}]),
            ),
            ("available\ttime_min\n1\t2\n", json!([{"at": "2min", "available": true}])),
        ] {
            assert_eq!(Value::from(records(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_have_their_lines() {
        for (text, line, part) in [
            ("0,10\n", 1, "expected a heading"),
            ("time_s,speed_mbit\n0,1\n", 1, "unknown column `speed_mbit`; allowed: `time_s`"),
            ("time_s,rate_parsec\n0,1\n", 1, "unknown unit `parsec` of the column `rate_parsec`"),
            ("\ntime_s,rate_mbit,bw_mbit\n0,1,2\n", 2, "`rate_mbit` and `bw_mbit` say the same"),
            ("time_s,latency_ms,rtt_ms\n0,1,2\n", 1, "say the same"),
            ("time_s\n0\n", 1, "and one of what changes"),
            ("rate_mbit\n0\n", 1, "expected a column of times"),
            ("time_s,rate_mbit\n", 1, "a heading without records"),
            ("time_s,rate_mbit\n0,1\n1,\n", 3, "no value for the column `rate_mbit`"),
            ("time_s,rate_mbit\n0,1\n1\n", 3, "no value for the column `rate_mbit`"),
            ("time_s,rate_mbit\n0,1\n1,2,3\n", 3, "3 values for 2 columns"),
            ("time_s,rate_mbit\n0,1\n\n2,1\n1,1\n", 5, "1s does not follow 2s"),
            ("time_s,rate_mbit\n0,1\n0,2\n", 3, "does not follow"),
            ("time_s,rate_mbit\n0,-1\n", 2, "negative"),
            ("time_s,rate\n0,1\n", 2, "no unit"),
            ("time_s,available\n0,maybe\n", 2, "unknown state `maybe`"),
            ("time_s,available_s\n0,1\n", 1, "unknown unit `s`"),
        ] {
            let (at, problem) = records(text).unwrap_err();
            assert!(at == line && problem.contains(part), "{text:?}: {at}: {problem}");
        }
    }
}
