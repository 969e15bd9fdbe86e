//! The run directory: everything that a run leaves behind, written while it runs.
//!
//! | file | content | written by |
//! |---|---|---|
//! | `plan.yml` | the scenario as it was run, `--set` included | [`rundir`] |
//! | `metrics.csv` | a row for each evaluation | [`table`] |
//! | `commits.csv` | a row for each commit | [`table`] |
//! | `timeline.json` | Chrome trace events, opens in Perfetto | [`timeline`] |
//! | `summary.json` | the end of the run | [`recorder`] |
//! | `repeat.json` | what is needed to repeat it | [`repeat`] |
//! | `order.log` | of a node of a deployed run: the order of its inputs | [`order`] |
//! | `checkpoint.bin` | where an interrupted run continues | [`checkpoint`] |

pub mod checkpoint;
pub mod order;
pub mod pace;
pub mod recorder;
pub mod repeat;
pub mod rundir;
mod sink;
pub mod table;
pub mod timeline;
pub mod utc;

pub use recorder::{Recorder, RecorderOptions, RecorderPosition};
pub use rundir::RunDir;

use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a run directory cannot be made, written or continued.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The directory that `--out` names is in use.
    #[error("the directory `{0}` is not empty; name another with --out, or continue its run with --resume")]
    NotEmpty(PathBuf),
    /// The directory does not hold a run that can be continued.
    #[error("cannot continue `{dir}`: {problem}")]
    Resume {
        /// The run directory.
        dir: PathBuf,
        /// What is missing or damaged, and the next step.
        problem: String,
    },
    /// An order log that cannot be read.
    #[error("`{path}` {problem}")]
    Order {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The operating system said no.
    #[error("cannot {doing} `{path}`: {error}")]
    Io {
        /// Create, write, read...
        doing: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

impl RecordError {
    /// Adds the action and the path to an error of the operating system.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, error }
    }
}
