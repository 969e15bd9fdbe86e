//! Axes: what is varied, and what each level sets.

use super::file::{StudyFile, label, set_path};
use hcddl_core::domain::table::nearest;
use hcddl_core::error::UserError;
use hcddl_plan::scenario::Source;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Something that is varied.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// A key of the scenario, or a name of its own.
    pub name: String,
    /// In their written order.
    pub levels: Vec<Level>,
}

/// One value of an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// What tables and reports call it.
    pub label: String,
    /// Where it is written: a key path of the study.
    pub path: String,
    /// Keys of the scenario and their values.
    pub sets: Vec<(String, Value)>,
}

/// Keys of a scenario that no axis may set, and why.
const REFUSED: [(&str, &str); 6] = [
    ("seed", "seeds are crossed under `seeds`"),
    ("seeds", "seeds are crossed under `seeds`"),
    ("name", "it changes no run"),
    ("description", "it changes no run"),
    ("expect", "it changes no run"),
    ("deploy", "it changes no simulated run"),
];

/// The axes of a study; `sets` are `--set` options for the scenario.
///
/// # Errors
/// Empty axes, names that are not keys, levels that occur twice, keys that are set twice.
pub fn axes(source: &Source, file: &StudyFile, sets: &[String]) -> Result<Vec<Axis>, UserError> {
    let Some(written) = &file.axes else {
        if source.has("axes") {
            return Err(no_axes(source));
        }
        return Ok(Vec::new());
    };
    if written.is_empty() {
        return Err(no_axes(source));
    }
    let keys = Keys::new();
    let axes: Result<Vec<Axis>, UserError> =
        written.iter().map(|(name, value)| axis(source, &keys, name, value)).collect();
    let axes = axes?;
    set_once(source, &axes, sets)?;
    Ok(axes)
}

fn no_axes(source: &Source) -> UserError {
    let next_step = "add one, as in `network.lan.latency: [1ms, 10ms]`; leave `axes` out to vary seeds alone";
    source.error("axes", "there are no axes", "keys of the scenario with their levels", next_step)
}

/// The first words of a scenario's key paths.
struct Keys(Vec<String>);

impl Keys {
    fn new() -> Self {
        let schema = hcddl_plan::scenario::schema();
        let names = schema["properties"].as_object().into_iter().flat_map(Map::keys);
        Self(names.cloned().collect())
    }

    fn know(&self, path: &str) -> bool {
        let first = path.split('.').next().unwrap_or_default();
        self.0.iter().any(|key| key == first)
    }

    /// Refuses a path that is not a key, or one that no axis may set.
    fn check(&self, source: &Source, at: &str, path: &str) -> Result<(), UserError> {
        let first = path.split('.').next().unwrap_or_default();
        if path.split('.').any(str::is_empty) || !self.know(path) {
            let near = nearest(first, self.0.iter().map(String::as_str));
            let next_step = match near {
                Some(near) => format!("did you mean `{}`?", path.replacen(first, near, 1)),
                None => "an axis with a name of its own has named levels: `near: {network.lan.latency: 1ms}`"
                    .to_owned(),
            };
            let message = format!("a scenario has no key `{path}`");
            return Err(source.error(at, message, self.0.join(", "), next_step));
        }
        if let Some((key, why)) = REFUSED.iter().find(|(key, _)| *key == first) {
            return Err(source.error(at, format!("`{key}` cannot be an axis: {why}"), "", "leave it out"));
        }
        Ok(())
    }
}

fn axis(source: &Source, keys: &Keys, name: &str, value: &Value) -> Result<Axis, UserError> {
    let at = format!("axes.{name}");
    let is_key = keys.know(name);
    let levels = match value {
        Value::Array(items) => {
            keys.check(source, &at, name)?;
            let level = |(i, value): (usize, &Value)| Level {
                label: label(value),
                path: format!("{at}.{i}"),
                sets: vec![(name.to_owned(), value.clone())],
            };
            items.iter().enumerate().map(level).collect()
        }
        Value::Object(named) if is_key => {
            keys.check(source, &at, name)?;
            let level = |(label, value): (&String, &Value)| Level {
                label: label.clone(),
                path: format!("{at}.{label}"),
                sets: vec![(name.to_owned(), value.clone())],
            };
            named.iter().map(level).collect()
        }
        Value::Object(named) => {
            if name.contains('.') {
                keys.check(source, &at, name)?;
            }
            let levels: Result<Vec<Level>, UserError> =
                named.iter().map(|(label, value)| named_level(source, keys, &at, label, value)).collect();
            levels?
        }
        other => {
            let message = format!("expected an axis, found `{}`", label(other));
            let allowed = "a list of values, or a map of named levels";
            return Err(source.error(&at, message, allowed, format!("write `{name}: [..]`")));
        }
    };
    distinct(source, &at, &levels)?;
    Ok(Axis { name: name.to_owned(), levels })
}

/// A level that sets several keys.
fn named_level(
    source: &Source,
    keys: &Keys,
    axis: &str,
    label: &str,
    value: &Value,
) -> Result<Level, UserError> {
    let at = format!("{axis}.{label}");
    let Value::Object(sets) = value else {
        // `netwrk.lan.latency: {near: 1ms}` is caught before; here is `lateny: {near: 1ms}`.
        keys.check(source, axis, axis.trim_start_matches("axes."))?;
        let message = format!("`{value}` does not say which keys it sets");
        return Err(source.error(&at, message, "a map of keys", "write `{network.lan.latency: 1ms}`"));
    };
    for key in sets.keys() {
        keys.check(source, &format!("{at}.{key}"), key)?;
    }
    let sets = sets.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok(Level { label: label.to_owned(), path: at, sets })
}

/// At least one level, and no two that are called or mean the same.
fn distinct(source: &Source, at: &str, levels: &[Level]) -> Result<(), UserError> {
    if levels.is_empty() {
        return Err(source.error(at, "this axis has no levels", "one or more", "add levels or leave it out"));
    }
    for (i, level) in levels.iter().enumerate() {
        let same = |other: &&Level| other.label == level.label || other.sets == level.sets;
        if let Some(first) = levels[..i].iter().find(same) {
            let message = if first.label == level.label {
                format!("the level `{}` occurs twice", level.label)
            } else {
                format!("the levels `{}` and `{}` set the same", first.label, level.label)
            };
            return Err(source.error(&level.path, message, "levels that differ", "leave one out"));
        }
    }
    Ok(())
}

/// Two axes, or an axis and a `--set`, must not set the same key, or one within the other: the later would win.
fn set_once(source: &Source, axes: &[Axis], sets: &[String]) -> Result<(), UserError> {
    let within = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let set: Vec<String> = sets.iter().filter_map(|set| set_path(set)).collect();
    for axis in axes {
        let mut own: Vec<&str> =
            axis.levels.iter().flat_map(|l| l.sets.iter().map(|s| s.0.as_str())).collect();
        own.sort_unstable();
        own.dedup();
        for key in &own {
            let clash = seen.iter().find(|(other, _)| within(key, other) || within(other, key));
            if let Some((_, other)) = clash {
                let message = format!("the axes `{other}` and `{}` both set `{key}`", axis.name);
                let at = format!("axes.{}", axis.name);
                return Err(source.error(&at, message, "", "let each axis set keys of its own"));
            }
            if let Some(path) = set.iter().find(|path| within(path, key) || within(key, path)) {
                return Err(UserError {
                    file: format!("--set {path}"),
                    path: path.clone(),
                    message: format!("the axis `{}` sets `{key}`", axis.name),
                    next_step: "leave the option out, or the axis".to_owned(),
                    ..UserError::default()
                });
            }
        }
        seen.extend(own.into_iter().map(|key| (key, axis.name.as_str())));
    }
    Ok(())
}
