//! `hcddl list [TABLE]`

use super::{Ending, Usage, output};
use clap::Args;
use hcddl_core::domain::table::nearest;
use hcddl_core::domain::{Row, Table};
use hcddl_learn::split::{DATA_OPTIONS, PARTITION_OPTIONS};
use hcddl_plan::registry::Registry;
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
    let all = registry.outlines();
    let chosen: Vec<&Table<()>> = match &args.table {
        None => all.iter().collect(),
        Some(name) => vec![find(&all, name)?],
    };
    output::result(&if args.json { as_json(&chosen) } else { as_text(&chosen) })?;
    Ok(Ending::Done)
}

/// The table of this name, in the singular or the plural.
fn find<'a>(all: &'a [Table<()>], name: &str) -> Result<&'a Table<()>, Usage> {
    let plural = |table: &&Table<()>| {
        table.list == name
            || table.list.strip_suffix('s') == Some(name)
            || table.list.strip_suffix("ies").is_some_and(|stem| name == format!("{stem}y"))
    };
    all.iter().find(plural).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|table| table.list).collect();
        let hint = nearest(name, names.iter().copied())
            .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        Usage(format!("unknown table `{name}`; allowed: {}{hint}", names.join(", ")))
    })
}

fn as_text(tables: &[&Table<()>]) -> String {
    let mut text = String::new();
    for (i, table) in tables.iter().enumerate() {
        let _ = writeln!(text, "{}{}", if i == 0 { "" } else { "\n" }, table.list);
        let width = table.rows().iter().map(|row| row.name.len()).max().unwrap_or(0);
        for Row { name, summary, example, .. } in table.rows() {
            let _ = writeln!(text, "  {name:width$}  {summary}\n  {:width$}  {example}", "");
        }
        let common = match table.list {
            "data" => DATA_OPTIONS,
            "partitions" => PARTITION_OPTIONS,
            _ => continue,
        };
        let _ = writeln!(text, "  each of them also takes {common}");
    }
    text
}

fn as_json(tables: &[&Table<()>]) -> String {
    let tables: serde_json::Map<String, serde_json::Value> = tables
        .iter()
        .map(|table| {
            let rows = table.rows().iter().map(
                |Row { name, summary, example, .. }| json!({ "name": name, "summary": summary, "example": example }),
            );
            (table.list.to_owned(), rows.collect())
        })
        .collect();
    format!("{:#}\n", serde_json::Value::Object(tables))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_core::domain::{NoOptions, Pluggable, options};

    struct Policies;
    struct Models;

    impl Pluggable for Policies {
        type Build = ();
        const KIND: &'static str = "policy";
        const LIST: &'static str = "policies";
    }

    impl Pluggable for Models {
        type Build = ();
        const KIND: &'static str = "model";
        const LIST: &'static str = "models";
    }

    fn two() -> [Table<()>; 2] {
        let row = |name, summary, example| {
            let options = options::<NoOptions>;
            Row { name, summary, example, positional: &[], options, build: () }
        };
        let models = vec![row("softmax", "One layer", "softmax"), row("mlp", "Two", "mlp(8)")];
        [Table::new::<Policies>(vec![row("sync", "Rounds", "{name: sync}")]), Table::new::<Models>(models)]
    }

    #[test]
    fn a_table_is_found_in_singular_and_plural() {
        let all = two();
        for name in ["policies", "policy"] {
            assert_eq!(find(&all, name).unwrap().list, "policies");
        }
        assert_eq!(find(&all, "model").unwrap().list, "models");
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
