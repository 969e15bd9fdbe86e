//! What a run or a study left behind, read again: directories in, plain values out.

pub mod csv;
pub mod meter;
pub mod run;
pub mod study;
pub mod timeline;

pub use run::Run;
pub use study::Study;

use hcddl_core::error::UserError;
use std::path::Path;

/// A directory that can be reported.
#[derive(Debug)]
pub enum Source {
    /// Of one run.
    Run(Box<Run>),
    /// Of many runs.
    Study(Box<Study>),
}

impl Source {
    /// Reads a directory; which kind it is, its files say.
    ///
    /// # Errors
    /// [`UserError`] when it is neither, or a file of it is missing or damaged.
    pub fn read(dir: &Path) -> Result<Self, UserError> {
        let name = dir.display().to_string();
        if !dir.is_dir() {
            let next = "name the directory of a run (`hcddl sim` prints it) or of a study";
            return Err(UserError::in_file(&name, "it is not a directory", next));
        }
        if dir.join(study::HEAD).is_file() {
            return Ok(Self::Study(Box::new(Study::read(dir)?)));
        }
        if dir.join(hcddl_sim::record::rundir::file::PLAN).is_file() {
            return Ok(Self::Run(Box::new(Run::read(dir)?)));
        }
        let message = "it holds neither plan.yml (a run) nor study.json (a study)";
        Err(UserError::in_file(&name, message, "name the directory of a run or of a study"))
    }

    /// Its name and the name of its directory.
    #[must_use]
    pub fn name_and_place(&self) -> String {
        let dir = match self {
            Self::Run(run) => &run.dir,
            Self::Study(study) => &study.dir,
        };
        let place = dir.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        format!("{} ({place})", self.name())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Run(run) => &run.summary.name,
            Self::Study(study) => &study.head.name,
        }
    }
}

/// Reads a text file.
///
/// # Errors
/// [`UserError`] with the next step.
pub(crate) fn text(path: &Path, next_step: &str) -> Result<String, UserError> {
    std::fs::read_to_string(path).map_err(|error| {
        let message = if error.kind() == std::io::ErrorKind::NotFound {
            "the file is missing".to_owned()
        } else {
            format!("cannot be read: {error}")
        };
        UserError::in_file(&path.display().to_string(), message, next_step)
    })
}

/// Reads a JSON file.
///
/// # Errors
/// [`UserError`] with the line.
pub(crate) fn json<T: serde::de::DeserializeOwned>(path: &Path, next_step: &str) -> Result<T, UserError> {
    serde_json::from_str(&text(path, next_step)?).map_err(|error| UserError {
        line: Some(error.line()),
        ..UserError::in_file(&path.display().to_string(), format!("is damaged: {error}"), next_step)
    })
}
