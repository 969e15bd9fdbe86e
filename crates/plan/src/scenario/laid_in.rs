//! Files that a scenario names, read and laid into what was written in their places: what `resolve` sees has no files.

use super::load::read as text_of;
use super::matrix::{self, Of, Told};
use super::platform::Platform;
use super::{Source, assignment, columns, devices, traces};
use hcddl_core::error::UserError;
use serde_json::{Map, Value};
use std::path::Path;

/// Reads all of them.
///
/// # Errors
/// [`UserError`] when one cannot be read or is not understood.
pub(super) fn read(source: &Source, value: &mut Value, folder: &Path) -> Result<(), UserError> {
    read_traces(source, value, folder)?;
    read_matrices(source, value, folder)?;
    read_platform(source, value, folder)?;
    read_devices(source, value, folder)?;
    read_samples(source, value, "", folder)
}

/// The text of a file that stands at a key path, in which there is `what`.
fn text(source: &Source, path: &str, folder: &Path, name: &str, what: &str) -> Result<String, UserError> {
    let file = folder.join(name);
    text_of(&file).map_err(|error| {
        let message = format!("the {what} in `{}`: {}", file.display(), error.message);
        source.error(path, message, "", "the path is relative to the scenario's folder")
    })
}

/// Replaces `csv: FILE` of each trace by its records.
fn read_traces(source: &Source, value: &mut Value, folder: &Path) -> Result<(), UserError> {
    let Some(Value::Array(traces)) = value.get_mut("traces") else { return Ok(()) };
    for (i, trace) in traces.iter_mut().enumerate() {
        let Some(map) = trace.as_object_mut() else { continue };
        let Some(Value::String(name)) = map.get("csv") else { continue };
        let path = format!("traces.{i}.csv");
        if map.contains_key("records") {
            let message = "both a file and records here";
            return Err(source.error(&path, message, "`csv` or `records`", "leave one out"));
        }
        let text = text(source, &path, folder, name, "trace")?;
        let records = columns::records(&text).map_err(|(line, problem)| {
            let message = format!("line {line} of `{}`: {problem}", folder.join(name).display());
            source.error(
                &path,
                message,
                "",
                "each line is a moment and what holds from then on, as in `1.5,20`",
            )
        })?;
        map.shift_remove("csv");
        map.insert("records".to_owned(), records.into());
    }
    Ok(())
}

/// Replaces `csv: FILE` of each matrix by its places and quantities, one way and with their units.
fn read_matrices(source: &Source, value: &mut Value, folder: &Path) -> Result<(), UserError> {
    for (key, of) in [("latencies", Of::Latency), ("rates", Of::Rate)] {
        let Some(Value::Object(map)) = value.get_mut("network").and_then(|network| network.get_mut(key))
        else {
            continue;
        };
        let Some(Value::String(name)) = map.get("csv") else { continue };
        let path = format!("network.{key}.csv");
        if map.contains_key("rows") {
            let message = "both a file and rows here";
            return Err(source.error(&path, message, "`csv` or `rows`", "leave one out"));
        }
        let text = text(source, &path, folder, name, "matrix")?;
        let told = Told {
            of,
            unit: map.get("unit").and_then(Value::as_str),
            round_trip: map.get("round_trip").and_then(Value::as_bool),
        };
        let read = matrix::read(&text, &told).map_err(|(line, problem)| {
            let message = format!("line {line} of `{}`: {problem}", folder.join(name).display());
            let allowed = "n lines of n values, or a line for each pair: `a b rtt_us`";
            let next = "the corner of the heading may give the unit, as in `rtt_ms`, or the key `unit`";
            source.error(&path, message, allowed, next)
        })?;
        for key in ["csv", "unit"] {
            map.shift_remove(key);
        }
        if of == Of::Latency {
            map.insert("round_trip".to_owned(), false.into());
        }
        map.insert("names".to_owned(), read.names.into());
        map.insert("rows".to_owned(), serde_json::json!(read.rows));
    }
    Ok(())
}

/// Replaces the file of a platform by its XML.
fn read_platform(source: &Source, value: &mut Value, folder: &Path) -> Result<(), UserError> {
    let Some(Value::Object(map)) = value.get_mut("network").and_then(|network| network.get_mut("platform"))
    else {
        return Ok(());
    };
    let Some(Value::String(name)) = map.get("file") else { return Ok(()) };
    let path = "network.platform.file";
    if map.contains_key("xml") {
        return Err(source.error(path, "both a file and XML here", "`file` or `xml`", "leave one out"));
    }
    let text = text(source, path, folder, name, "platform")?;
    Platform::read(&text).map_err(|(line, problem)| {
        let message = format!("line {line} of `{}`: {problem}", folder.join(name).display());
        let allowed = "SimGrid's format, version 4: zones of routing Full, host, link, route, cluster";
        source.error(
            path,
            message,
            allowed,
            "simplify the platform, or describe it by `hosts` and `network.links`",
        )
    })?;
    map.shift_remove("file");
    map.insert("xml".to_owned(), text.into());
    Ok(())
}

/// Replaces the file of a list of devices by what it says.
fn read_devices(source: &Source, value: &mut Value, folder: &Path) -> Result<(), UserError> {
    let Some(Value::Object(map)) = value.get_mut("devices").and_then(|devices| devices.get_mut("list"))
    else {
        return Ok(());
    };
    let Some(Value::String(name)) = map.get("file") else { return Ok(()) };
    let path = "devices.list.file";
    if map.contains_key("devices") {
        return Err(source.error(
            path,
            "both a file and devices here",
            "`file` or `devices`",
            "leave one out",
        ));
    }
    let text = text(source, path, folder, name, "devices")?;
    let read = devices::read(&text).map_err(|(line, problem)| {
        let message = format!("line {line} of `{}`: {problem}", folder.join(name).display());
        let next = "a heading gives the units: `device_id,compute_ms,bandwidth_kbps`";
        source.error(path, message, "", next)
    })?;
    map.shift_remove("file");
    map.insert("devices".to_owned(), read.into());
    Ok(())
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
            let text = text(source, &path, folder, name, "samples")?;
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
            let text = text(source, &path, folder, name, "trace")?;
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
            let name = map["efficiency"].as_str().unwrap_or_default().to_owned();
            let path = below("efficiency");
            let text = text(source, &path, folder, &name, "table")?;
            let table: Value = serde_json::from_str(&text).map_err(|problem| {
                let message = format!("the table in `{}`: {problem}", folder.join(&name).display());
                let allowed = "a file that `hcddl profile --device` wrote";
                source.error(&path, message, allowed, "measure it again with `hcddl profile --device`")
            })?;
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
    let (path, file) = ("partition.file", folder.join(&name));
    let text = text(source, path, folder, &name, "nodes")?;
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
