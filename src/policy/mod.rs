//! Policies.
pub mod fold;
pub mod optimizer;
