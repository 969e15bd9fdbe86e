//! Which node holds which sample, as a file says.

use serde_json::Value;
use std::collections::BTreeMap;

/// The number of the node of each sample. A line is a node, of the samples in their order; or, below the heading
/// `sample,node` in either order, a sample's number from 0 and its node.
///
/// # Errors
/// The line, and what is wrong with it.
pub fn nodes(text: &str) -> Result<Vec<Value>, (usize, String)> {
    let fields = |line: &str| -> Vec<String> {
        line.split([',', ';', '\t']).map(|field| field.trim().trim_matches('"').to_owned()).collect()
    };
    let lines = text.lines().zip(1..);
    let mut lines =
        lines.filter(|(line, _)| !line.trim().is_empty()).map(|(line, i)| (fields(line), i)).peekable();
    let heading = lines.next_if(|(fields, _)| fields.iter().any(|field| field.parse::<f64>().is_err()));
    let (columns, place) = match &heading {
        None => (vec!["node".to_owned()], 1),
        Some((names, line)) => (names.clone(), *line),
    };
    let at = |name: &str| columns.iter().position(|column| column.eq_ignore_ascii_case(name));
    let (sample, node) = match (at("sample"), at("node"), columns.len()) {
        (sample @ Some(_), Some(node), 2) => (sample, node),
        (None, Some(node), 1) => (None, node),
        _ => {
            let message =
                format!("the columns `{}`; allowed: `sample,node`, or `node` alone", columns.join(","));
            return Err((place, message));
        }
    };
    let mut found = BTreeMap::new();
    for (fields, line) in lines {
        if fields.len() != columns.len() {
            let message = match heading {
                None => format!("{} values without a heading such as `sample,node`", fields.len()),
                Some(_) => format!("{} values for {} columns", fields.len(), columns.len()),
            };
            return Err((line, message));
        }
        let number = |at: usize| {
            let wrong = || (line, format!("expected a whole number, found `{}`", fields[at].escape_debug()));
            fields[at].parse::<i64>().map_err(|_| wrong())
        };
        let sample = sample.map_or(Ok(found.len() as i64), number)?;
        if found.insert(sample, number(node)?).is_some() {
            return Err((line, format!("the sample {sample} a second time")));
        }
    }
    match (0..).zip(found.keys()).find(|(expected, sample)| expected != *sample) {
        Some((expected, _)) if expected == 0 && found.keys().next().is_some_and(|first| *first < 0) => {
            Err((place, "a sample below 0; samples are numbered from 0".to_owned()))
        }
        Some((missing, _)) => {
            Err((place, format!("no node for the sample {missing}; samples are numbered from 0")))
        }
        None => Ok(found.into_values().map(Value::from).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_by_name_or_in_order() {
        for text in [
            "1\n0\n-1\n",
            "node\n1\n0\n-1\n",
            "sample,node\r\n0,1\r\n2,-1\r\n1,0\r\n",
            "node;sample\n-1;2\n1;0\n0;1\n",
            "\"sample\"\t\"node\"\n0\t1\n\n1\t0\n2\t-1\n",
        ] {
            assert_eq!(nodes(text).unwrap(), [1, 0, -1], "{text:?}");
        }
        for (text, line, part) in [
            ("0,1\n", 1, "2 values without a heading"),
            ("a,b\n0,1\n", 1, "the columns `a,b`; allowed: `sample,node`"),
            ("sample,node\n0,1\n0,2\n", 3, "the sample 0 a second time"),
            ("sample,node\n0,1\n2,2\n", 1, "no node for the sample 1"),
            ("sample,node\n-1,1\n0,2\n", 1, "a sample below 0"),
            ("sample,node\n0\n", 2, "1 values for 2 columns"),
            ("node\n1.5\n", 2, "expected a whole number, found `1.5`"),
        ] {
            let (at, message) = nodes(text).unwrap_err();
            assert!(at == line && message.contains(part), "{text:?}: {at} {message}");
        }
    }
}
