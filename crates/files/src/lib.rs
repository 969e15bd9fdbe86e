//! What lies in files: plain data as bytes or JSON, and files that are there as a whole or not at all.

pub mod atomic;
pub mod bytes;

/// The text of summary.json (and of `hcddl sim --json`) and of other results.
#[must_use]
pub fn json(result: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(result).expect("plain data") + "\n"
}
