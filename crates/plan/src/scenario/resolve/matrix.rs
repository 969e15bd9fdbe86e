//! Latencies and rates between places, and which node is at which place.

use super::Resolver;
use super::names::{Names, some_of};
use crate::plan::{LinkPlan, NodePlan};
use crate::scenario::file::{MatrixByFile, MatrixFile};
use crate::scenario::table::with_unit;
use hcddl_core::domain::table::nearest;
use hcddl_core::domain::units::{Duration, Rate};
use hcddl_core::domain::{OptionError, Seeds, Span, Stream};
use hcddl_core::error::UserError;
use hcddl_core::net::latency::Constant;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Gives every link the latency and the rate between the places of its ends, in each direction.
pub(super) fn apply(
    cx: &Resolver<'_>,
    names: &Names<'_>,
    seeds: &Seeds,
    nodes: &mut [NodePlan],
    links: &mut Vec<LinkPlan>,
) -> Result<(), UserError> {
    let file = &cx.file.network;
    let latency = |text: &str, halve: bool| {
        let Duration(Span(nanoseconds)) = text.parse()?;
        Ok(Span(nanoseconds / if halve { 2 } else { 1 }))
    };
    let rate = |text: &str, _: bool| {
        let rate: Rate = text.parse()?;
        OptionError::check(rate.0 > 0.0, "", rate, "above 0")?;
        Ok(rate.0)
    };
    let world = World { cx, names, seeds, nodes };
    let latencies = matrix(&world, file.latencies.as_ref(), "latencies", latency)?;
    let rates = matrix(&world, file.rates.as_ref(), "rates", rate)?;
    if latencies.is_none() && rates.is_none() {
        return Ok(());
    }
    let mut made = Made { links, indices: BTreeMap::new() };
    for i in 0..nodes.len() {
        let between = |from: usize, to: usize| -> Result<Between, UserError> {
            Ok(Between {
                latency: latencies.as_ref().map(|m| m.between(cx, nodes, from, to)).transpose()?.flatten(),
                rate: rates.as_ref().map(|m| m.between(cx, nodes, from, to)).transpose()?.flatten(),
            })
        };
        let mut changed = Vec::new();
        if let Some(parent) = nodes[i].parent {
            changed.push((None, nodes[i].link, between(i, parent.index())?, between(parent.index(), i)?));
        }
        for (k, neighbour) in nodes[i].neighbours.iter().enumerate() {
            let there = between(i, neighbour.node.index())?;
            changed.push((Some((k, neighbour.node)), neighbour.link, there, there));
        }
        for (neighbour, old, there, back) in changed {
            let other = neighbour.map_or_else(|| nodes[i].parent.unwrap_or_default(), |(_, other)| other);
            let first = latencies.as_ref().map(|m| m.pair(i, other.index()));
            let pair = first.or(rates.as_ref().map(|m| m.pair(i, other.index()))).unwrap_or_default();
            let link = made.link(cx, old, there, &pair)?;
            match neighbour {
                Some((k, _)) => nodes[i].neighbours[k].link = link,
                None => {
                    nodes[i].link = link;
                    nodes[i].link_down =
                        (back != there).then(|| made.link(cx, old, back, &pair)).transpose()?;
                }
            }
        }
    }
    Ok(())
}

/// What is known of the way from one node to another.
#[derive(Clone, Copy, PartialEq)]
struct Between {
    latency: Option<Span>,
    rate: Option<f64>,
}

/// The link that one is made from, places, latency and bits of the rate.
type Kind = (u16, [String; 2], Option<Span>, Option<u64>);

/// Kinds of link that were made.
struct Made<'a> {
    links: &'a mut Vec<LinkPlan>,
    indices: BTreeMap<Kind, u16>,
}

impl Made<'_> {
    fn link(
        &mut self,
        cx: &Resolver<'_>,
        old: u16,
        between: Between,
        pair: &[String; 2],
    ) -> Result<u16, UserError> {
        let Between { latency, rate } = between;
        if latency.is_none() && rate.is_none() {
            return Ok(old);
        }
        let key = (old, pair.clone(), latency, rate.map(f64::to_bits));
        if let Some(index) = self.indices.get(&key) {
            return Ok(*index);
        }
        let mut link = self.links[usize::from(old)].clone();
        link.name = pair.join("-");
        if let Some(latency) = latency {
            link.latency = Arc::new(Constant { value: latency });
        }
        link.rate_max = rate.unwrap_or(link.rate_max);
        let index = u16::try_from(self.links.len()).map_err(|_| {
            let message = "more than 65,535 kinds of link";
            cx.source.error("network", message, "", "use a matrix with fewer places")
        })?;
        self.links.push(link);
        self.indices.insert(key, index);
        Ok(index)
    }
}

/// What is known where nodes are given places.
pub(super) struct World<'a> {
    pub cx: &'a Resolver<'a>,
    pub names: &'a Names<'a>,
    pub seeds: &'a Seeds,
    pub nodes: &'a [NodePlan],
}

/// A matrix, and the place of each node.
struct Matrix<T> {
    path: String,
    names: Vec<String>,
    rows: Vec<Vec<Option<T>>>,
    places: Vec<usize>,
}

impl<T: Copy> Matrix<T> {
    /// The places of two nodes, in the order of the matrix.
    fn pair(&self, a: usize, b: usize) -> [String; 2] {
        let (a, b) = (self.places[a], self.places[b]);
        [a.min(b), a.max(b)].map(|place| self.names[place].clone())
    }

    /// From one node to another; nothing between nodes of one place unless the matrix has it.
    fn between(
        &self,
        cx: &Resolver<'_>,
        nodes: &[NodePlan],
        from: usize,
        to: usize,
    ) -> Result<Option<T>, UserError> {
        let (a, b) = (self.places[from], self.places[to]);
        let found = self.rows[a][b];
        if found.is_none() && a != b {
            let (a, b) = (&self.names[a], &self.names[b]);
            let message = format!(
                "nothing is known from `{a}` to `{b}`, between which `{}` and `{}` are linked",
                nodes[from].name, nodes[to].name
            );
            let next = "add this pair, or give the nodes other places with `assign`";
            return Err(cx.source.error(&self.path, message, "", next));
        }
        Ok(found)
    }
}

fn matrix<T>(
    world: &World<'_>,
    file: Option<&MatrixFile>,
    key: &str,
    value: impl Fn(&str, bool) -> Result<T, OptionError>,
) -> Result<Option<Matrix<T>>, UserError> {
    let Some(file) = file else { return Ok(None) };
    let (cx, path) = (world.cx, format!("network.{key}"));
    let at = |name: &str| format!("{path}.{name}");
    if let Some(csv) = &file.csv {
        let message = format!("the matrix in `{csv}` has not been read");
        return Err(cx.source.error(&at("csv"), message, "`csv` in a scenario file, or `rows`", ""));
    }
    let n = file.rows.len();
    if n == 0 {
        return Err(cx.source.error(&path, "a matrix without values", "", "add `csv` or `rows`"));
    }
    let is_latency = key == "latencies";
    if is_latency && file.round_trip.is_none() {
        let message = "it is not said whether latencies are one way or there and back";
        return Err(cx.source.error(&path, message, "`round_trip: true` or `false`", "set it"));
    }
    if !is_latency && file.round_trip.is_some() {
        let message = "a rate has no way back";
        return Err(cx.source.error(&at("round_trip"), message, "in `latencies`", "leave it out"));
    }
    if !file.names.is_empty() && file.names.len() != n {
        let message = format!("{} names for {n} places", file.names.len());
        return Err(cx.source.error(&at("names"), message, "one for each row", ""));
    }
    let names: Vec<String> = match file.names.is_empty() {
        true => (0..n).map(|i| i.to_string()).collect(),
        false => file.names.clone(),
    };
    let (unit, halve) = (file.unit.as_deref().unwrap_or(""), file.round_trip == Some(true));
    let mut rows = Vec::with_capacity(n);
    for (i, row) in file.rows.iter().enumerate() {
        let here = format!("{path}.rows.{i}");
        if row.len() != n {
            let message = format!("{} values in a matrix of {n} rows", row.len());
            return Err(cx.source.error(&here, message, "as many values as rows", ""));
        }
        let cell = |(j, cell): (usize, &Value)| {
            let text = match cell {
                Value::Null => return Ok(None),
                // A place's rate to itself is nothing that anybody measures.
                _ if i == j && !is_latency => return Ok(None),
                Value::String(text) => with_unit(text, unit),
                Value::Number(number) => format!("{number}{unit}"),
                _ => cell.to_string(),
            };
            value(&text, halve)
                .map(Some)
                .map_err(|error| cx.source.option_error(&format!("{here}.{j}"), error))
        };
        rows.push(row.iter().enumerate().map(cell).collect::<Result<_, _>>()?);
    }
    let places = places(world, (file.by, &file.assign), &names, &path, "matrix")?;
    Ok(Some(Matrix { path, names, rows, places }))
}

/// The place of each node, in a matrix or another thing that has places.
pub(super) fn places(
    world: &World<'_>,
    (by, assign): (Option<MatrixByFile>, &BTreeMap<String, Value>),
    names: &[String],
    path: &str,
    what: &str,
) -> Result<Vec<usize>, UserError> {
    let World { cx, seeds, nodes, .. } = *world;
    let n = names.len();
    let place = |name: &str| names.iter().position(|place| place == name);
    let unknown = |path: &str, name: &str| {
        let all = names.iter().map(String::as_str);
        let next =
            nearest(name, all.clone()).map_or_else(String::new, |near| format!("did you mean `{near}`?"));
        cx.source.error(path, format!("the {what} has no place `{name}`"), some_of(all), next)
    };
    let mut assigned: BTreeMap<usize, usize> = BTreeMap::new();
    for (node, value) in assign {
        let path = format!("{path}.assign.{node}");
        let id = world.names.find(cx.source, &path, node)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let number =
            value.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|number| *number < n);
        let found = place(&text).or(number).ok_or_else(|| unknown(&path, &text))?;
        assigned.insert(id.index(), found);
    }
    let left = nodes.len() - assigned.len();
    let by = by.unwrap_or(MatrixByFile::Order);
    if by == MatrixByFile::Order && left > 0 && nodes.len() > n {
        let message = format!("a {what} of {n} places for {} nodes", nodes.len());
        let allowed = format!("{n} nodes at most in order");
        let next = "write `by: random`, or give every node a place with `assign`";
        return Err(cx.source.error(&path_of_by(cx, path), message, allowed, next));
    }
    let drawn = if by == MatrixByFile::Random { random(seeds, n, nodes.len()) } else { Vec::new() };
    (0..nodes.len())
        .map(|i| match (assigned.get(&i), by) {
            (Some(place), _) => Ok(*place),
            (None, MatrixByFile::Order) => Ok(i),
            (None, MatrixByFile::Random) => Ok(drawn[i]),
            (None, MatrixByFile::Name) => {
                let name = nodes[i].name.as_str();
                place(name).ok_or_else(|| unknown(&format!("{path}.by"), name))
            }
        })
        .collect()
}

fn path_of_by(cx: &Resolver<'_>, path: &str) -> String {
    let by = format!("{path}.by");
    if cx.source.has(&by) { by } else { path.to_owned() }
}

/// A place for each node, none twice before each was drawn once; the same for matrices of the same size.
pub(super) fn random(seeds: &Seeds, places: usize, nodes: usize) -> Vec<usize> {
    let mut drawn = Vec::with_capacity(nodes + places);
    for round in 0.. {
        if drawn.len() >= nodes {
            break;
        }
        let mut all: Vec<usize> = (0..places).collect();
        Stream::new(seeds.interleaving, "places", places as u64, round).shuffle(&mut all);
        drawn.extend(all);
    }
    drawn
}
