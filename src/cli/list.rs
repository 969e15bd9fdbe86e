//! `hcddl list [TABLE]`

use super::{Ending, Usage, output};
use clap::Args;
use hcddl_core::domain::table::nearest;
use hcddl_learn::split::{DATA_OPTIONS, PARTITION_OPTIONS};
use hcddl_plan::registry::{Listing, Registry};
use serde_json::json;
use std::fmt::Write;

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Which table, as in `policies`; all when left out
    table: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn execute(args: &ListArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let all = registry.listings();
    let chosen: Vec<&Listing> = match &args.table {
        None => all.iter().collect(),
        Some(name) => vec![find(&all, name)?],
    };
    output::result(&if args.json { as_json(&chosen) } else { as_text(&chosen) })?;
    Ok(Ending::Done)
}

/// The table of this name, in the singular or the plural.
fn find<'a>(all: &'a [Listing], name: &str) -> Result<&'a Listing, Usage> {
    let plural = |listing: &&Listing| {
        listing.name == name
            || listing.name.strip_suffix('s') == Some(name)
            || listing.name.strip_suffix("ies").is_some_and(|stem| name == format!("{stem}y"))
    };
    all.iter().find(plural).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|listing| listing.name).collect();
        let hint = nearest(name, names.iter().copied())
            .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        Usage(format!("unknown table `{name}`; allowed: {}{hint}", names.join(", ")))
    })
}

fn as_text(listings: &[&Listing]) -> String {
    let mut text = String::new();
    for (i, listing) in listings.iter().enumerate() {
        let _ = writeln!(text, "{}{}", if i == 0 { "" } else { "\n" }, listing.name);
        let width = listing.rows.iter().map(|row| row[0].len()).max().unwrap_or(0);
        for [name, summary, example] in &listing.rows {
            let _ = writeln!(text, "  {name:width$}  {summary}\n  {:width$}  {example}", "");
        }
        let common = match listing.name {
            "data" => DATA_OPTIONS,
            "partitions" => PARTITION_OPTIONS,
            _ => continue,
        };
        let _ = writeln!(text, "  each of them also takes {common}");
    }
    text
}

fn as_json(listings: &[&Listing]) -> String {
    let tables: serde_json::Map<String, serde_json::Value> = listings
        .iter()
        .map(|listing| {
            let rows = listing.rows.iter().map(
                |[name, summary, example]| json!({ "name": name, "summary": summary, "example": example }),
            );
            (listing.name.to_owned(), rows.collect())
        })
        .collect();
    format!("{:#}\n", serde_json::Value::Object(tables))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> [Listing; 2] {
        [
            Listing { name: "policies", rows: vec![["sync", "Rounds", "{name: sync}"]] },
            Listing {
                name: "models",
                rows: vec![["softmax", "One layer", "softmax"], ["mlp", "Two", "mlp(8)"]],
            },
        ]
    }

    #[test]
    fn a_table_is_found_in_singular_and_plural() {
        let all = two();
        for name in ["policies", "policy"] {
            assert_eq!(find(&all, name).unwrap().name, "policies");
        }
        assert_eq!(find(&all, "model").unwrap().name, "models");
        let error = find(&all, "modles").err().unwrap().to_string();
        assert_eq!(error, "unknown table `modles`; allowed: policies, models; did you mean `models`?");
    }

    #[test]
    fn the_whole_text() {
        let all = two();
        let text = as_text(&all.iter().collect::<Vec<_>>());
        let lines = [
            "policies",
            "  sync  Rounds",
            "        {name: sync}",
            "",
            "models",
            "  softmax  One layer",
            "           softmax",
            "  mlp      Two",
            "           mlp(8)",
            "",
        ];
        assert_eq!(text, lines.join("\n"));
    }
}
