//! Topologies: who reports to whom, or who mixes with whom. One file and one row each.

mod flat;
mod graphs;
mod links;
mod random;
mod tree;

use crate::domain::{Choice, NodeName, OptionError, Table};

/// Builds a topology from its options.
pub type BuildTopology = fn(&Choice) -> Result<Topology, OptionError>;

/// More nodes than this are refused, as a slip of the finger.
pub const NODES_MAX: u64 = 4_194_304;
/// More links than this in a peer graph are refused, as a slip of the finger.
pub const LINKS_MAX: u64 = 16_777_216;

/// A topology: a tree of servers and workers, or an undirected graph of peers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// In order of id: the root first, then depth first; peers in their own order.
    pub nodes: Vec<TopologyNode>,
    /// Links of a peer graph as indices into `nodes`, each once, lower index first; empty for a tree.
    pub links: Vec<(u32, u32)>,
}

/// One node of a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyNode {
    /// Its name: `global`, `local1`, `worker3`, `peer2`, or as written.
    pub name: NodeName,
    /// What it is.
    pub kind: NodeKind,
    /// Index of the server it reports to; `None` for the root and for peers.
    pub parent: Option<u32>,
}

/// What a node of a topology is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Aggregates its children.
    Server,
    /// Trains for its parent.
    Worker,
    /// Trains and mixes with its neighbours.
    Peer,
}

impl Topology {
    /// Whether it is a graph of peers.
    #[must_use]
    pub fn is_peer_graph(&self) -> bool {
        self.nodes.first().is_some_and(|node| node.kind == NodeKind::Peer)
    }

    /// Number of nodes that train.
    #[must_use]
    pub fn trainers(&self) -> usize {
        self.nodes.iter().filter(|node| node.kind != NodeKind::Server).count()
    }
}

/// All topologies.
#[must_use]
pub fn table() -> Table<BuildTopology> {
    Table::new(
        "topology",
        vec![
            flat::row(),
            tree::row(),
            links::row(),
            graphs::ring(),
            graphs::wheel(),
            graphs::star(),
            graphs::complete(),
            graphs::grid(),
            random::row(),
        ],
    )
}

/// Adds nodes depth first and names them: `global`, `local1`, `worker1`, each kind counted over the whole
/// tree, as the older HCDDL assigned its devices.
#[derive(Default)]
struct Grower {
    nodes: Vec<TopologyNode>,
    servers: usize,
    workers: usize,
}

impl Grower {
    fn server(&mut self, parent: Option<u32>) -> Result<u32, OptionError> {
        let name = if parent.is_none() { "global".to_owned() } else { format!("local{}", self.servers) };
        self.servers += 1;
        self.add(name, NodeKind::Server, parent)
    }

    fn workers(&mut self, count: u64, parent: u32) -> Result<(), OptionError> {
        for _ in 0..count {
            self.workers += 1;
            self.add(format!("worker{}", self.workers), NodeKind::Worker, Some(parent))?;
        }
        Ok(())
    }

    fn add(&mut self, name: String, kind: NodeKind, parent: Option<u32>) -> Result<u32, OptionError> {
        if self.nodes.len() as u64 >= NODES_MAX {
            return Err(OptionError::new(
                "",
                format!("the tree has more than {NODES_MAX} nodes"),
                "a smaller tree",
            ));
        }
        self.nodes.push(TopologyNode { name: made(name), kind, parent });
        Ok(self.nodes.len() as u32 - 1)
    }

    fn finish(self) -> Topology {
        Topology { nodes: self.nodes, links: Vec::new() }
    }
}

/// A name that a builder of this folder counts up.
fn made(name: String) -> NodeName {
    NodeName::new(name).expect("letters and a number")
}

/// A count that must be at least `min`.
fn at_least(key: &str, value: u64, min: u64, what: &str) -> Result<u64, OptionError> {
    if value < min {
        let message = format!("{value} {what}{}", if value == 1 { "" } else { "s" });
        return Err(OptionError::new(key, message, format!("at least {min}")));
    }
    if value > NODES_MAX {
        return Err(OptionError::new(key, format!("{value} {what}s"), format!("at most {NODES_MAX}")));
    }
    Ok(value)
}

/// Peers `peer1`, `peer2`, ... with these links (in any order and direction, without repeats).
fn graph(peers: u64, links: impl IntoIterator<Item = (u64, u64)>) -> Topology {
    let node = |i: u64| {
        let name = made(format!("peer{}", i + 1));
        TopologyNode { name, kind: NodeKind::Peer, parent: None }
    };
    let mut links: Vec<(u32, u32)> =
        links.into_iter().map(|(a, b)| (a.min(b) as u32, a.max(b) as u32)).collect();
    links.sort_unstable();
    links.dedup();
    Topology { nodes: (0..peers).map(node).collect(), links }
}

/// The component of each node: the lowest index that it is connected with (union-find with path halving).
#[must_use]
pub fn components(nodes: usize, links: &[(u32, u32)]) -> Vec<u32> {
    fn root(parent: &mut [u32], mut i: u32) -> u32 {
        while parent[i as usize] != i {
            parent[i as usize] = parent[parent[i as usize] as usize];
            i = parent[i as usize];
        }
        i
    }
    let mut parent: Vec<u32> = (0..nodes as u32).collect();
    for &(a, b) in links {
        let (a, b) = (root(&mut parent, a), root(&mut parent, b));
        parent[a.max(b) as usize] = a.min(b);
    }
    (0..nodes as u32).map(|i| root(&mut parent, i)).collect()
}

/// Metropolis weights: for each node its neighbours, ascending, with W_ij = 1/(1 + max(d_i, d_j)), where d
/// is the degree. W_ii, one minus their sum, is left to the reader; the matrix is symmetric and doubly
/// stochastic (Xiao, Boyd and Kim: Distributed average consensus with least-mean-square deviation, 2007).
#[must_use]
pub fn metropolis(nodes: usize, links: &[(u32, u32)]) -> Vec<Vec<(u32, f64)>> {
    let mut neighbours: Vec<Vec<(u32, f64)>> = vec![Vec::new(); nodes];
    for &(a, b) in links {
        neighbours[a as usize].push((b, 0.0));
        neighbours[b as usize].push((a, 0.0));
    }
    let degrees: Vec<usize> = neighbours.iter().map(Vec::len).collect();
    for (i, list) in neighbours.iter_mut().enumerate() {
        list.sort_unstable_by_key(|entry| entry.0);
        for (j, weight) in list.iter_mut() {
            *weight = 1.0 / (1.0 + degrees[i].max(degrees[*j as usize]) as f64);
        }
    }
    neighbours
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(super) fn build(value: serde_json::Value) -> Result<Topology, OptionError> {
        let choice = Choice::from_value(&value)?;
        let table = table();
        let (row, choice) = table.resolve(&choice)?;
        (row.build)(&choice)
    }

    fn names(topology: &Topology) -> String {
        topology.nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_example_builds_connected() {
        for row in table().rows() {
            let example = crate::yaml::parse(row.example).unwrap().value;
            let topology = build(example).unwrap_or_else(|error| panic!("{}: {error}", row.name));
            assert!(topology.trainers() > 0, "{}", row.name);
            if topology.is_peer_graph() {
                let component = components(topology.nodes.len(), &topology.links);
                assert!(component.iter().all(|c| *c == 0), "{}", row.name);
            }
        }
    }

    #[test]
    fn trees_count_as_the_older_hcddl_did() {
        let topology = build(json!({"name": "tree", "fanout": [2, 2]})).unwrap();
        assert_eq!(names(&topology), "global local1 worker1 worker2 local2 worker3 worker4");
        let parents: Vec<Option<u32>> = topology.nodes.iter().map(|n| n.parent).collect();
        assert_eq!(parents, [None, Some(0), Some(1), Some(1), Some(0), Some(4), Some(4)]);
        let hips = json!({"name": "tree", "workers": 1, "servers": [{"workers": 2}, {"workers": 1}]});
        assert_eq!(names(&build(hips).unwrap()), "global worker1 local1 worker2 worker3 local2 worker4");
    }

    #[test]
    fn a_big_tree_is_built_fast() {
        let started = std::time::Instant::now();
        let topology = build(json!({"name": "tree", "fanout": [32, 64, 64]})).unwrap();
        assert_eq!((topology.trainers(), topology.nodes.len()), (131_072, 131_072 + 2048 + 32 + 1));
        assert!(started.elapsed().as_secs_f64() < 1.0);
        assert!(build(json!({"name": "tree", "fanout": [4000, 4000, 4000]})).is_err());
    }

    #[test]
    fn graphs_have_their_degrees() {
        let degrees = |value| {
            let topology = build(value).unwrap();
            let lists = metropolis(topology.nodes.len(), &topology.links);
            lists.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(degrees(json!("ring(4)")), [2, 2, 2, 2]);
        assert_eq!(degrees(json!("ring(2)")), [1, 1]);
        assert_eq!(degrees(json!("star(4)")), [3, 1, 1, 1]);
        assert_eq!(degrees(json!("wheel(5)")), [4, 3, 3, 3, 3]);
        assert_eq!(degrees(json!("complete(4)")), [3, 3, 3, 3]);
        assert_eq!(degrees(json!({"name": "grid", "rows": 2, "columns": 3})), [2, 3, 2, 2, 3, 2]);
    }

    #[test]
    fn metropolis_weights_are_doubly_stochastic() {
        // A path of three: degrees 1, 2, 1, so both links weigh 1/3.
        assert_eq!(
            metropolis(3, &[(0, 1), (1, 2)]),
            [vec![(1, 1.0 / 3.0)], vec![(0, 1.0 / 3.0), (2, 1.0 / 3.0)], vec![(1, 1.0 / 3.0)]]
        );
        let topology = build(json!({"name": "random", "peers": 12, "probability": 0.4})).unwrap();
        let lists = metropolis(12, &topology.links);
        for (i, list) in lists.iter().enumerate() {
            assert!(list.iter().map(|entry| entry.1).sum::<f64>() < 1.0);
            for &(j, weight) in list {
                let back = lists[j as usize].iter().find(|entry| entry.0 as usize == i).unwrap();
                assert_eq!(back.1, weight);
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (value, part) in [
            (json!("flat(0)"), "workers: 0 workers; allowed: at least 1"),
            (json!({"name": "tree", "fanout": []}), "fanout"),
            (json!({"name": "tree", "fanout": [2, 0]}), "fanout.1"),
            (json!({"name": "tree"}), "fanout"),
            (json!({"name": "tree", "servers": [{"workers": 0}]}), "servers.0"),
            (json!({"name": "random", "peers": 10, "probability": 1.5}), "probability"),
            (json!({"name": "random", "peers": 50, "probability": 0.001}), "connected"),
            (json!("rnig(4)"), "did you mean `ring`"),
        ] {
            let error = build(value.clone()).unwrap_err().to_string();
            assert!(error.contains(part), "{value}: {error}");
        }
    }
}
