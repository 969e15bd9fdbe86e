//! Regular peer graphs: ring, wheel, star, complete, grid.

use super::{BuildTopology, LINKS_MAX, NODES_MAX, Topology, at_least, graph};
use crate::domain::{Choice, OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Peers {
    peers: u64,
}

impl Default for Peers {
    fn default() -> Self {
        Self { peers: 10 }
    }
}

fn peers(choice: &Choice, min: u64) -> Result<u64, OptionError> {
    at_least("peers", choice.options::<Peers>()?.peers, min, "peer")
}

fn cycle(first: u64, count: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..count).map(move |i| (first + i, first + (i + 1) % count)).filter(|(a, b)| a != b)
}

pub(super) fn ring() -> Row<BuildTopology> {
    Row {
        name: "ring",
        summary: "each peer has the one before and the one after it as neighbours",
        example: "{name: ring, peers: 10}",
        positional: &["peers"],
        build: |choice| peers(choice, 2).map(|n| graph(n, cycle(0, n))),
    }
}

pub(super) fn wheel() -> Row<BuildTopology> {
    Row {
        name: "wheel",
        summary: "a ring whose peers are also all linked to a hub, the first peer",
        example: "{name: wheel, peers: 10}",
        positional: &["peers"],
        build: |choice| peers(choice, 4).map(|n| graph(n, cycle(1, n - 1).chain((1..n).map(|i| (0, i))))),
    }
}

pub(super) fn star() -> Row<BuildTopology> {
    Row {
        name: "star",
        summary: "every peer is linked to the first one only",
        example: "{name: star, peers: 10}",
        positional: &["peers"],
        build: |choice| peers(choice, 2).map(|n| graph(n, (1..n).map(|i| (0, i)))),
    }
}

pub(super) fn complete() -> Row<BuildTopology> {
    Row {
        name: "complete",
        summary: "every peer is linked to every other",
        example: "{name: complete, peers: 10}",
        positional: &["peers"],
        build: |choice| {
            let n = peers(choice, 2)?;
            if n * (n - 1) / 2 > LINKS_MAX {
                let message = format!("a complete graph of {n} peers");
                return Err(OptionError::new("peers", message, format!("at most {LINKS_MAX} links")));
            }
            Ok(graph(n, (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)))))
        },
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Grid {
    rows: u64,
    columns: u64,
    wrap: bool,
}

impl Default for Grid {
    fn default() -> Self {
        Self { rows: 3, columns: 3, wrap: false }
    }
}

pub(super) fn grid() -> Row<BuildTopology> {
    Row {
        name: "grid",
        summary: "peers in rows and columns, linked to those beside, above and below; `wrap` makes it a torus",
        example: "{name: grid, rows: 3, columns: 3, wrap: false}",
        positional: &["rows", "columns"],
        build: build_grid,
    }
}

fn build_grid(choice: &Choice) -> Result<Topology, OptionError> {
    let options: Grid = choice.options()?;
    let rows = at_least("rows", options.rows, 1, "row")?;
    let columns = at_least("columns", options.columns, 1, "column")?;
    if rows * columns > NODES_MAX || rows * columns < 2 {
        let message = format!("a grid of {} peers", rows * columns);
        return Err(OptionError::new("rows", message, format!("2 to {NODES_MAX} peers")));
    }
    let at = |row: u64, column: u64| row * columns + column;
    let mut links = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            if column + 1 < columns || options.wrap {
                links.push((at(row, column), at(row, (column + 1) % columns)));
            }
            if row + 1 < rows || options.wrap {
                links.push((at(row, column), at((row + 1) % rows, column)));
            }
        }
    }
    links.retain(|(a, b)| a != b);
    Ok(graph(rows * columns, links))
}
