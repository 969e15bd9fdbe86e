//! Readings of an external power meter (a Shelly plug, an INA219 on a board of its own, a wattmeter with a log), given
//! after a deployed run: a CSV file with a column of times and one of powers, whose names end in their units, and maybe
//! one of hosts.
//!
//! ```csv
//! time_s,power_w,host
//! 1764345600.0,4.1,pi1
//! ```
//!
//! Times are seconds since 1970 or since the run's begin; which of the two, their size says.

use super::csv::Csv;
use hcddl_core::error::UserError;
use std::collections::BTreeMap;
use std::path::Path;

/// What a meter has measured of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Meter {
    /// The file.
    pub file: String,
    /// Joules by host; one entry without a name where the file names none.
    pub joules: BTreeMap<String, f64>,
    /// Seconds of the run that readings cover, of the host with the fewest.
    pub covered_s: f64,
}

const NEXT_STEP: &str = "give a CSV file with a header such as time_s,power_w or unix_ms,power_mw,host";
/// Words for a column of times, and units of it in seconds.
const TIMES: (&[&str], &[(&str, f64)]) =
    (&["time", "t", "timestamp", "unix", "seconds"], &[("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)]);
/// Words for a column of powers, and units of it in watts.
const POWERS: (&[&str], &[(&str, f64)]) =
    (&["power", "p", "watts", "apower"], &[("w", 1.0), ("mw", 1e-3), ("kw", 1e3)]);
/// Seconds that are a date and no time since a run's begin: thirty years.
const DATES_FROM: f64 = 1e9;

/// A quantity with its unit: `power_mw`, `power (mW)`, `watts`.
fn column(csv: &Csv, (words, units): (&[&str], &[(&str, f64)])) -> Option<(usize, f64)> {
    csv.header.iter().enumerate().find_map(|(i, name)| {
        let name = name.trim().to_ascii_lowercase();
        let parts: Vec<&str> =
            name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
        match parts[..] {
            ["watts" | "seconds"] if words.contains(&parts[0]) => Some((i, 1.0)),
            [word, unit] if words.contains(&word) => {
                units.iter().find(|(known, _)| *known == unit).map(|(_, size)| (i, *size))
            }
            _ => None,
        }
    })
}

impl Meter {
    /// Reads a file and integrates it over a run of so many seconds that began at a date, in seconds since 1970.
    ///
    /// # Errors
    /// [`UserError`] when columns or numbers are missing, or no reading falls into the run.
    pub fn read(path: &Path, began: Option<f64>, seconds: f64) -> Result<Self, UserError> {
        let csv = Csv::read(path, NEXT_STEP)?;
        let file = path.display().to_string();
        let missing = |what: &str, allowed: &str| UserError {
            allowed: allowed.to_owned(),
            ..UserError::in_file(
                &file,
                format!("has no column of {what} with its unit, but {}", csv.header.join(", ")),
                NEXT_STEP,
            )
        };
        let (time, second) =
            column(&csv, TIMES).ok_or_else(|| missing("times", "time_s, time_ms, unix_s, unix_ms"))?;
        let (power, watt) =
            column(&csv, POWERS).ok_or_else(|| missing("powers", "power_w, power_mw, power_kw, watts"))?;
        let host = csv.find("host");
        let mut by_host: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for row in 0..csv.rows.len() {
            let (Some(at), Some(watts)) = (csv.number(row, time)?, csv.number(row, power)?) else { continue };
            if !at.is_finite() || !watts.is_finite() || watts < 0.0 {
                return Err(csv.mistake(row, power, "finite numbers, powers of zero or more"));
            }
            let at = at * second;
            let at = match (at > DATES_FROM, began) {
                (true, Some(began)) => at - began,
                (true, None) => {
                    let message = "has dates, and the run does not say when it began (clocks.csv)";
                    return Err(UserError::in_file(
                        &file,
                        message,
                        "give seconds since the run's begin instead",
                    ));
                }
                (false, _) => at,
            };
            let name = host.map_or(String::new(), |host| csv.rows[row][host].clone());
            by_host.entry(name).or_default().push((at, watts * watt));
        }
        let parts: BTreeMap<String, (f64, f64)> =
            by_host.into_iter().map(|(host, readings)| (host, integral(readings, seconds))).collect();
        let covered_s = parts.values().map(|part| part.1).fold(f64::INFINITY, f64::min);
        if parts.is_empty() || covered_s <= 0.0 {
            let message = format!("no two of its readings fall into the {seconds:.1} s of the run");
            return Err(UserError::in_file(
                &file,
                message,
                "its times are seconds since 1970 or since the run's begin",
            ));
        }
        let joules = parts.into_iter().map(|(host, part)| (host, part.0)).collect();
        Ok(Self { file, joules, covered_s })
    }

    /// Joules of all hosts.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.joules.values().sum()
    }
}

/// Joules between 0 and `until` by trapezoids, and how much of that time readings cover.
fn integral(mut readings: Vec<(f64, f64)>, until: f64) -> (f64, f64) {
    readings.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut joules, mut covered) = (0.0, 0.0);
    for pair in readings.windows(2) {
        let ((from, first), (to, last)) = (pair[0], pair[1]);
        let (start, end) = (from.max(0.0), to.min(until));
        if end > start && to > from {
            let at = |moment: f64| first + (last - first) * (moment - from) / (to - from);
            joules += 0.5 * (at(start) + at(end)) * (end - start);
            covered += end - start;
        }
    }
    (joules, covered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, began: Option<f64>) -> Result<Meter, UserError> {
        let path = std::env::temp_dir().join(format!("hcddl-meter-{}-{}", std::process::id(), text.len()));
        std::fs::write(&path, text).unwrap();
        let meter = Meter::read(&path, began, 10.0);
        std::fs::remove_file(&path).unwrap();
        meter
    }

    #[test]
    fn readings_are_integrated_over_the_run_alone() {
        let meter = read("time_s,power_w\n-5,2\n5,4\n15,6\n", None).unwrap();
        // From 3 W at 0 to 5 W at 10.
        assert!((meter.total() - 40.0).abs() < 1e-9 && (meter.covered_s - 10.0).abs() < 1e-9, "{meter:?}");
        let dated =
            read("unix (ms),Power [mW],host\n2000000000000,3000,a\n2000000004000,3000,a\n", Some(2e9))
                .unwrap();
        assert_eq!((dated.joules["a"], dated.covered_s), (12.0, 4.0));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let said = |text: &str| read(text, None).unwrap_err().to_string();
        assert!(said("time,power_w\n1,2\n").contains("column of times"));
        assert!(said("time_s,current_a\n1,2\n").contains("column of powers"));
        assert!(said("time_s,power_w\n100,2\n101,2\n").contains("fall into"));
        assert!(said("time_s,power_w\n1,x\n").contains("does not belong there"));
        assert!(said("time_s,power_w\n1,-4\n").contains("does not belong there"));
        assert!(said("time_s,power_w\n1764345600,2\n").contains("does not say when it began"));
    }
}
