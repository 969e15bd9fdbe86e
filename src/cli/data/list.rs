//! `hcddl data list`

use super::{Ending, at_hand};
use crate::cli::output;
use clap::Args;
use hcddl_core::domain::Choice;
use hcddl_learn::data::{DataContext, source};
use hcddl_plan::registry::Registry;
use hcddl_plan::scenario::load::data_dir;
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Where data files are [default: $HCDDL_DATA, else the cache of `hcddl data fetch`]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A data set as it is shown.
struct Shown {
    name: &'static str,
    summary: &'static str,
    state: String,
    licence: &'static str,
    note: &'static str,
    /// Addresses, and whether they were tried.
    urls: Vec<(&'static str, bool)>,
}

pub fn execute(args: &ListArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let directory = args.data_dir.clone().or_else(data_dir);
    let rows: Vec<Shown> =
        registry.learn.data.rows().iter().map(|row| shown(row, directory.as_deref())).collect();
    output::result(&if args.json { as_json(&rows) } else { as_text(&rows, directory.as_deref()) })?;
    Ok(Ending::Done)
}

fn shown(row: &hcddl_core::domain::Row<hcddl_learn::data::BuildData>, directory: Option<&Path>) -> Shown {
    let base = Shown {
        name: row.name,
        summary: row.summary,
        state: String::new(),
        licence: "",
        note: "",
        urls: Vec::new(),
    };
    let Some(source) = source(row.name) else {
        // What can be made from nothing needs no files; the rest reads what its options name.
        let made = (row.build)(&Choice::named(row.name), &DataContext::default()).is_ok();
        let state = if made { "built in" } else { "reads your own files" }.to_owned();
        return Shown { state, ..base };
    };
    let state = match directory {
        Some(directory) if at_hand(directory, &source) => "here".to_owned(),
        _ if source.files.is_empty() => "missing, to be made by hand".to_owned(),
        _ => format!("missing: `hcddl data fetch {}`", row.name),
    };
    let urls = source.files.iter().map(|file| (file.url, file.tried)).collect();
    Shown { state, licence: source.licence, note: source.note, urls, ..base }
}

fn as_text(rows: &[Shown], directory: Option<&Path>) -> String {
    let mut text = match directory {
        Some(directory) => format!("data directory: {}\n", directory.display()),
        None => "no data directory: --data-dir, HCDDL_DATA or `hcddl data fetch`\n".to_owned(),
    };
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    for row in rows {
        let _ = writeln!(text, "  {:width$}  {}\n  {:width$}  {}", row.name, row.summary, "", row.state);
        if !row.licence.is_empty() {
            let _ = writeln!(text, "  {:width$}  licence: {}; {}", "", row.licence, row.note);
        }
        if row.urls.iter().any(|(_, tried)| !tried) {
            let _ = writeln!(text, "  {:width$}  its address was never tried", "");
        }
    }
    text
}

fn as_json(rows: &[Shown]) -> String {
    let one = |row: &Shown| {
        let urls: Vec<_> = row.urls.iter().map(|(url, tried)| json!({"url": url, "tried": tried})).collect();
        json!({
            "name": row.name, "summary": row.summary, "state": row.state, "licence": row.licence,
            "note": row.note, "urls": urls,
        })
    };
    format!("{:#}\n", rows.iter().map(one).collect::<serde_json::Value>())
}
