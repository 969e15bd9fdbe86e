//! Runs for other programs: TensorBoard event files, JSON lines, Parquet.

pub mod jsonl;
pub mod parquet;
pub mod tensorboard;
