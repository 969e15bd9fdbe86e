//! A topology written out link by link: a tree of named servers and workers, or a graph of named peers.

use super::{BuildTopology, NodeKind, Topology, TopologyNode, components};
use crate::domain::name::{ALLOWED, folded_twins};
use crate::domain::table::nearest;
use crate::domain::{Choice, NodeName, OptionError, Row};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn row() -> Row<BuildTopology> {
    Row {
        name: "links",
        summary: "written out: `peers` and their `links`, or `servers` (the root first), `workers` and `links: [[server, child], ...]`",
        example: "{name: links, peers: [a, b, c], links: [[a, b], [b, c]]}",
        positional: &[],
        build,
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    servers: Vec<String>,
    workers: Vec<String>,
    peers: Vec<String>,
    links: Vec<(String, String)>,
}

fn build(choice: &Choice) -> Result<Topology, OptionError> {
    let options: Options = choice.options()?;
    if options.peers.is_empty() == (options.servers.is_empty() && options.workers.is_empty()) {
        return Err(OptionError::new("", "name the nodes", "`peers`, or `servers` and `workers`"));
    }
    let names = names(&options)?;
    let index: BTreeMap<&str, u32> = names.iter().zip(0..).map(|(name, i)| (name.as_str(), i)).collect();
    let mut links = Vec::new();
    for (i, (a, b)) in options.links.iter().enumerate() {
        let key = format!("links.{i}");
        let pair = (find(&index, a, &key)?, find(&index, b, &key)?);
        if pair.0 == pair.1 {
            return Err(OptionError::new(&key, format!("`{a}` is linked to itself"), "two different nodes"));
        }
        links.push(pair);
    }
    connected(&names, &links)?;
    if options.peers.is_empty() { tree(&options, &names, &links) } else { peers(&names, &links) }
}

/// All names, checked: servers, workers, peers.
fn names(options: &Options) -> Result<Vec<NodeName>, OptionError> {
    let groups = [("servers", &options.servers), ("workers", &options.workers), ("peers", &options.peers)];
    let written =
        groups.iter().flat_map(|(key, group)| (0..).zip(*group).map(move |(i, name)| (*key, i, name)));
    let written: Vec<(&str, usize, &String)> = written.collect();
    let mut names = Vec::with_capacity(written.len());
    for (key, i, name) in &written {
        let refuse = |_| {
            let message = format!("`{}` cannot be the name of a node", name.escape_debug());
            OptionError::new(&format!("{key}.{i}"), message, ALLOWED)
        };
        names.push(NodeName::new(name.as_str()).map_err(refuse)?);
    }
    if let Some((earlier, later)) = folded_twins(names.iter().map(NodeName::as_str)) {
        let (key, i, name) = written[later];
        let message = match written[earlier].2 == name {
            true => format!("a second `{name}`"),
            false => format!("`{name}` differs from `{}` by its letters' case alone", written[earlier].2),
        };
        let allowed = "each name once, whatever its case: names become names of files";
        return Err(OptionError::new(&format!("{key}.{i}"), message, allowed));
    }
    Ok(names)
}

fn find(index: &BTreeMap<&str, u32>, name: &str, key: &str) -> Result<u32, OptionError> {
    index.get(name).copied().ok_or_else(|| OptionError {
        key: key.to_owned(),
        message: format!("this link names the missing node `{name}`"),
        allowed: index.keys().copied().take(30).collect::<Vec<_>>().join(", "),
        hint: nearest(name, index.keys().copied())
            .map_or_else(|| "add it to the nodes".to_owned(), |near| format!("did you mean `{near}`?")),
    })
}

fn connected(names: &[NodeName], links: &[(u32, u32)]) -> Result<(), OptionError> {
    let component = components(names.len(), links);
    match component.iter().position(|c| *c != 0) {
        None => Ok(()),
        Some(lost) => Err(OptionError {
            key: "links".to_owned(),
            message: format!("the graph is disconnected: no path from `{}` to `{}`", names[0], names[lost]),
            allowed: String::new(),
            hint: format!("add a link to `{}`", names[lost]),
        }),
    }
}

fn peers(names: &[NodeName], links: &[(u32, u32)]) -> Result<Topology, OptionError> {
    let mut topology = super::graph(names.len() as u64, links.iter().map(|l| (l.0.into(), l.1.into())));
    let mut written = BTreeSet::new();
    if let Some(i) = links.iter().position(|(a, b)| !written.insert((a.min(b), a.max(b)))) {
        return Err(OptionError::new(&format!("links.{i}"), "this link is written twice", "each link once"));
    }
    for (node, name) in topology.nodes.iter_mut().zip(names) {
        node.name = name.clone();
    }
    Ok(topology)
}

/// Depth first from the first server, children in the order of their links.
fn tree(options: &Options, names: &[NodeName], links: &[(u32, u32)]) -> Result<Topology, OptionError> {
    let servers = options.servers.len() as u32;
    if servers == 0 {
        return Err(OptionError::new("servers", "workers without a server", "at least one server"));
    }
    let mut children: Vec<Vec<u32>> = vec![Vec::new(); names.len()];
    let mut has_parent = vec![false; names.len()];
    for (i, &(parent, child)) in links.iter().enumerate() {
        let key = format!("links.{i}");
        let (above, below) = (&names[parent as usize], &names[child as usize]);
        if parent >= servers {
            let message = format!("the worker `{above}` cannot have the child `{below}`");
            return Err(OptionError::new(&key, message, "[server, child]"));
        }
        if child == 0 || std::mem::replace(&mut has_parent[child as usize], true) {
            let message = format!("`{below}` gets a second parent, `{above}`");
            let allowed = format!("one parent for each node; none for the root `{}`", names[0]);
            return Err(OptionError::new(&key, message, allowed));
        }
        children[parent as usize].push(child);
    }
    // Connected, and n - 1 links since only the root has no parent: a tree, so this walk ends.
    let mut nodes = Vec::with_capacity(names.len());
    let mut stack = vec![(0u32, None)];
    while let Some((at, parent)) = stack.pop() {
        let kind = if at < servers { NodeKind::Server } else { NodeKind::Worker };
        if kind == NodeKind::Server && children[at as usize].is_empty() {
            let message = format!("the server `{}` has no children", names[at as usize]);
            return Err(OptionError::new("links", message, "at least one worker or server below it"));
        }
        let me = nodes.len() as u32;
        nodes.push(TopologyNode { name: names[at as usize].clone(), kind, parent });
        stack.extend(children[at as usize].iter().rev().map(|child| (*child, Some(me))));
    }
    if options.workers.is_empty() {
        return Err(OptionError::new("workers", "0 workers", "at least 1"));
    }
    Ok(Topology { nodes, links: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::super::tests::build;
    use serde_json::json;

    #[test]
    fn a_written_tree_is_walked_depth_first() {
        let topology =
            build(json!({"name": "links", "servers": ["root", "edge"], "workers": ["a", "b", "c"],
            "links": [["edge", "b"], ["root", "a"], ["root", "edge"], ["edge", "c"]]}))
            .unwrap();
        let names: Vec<&str> = topology.nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["root", "a", "edge", "b", "c"]);
        assert_eq!(topology.nodes[4].parent, Some(2));
    }

    #[test]
    fn mistakes_are_named() {
        let tree = |links| json!({"name": "links", "servers": ["r", "s"], "workers": ["w"], "links": links});
        let peers = |links| json!({"name": "links", "peers": ["peer-a", "b", "c"], "links": links});
        for (value, part) in [
            (peers(json!([["peer-a", "b"]])), "no path from `peer-a` to `c`"),
            (
                peers(json!([["peera", "b"]])),
                "missing node `peera`; allowed: b, c, peer-a; did you mean `peer-a`?",
            ),
            (peers(json!([["b", "b"]])), "linked to itself"),
            (
                peers(json!([["peer-a", "b"], ["b", "c"], ["b", "peer-a"]])),
                "links.2: this link is written twice",
            ),
            (tree(json!([["r", "s"], ["s", "w"], ["r", "w"]])), "second parent"),
            (tree(json!([["r", "s"], ["w", "s"]])), "cannot have the child"),
            (tree(json!([["r", "w"], ["r", "s"]])), "no children"),
            (json!({"name": "links", "peers": ["a", "a"]}), "peers.1: a second `a`"),
            (json!({"name": "links", "peers": ["a", "A"]}), "peers.1: `A` differs from `a`"),
            (
                json!({"name": "links", "peers": ["a", "../x"]}),
                "peers.1: `../x` cannot be the name of a node",
            ),
            (json!({"name": "links", "servers": ["g"], "workers": ["-x"]}), "workers.0: `-x` cannot be"),
            (json!({"name": "links", "servers": ["c/d"], "workers": ["x"]}), "servers.0: `c/d` cannot be"),
            (
                json!({"name": "links", "servers": ["g"], "workers": ["a\u{1b}[31m"]}),
                "workers.0: `a\\u{1b}[31m`",
            ),
            (json!({"name": "links"}), "name the nodes"),
        ] {
            let error = build(value.clone()).unwrap_err().to_string();
            assert!(error.contains(part), "{value}: {error}");
        }
    }
}
