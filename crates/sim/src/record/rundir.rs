//! Where a run writes: a new directory that is never an old one.

use super::{RecordError, utc};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A run directory that belongs to this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

/// File names in a run directory.
pub mod file {
    /// The scenario as it was run.
    pub const PLAN: &str = "plan.yml";
    /// A row for each evaluation.
    pub const METRICS: &str = "metrics.csv";
    /// A row for each commit.
    pub const COMMITS: &str = "commits.csv";
    /// Chrome trace events.
    pub const TIMELINE: &str = "timeline.json";
    /// The end of the run.
    pub const SUMMARY: &str = "summary.json";
    /// What is needed to repeat the run.
    pub const REPEAT: &str = "repeat.json";
    /// The final model.
    pub const MODEL: &str = "model.safetensors";
    /// The best model by the validation split, where there is one.
    pub const BEST: &str = "best.safetensors";
}

impl RunDir {
    /// Makes the directory `out`, or `runs/<UTC>-<name>` below the current directory when `out` is `None`
    /// (with `-2`, `-3`... when that exists).
    ///
    /// # Errors
    /// [`RecordError::NotEmpty`] when `out` holds anything; [`RecordError::Io`] when it cannot be made.
    pub fn create(out: Option<&Path>, name: &str) -> Result<Self, RecordError> {
        match out {
            Some(out) => Self::create_at(out),
            None => Self::create_below(Path::new("runs"), &utc::stamp(SystemTime::now()), name),
        }
    }

    /// The directory of an earlier run that is to be continued.
    ///
    /// # Errors
    /// [`RecordError::Resume`] when there is no plan in it.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let problem = if !path.is_dir() {
            "it is not a directory"
        } else if !path.join(file::PLAN).is_file() {
            "it holds no plan.yml, so it is not a run directory"
        } else {
            return Ok(Self { path: path.to_owned() });
        };
        Err(RecordError::Resume { dir: path.to_owned(), problem: problem.to_owned() })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    #[must_use]
    pub fn join(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    /// Writes a whole file.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn write(&self, file: &str, text: &str) -> Result<(), RecordError> {
        let path = self.join(file);
        hcddl_files::atomic::replace(&path, text.as_bytes()).map_err(RecordError::io("write", &path))
    }

    fn create_at(out: &Path) -> Result<Self, RecordError> {
        fs::create_dir_all(out).map_err(RecordError::io("create", out))?;
        let mut entries = fs::read_dir(out).map_err(RecordError::io("read", out))?;
        if entries.next().is_some() {
            return Err(RecordError::NotEmpty(out.to_owned()));
        }
        Ok(Self { path: out.to_owned() })
    }

    fn create_below(base: &Path, stamp: &str, name: &str) -> Result<Self, RecordError> {
        fs::create_dir_all(base).map_err(RecordError::io("create", base))?;
        let stem = format!("{stamp}-{}", file_name(name));
        for attempt in 1.. {
            let path = base.join(if attempt == 1 { stem.clone() } else { format!("{stem}-{attempt}") });
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(RecordError::io("create", &path)(error)),
            }
        }
        unreachable!("the loop ends with a directory or an error")
    }
}

/// A scenario's name as a file name: everything but letters, digits, `.`, `_` and `-` becomes `-`.
#[must_use]
pub fn file_name(name: &str) -> String {
    let safe: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .take(80)
        .collect();
    if safe.is_empty() { "run".to_owned() } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_is_never_used_again() {
        let base = tempfile::tempdir().unwrap();
        let make = || RunDir::create_below(base.path(), "20260101T000000Z", "my run/../x").unwrap();
        let names: Vec<_> =
            (0..3).map(|_| make().path().file_name().unwrap().to_str().unwrap().to_owned()).collect();
        assert_eq!(
            names,
            [
                "20260101T000000Z-my-run-..-x",
                "20260101T000000Z-my-run-..-x-2",
                "20260101T000000Z-my-run-..-x-3"
            ]
        );
    }

    #[test]
    fn a_directory_in_use_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let out = base.path().join("a/b");
        let run = RunDir::create(Some(&out), "x").unwrap();
        assert_eq!(RunDir::create(Some(&out), "x").unwrap(), run, "an empty one may be used");
        run.write(file::PLAN, "name: x").unwrap();
        let error = RunDir::create(Some(&out), "x").unwrap_err().to_string();
        assert!(error.contains("is not empty; name another with --out"), "{error}");
        assert_eq!(RunDir::open(&out).unwrap(), run);
        assert!(RunDir::open(base.path()).unwrap_err().to_string().contains("no plan.yml"));
    }
}
