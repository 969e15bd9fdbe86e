//! Scenarios: `file` mirrors what was written, `plan` is what was meant.
pub mod plan;
pub mod yaml;
