//! Studies: one scenario, run over levels of some of its keys and over seeds, side by side on all cores.
//!
//! In reading order: [`mod@file`] mirrors the YAML; [`axis`] says what each level sets; [`design`] counts the runs and makes
//! the plan of each; [`watch`] sees a run and [`outcome`] is what remains of it; [`queue`] runs them; [`dir`] keeps what is
//! finished, [`tables`] writes the CSVs from that, [`merge`] joins the parts of several machines.
//!
//! Two runs of the same seeds differ in their levels alone: every random stream is named by a seed (common random
//! numbers), so levels can be compared in pairs. A run is a pure function of its number in the study: threads, shards,
//! kills and resumptions change no byte of a table, wall times apart.

pub mod axis;
pub mod design;
pub mod dir;
pub mod file;
mod learners;
pub mod merge;
pub mod outcome;
pub mod queue;
pub mod summary;
pub mod tables;
pub mod watch;

pub use design::Study;
pub use dir::StudyDir;

use std::path::PathBuf;

/// Why a study's directory cannot be made, continued or merged.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// A mistake in the study's file or its scenario.
    #[error(transparent)]
    User(#[from] hcddl_core::error::UserError),
    /// A directory that does not fit, and the next step.
    #[error("`{dir}` {problem}")]
    Dir {
        /// Which.
        dir: PathBuf,
        /// What is wrong with it, and the next step.
        problem: String,
    },
    /// Too many runs to be meant.
    #[error("{0}")]
    TooMany(String),
    /// The operating system said no.
    #[error("cannot {doing} `{path}`: {error}")]
    Io {
        /// Create, write, read...
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

impl StudyError {
    pub(crate) fn io(doing: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, error }
    }

    pub(crate) fn dir(dir: &std::path::Path, problem: impl Into<String>) -> Self {
        Self::Dir { dir: dir.to_owned(), problem: problem.into() }
    }
}
