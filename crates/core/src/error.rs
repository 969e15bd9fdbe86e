//! Errors of the user's world: each names the place, the value, what is allowed and the next step.

use crate::domain::OptionError;
use std::fmt;

/// Exit code of a run that did what was asked.
pub const EXIT_OK: u8 = 0;
/// Exit code of a run that failed, or of a test whose expectations do not hold.
pub const EXIT_FAILED: u8 = 1;
/// Exit code of a command that was refused before any work: a mistake in a file or on the command line.
pub const EXIT_USER: u8 = 2;

/// A mistake in something that a user wrote, fixable from the text alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserError {
    /// The file (or the `--set` option) that it is in.
    pub file: String,
    /// Its line, counted from 1.
    pub line: Option<usize>,
    /// The key path: `tiers.global.policy`; list entries by number from 0: `faults.events.0.at`.
    pub path: String,
    /// What is wrong, with the value.
    pub message: String,
    /// What would be right; may be empty.
    pub allowed: String,
    /// The next step; may be empty.
    pub next_step: String,
}

impl UserError {
    /// An error about a whole file.
    #[must_use]
    pub fn in_file(file: &str, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            message: message.into(),
            next_step: next_step.into(),
            ..Self::default()
        }
    }

    /// The exit code that it leads to.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        EXIT_USER
    }
}

/// `scenarios/x.yml:12: tiers.global.polcy: unknown key ...; allowed: ...; did you mean ...?`
impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        let problem = OptionError {
            key: self.path.clone(),
            message: self.message.clone(),
            allowed: self.allowed.clone(),
            hint: self.next_step.clone(),
        };
        problem.fmt(f)
    }
}

impl std::error::Error for UserError {}
