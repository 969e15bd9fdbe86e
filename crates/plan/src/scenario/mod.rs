//! Scenarios. [`mod@file`] mirrors what was written, [`crate::plan`] is what was meant; [`resolve()`] leads from one to
//! the other with all checks. [`load`] and `laid_in` are
//! the files here that read files.

mod assignment;
mod columns;
pub mod compat;
mod devices;
pub mod draw;
pub mod file;
mod laid_in;
mod learner;
pub mod load;
mod matrix;
mod platform;
mod resolve;
pub mod schema;
pub mod source;
mod table;
mod traces;

pub use resolve::resolve;
pub use schema::{keys_markdown, schema};
pub use source::Source;

use crate::plan::schedule;
use file::ScenarioFile;
use hcddl_core::error::UserError;
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
    /// The schedule's own file, when `schedule` names one.
    pub schedule: Option<(schedule::ScheduleFile, Source)>,
    /// What the reader should know, each a sentence.
    pub notes: Vec<String>,
}

impl Written {
    /// Names what a run does, options applied: two scenarios with the same digest have the same events. Where data
    /// lie, which schedule is played and what is expected do not count.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut file = ScenarioFile {
            name: None,
            description: String::new(),
            data_dir: None,
            schedule: None,
            expect: crate::plan::Expect::default(),
            ..self.file.clone()
        };
        if let Some((topology, _)) = &self.topology {
            file.topology = topology.clone().into();
        }
        let init_from = &mut file.training.init_from;
        *init_from = init_from.as_ref().and_then(|path| path.file_name()).map(Into::into);
        let text = serde_json::to_string(&file).expect("what was read can be written");
        hcddl_core::domain::digest::of_bytes(text.as_bytes()).to_string()
    }
}

/// Reads a scenario, or an older `config.yml`, from text; `sets` are `--set path=value` options.
///
/// # Errors
/// [`UserError`] with file, line and path for anything that is not understood.
pub fn parse(file: &str, text: &str, sets: &[String]) -> Result<Written, UserError> {
    let (source, value) = Source::read(file, text)?;
    interpret(source, value, |source, value| source.apply_sets(value, sets), |_, _| Ok(()))
}

/// Whether a file holds what belongs under a scenario's key `topology`.
fn is_topology(value: &Value) -> bool {
    let has = |key: &str| value.get(key).is_some();
    let says_who = ["workers", "fanout", "servers"].into_iter().any(has);
    !has("topology") && (says_who || value.get("peers").is_some_and(|peers| !peers.is_object()))
}

/// A key that is unknown where it is written may be known elsewhere: `rounds` is `training.rounds`.
fn elsewhere(mut error: UserError) -> UserError {
    let name = error.message.strip_prefix("unknown key `").and_then(|rest| rest.strip_suffix('`'));
    let paths = name.map(schema::paths_of).unwrap_or_default();
    if !paths.is_empty() {
        let paths: Vec<String> = paths.iter().take(3).map(|path| format!("`{path}`")).collect();
        error.next_step = format!("did you mean {}?", paths.join(" or "));
    }
    error
}

/// A scenario from a value and its places: `change` is laid over what was written, `prepare` reads the files that it
/// names.
fn interpret(
    mut source: Source,
    mut value: Value,
    change: impl FnOnce(&mut Source, &mut Value) -> Result<(), UserError>,
    prepare: impl FnOnce(&Source, &mut Value) -> Result<(), UserError>,
) -> Result<Written, UserError> {
    let mut notes = Vec::new();
    if compat::is_older_config(&value) {
        (value, notes) = compat::convert(&mut source, value)?;
    }
    change(&mut source, &mut value)?;
    if is_topology(&value) {
        let next_step = format!("write a scenario with `topology: {}` and a `model`", source.file);
        return Err(UserError::in_file(&source.file, "is a topology, not a scenario", next_step));
    }
    if value.get("scenario").is_some() && value.get("topology").is_none() {
        let next_step = format!("run it with `hcddl study {}`", source.file);
        return Err(UserError::in_file(&source.file, "is a study, not a scenario", next_step));
    }
    prepare(&source, &mut value)?;
    let file = source.typed(value).map_err(elsewhere)?;
    Ok(Written { file, source, topology: None, schedule: None, notes })
}
