//! Helpers of tests.
pub(crate) mod contention;
