//! Drawings of a plan: text for the terminal, Mermaid for Markdown, DOT for Graphviz.
//!
//! A plan of more than [`NODES_SHOWN_MAX`] nodes is drawn in part: breadth first, the first few children of
//! each server, with a line for those left out. The choice depends on the plan alone.

use crate::plan::{NodePlan, Plan, Role};
use hcddl_core::domain::units::Rate;
use hcddl_core::domain::{Choice, NodeId};
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;

/// Nodes in a drawing at most.
pub const NODES_SHOWN_MAX: usize = 200;
/// Children of one server (or neighbours of one peer) that are drawn in a plan too large to draw whole.
const CHILDREN_SHOWN: usize = 4;

/// A tree with box-drawing lines, or a list of neighbours with their weights; ends in a line break.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let shown = shown(plan);
    let mut out = format!("{}: {}\n", plan.name, census(plan.nodes.iter()));
    for root in roots(plan) {
        out.push('\n');
        let _ = writeln!(out, "{}", about(plan, root));
        branches(plan, &shown, root, "", &mut out);
    }
    if let Some(peers) = &plan.peers {
        let _ = writeln!(out, "\npeers: {}", choice(&peers.algorithm));
        for (_, peer) in nodes_of(plan, &shown).filter(|(_, node)| node.role == Role::Peer) {
            let _ = writeln!(out, "{} -- {}", about(plan, peer), neighbours(plan, peer));
        }
        hidden_peers(plan, &shown, |line| {
            let _ = writeln!(out, "{line}");
        });
    }
    out
}

/// A Mermaid flowchart; ends in a line break.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    let shown = shown(plan);
    let escape = |text: &str| text.replace('&', "#amp;").replace('"', "#quot;").replace('<', "#lt;");
    let mut out = format!("flowchart {}\n", if plan.peers.is_some() { "LR" } else { "TD" });
    for (id, node) in nodes_of(plan, &shown) {
        let label = label(plan, node).iter().map(|line| escape(line)).collect::<Vec<_>>().join("<br/>");
        let _ = writeln!(out, "  {id}[\"{label}\"]");
    }
    for (from, to, label) in edges(plan, &shown) {
        let _ = writeln!(out, "  {from} ---|\"{}\"| {to}", escape(&label));
    }
    for (id, line) in leftovers(plan, &shown) {
        let _ = writeln!(out, "  {id}_more[\"{}\"]\n  {id} -.- {id}_more", escape(&line));
    }
    hidden_peers(plan, &shown, |line| {
        let _ = writeln!(out, "  more[\"{}\"]", escape(line));
    });
    out
}

/// An undirected Graphviz graph; ends in a line break.
#[must_use]
pub fn dot(plan: &Plan) -> String {
    let shown = shown(plan);
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let layout = if plan.peers.is_some() { "circo" } else { "dot" };
    let mut out = format!("graph \"{}\" {{\n  layout={layout};\n  node [shape=box];\n", escape(&plan.name));
    for (id, node) in nodes_of(plan, &shown) {
        let label = label(plan, node).iter().map(|line| escape(line)).collect::<Vec<_>>().join("\\n");
        let _ = writeln!(out, "  {id} [label=\"{label}\"];");
    }
    for (from, to, label) in edges(plan, &shown) {
        let _ = writeln!(out, "  {from} -- {to} [label=\"{}\"];", escape(&label));
    }
    for (id, line) in leftovers(plan, &shown) {
        let _ = writeln!(out, "  {id}_more [label=\"{}\", shape=plaintext];", escape(&line));
        let _ = writeln!(out, "  {id} -- {id}_more [style=dotted];");
    }
    hidden_peers(plan, &shown, |line| {
        let _ = writeln!(out, "  more [label=\"{}\", shape=plaintext];", escape(line));
    });
    out.push_str("}\n");
    out
}

/// A choice in the short form of a scenario: `sync`, `ssp {slack: 3}`.
#[must_use]
pub fn choice(choice: &Choice) -> String {
    let mut options: Vec<String> = choice.positional.iter().map(ToString::to_string).collect();
    options.extend(choice.options.iter().map(|(key, value)| format!("{key}: {value}")));
    if options.is_empty() {
        choice.name.clone()
    } else {
        format!("{} {{{}}}", choice.name, options.join(", "))
    }
}

/// How a node reaches its parent: `wan 20 ms, 100mbit`.
#[must_use]
pub fn link(plan: &Plan, node: &NodePlan, index: u16) -> String {
    let link = &plan.network.links[usize::from(index)];
    // What one undisturbed transfer gets: the narrowest of card, own access line and link.
    let card = plan.hosts[node.host.index()].up;
    let ports = std::iter::once(card).chain(node.access.map(|(up, _)| up));
    let rate =
        ports.map(|port| plan.network.ports[port.0 as usize].bytes_per_second).fold(link.rate_max, f64::min);
    let latency = link.latency.mean().map_or(String::new(), |mean| format!(" {mean}"));
    let rate = if rate.is_finite() { format!(", {}", Rate(rate)) } else { String::new() };
    format!("{}{latency}{rate}", link.name)
}

/// `1 global server, 2 local servers, 5 workers`.
#[must_use]
pub fn census<'a>(nodes: impl Iterator<Item = &'a NodePlan>) -> String {
    let kinds = ["global server", "local server", "worker", "peer"];
    let mut counts = [0_usize; 4];
    for node in nodes {
        counts[match node.role {
            Role::Server(_) => usize::from(node.parent.is_some()),
            Role::Worker => 2,
            Role::Peer => 3,
        }] += 1;
    }
    let present = kinds.iter().zip(counts).filter(|(_, count)| *count > 0);
    let parts: Vec<String> =
        present.map(|(kind, count)| format!("{count} {kind}{}", if count == 1 { "" } else { "s" })).collect();
    parts.join(", ")
}

fn roots(plan: &Plan) -> impl Iterator<Item = &NodePlan> {
    plan.nodes.iter().filter(|node| node.parent.is_none() && node.role != Role::Peer)
}

/// The nodes to draw: all, or breadth first the first children of each.
fn shown(plan: &Plan) -> BTreeSet<NodeId> {
    let all = (0..plan.nodes.len() as u32).map(NodeId);
    if plan.nodes.len() <= NODES_SHOWN_MAX {
        return all.collect();
    }
    let mut shown = BTreeSet::new();
    let mut queue: VecDeque<NodeId> =
        all.filter(|id| plan.nodes[id.index()].parent.is_none()).take(NODES_SHOWN_MAX).collect();
    while let Some(id) = queue.pop_front() {
        if shown.len() == NODES_SHOWN_MAX {
            break;
        }
        shown.insert(id);
        queue.extend(plan.nodes[id.index()].children.iter().take(CHILDREN_SHOWN));
    }
    shown
}

fn nodes_of<'a>(plan: &'a Plan, shown: &'a BTreeSet<NodeId>) -> impl Iterator<Item = (NodeId, &'a NodePlan)> {
    shown.iter().map(|id| (*id, &plan.nodes[id.index()]))
}

/// The lines below a server; `indent` is what precedes each.
fn branches(plan: &Plan, shown: &BTreeSet<NodeId>, node: &NodePlan, indent: &str, out: &mut String) {
    let children: Vec<NodeId> = node.children.iter().copied().filter(|id| shown.contains(id)).collect();
    let more = more(plan, shown, node);
    for (i, child) in children.iter().enumerate() {
        let last = i + 1 == children.len() && more.is_none();
        let child = &plan.nodes[child.index()];
        let _ = writeln!(out, "{indent}{} {}", if last { "└──" } else { "├──" }, about(plan, child));
        let deeper = format!("{indent}{}", if last { "    " } else { "│   " });
        branches(plan, shown, child, &deeper, out);
    }
    if let Some(more) = more {
        let _ = writeln!(out, "{indent}└── {more}");
    }
}

/// What is left out below a node: `... 98 more workers`.
fn more(plan: &Plan, shown: &BTreeSet<NodeId>, node: &NodePlan) -> Option<String> {
    let hidden: Vec<&NodePlan> =
        node.children.iter().filter(|id| !shown.contains(id)).map(|id| &plan.nodes[id.index()]).collect();
    (!hidden.is_empty()).then(|| {
        let below: usize = hidden.iter().map(|node| descendants(plan, node)).sum();
        let below = if below > 0 { format!(" with {below} nodes below them") } else { String::new() };
        let kind = match (hidden.iter().all(|n| n.role == Role::Worker), hidden.len()) {
            (true, 1) => "worker",
            (true, _) => "workers",
            (false, _) => "children",
        };
        format!("... {} more {kind}{below}", hidden.len())
    })
}

fn descendants(plan: &Plan, node: &NodePlan) -> usize {
    let mut count = 0;
    let mut stack: Vec<NodeId> = node.children.clone();
    while let Some(id) = stack.pop() {
        count += 1;
        stack.extend(&plan.nodes[id.index()].children);
    }
    count
}

fn leftovers(plan: &Plan, shown: &BTreeSet<NodeId>) -> Vec<(NodeId, String)> {
    nodes_of(plan, shown).filter_map(|(id, node)| more(plan, shown, node).map(|line| (id, line))).collect()
}

fn hidden_peers(plan: &Plan, shown: &BTreeSet<NodeId>, mut write: impl FnMut(&str)) {
    let peers = plan.nodes.iter().filter(|node| node.role == Role::Peer).count();
    let drawn = nodes_of(plan, shown).filter(|(_, node)| node.role == Role::Peer).count();
    if peers > drawn {
        write(&format!("... {} more peers", peers - drawn));
    }
}

/// Name, role's settings, machine and link of a node, on one line.
fn about(plan: &Plan, node: &NodePlan) -> String {
    let mut line = node.name.to_string();
    for part in settings(plan, node) {
        let _ = write!(line, "  {part}");
    }
    let host = &plan.hosts[node.host.index()];
    let _ = write!(line, "  [{}: {}", host.name, host.device.name);
    if node.parent.is_some() {
        let _ = write!(line, "; {}", link(plan, node, node.link));
    }
    line.push(']');
    line
}

fn settings(plan: &Plan, node: &NodePlan) -> Vec<String> {
    let mut parts = Vec::new();
    if let Role::Server(tier) = node.role {
        let tier = &plan.tiers[usize::from(tier)];
        let mut compose = vec![choice(&tier.policy), choice(&tier.fold)];
        compose.extend(tier.optimizer.as_ref().map(choice));
        parts.push(compose.join(", "));
    }
    if node.slowdown > 1.0 {
        parts.push(format!("{:.2}x slower", node.slowdown));
    }
    if node.joins_later {
        parts.push("joins later".to_owned());
    }
    parts
}

fn label(plan: &Plan, node: &NodePlan) -> Vec<String> {
    let host = &plan.hosts[node.host.index()];
    let mut lines = vec![node.name.to_string()];
    lines.extend(settings(plan, node));
    lines.push(format!("{}: {}", host.name, host.device.name));
    lines
}

fn neighbours(plan: &Plan, node: &NodePlan) -> String {
    let whole = plan.nodes.len() <= NODES_SHOWN_MAX;
    let take = if whole { node.neighbours.len() } else { CHILDREN_SHOWN };
    let mut parts: Vec<String> = node
        .neighbours
        .iter()
        .take(take)
        .map(|n| format!("{} {:.4}", plan.nodes[n.node.index()].name, n.weight))
        .collect();
    if node.neighbours.len() > take {
        parts.push(format!("... {} more", node.neighbours.len() - take));
    }
    let own = 1.0 - node.neighbours.iter().map(|n| n.weight).sum::<f64>();
    parts.push(format!("itself {own:.4}"));
    parts.join(", ")
}

/// Every edge between drawn nodes once, with its label: child to parent, or between peers.
fn edges(plan: &Plan, shown: &BTreeSet<NodeId>) -> Vec<(NodeId, NodeId, String)> {
    let mut edges = Vec::new();
    for (id, node) in nodes_of(plan, shown) {
        if let Some(parent) = node.parent.filter(|parent| shown.contains(parent)) {
            edges.push((parent, id, link(plan, node, node.link)));
        }
        for n in node.neighbours.iter().filter(|n| id < n.node && shown.contains(&n.node)) {
            edges.push((id, n.node, format!("{:.4}", n.weight)));
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_tree_as_text() {
        insta::assert_snapshot!(text(&fixture::tree(2, 2)), @r#"
        tree: 1 global server, 2 local servers, 5 workers

        global  sync, mean, adam  [host0: pi4]
        ├── local1  ssp {slack: 3}, mean, adam  [host1: pi4; wan 20 ms, 100mbit]
        │   ├── worker2  [host2: pi4; lan 200 us, 100mbit]
        │   └── worker3  [host3: pi4; lan 200 us, 100mbit]
        ├── local2  ssp {slack: 3}, mean, adam  [host4: pi4; wan 20 ms, 100mbit]
        │   ├── worker5  [host5: pi4; lan 200 us, 100mbit]
        │   └── worker6  [host6: pi4; lan 200 us, 100mbit]
        └── central  [host7: pi4; wan 20 ms, 100mbit]
        "#);
    }

    #[test]
    fn a_ring_as_text() {
        insta::assert_snapshot!(text(&fixture::ring(3)), @r#"
        ring: 3 peers

        peers: dpsgd
        peer0  [host0: pi4] -- peer2 0.3333, peer1 0.3333, itself 0.3333
        peer1  [host1: pi4] -- peer0 0.3333, peer2 0.3333, itself 0.3333
        peer2  [host2: pi4] -- peer1 0.3333, peer0 0.3333, itself 0.3333
        "#);
    }

    #[test]
    fn a_tree_as_mermaid() {
        insta::assert_snapshot!(mermaid(&fixture::tree(1, 2)), @r#"
        flowchart TD
          n0["global<br/>sync, mean, adam<br/>host0: pi4"]
          n1["local1<br/>ssp {slack: 3}, mean, adam<br/>host1: pi4"]
          n2["worker2<br/>host2: pi4"]
          n3["worker3<br/>host3: pi4"]
          n4["central<br/>host4: pi4"]
          n0 ---|"wan 20 ms, 100mbit"| n1
          n1 ---|"lan 200 us, 100mbit"| n2
          n1 ---|"lan 200 us, 100mbit"| n3
          n0 ---|"wan 20 ms, 100mbit"| n4
        "#);
    }

    #[test]
    fn a_ring_as_dot() {
        let mut plan = fixture::ring(3);
        plan.name = "the \"second\" \\ one".to_owned();
        insta::assert_snapshot!(dot(&plan), @r#"
        graph "the \"second\" \\ one" {
          layout=circo;
          node [shape=box];
          n0 [label="peer0\nhost0: pi4"];
          n1 [label="peer1\nhost1: pi4"];
          n2 [label="peer2\nhost2: pi4"];
          n0 -- n2 [label="0.3333"];
          n0 -- n1 [label="0.3333"];
          n1 -- n2 [label="0.3333"];
        }
        "#);
    }

    #[test]
    fn a_large_tree_is_drawn_in_part() {
        let plan = fixture::tree(10, 100);
        insta::assert_snapshot!(text(&plan), @r#"
        tree: 1 global server, 10 local servers, 1001 workers

        global  sync, mean, adam  [host0: pi4]
        ├── local1  ssp {slack: 3}, mean, adam  [host1: pi4; wan 20 ms, 100mbit]
        │   ├── worker2  [host2: pi4; lan 200 us, 100mbit]
        │   ├── worker3  [host3: pi4; lan 200 us, 100mbit]
        │   ├── worker4  [host4: pi4; lan 200 us, 100mbit]
        │   ├── worker5  [host5: pi4; lan 200 us, 100mbit]
        │   └── ... 96 more workers
        ├── local2  ssp {slack: 3}, mean, adam  [host102: pi4; wan 20 ms, 100mbit]
        │   ├── worker103  [host103: pi4; lan 200 us, 100mbit]
        │   ├── worker104  [host104: pi4; lan 200 us, 100mbit]
        │   ├── worker105  [host105: pi4; lan 200 us, 100mbit]
        │   ├── worker106  [host106: pi4; lan 200 us, 100mbit]
        │   └── ... 96 more workers
        ├── local3  ssp {slack: 3}, mean, adam  [host203: pi4; wan 20 ms, 100mbit]
        │   ├── worker204  [host204: pi4; lan 200 us, 100mbit]
        │   ├── worker205  [host205: pi4; lan 200 us, 100mbit]
        │   ├── worker206  [host206: pi4; lan 200 us, 100mbit]
        │   ├── worker207  [host207: pi4; lan 200 us, 100mbit]
        │   └── ... 96 more workers
        ├── local4  ssp {slack: 3}, mean, adam  [host304: pi4; wan 20 ms, 100mbit]
        │   ├── worker305  [host305: pi4; lan 200 us, 100mbit]
        │   ├── worker306  [host306: pi4; lan 200 us, 100mbit]
        │   ├── worker307  [host307: pi4; lan 200 us, 100mbit]
        │   ├── worker308  [host308: pi4; lan 200 us, 100mbit]
        │   └── ... 96 more workers
        └── ... 7 more children with 600 nodes below them
        "#);
        assert!(dot(&plan).contains("  n0_more [label=\"... 7 more children with 600 nodes below them\""));
        assert!(mermaid(&plan).lines().count() < 100);
    }

    #[test]
    fn a_drawing_is_bounded_whatever_the_plan() {
        for plan in [fixture::tree(1000, 1), fixture::tree(1, 1000), fixture::ring(1000)] {
            for drawing in [text(&plan), mermaid(&plan), dot(&plan)] {
                assert!(drawing.lines().count() <= 3 * NODES_SHOWN_MAX, "{}", drawing.lines().count());
            }
            assert!(text(&plan).contains("... "));
        }
    }
}
