//! Where things are written, and errors that say so.

use hcddl_core::domain::OptionError;
use hcddl_core::domain::table::nearest;
use hcddl_core::error::UserError;
use hcddl_core::yaml::{self, YamlError};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// A file's name and the line of each key path, with the `--set` options laid over it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file as the user named it.
    pub file: String,
    lines: BTreeMap<String, usize>,
    /// What was laid over the file, by key path: the `--set` option, or the place in another file.
    sets: BTreeMap<String, (String, Option<usize>)>,
    /// Key paths of the scenario that come from other key paths of an older file.
    renamed: BTreeMap<String, String>,
}

impl Source {
    /// Reads YAML text.
    ///
    /// # Errors
    /// When it is not YAML that we read.
    pub fn read(file: &str, text: &str) -> Result<(Self, Value), UserError> {
        let source = Self { file: file.to_owned(), ..Self::default() };
        let document = yaml::parse(text).map_err(|error| source.yaml_error(error))?;
        Ok((Self { lines: document.lines, ..source }, document.value))
    }

    /// Applies `path=value` options in order.
    ///
    /// # Errors
    /// When one has no `=`, its value is not YAML or its path leads nowhere.
    pub fn apply_sets(&mut self, value: &mut Value, sets: &[String]) -> Result<(), UserError> {
        for assignment in sets {
            let path = yaml::set(value, assignment).map_err(|error| UserError {
                file: format!("--set {assignment}"),
                path: error.path,
                message: error.message,
                next_step: error.next_step,
                ..UserError::default()
            })?;
            self.sets.insert(path, (format!("--set {assignment}"), None));
        }
        Ok(())
    }

    /// Sets a key path to a value that is written elsewhere; errors about it then name that place.
    ///
    /// # Errors
    /// When the path leads nowhere.
    pub fn put(
        &mut self,
        value: &mut Value,
        path: &str,
        new: Value,
        written: (&str, Option<usize>),
    ) -> Result<(), UserError> {
        let place = (written.0.to_owned(), written.1);
        yaml::put(value, path, new).map_err(|error| UserError {
            file: place.0.clone(),
            line: place.1,
            path: error.path,
            message: error.message,
            next_step: error.next_step,
            ..UserError::default()
        })?;
        self.sets.insert(path.to_owned(), place);
        Ok(())
    }

    /// The places of what lies below a key, as of a file of its own.
    #[must_use]
    pub fn below(&self, key: &str) -> Self {
        let lines = self.lines.iter().filter_map(|(path, line)| {
            let rest = path.strip_prefix(key)?.strip_prefix('.')?;
            Some((rest.to_owned(), *line))
        });
        Self { file: self.file.clone(), lines: lines.collect(), ..Self::default() }
    }

    /// The line of a key path, else of the nearest key above it.
    #[must_use]
    pub fn line(&self, path: &str) -> Option<usize> {
        prefixes(path).find_map(|above| self.lines.get(above)).copied()
    }

    /// Notes that the scenario's `path` comes from `older` in the file.
    pub fn rename(&mut self, path: &str, older: &str) {
        self.renamed.insert(path.to_owned(), older.to_owned());
    }

    /// Whether the user wrote this key.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        let below = format!("{path}.");
        let set = |p: &String| p == path || p.starts_with(&below);
        self.lines.contains_key(path) || self.sets.keys().any(set)
    }

    /// An error at a key path.
    #[must_use]
    pub fn error(
        &self,
        path: &str,
        message: impl Into<String>,
        allowed: impl Into<String>,
        next_step: impl Into<String>,
    ) -> UserError {
        let (file, line, path) = self.locate(path);
        UserError {
            file,
            line,
            path,
            message: message.into(),
            allowed: allowed.into(),
            next_step: next_step.into(),
        }
    }

    /// The error of a choice at a key path.
    #[must_use]
    pub fn option_error(&self, path: &str, error: OptionError) -> UserError {
        let key = dotted(&error.key);
        let (message, allowed, hint) = if error.allowed.is_empty() && error.hint.is_empty() {
            polish(&error.message)
        } else {
            (error.message, error.allowed, error.hint)
        };
        self.error(&joined(&dotted(path), &key), message, allowed, hint)
    }

    /// A value as a type, with the error's place.
    ///
    /// # Errors
    /// For unknown keys, wrong types, missing keys and what the types refuse.
    pub fn typed<T: DeserializeOwned>(&self, value: Value) -> Result<T, UserError> {
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = dotted(&error.path().to_string());
            let (message, allowed, next_step) = polish(&error.into_inner().to_string());
            let path = match missing_key(&message) {
                Some(key) => joined(&path, key),
                None => path,
            };
            self.error(&path, message, allowed, next_step)
        })
    }

    fn yaml_error(&self, error: YamlError) -> UserError {
        UserError {
            file: self.file.clone(),
            line: Some(error.line),
            path: error.path,
            message: error.message,
            next_step: error.next_step,
            ..UserError::default()
        }
    }

    /// File, line and path as written: of the path itself, else of the nearest key above it.
    fn locate(&self, path: &str) -> (String, Option<usize>, String) {
        if let Some((file, line)) = prefixes(path).find_map(|above| self.sets.get(above)) {
            return (file.clone(), *line, path.to_owned());
        }
        let older = prefixes(path).find_map(|above| Some((above, self.renamed.get(above)?)));
        let path = match older {
            Some((above, older)) => format!("{older}{}", &path[above.len()..]),
            None => path.to_owned(),
        };
        (self.file.clone(), self.line(&path), path)
    }
}

/// `a.b.c`, `a.b`, `a`.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path).filter(|p| !p.is_empty());
    std::iter::from_fn(move || {
        let now = rest?;
        rest = now.rfind('.').map(|dot| &now[..dot]);
        Some(now)
    })
}

fn joined(path: &str, key: &str) -> String {
    match (path.is_empty(), key.is_empty()) {
        (_, true) => path.to_owned(),
        (true, _) => key.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

/// serde's `a[0].b` as `a.0.b`; its `.` for the root as nothing.
fn dotted(path: &str) -> String {
    path.replace('[', ".").replace(']', "").trim_matches('.').to_owned()
}

fn missing_key(message: &str) -> Option<&str> {
    message.strip_prefix("the key `")?.strip_suffix("` is missing")
}

/// serde's message as message, what is allowed, and the next step.
fn polish(text: &str) -> (String, String, String) {
    let quoted = |text: &str| -> Vec<String> {
        text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    };
    for (prefix, what) in [("unknown field ", "key"), ("unknown variant ", "value")] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let mut names = quoted(rest);
            let name = if names.is_empty() { String::new() } else { names.remove(0) };
            let near = nearest(&name, names.iter().map(String::as_str));
            let next = near.map_or_else(String::new, |near| format!("did you mean `{near}`?"));
            let allowed = if names.is_empty() { "no keys here".to_owned() } else { names.join(", ") };
            return (format!("unknown {what} `{name}`"), allowed, next);
        }
    }
    if let Some(rest) = text.strip_prefix("missing field ") {
        return (format!("the key {rest} is missing"), String::new(), "add it".to_owned());
    }
    for prefix in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some((found, expected)) = text.strip_prefix(prefix).and_then(|r| r.split_once(", expected ")) {
            let found = match prefix {
                "invalid length " => format!("a list of {found}"),
                _ => plain(found),
            };
            if found == "nothing" {
                return (
                    "this is empty".to_owned(),
                    plain(expected),
                    "fill it in or leave it out".to_owned(),
                );
            }
            return (format!("{found} does not fit here"), plain(expected), String::new());
        }
    }
    let mut parts = text.splitn(2, "; allowed: ");
    let message = parts.next().unwrap_or_default().to_owned();
    (message, parts.next().unwrap_or_default().to_owned(), String::new())
}

/// Rust's names of types in plain words.
fn plain(text: &str) -> String {
    let text = match text {
        "null" | "unit value" => "nothing".to_owned(),
        "map" => "a map".to_owned(),
        "sequence" => "a list".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "a text".to_owned(),
        "u64" | "usize" | "u32" | "u16" => "a whole number of 0 or more".to_owned(),
        "i64" | "i32" => "a whole number".to_owned(),
        "f64" | "f32" => "a number".to_owned(),
        other => match other.strip_prefix("struct ").and_then(|name| name.strip_suffix("File")) {
            Some(_) => "a map of keys".to_owned(),
            None if other.starts_with("struct ") => "a map of keys".to_owned(),
            None => other.to_owned(),
        },
    };
    for (long, short) in [
        ("integer ", "the number "),
        ("floating point ", "the number "),
        ("boolean ", "the value "),
        ("string ", "the text "),
    ] {
        if let Some(rest) = text.strip_prefix(long) {
            return format!("{short}`{}`", rest.trim_matches(|c| c == '`' || c == '"'));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::file::ScenarioFile;

    fn fails(text: &str, sets: &[&str]) -> String {
        let (mut source, mut value) = Source::read("x.yml", text).unwrap();
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        match source.apply_sets(&mut value, &sets).and_then(|()| source.typed::<ScenarioFile>(value)) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn errors_say_where() {
        let base = "topology: flat(2)\nmodel: softmax\n";
        assert_eq!(fails(base, &[]), "");
        assert_eq!(
            fails(&format!("{base}tiers:\n  global:\n    polcy: sync\n"), &[]),
            "x.yml:5: tiers.global.polcy: unknown key `polcy`; allowed: policy, fold, optimizer, update, max_norm, \
             traffic, uplink, compression; did you mean `policy`?"
        );
        assert_eq!(
            fails(&format!("{base}training: {{batch: many}}"), &[]),
            "x.yml:3: training.batch: the text `many` does not fit here; allowed: a whole number of 0 or more"
        );
        assert_eq!(fails("topology: flat(2)", &[]), "x.yml: model: the key `model` is missing; add it");
        assert_eq!(
            fails(base, &["training.rouns=3"]),
            "--set training.rouns=3: training.rouns: unknown key `rouns`; allowed: rounds, max_time, \
             target_accuracy, batch, local, optimizer, schedule, clip_norm, not_finite, shuffle, drop_last, \
             shard_limit, proximal, init_from, update; did you mean `rounds`?"
        );
        assert_eq!(
            fails(&format!("{base}faults: {{events: [{{crash: worker1}}]}}"), &[]),
            "x.yml:3: faults.events.0.at: the key `at` is missing; add it"
        );
        assert_eq!(
            fails(&format!("{base}network:\n  resend_after: 20\n"), &[]),
            "x.yml:4: network.resend_after: the duration `20` has no unit; allowed: one of ns, us, ms, s, min, \
             h, d; for example `20ms`"
        );
    }
}
