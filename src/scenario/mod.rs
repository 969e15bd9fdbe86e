//! Scenarios. [`mod@file`] mirrors what was written, [`plan`] is what was meant; [`resolve()`] leads from one to
//! the other with all checks. [`load::load`] is the one file here that reads files.

pub mod compat;
pub mod draw;
pub mod file;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(feature = "runtime")]
mod learner;
pub mod load;
pub mod plan;
mod resolve;
pub mod schema;
pub mod source;
pub mod yaml;

pub use resolve::resolve;
pub use schema::{keys_markdown, schema};
pub use source::Source;

use crate::error::UserError;
use file::ScenarioFile;
use serde_json::Value;

/// A scenario as written, with its places.
#[derive(Clone, Debug)]
pub struct Written {
    /// What the file says, `--set` options applied.
    pub file: ScenarioFile,
    /// Where it says so.
    pub source: Source,
    /// The topology's own file, when `topology` names one: its choice and its places.
    pub topology: Option<(Value, Source)>,
    /// What the reader should know, each a sentence.
    pub notes: Vec<String>,
}

/// Reads a scenario, or an older `config.yml`, from text; `sets` are `--set path=value` options.
///
/// # Errors
/// [`UserError`] with file, line and path for anything that is not understood.
pub fn parse(file: &str, text: &str, sets: &[String]) -> Result<Written, UserError> {
    parse_with(file, text, sets, |_, _| Ok(()))
}

/// As [`parse`], but `prepare` may change the value before it is typed.
fn parse_with(
    file: &str,
    text: &str,
    sets: &[String],
    prepare: impl FnOnce(&Source, &mut Value) -> Result<(), UserError>,
) -> Result<Written, UserError> {
    let (mut source, mut value) = Source::read(file, text)?;
    let mut notes = Vec::new();
    if compat::is_older_config(&value) {
        (value, notes) = compat::convert(&mut source, value)?;
    }
    source.apply_sets(&mut value, sets)?;
    prepare(&source, &mut value)?;
    let file = source.typed(value)?;
    Ok(Written { file, source, topology: None, notes })
}
