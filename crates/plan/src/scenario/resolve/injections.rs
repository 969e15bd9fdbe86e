//! What is injected, where and when.

use super::Resolver;
use super::names::Names;
use super::network::linked;
use crate::plan::{NodePlan, Role};
use crate::scenario::file::{BurstsFile, InjectionFile, Pick, PlaceFile};
use hcddl_core::device::SlowPhase;
use hcddl_core::domain::{Choice, NodeId, Seeds, Stream, Time};
use hcddl_core::error::UserError;
use hcddl_core::inject::{Amount, Bursts, Change, Direction, Injection, Place, Trace};

const ONE_OF: &str = "add, scale, replace, slow_down";

pub(super) fn resolve(
    cx: &Resolver<'_>,
    names: &Names<'_>,
    nodes: &[NodePlan],
    seeds: Seeds,
) -> Result<Vec<Injection>, UserError> {
    let each = cx.file.injections.iter().enumerate();
    each.map(|(i, written)| injection(cx, names, nodes, seeds, written, i)).collect()
}

fn injection(
    cx: &Resolver<'_>,
    names: &Names<'_>,
    nodes: &[NodePlan],
    seeds: Seeds,
    written: &InjectionFile,
    index: usize,
) -> Result<Injection, UserError> {
    let path = format!("injections.{index}");
    let key = |name: &str| format!("{path}.{name}");
    let (from, until) = (Time(written.from.0.0), written.until.map_or(Time::MAX, |until| Time(until.0.0)));
    if until <= from {
        let message = format!("this injection ends at {until}, before it begins at {from}");
        return Err(cx.source.error(&key("until"), message, "", "set it after `from`"));
    }
    let change = change(cx, written, &path)?;
    let slows = matches!(change, Change::SlowDown(_));
    let place = place(cx, names, nodes, seeds, written, index, slows)?;
    let direction = direction(cx, nodes, written, &place, slows, &key("direction"))?;
    let bursts =
        written.bursts.as_ref().map(|bursts| self::bursts(cx, bursts, &key("bursts"))).transpose()?;
    Ok(Injection { place, direction, from, until, bursts, change })
}

fn change(cx: &Resolver<'_>, written: &InjectionFile, path: &str) -> Result<Change, UserError> {
    let key = |name: &str| format!("{path}.{name}");
    let mut found = Vec::new();
    if let Some(pick) = &written.add {
        found.push(Change::Add(amount(cx, pick, written.correlation, path, "add")?));
    }
    if let Some(factor) = written.scale {
        cx.check(factor >= 0.0 && factor.is_finite(), &key("scale"), factor, "0 or more")?;
        found.push(Change::Scale(factor));
    }
    if let Some(pick) = &written.replace {
        found.push(Change::Replace(amount(cx, pick, written.correlation, path, "replace")?));
    }
    if let Some(factor) = written.slow_down {
        cx.check(factor > 0.0 && factor.is_finite(), &key("slow_down"), factor, "above 0")?;
        found.push(Change::SlowDown(factor));
    }
    let change = match (found.pop(), found.len()) {
        (Some(change), 0) => change,
        (Some(_), _) => {
            let message = "more than one change in one injection";
            return Err(cx.source.error(path, message, ONE_OF, "write an injection for each"));
        }
        (None, _) => return Err(cx.source.error(path, "nothing is injected", ONE_OF, "add one of them")),
    };
    let drawn = matches!(&change, Change::Add(Amount::Drawn { .. }) | Change::Replace(Amount::Drawn { .. }));
    if written.correlation != 0.0 && !drawn {
        let message = "this injection draws nothing that could be correlated";
        return Err(cx.source.error(&key("correlation"), message, "with `add` or `replace`", "leave it out"));
    }
    Ok(change)
}

fn amount(
    cx: &Resolver<'_>,
    pick: &Pick,
    correlation: f64,
    path: &str,
    name: &str,
) -> Result<Amount, UserError> {
    let at = format!("{path}.{name}");
    let fail = |error| cx.source.option_error(&at, error);
    if pick.0.get("name").is_some_and(|name| name == "trace") {
        let choice = Choice::from_value(&pick.0).map_err(fail)?;
        return Trace::of(&choice).map(Amount::Trace).map_err(fail);
    }
    let distribution = cx.registry.latencies.read(&pick.0).map_err(fail)?;
    let key = format!("{path}.correlation");
    cx.check((0.0..1.0).contains(&correlation), &key, correlation, "from 0 to below 1")?;
    if correlation > 0.0 && distribution.mean().is_none() {
        let message = "this distribution has no mean, so its deviations cannot be correlated";
        return Err(cx.source.error(&key, message, "a distribution with a mean", "leave it out"));
    }
    Ok(Amount::Drawn { distribution, correlation })
}

fn place(
    cx: &Resolver<'_>,
    names: &Names<'_>,
    nodes: &[NodePlan],
    seeds: Seeds,
    written: &InjectionFile,
    index: usize,
    slows: bool,
) -> Result<Place, UserError> {
    let path = format!("injections.{index}.where");
    let name = match &written.place {
        PlaceFile::Link(pair) if !slows => {
            // The first is the lower end, so that `up` is from it to the second.
            let (upper, lower) = linked(cx, names, nodes, &path, pair)?;
            let is_tree = nodes[lower.index()].parent == Some(upper);
            return Ok(if is_tree { Place::Link(lower, upper) } else { Place::Link(upper, lower) });
        }
        PlaceFile::Link(_) => {
            let allowed = "all, random(n), or the name of a node";
            return Err(cx.source.error(&path, "a link does not compute", allowed, "name a node"));
        }
        PlaceFile::Name(name) => name.trim(),
    };
    match name {
        "all" => return Ok(Place::All),
        "lan" | "wan" if slows => {
            let message = format!("`{name}` are links, which do not compute");
            return Err(cx.source.error(&path, message, "all, random(n), or the name of a node", ""));
        }
        "lan" => return Ok(Place::Lan),
        "wan" => {
            if !nodes.iter().any(|node| node.parent.is_some() && matches!(node.role, Role::Server(_))) {
                let message = "`wan` are links between servers, and there are none";
                return Err(cx.source.error(&path, message, "all, lan, a node, a link", ""));
            }
            return Ok(Place::Wan);
        }
        _ => {}
    }
    if name.starts_with("random") {
        return random(cx, nodes, seeds, name, index, &path).map(Place::Nodes);
    }
    names.find(cx.source, &path, name).map(|node| Place::Nodes(vec![node]))
}

/// `random(n)`: so many of the nodes that train.
fn random(
    cx: &Resolver<'_>,
    nodes: &[NodePlan],
    seeds: Seeds,
    name: &str,
    index: usize,
    path: &str,
) -> Result<Vec<NodeId>, UserError> {
    let count = name.strip_prefix("random(").and_then(|rest| rest.strip_suffix(')')?.trim().parse().ok());
    let mut training: Vec<NodeId> =
        (0..nodes.len() as u32).map(NodeId).filter(|id| nodes[id.index()].shard.is_some()).collect();
    let Some(count) = count.filter(|count: &usize| (1..=training.len()).contains(count)) else {
        let allowed = format!("`random(n)` with n from 1 to {}", training.len());
        return Err(cx.source.error(
            path,
            format!("expected a number of the nodes that train, found `{name}`"),
            allowed,
            "",
        ));
    };
    Stream::new(seeds.interleaving, "stragglers", index as u64, 0).shuffle(&mut training);
    training.truncate(count);
    training.sort_unstable();
    Ok(training)
}

fn direction(
    cx: &Resolver<'_>,
    nodes: &[NodePlan],
    written: &InjectionFile,
    place: &Place,
    slows: bool,
    path: &str,
) -> Result<Option<Direction>, UserError> {
    let Some(direction) = written.direction else { return Ok(None) };
    let fail = |message: &str, next: &str| Err(cx.source.error(path, message, "", next));
    if slows {
        return fail("an injection into compute times has no direction", "leave it out");
    }
    let peers = nodes.iter().any(|node| node.role == Role::Peer);
    if peers && !matches!(place, Place::Link(..)) {
        return fail("among peers there is neither up nor down", "name a link: `where: [a, b]`");
    }
    Ok(Some(direction))
}

fn bursts(cx: &Resolver<'_>, written: &BurstsFile, path: &str) -> Result<Bursts, UserError> {
    for (key, value) in [("on", written.on), ("off", written.off)] {
        cx.check(value.0.0 > 0, &format!("{path}.{key}"), value, "more than 0")?;
    }
    let (on, off) = (written.on.0, written.off.0);
    Ok(if written.random {
        // Only whether a phase is on is asked for.
        Bursts::Random(SlowPhase { factor: 2.0, normal_mean: off, slow_mean: on })
    } else {
        Bursts::Regular { on, off }
    })
}
