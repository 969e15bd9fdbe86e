//! JSON lines: one object in each line, for scripts and for `scripts/import_wandb.py`.
//!
//! The first line has `"type": "run"` (name, seeds, the scenario's text), then come `evaluation` and `commit` in
//! order of virtual time, and last `summary`.

use super::super::read::Run;
use hcddl_core::error::UserError;
use serde_json::{Map, Value, json};

/// The lines of a run.
///
/// # Errors
/// [`UserError`] when a file of the run is damaged.
pub fn lines(run: &Run) -> Result<String, UserError> {
    let mut timed: Vec<(f64, Value)> = Vec::new();
    for commit in &run.commits {
        let contributors: Vec<&str> = commit.contributors.iter().map(|(name, _)| name.as_str()).collect();
        let staleness: Vec<u64> = commit.contributors.iter().map(|(_, stale)| *stale).collect();
        let line = json!({
            "type": "commit", "node": commit.node, "version": commit.version, "virtual_time_s": commit.time,
            "contributors": contributors, "staleness": staleness, "bytes": commit.bytes,
        });
        timed.push((commit.time, line));
    }
    let csv = &run.metrics;
    let time = csv.column("virtual_time_s")?;
    for row in 0..csv.rows.len() {
        let mut line = Map::from_iter([("type".to_owned(), json!("evaluation"))]);
        for (column, name) in csv.header.iter().enumerate() {
            if name == "version" {
                line.insert(name.clone(), json!(csv.whole(row, column)?));
            } else if let Some(value) = csv.number(row, column)? {
                line.insert(name.clone(), json!(value));
            }
        }
        timed.push((csv.number(row, time)?.unwrap_or(0.0), Value::Object(line)));
    }
    // Stable: at the same time a commit comes before its evaluation.
    timed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let head =
        json!({ "type": "run", "name": run.summary.name, "seeds": run.summary.seeds, "plan": run.plan });
    let mut end = serde_json::to_value(&run.summary).expect("plain data");
    end.as_object_mut().expect("a summary is an object").shift_insert(0, "type".to_owned(), json!("summary"));
    let all = std::iter::once(head).chain(timed.into_iter().map(|(_, line)| line)).chain([end]);
    Ok(all.map(|line| line.to_string() + "\n").collect())
}
