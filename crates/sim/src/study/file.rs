//! The mirror of a study's YAML: what was written, nothing decided.

use hcddl_core::error::UserError;
use hcddl_core::yaml;
use hcddl_plan::scenario::Source;
use hcddl_plan::scenario::load::{self, Base};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Map, Value};
use std::path::Path;

/// A study: a question, the scenario that it is asked of, and what is varied.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// Name of the study, used for its directory. Default: the file's name without its ending.
    #[serde(default)]
    pub study: Option<String>,
    /// What the study answers, for readers and reports.
    #[serde(default)]
    pub question: Option<String>,
    /// The base: the path of a scenario, relative to this file, or a scenario written out here.
    pub scenario: Value,
    /// What is varied, by key of the scenario; crossed. Left out: seeds alone.
    #[serde(default)]
    pub axes: Option<Map<String, Value>>,
    /// The seeds that every level combination is run with, crossed.
    #[serde(default)]
    pub seeds: SeedsFile,
    /// Test accuracy from 0 to 1 whose time is measured; it ends no run. Default: the scenario's own.
    #[serde(default)]
    pub target_accuracy: Option<f64>,
    /// What is kept of every run besides the tables.
    #[serde(default)]
    pub keep: Vec<Keep>,
}

/// What is kept of every run besides the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The final model's class of every test sample.
    Predictions,
}

/// Seeds of each kind: how many (1, 2, ...) or which.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeedsFile {
    /// Partition of the data, order of the samples.
    pub data: SeedList,
    /// Initial parameters.
    pub init: SeedList,
    /// Everything that moves events in time.
    pub interleaving: SeedList,
}

impl Default for SeedsFile {
    fn default() -> Self {
        let five = || SeedList((1..=5).collect());
        Self { data: five(), init: five(), interleaving: five() }
    }
}

/// A list of seeds, written out or as a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedList(pub Vec<u64>);

/// More seeds of one kind than anybody means.
const SEEDS_MAX: u64 = 100_000;

impl<'de> Deserialize<'de> for SeedList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const ALLOWED: &str = "a count (`5`) or a list (`[1, 2, 3]`)";
        let value = Value::deserialize(deserializer)?;
        let fail = |what: String| Err(D::Error::custom(format!("{what}; allowed: {ALLOWED}")));
        let list = match &value {
            Value::Number(count) => match count.as_u64() {
                Some(0) => return fail("0 seeds make no run".to_owned()),
                Some(count) if count <= SEEDS_MAX => (1..=count).collect(),
                _ => return fail(format!("expected a number of seeds up to {SEEDS_MAX}, found `{count}`")),
            },
            Value::Array(items) => {
                let seeds: Option<Vec<u64>> = items.iter().map(Value::as_u64).collect();
                match seeds {
                    Some(seeds) if !seeds.is_empty() => seeds,
                    Some(_) => return fail("an empty list of seeds makes no run".to_owned()),
                    None => return fail(format!("expected whole numbers of 0 or more, found `{value}`")),
                }
            }
            other => return fail(format!("expected seeds, found `{other}`")),
        };
        let mut sorted = list.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(D::Error::custom(format!(
                "the seed {} is listed twice; allowed: each once",
                pair[0]
            )));
        }
        Ok(Self(list))
    }
}

/// A study as written, with its places and its scenario.
#[derive(Clone, Debug)]
pub struct StudyWritten {
    /// What the file says.
    pub file: StudyFile,
    /// Where it says so.
    pub source: Source,
    /// The text of the file.
    pub text: String,
    /// The scenario, read but not yet understood.
    pub base: Base,
    /// The text of the scenario as it was written.
    pub base_text: String,
    /// `--set` options for the scenario.
    pub sets: Vec<String>,
}

/// Keys of a study that `--set` may name; every other key is the scenario's.
const OWN: [&str; 4] = ["seeds", "target_accuracy", "keep", "question"];

/// Reads a study and the scenario that it names; `sets` are `--set path=value` options.
///
/// # Errors
/// [`UserError`] when a file cannot be read or is not understood.
pub fn read(path: &Path, sets: &[String]) -> Result<StudyWritten, UserError> {
    let text = load::read(path)?;
    let (mut source, mut value) = Source::read(&path.display().to_string(), &text)?;
    if value.get("scenario").is_none() && value.get("topology").is_some() {
        let next_step = format!("write a study with `scenario: {}` and `axes`", path.display());
        return Err(UserError::in_file(&source.file, "is a scenario, not a study", next_step));
    }
    let own = |set: &&String| {
        let key = set.split(['=', '.']).next().unwrap_or_default();
        OWN.contains(&key.trim())
    };
    let (own, others): (Vec<&String>, Vec<&String>) = sets.iter().partition(own);
    let cloned = |sets: Vec<&String>| -> Vec<String> { sets.into_iter().cloned().collect() };
    default_seeds(&mut value);
    source.apply_sets(&mut value, &cloned(own))?;
    let file: StudyFile = source.typed(value)?;
    let (base, base_text) = base(path, &source, &file)?;
    Ok(StudyWritten { file, source, text, base, base_text, sets: cloned(others) })
}

/// `--set seeds.data=2` needs something to set it in.
fn default_seeds(value: &mut Value) {
    if value.is_object() && value.get("seeds").is_none() {
        value["seeds"] = Value::Object(Map::new());
    }
}

fn base(path: &Path, source: &Source, file: &StudyFile) -> Result<(Base, String), UserError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    match &file.scenario {
        Value::String(name) => {
            let scenario = folder.join(name);
            let text = load::read(&scenario).map_err(|error| {
                let message = format!("the scenario `{}`: {}", scenario.display(), error.message);
                source.error("scenario", message, "", "the path is relative to the study's folder")
            })?;
            Ok((Base::read(&scenario)?, text))
        }
        Value::Object(_) => {
            let name = path.file_stem().map_or("study".into(), |stem| stem.to_string_lossy());
            let base = Base::inline(source.below("scenario"), file.scenario.clone(), folder, &name);
            Ok((base, hcddl_core::yaml::block::block(&file.scenario)))
        }
        other => {
            let message = format!("expected a scenario, found `{other}`");
            let allowed = "the path of a scenario, or a scenario written out as a map";
            Err(source.error("scenario", message, allowed, ""))
        }
    }
}

/// A value in one line, as a label: `20ms`, `ssp(3)`, `adam(lr=0.1)`, `[1, 2]`.
#[must_use]
pub fn label(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            let options = |skip: &str| {
                let pairs = map.iter().filter(|(key, _)| *key != skip);
                pairs.map(|(key, value)| format!("{key}={}", label(value))).collect::<Vec<_>>().join(", ")
            };
            match map.get("name").and_then(Value::as_str) {
                Some(name) if map.len() == 1 => name.to_owned(),
                Some(name) => format!("{name}({})", options("name")),
                None => format!("{{{}}}", options("")),
            }
        }
        Value::Array(items) => format!("[{}]", items.iter().map(label).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The path that a `--set` option names.
pub(super) fn set_path(set: &str) -> Option<String> {
    yaml::assigned(set).ok().map(|(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_are_short() {
        let shown = |value: Value| label(&value);
        assert_eq!(shown(json!("20ms")), "20ms");
        assert_eq!(shown(json!({"name": "ssp", "slack": 3})), "ssp(slack=3)");
        assert_eq!(shown(json!({"name": "async"})), "async");
        assert_eq!(shown(json!({"lr": 0.1, "steps": [1, 2]})), "{lr=0.1, steps=[1, 2]}");
        assert_eq!([json!(true), json!(null), json!(0.5)].map(shown), ["true", "null", "0.5"]);
    }

    #[test]
    fn seeds_are_a_count_or_a_list() {
        let seeds = |value: Value| serde_json::from_value::<SeedList>(value).map_err(|e| e.to_string());
        assert_eq!(seeds(json!(3)).unwrap().0, [1, 2, 3]);
        assert_eq!(seeds(json!([7, 5])).unwrap().0, [7, 5]);
        for (wrong, part) in [
            (json!(0), "no run"),
            (json!([]), "empty"),
            (json!([1, 1]), "twice"),
            (json!([1, -2]), "expected whole numbers"),
            (json!("many"), "expected seeds"),
            (json!(10_000_000), "expected a number of seeds"),
        ] {
            let error = seeds(wrong.clone()).unwrap_err();
            assert!(error.contains(part) && error.contains("; allowed: "), "{wrong}: {error}");
        }
    }
}
