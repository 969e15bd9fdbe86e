//! Matrices in text files, as measurements publish them: squares, and lists of pairs.

use super::table::{Lines, Problem, is_value, rate_unit, unit_of, with_unit};
use hcddl_core::domain::OptionError;
use hcddl_core::domain::units::{Duration, Rate};
use std::collections::BTreeMap;

/// What a matrix holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Latency,
    Rate,
}

/// What the scenario says about a matrix.
pub(super) struct Told<'a> {
    pub of: Of,
    pub unit: Option<&'a str>,
    pub round_trip: Option<bool>,
}

/// A matrix as read: quantities as texts with their units, one way.
#[derive(Debug, PartialEq)]
pub(super) struct Matrix {
    pub names: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

/// Reads one.
///
/// # Errors
/// The line, and what is wrong with it, with the column.
pub(super) fn read(text: &str, told: &Told<'_>) -> Result<Matrix, Problem> {
    // King's lists are parted by blanks.
    let first = text.lines().find(|line| !line.trim().is_empty()).ok_or((1, "an empty file".to_owned()))?;
    let blanks = !first.contains([',', ';', '\t']);
    let spaced = blanks.then(|| {
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join("\t");
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    });
    let text = spaced.as_deref().unwrap_or(text);
    let lines =
        Lines::with(text, |fields| !fields.iter().skip(1).any(|field| is_value(field)) || names(fields))?;
    let heading = lines.heading.as_deref().unwrap_or_default();
    let place = |name: &str| heading.iter().position(|field| field.eq_ignore_ascii_case(name));
    if let (Some(from), Some(to)) = (place("source"), place("destination")) {
        let avg = place("avg").ok_or((lines.heading_line, "no column `avg`".to_owned()))?;
        return pairs(&lines, [from, to, avg], "avg", "ms", Some(true), told, true);
    }
    let width = lines.rows().next().map_or(0, |(_, fields)| fields.len());
    let count = lines.rows().count();
    // A matrix of three places without names looks like pairs, unless there are three lines.
    let square = width == count || width == count + 1;
    if width == 3 && !square || heading.len() == 3 && said(heading[0]).is_none() && said(heading[2]).is_some()
    {
        let name = heading.get(2).copied().unwrap_or_default();
        return pairs(&lines, [0, 1, 2], name, "", None, told, false);
    }
    squares(&lines, told)
}

/// Whether a first line of values can be names: numbers without a unit or point would be taken for values.
fn names(fields: &[&str]) -> bool {
    fields.first().is_some_and(|corner| !is_value(corner) && !corner.is_empty() && said(corner).is_some())
}

/// What a heading says of the values: their unit, and whether they are round trips.
fn said(name: &str) -> Option<(&str, Option<bool>)> {
    let (stem, unit) = unit_of(name).unwrap_or((name, ""));
    let trip = match stem.to_ascii_lowercase().as_str() {
        "rtt" | "round_trip" | "ping" => Some(true),
        "latency" | "delay" | "one_way" | "owd" => Some(false),
        "rate" | "bandwidth" | "bw" | "throughput" => None,
        _ => return None,
    };
    Some((unit, trip))
}

/// Turns fields into quantities.
struct Reader<'a> {
    of: Of,
    unit: &'a str,
    halve: bool,
}

impl<'a> Reader<'a> {
    fn new(
        line: usize,
        heading: &'a str,
        unit: &'a str,
        trip: Option<bool>,
        told: &Told<'a>,
    ) -> Result<Self, Problem> {
        let (named, named_trip) = said(heading).unwrap_or(("", None));
        let own = if unit.is_empty() { named } else { unit };
        if let Some(told) = told.unit.filter(|told| !own.is_empty() && *told != own) {
            return Err((line, format!("the unit is `{own}` here, but `unit: {told}` in the scenario")));
        }
        let trip = trip.or(named_trip);
        if let (Some(here), Some(told)) = (trip, told.round_trip)
            && here != told
        {
            let way = if here { "there and back" } else { "one way" };
            return Err((line, format!("the file says {way}, the scenario `round_trip: {told}`")));
        }
        let halve = match (told.of, told.round_trip.or(trip)) {
            (Of::Rate, _) => false,
            (Of::Latency, Some(trip)) => trip,
            (Of::Latency, None) => {
                let message =
                    "it is not said whether latencies are one way or there and back; set `round_trip`";
                return Err((line, message.to_owned()));
            }
        };
        Ok(Self { of: told.of, unit: rate_unit(told.unit.unwrap_or(own)), halve })
    }

    fn value(&self, line: usize, column: usize, field: &str) -> Result<String, Problem> {
        let at = |error: OptionError| (line, format!("column {column}: {}", error.message));
        let text = with_unit(field, self.unit);
        match self.of {
            Of::Rate => {
                let rate: Rate = text.parse().map_err(at)?;
                if rate.0 == 0.0 {
                    return Err((line, format!("column {column}: a rate of 0; expected more")));
                }
                Ok(rate.to_string())
            }
            Of::Latency => {
                let mut latency: Duration = text.parse().map_err(at)?;
                latency.0.0 /= if self.halve { 2 } else { 1 };
                Ok(latency.to_string())
            }
        }
    }
}

fn squares(lines: &Lines<'_>, told: &Told<'_>) -> Result<Matrix, Problem> {
    let heading = lines.heading.as_deref().unwrap_or_default();
    let rows: Vec<(usize, Vec<&str>)> = lines.rows().collect();
    let n = rows.len();
    let is_name = |field: &str| !is_value(field) && !["", "-", "nan", "NaN"].contains(&field);
    let first_is_name = rows.first().is_some_and(|(_, fields)| fields.len() == n + 1 || is_name(fields[0]));
    let corner = heading.first().copied().filter(|_| heading.len() == n + 1 || said(heading[0]).is_some());
    let reader = Reader::new(lines.heading_line.max(1), corner.unwrap_or_default(), "", None, told)?;
    let skipped = usize::from(first_is_name);
    let mut matrix = Matrix { names: Vec::new(), rows: Vec::new() };
    for (i, (line, fields)) in rows.iter().enumerate() {
        if fields.len() != n + skipped {
            let message =
                format!("{} values where the matrix has {n} lines", fields.len().saturating_sub(skipped));
            return Err((*line, message));
        }
        let values = fields[skipped..].iter().enumerate().map(|(j, field)| match *field {
            "" | "-" | "nan" | "NaN" if i == j => Ok(None),
            // A place's rate to itself is nothing that anybody measures.
            _ if i == j && told.of == Of::Rate => Ok(None),
            "" => Err((*line, format!("column {}: no value between two places", j + skipped + 1))),
            field => reader.value(*line, j + skipped + 1, field).map(Some),
        });
        matrix.rows.push(values.collect::<Result<_, _>>()?);
        matrix.names.push(if first_is_name { fields[0].to_owned() } else { String::new() });
    }
    let across = &heading[heading.len().saturating_sub(n)..];
    if !heading.is_empty() && (across.len() != n || heading.len() > n + 1) {
        let message = format!("{} names where the matrix has {n} lines", heading.len());
        return Err((lines.heading_line, message));
    }
    for (i, name) in matrix.names.iter_mut().enumerate() {
        match across.get(i) {
            Some(other) if first_is_name && other != name => {
                let message =
                    format!("the place {i} is `{other}` in the heading and `{name}` in the first column");
                return Err((lines.heading_line, message));
            }
            Some(other) => (*other).clone_into(name),
            None if !first_is_name => *name = i.to_string(),
            None => {}
        }
    }
    unique(&matrix.names).map_err(|problem| (lines.heading_line.max(1), problem))?;
    Ok(matrix)
}

/// A list of pairs; of pairs that come several times the mean, where that is usual.
fn pairs(
    lines: &Lines<'_>,
    [from, to, value]: [usize; 3],
    heading: &str,
    unit: &str,
    trip: Option<bool>,
    told: &Told<'_>,
    repeated: bool,
) -> Result<Matrix, Problem> {
    let reader = Reader::new(lines.heading_line.max(1), heading, unit, trip, told)?;
    let mut names: Vec<String> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut found: BTreeMap<(usize, usize), (f64, u32)> = BTreeMap::new();
    for (line, fields) in lines.rows() {
        let needed = [from, to, value].into_iter().max().unwrap_or_default();
        if fields.len() <= needed || [from, to, value].iter().any(|at| fields[*at].is_empty()) {
            return Err((
                line,
                format!("{} values; expected two places and what is between them", fields.len()),
            ));
        }
        let mut place = |name: &str| {
            *places.entry(name.to_owned()).or_insert_with(|| {
                names.push(name.to_owned());
                names.len() - 1
            })
        };
        let pair = (place(fields[from]), place(fields[to]));
        let text = reader.value(line, value + 1, fields[value])?;
        let number = match told.of {
            Of::Latency => text.parse::<Duration>().map_or(0.0, |latency| latency.0.0 as f64),
            Of::Rate => text.parse::<Rate>().map_or(0.0, |rate| rate.0),
        };
        let entry = found.entry(pair).or_insert((0.0, 0));
        if entry.1 > 0 && !repeated {
            let message = format!("the pair `{} {}` a second time", fields[from], fields[to]);
            return Err((line, message));
        }
        *entry = (entry.0 + number, entry.1 + 1);
    }
    let shown = |(sum, count): (f64, u32)| {
        let mean = sum / f64::from(count);
        match told.of {
            Of::Latency => Duration(hcddl_core::domain::Span((mean + 0.5) as u64)).to_string(),
            Of::Rate => Rate(mean).to_string(),
        }
    };
    // What was measured one way only counts for both.
    let of = |i: usize, j: usize| found.get(&(i, j)).or_else(|| found.get(&(j, i))).copied().map(shown);
    let n = names.len();
    let rows = (0..n).map(|i| (0..n).map(|j| of(i, j)).collect()).collect();
    Ok(Matrix { names, rows })
}

fn unique(names: &[String]) -> Result<(), String> {
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two places of the name `{}`", pair[0])),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(text: &str) -> Result<Matrix, Problem> {
        read(text, &Told { of: Of::Latency, unit: None, round_trip: None })
    }

    fn shown(matrix: Matrix) -> String {
        let row = |row: &Vec<Option<String>>| {
            row.iter().map(|value| value.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" ")
        };
        let rows: Vec<String> = matrix.rows.iter().map(row).collect();
        format!("{}: {}", matrix.names.join(" "), rows.join(" / "))
    }

    #[test]
    fn squares_and_pairs_are_read() {
        for (text, expected) in [
            ("rtt_ms,a,b\na,0,4\nb,6,0\n", "a b: 0ns 2ms / 3ms 0ns"),
            ("latency_us;a;b\na;-;4\nb;6;\n", "a b: - 4us / 6us -"),
            ("latency_ms,a,b\n0,4\n6,0\n", "a b: 0ns 4ms / 6ms 0ns"),
            ("a b rtt_us\nx y 4000\nx z 8ms\ny z 2000\n", "x y z: - 2ms 4ms / 2ms - 1ms / 4ms 1ms -"),
            (
                "\"source\",\"destination\",\"min\",\"avg\",\"max\"\n1,2,9,10,11\n2,1,9,12,11\n1,2,9,14,11\n",
                "1 2: - 6ms / 6ms -",
            ),
        ] {
            assert_eq!(shown(latency(text).unwrap()), expected, "{text}");
        }
        let told = Told { of: Of::Latency, unit: Some("ms"), round_trip: Some(false) };
        assert_eq!(shown(read("0,1\n2,0\n", &told).unwrap()), "0 1: 0ns 1ms / 2ms 0ns");
        assert_eq!(
            shown(read("0 1 5\n2 0 7\n3 4 0\n", &told).unwrap()),
            "0 1 2: 0ns 1ms 5ms / 2ms 0ns 7ms / 3ms 4ms 0ns"
        );
        assert_eq!(shown(read("a b\n0 1\n2 0\n", &told).unwrap()), "a b: 0ns 1ms / 2ms 0ns");
        let told = Told { of: Of::Rate, unit: None, round_trip: None };
        assert_eq!(shown(read("rate_mbps,a,b\na,,4\nb,6,\n", &told).unwrap()), "a b: - 4mbit / 6mbit -");
    }

    #[test]
    fn mistakes_have_lines_and_columns() {
        for (text, line, part) in [
            ("rtt_ms,a,b\na,0,4\nb,6\n", 3, "1 values where the matrix has 2 lines"),
            ("rtt_ms,a,b,c\na,0,4,1\nb,6,0,1\n", 2, "3 values where the matrix has 2 lines"),
            ("rtt_ms,a,b\na,0,-4\nb,6,0\n", 2, "column 3: the duration `-4ms` is negative"),
            ("rtt_ms,a,b\na,0,\nb,6,0\n", 2, "column 3: no value between two places"),
            ("rtt_ms,a,a\na,0,1\na,6,0\n", 1, "two places of the name `a`"),
            ("rtt_ms,a,b\na,0,1\nc,6,0\n", 1, "`b` in the heading and `c` in the first column"),
            ("rtt_parsec,a,b\na,0,1\nb,6,0\n", 2, "column 2: unknown unit `parsec`"),
            ("0,1\n2,0\n", 1, "set `round_trip`"),
            ("a b rtt_us\nx y 4\nx y 5\n", 3, "the pair `x y` a second time"),
            ("a b rtt_us\nx y\n", 2, "2 values; expected two places"),
            ("source,destination,min\n1,2,3\n", 1, "no column `avg`"),
            ("", 1, "an empty file"),
        ] {
            let (at, problem) = latency(text).unwrap_err();
            assert!(at == line && problem.contains(part), "{text:?}: {at}: {problem}");
        }
        let told = Told { of: Of::Latency, unit: None, round_trip: Some(false) };
        assert!(read("rtt_ms,a,b\na,0,4\nb,6,0\n", &told).unwrap_err().1.contains("there and back"));
        let told = Told { of: Of::Latency, unit: Some("us"), round_trip: None };
        assert!(read("rtt_ms,a,b\na,0,4\nb,6,0\n", &told).unwrap_err().1.contains("unit: us"));
    }
}
