//! Laws of every row of a table, so that a new row is tested before its author writes a test.

mod peers;
mod policies;
mod portions;
