//! The older HCDDL's `config.yml` as a scenario.
//!
//! What it meant, and what it means here: LeNet on Fashion-MNIST, one mini-batch gradient per worker and
//! round, Adam at the global server; every worker keeps the first 2,000 samples of its even share, in fixed
//! order. A synchronous local server forwards the mean gradient of its workers; the global server takes the
//! unweighted mean over its local servers. An asynchronous local server lets its workers run on and answers
//! the global server with the plain mean of what has arrived. `num_server_rounds` counts commits of the
//! global server: rounds of a synchronous one, updates of an asynchronous one.
//!
//! One difference: the older asynchronous global server applied each update as it arrived but gave out new
//! parameters only when all of a wave had answered. Here it answers each child at once.

use super::Source;
use hcddl_core::domain::table::nearest;
use hcddl_core::error::UserError;
use serde::Deserialize;
use serde_json::{Value, json};

/// Samples that a worker of the older HCDDL kept.
const SHARD_LIMIT: u64 = 2000;

/// Keys by which an older file is known.
const SIGNS: &[&str] = &["num_server_rounds", "arch", "parameter_server", "global_server"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    num_server_rounds: u64,
    #[serde(default)]
    target_accuracy: Option<f64>,
    #[serde(default = "default_batch_size")]
    batch_size: u64,
    arch: String,
    #[serde(default)]
    parameter_server: Option<LocalServer>,
    #[serde(default)]
    global_server: Option<GlobalServer>,
}

fn default_batch_size() -> u64 {
    32
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GlobalServer {
    #[serde(default)]
    aggr_type: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    local_servers: Vec<LocalServer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocalServer {
    #[serde(default)]
    aggr_type: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    num_workers: u64,
}

/// Whether a file is an older configuration.
#[must_use]
pub fn is_older_config(value: &Value) -> bool {
    value.get("topology").is_none() && SIGNS.iter().any(|key| value.get(key).is_some())
}

/// The scenario that an older configuration means, as its YAML value, and notes for the reader.
///
/// # Errors
/// [`UserError`] for unknown keys, wrong types, an unknown architecture or type, no workers.
pub fn convert(source: &mut Source, value: Value) -> Result<(Value, Vec<String>), UserError> {
    let config: Config = source.typed(value)?;
    let mut tiers = serde_json::Map::new();
    let (topology, asynchronous) = match config.arch.as_str() {
        "flat" => flat(source, &config, &mut tiers)?,
        "hierarchical" => hierarchical(source, &config, &mut tiers)?,
        other => {
            let allowed = ["flat", "hierarchical"];
            let near = nearest(other, allowed).map_or_else(String::new, |n| format!("did you mean `{n}`?"));
            let message = format!("unknown architecture `{other}`");
            return Err(source.error("arch", message, allowed.join(", "), near));
        }
    };
    source.rename("training.rounds", "num_server_rounds");
    source.rename("training.target_accuracy", "target_accuracy");
    source.rename("training.batch", "batch_size");
    let scenario = json!({
        "description": "from a config.yml of the older HCDDL",
        "topology": topology,
        "model": "lenet",
        "data": "fashion_mnist",
        "partition": "iid",
        "training": {
            "rounds": config.num_server_rounds,
            "target_accuracy": config.target_accuracy,
            "batch": config.batch_size,
            "local": {"steps": 1},
            "shuffle": false,
            "shard_limit": SHARD_LIMIT,
        },
        "evaluation": {"every": if asynchronous { 5 } else { 10 }},
        "tiers": tiers,
    });
    let mut notes = Vec::new();
    if asynchronous {
        notes.push(
            "the older asynchronous global server waited for all children of a wave before it gave out new \
             parameters; here it answers each child at once"
                .to_owned(),
        );
    }
    Ok((scenario, notes))
}

type Tiers = serde_json::Map<String, Value>;

fn adam() -> Value {
    json!({"name": "adam", "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-7})
}

fn flat(source: &Source, config: &Config, tiers: &mut Tiers) -> Result<(Value, bool), UserError> {
    let Some(server) = &config.parameter_server else {
        let next = "add `parameter_server: {aggr_type: sync, num_workers: 4}`";
        return Err(source.error("parameter_server", "the key `parameter_server` is missing", "", next));
    };
    if config.global_server.is_some() {
        let message = "`global_server` in a flat architecture";
        return Err(source.error("global_server", message, "", "use `arch: hierarchical`, or leave it out"));
    }
    let policy = policy(source, "parameter_server", &server.aggr_type, &server.kind)?;
    let workers = workers(source, "parameter_server", server)?;
    tiers.insert("global".to_owned(), json!({"policy": policy, "optimizer": adam()}));
    Ok((json!({"name": "flat", "workers": workers}), policy == "async"))
}

fn hierarchical(source: &Source, config: &Config, tiers: &mut Tiers) -> Result<(Value, bool), UserError> {
    let Some(global) = &config.global_server else {
        let next = "add `global_server` with `aggr_type` and `local_servers`";
        return Err(source.error("global_server", "the key `global_server` is missing", "", next));
    };
    if config.parameter_server.is_some() {
        let message = "`parameter_server` in a hierarchical architecture";
        return Err(source.error("parameter_server", message, "", "use `arch: flat`, or leave it out"));
    }
    if global.local_servers.is_empty() {
        let path = "global_server.local_servers";
        return Err(source.error(path, "0 local servers", "at least 1", "use `arch: flat` for none"));
    }
    let root = policy(source, "global_server", &global.aggr_type, &global.kind)?;
    tiers.insert("global".to_owned(), json!({"policy": root, "fold": "mean", "optimizer": adam()}));
    let mut servers = Vec::new();
    for (i, server) in global.local_servers.iter().enumerate() {
        let path = format!("global_server.local_servers.{i}");
        let policy = policy(source, &path, &server.aggr_type, &server.kind)?;
        servers.push(json!({"workers": workers(source, &path, server)?}));
        let (fold, push, wait) = match policy {
            "async" => ("mean", "on_request", false),
            _ => ("weighted", "every(1)", true),
        };
        let uplink = json!({"push": push, "send": "gradient", "wait": wait});
        tiers.insert(format!("local{}", i + 1), json!({"policy": policy, "fold": fold, "uplink": uplink}));
    }
    Ok((json!({"name": "tree", "servers": servers}), root == "async"))
}

/// `aggr_type` in some files, `type` in others.
fn policy(
    source: &Source,
    path: &str,
    aggr_type: &Option<String>,
    kind: &Option<String>,
) -> Result<&'static str, UserError> {
    let (key, written) = match (aggr_type, kind) {
        (Some(written), None) => ("aggr_type", written),
        (None, Some(written)) => ("type", written),
        (Some(_), Some(_)) => {
            let message = "both `aggr_type` and `type`";
            return Err(source.error(&format!("{path}.type"), message, "", "keep one of them"));
        }
        (None, None) => {
            return Err(source.error(path, "the key `aggr_type` is missing", "sync, async", "add it"));
        }
    };
    match written.as_str() {
        "sync" => Ok("sync"),
        "async" => Ok("async"),
        other => {
            let path = format!("{path}.{key}");
            Err(source.error(&path, format!("unknown type `{other}`"), "sync, async", ""))
        }
    }
}

fn workers(source: &Source, path: &str, server: &LocalServer) -> Result<u64, UserError> {
    if server.num_workers == 0 {
        return Err(source.error(&format!("{path}.num_workers"), "0 workers", "at least 1", ""));
    }
    Ok(server.num_workers)
}
