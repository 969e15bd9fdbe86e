//! Tables in text files: lines of fields, with or without a heading, parted by commas, semicolons or tabs.

use hcddl_core::domain::text::separator;

/// A line, from 1, and what is wrong with it.
pub(super) type Problem = (usize, String);

/// A table with or without a heading.
pub(super) struct Lines<'a> {
    text: &'a str,
    separator: char,
    pub heading: Option<Vec<&'a str>>,
    pub heading_line: usize,
}

impl<'a> Lines<'a> {
    /// A first line of names alone is a heading.
    pub fn of(text: &'a str) -> Result<Self, Problem> {
        Self::with(text, |fields| fields.iter().all(|field| !is_value(field)))
    }

    /// A first line of which `names` says so is a heading.
    pub fn with(text: &'a str, names: impl Fn(&[&str]) -> bool) -> Result<Self, Problem> {
        let doubt = |_| (1, "the columns are parted in more than one way; use commas".to_owned());
        let separator = separator(text).map_err(doubt)?;
        let mut lines = Self { text, separator, heading: None, heading_line: 0 };
        if let Some((line, fields)) = lines.all().next()
            && names(&fields)
        {
            (lines.heading, lines.heading_line) = (Some(fields), line);
        }
        Ok(lines)
    }

    fn all(&self) -> impl Iterator<Item = (usize, Vec<&'a str>)> + use<'a> {
        let separator = self.separator;
        let lines = self.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.map(move |(i, line)| (i + 1, split(line, separator)))
    }

    /// The lines below the heading, empty ones aside.
    pub fn rows(&self) -> impl Iterator<Item = (usize, Vec<&'a str>)> + use<'a> {
        let heading = self.heading_line;
        self.all().filter(move |(line, _)| *line > heading)
    }
}

/// The fields of a line; a separator between quotes parts nothing.
fn split(line: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    let fields = line.split(move |c: char| {
        quoted ^= c == '"';
        !quoted && c == separator
    });
    fields.map(|field| field.trim().trim_matches('"').trim()).collect()
}

/// Whether a field begins as a number does.
pub(super) fn is_value(field: &str) -> bool {
    field.trim_start_matches(['+', '-', '.']).starts_with(|c: char| c.is_ascii_digit())
}

/// A name and the unit behind it: `latency_ms`, `latency (ms)`, `latency[ms]`.
pub(super) fn unit_of(name: &str) -> Option<(&str, &str)> {
    let (name, unit) = name.rsplit_once(['_', '(', '['])?;
    let unit = unit.trim_end_matches([')', ']']).trim();
    (!unit.is_empty()).then_some((name.trim(), unit))
}

/// A number with the unit of its column; one that has a unit of its own keeps it.
pub(super) fn with_unit(field: &str, unit: &str) -> String {
    let bare = field.ends_with(|c: char| c.is_ascii_digit() || c == '.');
    if bare { format!("{field}{unit}") } else { field.to_owned() }
}

/// A unit of rates as a scenario writes it, where a heading may write it otherwise: `kbps` is `kbit`.
pub(super) fn rate_unit(unit: &str) -> &str {
    match unit {
        "bps" => "bit",
        "kbps" => "kbit",
        "mbps" | "Mbps" | "Mbit" => "mbit",
        "gbps" | "Gbps" | "Gbit" => "gbit",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_parted_outside_of_quotes() {
        let lines = Lines::of("id,\"a, b\"\n1,\"c, d\"\n\n2, e \n").unwrap();
        assert_eq!((lines.heading.as_deref(), lines.heading_line), (Some(&["id", "a, b"][..]), 1));
        assert_eq!(lines.rows().collect::<Vec<_>>(), [(2, vec!["1", "c, d"]), (4, vec!["2", "e"])]);
        assert_eq!(unit_of("latency (ms)"), Some(("latency", "ms")));
        assert_eq!((unit_of("rate_mbit"), unit_of("rate")), (Some(("rate", "mbit")), None));
        assert_eq!((with_unit("3", "ms"), with_unit("3s", "ms")), ("3ms".to_owned(), "3s".to_owned()));
    }
}
