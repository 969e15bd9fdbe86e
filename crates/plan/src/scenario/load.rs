//! Reads scenario files from disk: the only code of the scenario layer that touches the world.

use super::{Source, Written, assignment, interpret, traces};
use crate::plan::schedule::ScheduleFile;
use hcddl_core::domain::Pick;
use hcddl_core::domain::text;
use hcddl_core::error::UserError;
use hcddl_core::topology::Topology;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Reads a scenario and the topology file that it names; makes its paths relative to the working directory.
/// `sets` are `--set path=value` options.
///
/// # Errors
/// [`UserError`] when a file cannot be read or is not understood.
pub fn load(path: &Path, sets: &[String]) -> Result<Written, UserError> {
    Base::read(path)?.with(|source, value| source.apply_sets(value, sets))
}

/// A scenario that was read but not yet understood: many scenarios can be made from it.
#[derive(Clone, Debug)]
pub struct Base {
    source: Source,
    value: Value,
    folder: PathBuf,
    /// Its name, unless it names itself.
    name: Option<String>,
}

impl Base {
    /// Reads a scenario file; `-` is the standard input, whose paths start from the working directory.
    ///
    /// # Errors
    /// [`UserError`] when it cannot be read or is not YAML.
    pub fn read(path: &Path) -> Result<Self, UserError> {
        if path == Path::new("-") {
            let (source, value) = Source::read("standard input", &read_stdin()?)?;
            return Ok(Self { source, value, folder: PathBuf::new(), name: None });
        }
        let (source, value) = Source::read(&path.display().to_string(), &read(path)?)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Ok(Self { source, value, folder, name })
    }

    /// A scenario that is part of another file; paths in it start from `folder`.
    #[must_use]
    pub fn inline(source: Source, value: Value, folder: &Path, name: &str) -> Self {
        Self { source, value, folder: folder.to_owned(), name: Some(name.to_owned()) }
    }

    /// The name of the scenario, or of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        self.value["name"].as_str().or(self.name.as_deref()).unwrap_or("scenario")
    }

    /// What was written.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The scenario with something laid over it, its paths relative to the working directory.
    ///
    /// # Errors
    /// [`UserError`] when a file that it names cannot be read, or it is not understood.
    pub fn with(
        &self,
        change: impl FnOnce(&mut Source, &mut Value) -> Result<(), UserError>,
    ) -> Result<Written, UserError> {
        let Self { source, value, folder, name } = self.clone();
        let mut written =
            interpret(source, value, change, |source, value| read_samples(source, value, "", &folder))?;
        let file = &mut written.file;
        file.name = file.name.take().or(name);
        file.data_dir = match file.data_dir.take() {
            Some(dir) => Some(folder.join(dir)),
            None => data_dir(),
        };
        file.training.init_from = file.training.init_from.take().map(|file| folder.join(file));
        if let Some(name) = file.schedule.take() {
            let path = folder.join(name);
            load_schedule(&mut written, &path).map_err(|error| match error.line {
                Some(_) => error,
                None => {
                    let message = format!("the schedule `{}`: {}", path.display(), error.message);
                    let next_step = "the path is relative to the scenario's folder";
                    written.source.error("schedule", message, "", next_step)
                }
            })?;
        }
        unread_topology(&written, &folder)?;
        if let Some(name) = file_name(&written.file.topology) {
            let path = folder.join(name);
            let text = read(&path).map_err(|error| {
                let message = format!("the topology file `{}`: {}", path.display(), error.message);
                let next_step = "the path is relative to the scenario's folder";
                written.source.error("topology", message, "", next_step)
            })?;
            let (source, value) = Source::read(&path.display().to_string(), &text)?;
            written.topology = Some((value, source));
        }
        Ok(written)
    }
}

/// Reads the file of decided delays that the scenario shall follow.
///
/// # Errors
/// [`UserError`] when it cannot be read or is not understood.
pub fn load_schedule(written: &mut Written, path: &Path) -> Result<(), UserError> {
    let (source, value) = Source::read(&path.display().to_string(), &read(path)?)?;
    let schedule: ScheduleFile = source.typed(value)?;
    written.schedule = Some((schedule, source));
    written.file.schedule = Some(path.to_owned());
    Ok(())
}

/// Where data files are looked for unless a scenario or an option says so: `HCDDL_DATA`, else the cache, if there
/// is one.
#[must_use]
pub fn data_dir() -> Option<PathBuf> {
    let named = from_environment("HCDDL_DATA").is_some();
    fetch_dir().filter(|dir| named || dir.is_dir())
}

/// Where data files are downloaded to: `HCDDL_DATA`, else `$XDG_CACHE_HOME/hcddl`, else `~/.cache/hcddl`.
#[must_use]
pub fn fetch_dir() -> Option<PathBuf> {
    // A relative cache directory is to be ignored (XDG Base Directory Specification).
    let cache = || from_environment("XDG_CACHE_HOME").filter(|dir| dir.is_absolute());
    let cache = || cache().or_else(|| Some(from_environment("HOME")?.join(".cache")));
    from_environment("HCDDL_DATA").or_else(|| Some(cache()?.join("hcddl")))
}

/// A path from a variable; one that is set to nothing counts as not set.
fn from_environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A topology that is written in a file of its own.
fn file_name(topology: &Pick<Topology>) -> Option<&str> {
    let text = topology.value().as_str()?;
    (text.ends_with(".yml") || text.ends_with(".yaml")).then_some(text)
}

/// Tells about a topology that names a file of another form than what is read.
fn unread_topology(written: &Written, folder: &Path) -> Result<(), UserError> {
    let Some(name) =
        written.file.topology.value().as_str().filter(|_| file_name(&written.file.topology).is_none())
    else {
        return Ok(());
    };
    let path = folder.join(name);
    if !name.contains(['.', '/']) || !path.is_file() {
        return Ok(());
    }
    let message = format!("the file `{}` is there, but its form is not read", path.display());
    let next = "write its links as `{name: links, peers: [a, b], links: [[a, b]]}`, here or in a file that ends in .yml";
    Err(written.source.error("topology", message, "the name of a topology, or a file .yml or .yaml", next))
}

/// Replaces `csv: FILE` of a measured distribution, wherever one is written, by the file's samples.
fn read_samples(source: &Source, value: &mut Value, path: &str, folder: &Path) -> Result<(), UserError> {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if path == "partition" {
        read_assignment(source, value, folder)?;
    }
    match value {
        Value::Object(map) if map.get("name").and_then(Value::as_str) == Some("empirical") => {
            let Some(Value::String(name)) = map.get("csv") else { return Ok(()) };
            let path = below("csv");
            let file = folder.join(name);
            let text = read(&file).map_err(|error| {
                let message = format!("the samples in `{}`: {}", file.display(), error.message);
                source.error(&path, message, "", "the path is relative to the scenario's folder")
            })?;
            let samples = traces::samples(&text).map_err(|(line, problem)| {
                let message = format!("line {line} of `{}`: {problem}", file.display());
                let allowed = "a duration with its unit first on each line, as in `12.5ms`";
                source.error(
                    &path,
                    message,
                    allowed,
                    "a first line such as `latency_ms` gives the unit for all",
                )
            })?;
            map.shift_remove("csv");
            map.insert("samples".to_owned(), samples.into());
            Ok(())
        }
        Value::Object(map) if map.get("name").and_then(Value::as_str) == Some("trace") => {
            let Some(Value::String(name)) = map.get("csv") else { return Ok(()) };
            let (path, file) = (below("csv"), folder.join(name));
            let text = read(&file).map_err(|error| {
                let message = format!("the trace in `{}`: {}", file.display(), error.message);
                source.error(&path, message, "", "the path is relative to the scenario's folder")
            })?;
            let records = traces::records(&text).map_err(|(line, problem)| {
                let message = format!("line {line} of `{}`: {problem}", file.display());
                let allowed = "a time in seconds and a latency in milliseconds on each line, as in `1.5,20`";
                source.error(&path, message, allowed, "a heading gives the units: `time_ms,latency_us`")
            })?;
            map.shift_remove("csv");
            map.insert("records".to_owned(), records.into());
            Ok(())
        }
        Value::Object(map) if map.get("efficiency").is_some_and(Value::is_string) && is_device(path) => {
            let name = map["efficiency"].as_str().unwrap_or_default();
            let (path, file) = (below("efficiency"), folder.join(name));
            let refuse = |problem: String| {
                let message = format!("the table in `{}`: {problem}", file.display());
                let allowed = "a file that `hcddl profile --device` wrote";
                source.error(&path, message, allowed, "the path is relative to the scenario's folder")
            };
            let text = read(&file).map_err(|error| refuse(error.message))?;
            let table: Value = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
            map.insert("efficiency".to_owned(), table);
            Ok(())
        }
        Value::Object(map) => {
            map.iter_mut().try_for_each(|(key, value)| read_samples(source, value, &below(key), folder))
        }
        Value::Array(items) => items
            .iter_mut()
            .enumerate()
            .try_for_each(|(i, value)| read_samples(source, value, &below(&i.to_string()), folder)),
        _ => Ok(()),
    }
}

/// Whether a device is written at a path: below `devices`, or as the device of a host.
fn is_device(path: &str) -> bool {
    path.starts_with("devices.") || path.starts_with("hosts.") && path.ends_with(".device")
}

/// Replaces the file of a partition that one gives by what it says.
fn read_assignment(source: &Source, value: &mut Value, folder: &Path) -> Result<(), UserError> {
    let short = value.as_str().and_then(|text| text.trim().strip_prefix("file(")?.strip_suffix(')'));
    let (name, mut options) = match &*value {
        Value::Object(map) if map.get("name").and_then(Value::as_str) == Some("file") => {
            let Some(Value::String(name)) = map.get("file") else { return Ok(()) };
            (name.clone(), map.clone())
        }
        _ => match short {
            Some(name) => (name.trim().to_owned(), Map::from_iter([("name".to_owned(), "file".into())])),
            None => return Ok(()),
        },
    };
    let (path, file) = ("partition.file", folder.join(name));
    let text = read(&file).map_err(|error| {
        let message = format!("the nodes in `{}`: {}", file.display(), error.message);
        source.error(path, message, "", "the path is relative to the scenario's folder")
    })?;
    let nodes = assignment::nodes(&text).map_err(|(line, problem)| {
        let message = format!("line {line} of `{}`: {problem}", file.display());
        let allowed = "a node's number on each line, or `sample,node` as the heading of both";
        source.error(path, message, allowed, "nodes that train are numbered from 0 in their order")
    })?;
    options.shift_remove("file");
    options.insert("nodes".to_owned(), nodes.into());
    *value = options.into();
    Ok(())
}

/// The text of the standard input.
fn read_stdin() -> Result<String, UserError> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(STDIN_MAX + 1).read_to_end(&mut bytes);
    let fail = |problem: String| UserError::in_file("standard input", problem, "pipe a scenario into it");
    read.map_err(|error| fail(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > STDIN_MAX {
        return Err(fail(format!("has more than {STDIN_MAX} bytes")));
    }
    text::decode(bytes).map_err(fail)
}

/// Bytes of a scenario on the standard input at most.
const STDIN_MAX: u64 = 64 << 20;

/// The text of a file.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn read(path: &Path) -> Result<String, UserError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        UserError::in_file(&name, format!("cannot be read: {error}"), "check the path and the permissions")
    })?;
    text::decode(bytes).map_err(|problem| UserError::in_file(&name, problem, "save it as UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_comes_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let nodes = "sample,node\n3,1\n0,0\n1,1\n2,-1\n";
        std::fs::write(folder.path().join("p.csv"), nodes).unwrap();
        let file = folder.path().join("x.yml");
        let registry = crate::registry::Registry::default();
        for partition in ["{name: file, file: p.csv}", "file(p.csv)"] {
            let text = format!(
                "topology: flat(2)\nmodel: softmax\ndata: {{name: digits, limit_train: 4}}\npartition: {partition}\n"
            );
            std::fs::write(&file, text).unwrap();
            let written = load(&file, &[]).unwrap();
            let plan = crate::scenario::resolve(&written, &registry).unwrap();
            assert_eq!(written.holdings(&plan, &registry).unwrap().shards, [vec![0], vec![1, 3]]);
        }
        std::fs::write(folder.path().join("p.csv"), "sample,node\n0,x\n").unwrap();
        let error = load(&file, &[]).unwrap_err();
        assert!(error.path == "partition.file" && error.message.contains("line 2 of"), "{error:?}");
    }

    #[test]
    fn samples_come_from_a_csv() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.csv"), "1ms\n2ms\n").unwrap();
        let file = folder.path().join("x.yml");
        let text =
            "topology: flat(1)\nmodel: softmax\nnetwork: {lan: {latency: {name: empirical, csv: s.csv}}}\n";
        std::fs::write(&file, text).unwrap();
        let plan =
            crate::scenario::resolve(&load(&file, &[]).unwrap(), &crate::registry::Registry::default());
        let mean = plan.unwrap().network.links[0].latency.mean();
        assert_eq!(mean, Some(hcddl_core::domain::Span::from_micros(1500)));
        std::fs::remove_file(folder.path().join("s.csv")).unwrap();
        assert_eq!(load(&file, &[]).unwrap_err().path, "network.lan.latency.csv");
    }
}
