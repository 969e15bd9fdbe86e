//! A tree of servers of any depth with workers below, even (`fanout`) or written out (`servers`).

use super::{BuildTopology, Grower, Topology, at_least};
use crate::domain::{Choice, OptionError, Row};
use serde::Deserialize;

pub(super) fn row() -> Row<BuildTopology> {
    Row {
        name: "tree",
        summary: "servers below servers; `fanout` ends with the workers of each last server, or write `servers: [{workers: 2}, ...]`, each with `workers` and `servers` of its own",
        example: "{name: tree, fanout: [2, 2]}",
        positional: &[],
        build,
    }
}

/// Deeper written trees are refused.
const DEPTH_MAX: usize = 32;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    fanout: Option<Vec<u64>>,
    workers: u64,
    servers: Vec<ServerOptions>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ServerOptions {
    workers: u64,
    servers: Vec<ServerOptions>,
}

fn build(choice: &Choice) -> Result<Topology, OptionError> {
    let options: Options = choice.options()?;
    let mut grower = Grower::default();
    match options.fanout {
        Some(_) if options.workers > 0 || !options.servers.is_empty() => {
            return Err(OptionError::new("fanout", "`fanout` beside `workers` or `servers`", "one of them"));
        }
        Some(fanout) => {
            check_fanout(&fanout)?;
            even(&mut grower, None, &fanout)?;
        }
        None => {
            let root = ServerOptions { workers: options.workers, servers: options.servers };
            if root.workers == 0 && root.servers.is_empty() {
                return Err(OptionError::new(
                    "",
                    "this tree has no workers",
                    "`fanout: [2, 2]`, or `servers: [{workers: 2}, {workers: 2}]`",
                ));
            }
            written(&mut grower, None, &root, "", 0)?;
        }
    }
    Ok(grower.finish())
}

fn check_fanout(fanout: &[u64]) -> Result<(), OptionError> {
    if fanout.is_empty() || fanout.len() > DEPTH_MAX {
        let message = format!("a tree of {} levels", fanout.len());
        return Err(OptionError::new("fanout", message, format!("1 to {DEPTH_MAX} levels, as in [2, 2]")));
    }
    for (level, count) in fanout.iter().enumerate() {
        let what = if level + 1 == fanout.len() { "worker" } else { "server" };
        at_least(&format!("fanout.{level}"), *count, 1, what)?;
    }
    Ok(())
}

fn even(grower: &mut Grower, parent: Option<u32>, fanout: &[u64]) -> Result<(), OptionError> {
    let server = grower.server(parent)?;
    match fanout {
        [workers] => grower.workers(*workers, server),
        [servers, below @ ..] => (0..*servers).try_for_each(|_| even(grower, Some(server), below)),
        [] => Ok(()),
    }
}

/// A server's own workers come before its servers.
fn written(
    grower: &mut Grower,
    parent: Option<u32>,
    options: &ServerOptions,
    key: &str,
    depth: usize,
) -> Result<(), OptionError> {
    if options.workers == 0 && options.servers.is_empty() {
        let allowed = "`workers: 1` or more, or `servers` of its own";
        return Err(OptionError::new(key, "a server without workers or servers", allowed));
    }
    if depth > DEPTH_MAX {
        return Err(OptionError::new(key, "a deeper tree", format!("at most {DEPTH_MAX} levels")));
    }
    let server = grower.server(parent)?;
    grower.workers(options.workers, server)?;
    for (i, child) in options.servers.iter().enumerate() {
        let key = if key.is_empty() { format!("servers.{i}") } else { format!("{key}.servers.{i}") };
        written(grower, Some(server), child, &key, depth + 1)?;
    }
    Ok(())
}
