//! Who holds which samples: a table and a plot for the terminal, an SVG, JSON.

use comfy_table::{CellAlignment, Table, presets};
use hcddl_learn::Look;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Nodes in table and plot unless all are asked for.
pub const NODES_SHOWN: usize = 20;
/// Groups that get a column of their own.
const COLUMNS: usize = 12;
/// Characters of the longest bar.
const BAR: usize = 60;
/// Nodes in a picture.
const NODES_DRAWN: usize = 1000;
/// What stands for group 0, 1, ... in a bar; they begin anew after the last.
const SIGNS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// What samples are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Their class.
    Class,
    /// Who they come from.
    Owner,
    /// Not at all.
    Nothing,
}

/// What the nodes of a scenario hold.
#[derive(Clone, Debug)]
pub struct Held {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the partitioner.
    pub partition: String,
    /// What samples are told apart by.
    pub by: By,
    /// Names of the groups.
    pub names: Vec<String>,
    /// The nodes that train, in order.
    pub nodes: Vec<Node>,
    /// Training samples of the data set.
    pub train: usize,
    /// Samples to validate on, if there are any.
    pub validation: Option<usize>,
    /// Samples to test on.
    pub test: usize,
    /// What they look like.
    pub look: Look,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Number of its samples.
    pub samples: usize,
    /// How many of each group; 0 if there are none.
    pub counts: BTreeMap<u32, usize>,
}

impl Held {
    /// A group in the plural.
    fn groups(&self) -> &'static str {
        match self.by {
            By::Class => "classes",
            By::Owner => "owners",
            By::Nothing => "groups",
        }
    }

    fn name(&self, group: u32) -> &str {
        self.names.get(group as usize).map_or("?", String::as_str)
    }

    fn largest(&self) -> usize {
        self.nodes.iter().map(|node| node.samples).max().unwrap_or(0).max(1)
    }
}

/// Table, plot and summary; of more than `most` nodes the first ones. Ends in a line break.
#[must_use]
pub fn text(held: &Held, most: usize) -> String {
    let shown = &held.nodes[..held.nodes.len().min(most)];
    let mut out =
        format!("{}: training samples by {}\n{}\n", held.scenario, held.partition, table(held, shown));
    let width = shown.iter().map(|node| node.name.chars().count()).max().unwrap_or(0);
    for node in shown {
        let _ = writeln!(out, "{:width$} |{}", node.name, bar(node, held.largest()));
    }
    if held.nodes.len() > shown.len() {
        let _ = writeln!(out, "and {} more nodes (--all shows them)", held.nodes.len() - shown.len());
    }
    out.push('\n');
    summary(held, &mut out);
    out
}

fn table(held: &Held, nodes: &[Node]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    let columns = held.names.len() <= COLUMNS && held.by != By::Nothing;
    let mut header = vec!["node".to_owned(), "samples".to_owned()];
    match held.by {
        By::Nothing => {}
        _ if columns => header.extend(held.names.clone()),
        _ => header.extend([held.groups().to_owned(), "most of".to_owned()]),
    }
    let numbers = if columns { header.len() } else { 3.min(header.len()) };
    table.set_header(header);
    for node in nodes {
        let mut row = vec![node.name.clone(), node.samples.to_string()];
        if columns {
            let count =
                |group: usize| node.counts.get(&(group as u32)).map_or("·".to_owned(), usize::to_string);
            row.extend((0..held.names.len()).map(count));
        } else if held.by != By::Nothing {
            row.extend([node.counts.len().to_string(), main_groups(held, node)]);
        }
        table.add_row(row);
    }
    for column in 1..numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The three largest groups of a node: `ROMEO 163, JULIET 125, NURSE 90, ..`.
fn main_groups(held: &Held, node: &Node) -> String {
    let mut largest: Vec<(&u32, &usize)> = node.counts.iter().collect();
    largest.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let one = |(group, count): &(&u32, &usize)| {
        let name: String = held.name(**group).chars().take(24).collect();
        format!("{name} {count}")
    };
    let mut text = largest.iter().take(3).map(one).collect::<Vec<_>>().join(", ");
    if largest.len() > 3 {
        text.push_str(", ..");
    }
    text
}

/// A bar of signs, as long as the node's share of the largest; a group takes its share of the bar.
fn bar(node: &Node, largest: usize) -> String {
    let (mut out, mut reached) = (String::new(), 0);
    for (group, count) in &node.counts {
        reached += count;
        let end = (reached * BAR).div_ceil(largest);
        let sign = char::from(SIGNS[*group as usize % SIGNS.len()]);
        out.extend(std::iter::repeat_n(sign, end - out.len()));
    }
    out
}

fn summary(held: &Held, out: &mut String) {
    let spread = |values: Vec<usize>| {
        let (least, most) = (values.iter().min().unwrap_or(&0), values.iter().max().unwrap_or(&0));
        let mean = values.iter().sum::<usize>() as f64 / values.len().max(1) as f64;
        format!("{least} to {most}, mean {mean:.1}")
    };
    let dealt: usize = held.nodes.iter().map(|node| node.samples).sum();
    let _ = write!(out, "{dealt} of {} training samples on {} nodes", held.train, held.nodes.len());
    let _ = held.validation.map_or(Ok(()), |count| write!(out, ", {count} to validate on"));
    let _ = writeln!(out, ", {} to test on", held.test);
    let _ = writeln!(out, "samples on a node: {}", spread(held.nodes.iter().map(|n| n.samples).collect()));
    if held.by != By::Nothing {
        let counts = held.nodes.iter().map(|node| node.counts.len()).collect();
        let _ = writeln!(out, "{} on a node: {}", held.groups(), spread(counts));
    }
    for (part, text) in &held.look.lines {
        let _ = writeln!(out, "{part}: {text}");
    }
}

/// Everything as JSON; ends in a line break.
#[must_use]
pub fn json(held: &Held) -> String {
    let node = |node: &Node| {
        let counts: Map<String, Value> = node
            .counts
            .iter()
            .map(|(group, count)| (held.name(*group).to_owned(), (*count).into()))
            .collect();
        match held.by {
            By::Nothing => json!({ "name": node.name, "samples": node.samples }),
            _ => json!({ "name": node.name, "samples": node.samples, held.groups(): counts }),
        }
    };
    let value = json!({
        "scenario": held.scenario,
        "partition": held.partition,
        "train": held.train,
        "validation": held.validation,
        "test": held.test,
        "samples": held.look.lines.iter().cloned().collect::<BTreeMap<_, _>>(),
        "warnings": held.look.doubts,
        "nodes": held.nodes.iter().map(node).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

/// A picture of stacked bars, one for each node (the first thousand).
#[must_use]
pub fn svg(held: &Held) -> String {
    let nodes = &held.nodes[..held.nodes.len().min(NODES_DRAWN)];
    let (left, top, width, height) = (60.0, 40.0, 800.0, 360.0);
    let step = width / nodes.len().max(1) as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{left}\" y=\"20\">{}: training samples on {} nodes by {}</text>\n",
        left + width + 20.0,
        top + height + 60.0,
        escaped(&held.scenario),
        held.nodes.len(),
        escaped(&held.partition),
    );
    let scale = height / held.largest() as f64;
    for (i, node) in nodes.iter().enumerate() {
        let x = left + step * i as f64;
        let _ = writeln!(out, "<g><title>{}: {}</title>", escaped(&node.name), node.samples);
        let mut reached = 0;
        for (group, count) in &node.counts {
            reached += count;
            let _ = writeln!(
                out,
                "<rect x=\"{x:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"{}\"/>",
                top + height - reached as f64 * scale,
                (step * 0.9).max(0.5),
                *count as f64 * scale,
                colour(*group, held.names.len()),
            );
        }
        out.push_str("</g>\n");
    }
    let bottom = top + height;
    let _ = writeln!(
        out,
        "<path d=\"M{left} {top}V{bottom}H{}\" fill=\"none\" stroke=\"black\"/>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n<text x=\"{}\" y=\"{bottom}\" text-anchor=\"end\">0</text>",
        left + width,
        left - 6.0,
        top + 10.0,
        held.largest(),
        left - 6.0,
    );
    if held.names.len() <= 20 && held.by != By::Nothing {
        for (group, name) in held.names.iter().enumerate() {
            let x = left + group as f64 * (width / held.names.len() as f64);
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{}\"/><text x=\"{:.1}\" y=\"{}\">{}</text>",
                bottom + 20.0,
                colour(group as u32, held.names.len()),
                x + 14.0,
                bottom + 30.0,
                escaped(name),
            );
        }
    }
    out + "</svg>\n"
}

/// Hues go round once; neighbours differ in lightness.
fn colour(group: u32, groups: usize) -> String {
    let hue = f64::from(group) * 360.0 / groups.max(1) as f64;
    let lightness = if group.is_multiple_of(2) { 45 } else { 65 };
    format!("hsl({hue:.0},65%,{lightness}%)")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(names: usize) -> Held {
        let node = |name: &str, counts: &[(u32, usize)]| Node {
            name: name.to_owned(),
            samples: counts.iter().map(|(_, count)| count).sum(),
            counts: counts.iter().copied().collect(),
        };
        Held {
            scenario: "a<b".to_owned(),
            partition: "shards".to_owned(),
            by: By::Class,
            names: (0..names).map(|i| format!("c{i}")).collect(),
            nodes: vec![
                node("w1", &[(0, 30), (2, 30)]),
                node("w2", &[(1, 10)]),
                node("w3", &[(0, 1), (1, 1)]),
            ],
            train: 80,
            validation: Some(5),
            test: 9,
            look: Look { lines: vec![("test samples".into(), "9 of 2 values".into())], doubts: vec![] },
        }
    }

    #[test]
    fn the_whole_text() {
        let text = text(&held(3), 2);
        assert!(text.starts_with("a<b: training samples by shards\n"), "{text}");
        let row = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("│ {name}"))).unwrap();
            line.trim_matches('│').split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row("w1"), ["w1", "60", "30", "·", "30"]);
        assert_eq!(row("w2"), ["w2", "10", "·", "10", "·"]);
        assert!(text.contains(&format!("w1 |{}{}\n", "0".repeat(30), "2".repeat(30))), "{text}");
        assert!(text.contains("w2 |1111111111\nand 1 more nodes"), "{text}");
        assert!(
            text.ends_with(
                "72 of 80 training samples on 3 nodes, 5 to validate on, 9 to test on\n\
                 samples on a node: 2 to 60, mean 24.0\nclasses on a node: 1 to 2, mean 1.7\n\
                 test samples: 9 of 2 values\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn many_groups_are_told_by_the_largest() {
        let mut held = held(40);
        held.nodes[0].counts = [(3, 5), (7, 9), (8, 1), (9, 2)].into();
        let text = text(&held, 3);
        assert!(text.contains("c7 9, c3 5, c9 2, .."), "{text}");
        assert!(!text.contains("more nodes"), "{text}");
    }

    #[test]
    fn json_and_picture_hold_every_node() {
        let value: Value = serde_json::from_str(&json(&held(3))).unwrap();
        assert_eq!(value["nodes"][0]["classes"], serde_json::json!({"c0": 30, "c2": 30}));
        assert_eq!((&value["nodes"][2]["samples"], &value["test"]), (&2.into(), &9.into()));
        let picture = svg(&held(3));
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert_eq!(picture.matches("<title>").count(), 3);
        assert!(picture.contains("a&lt;b") && picture.contains("height=\"180.00\""), "{picture}");
        // 5 parts of bars, 3 of the legend, the ground.
        assert_eq!(picture.matches("<rect ").count(), 9);
    }
}
