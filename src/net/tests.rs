//! Helpers of tests.
use serde_json::Value;

/// A row's example as a scenario would read it.
pub(crate) fn flow_yaml(text: &str) -> Value {
    crate::scenario::yaml::parse(text).unwrap().value
}

pub(crate) mod contention;
