//! A node's state for people.

use hcddl_core::node::NodeState;
use serde_json::Value;

/// Values of a list that are shown before the rest is only counted.
const SHOWN: usize = 8;

/// A node's state as JSON; long lists (tensors) are cut.
#[must_use]
pub fn state_text(state: &NodeState) -> String {
    // Keys that are not text (pairs of nodes) have no JSON: show them as Rust does.
    match serde_json::to_value(state) {
        Ok(value) => serde_json::to_string_pretty(&cut(value)).expect("plain data"),
        Err(_) => format!("{state:#?}"),
    }
}

fn cut(value: Value) -> Value {
    match value {
        Value::Array(all) if all.len() > SHOWN => {
            let more = Value::String(format!("... {} values in all", all.len()));
            all.into_iter().take(SHOWN).map(cut).chain([more]).collect()
        }
        Value::Array(all) => all.into_iter().map(cut).collect(),
        Value::Object(all) => all.into_iter().map(|(key, value)| (key, cut(value))).collect(),
        other => other,
    }
}
