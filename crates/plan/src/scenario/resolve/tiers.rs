//! Settings of servers: which key applies to whom, and what follows from the policy where nothing is set.

use super::Resolver;
use super::names::some_of;
use crate::plan::{Push, TierPlan, Traffic, UplinkPlan};
use crate::scenario::file::{Pick, TierFile};
use hcddl_core::domain::table::nearest;
use hcddl_core::domain::{Choice, OptionError};
use hcddl_core::error::UserError;
use hcddl_core::node::work::UpdateKind;
use hcddl_core::policy::Composition;
use hcddl_core::topology::{NodeKind, Topology};
use std::collections::{BTreeMap, BTreeSet};

/// The distinct settings, and which of them each node has (0 for nodes that are not servers).
pub(super) struct Tiers {
    pub(super) plans: Vec<TierPlan>,
    pub(super) of_node: Vec<u16>,
}

pub(super) fn resolve(cx: &mut Resolver<'_>, topology: &Topology) -> Result<Tiers, UserError> {
    let mut tiers = Tiers { plans: Vec::new(), of_node: vec![0; topology.nodes.len()] };
    if topology.is_peer_graph() {
        cx.without_effect("tiers", "this topology has peers and no servers");
        return Ok(tiers);
    }
    let depths = depths(topology);
    check_keys(cx, topology, &depths)?;
    let mut written: BTreeMap<Vec<String>, Written> = BTreeMap::new();
    let mut keys_of = vec![Vec::new(); topology.nodes.len()];
    let mut below: Vec<Below> = vec![Below::default(); topology.nodes.len()];
    for (i, node) in topology.nodes.iter().enumerate() {
        if node.kind == NodeKind::Server {
            let keys = keys(cx, &node.name, depths[i]);
            if !written.contains_key(&keys) {
                written.insert(keys.clone(), Written::read(cx, &keys)?);
            }
            keys_of[i] = keys;
        } else if let Some(parent) = node.parent {
            below[parent as usize].workers = true;
        }
    }
    // Children come after their parents, so backwards is bottom-up: what a server gets from its local
    // servers decides what it expects.
    let mut seen: BTreeMap<(Vec<String>, Shape), u16> = BTreeMap::new();
    for i in (0..topology.nodes.len()).rev().filter(|i| topology.nodes[*i].kind == NodeKind::Server) {
        let own = &written[&keys_of[i]];
        let parent = topology.nodes[i].parent;
        let parent_rounds = parent.map(|p| written[&keys_of[p as usize]].composition.rounds);
        let update = own.update(cx, &below[i])?;
        let shape = Shape { update: update as u8, parent_rounds };
        let (plan, send) = own.plan(cx, update, parent_rounds)?;
        if let (Some(parent), Some(send)) = (parent, send) {
            below[parent as usize].servers.insert(send as u8, (send, own.path("uplink.send")));
        }
        let index = *seen.entry((keys_of[i].clone(), shape)).or_insert_with(|| {
            tiers.plans.push(plan);
            tiers.plans.len() as u16 - 1
        });
        tiers.of_node[i] = index;
    }
    for (keys, own) in &written {
        own.compare_counts(cx, topology, |server| keys_of[server] == *keys);
    }
    Ok(tiers)
}

/// What tells two servers with the same keys apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    update: u8,
    parent_rounds: Option<bool>,
}

/// What arrives from below.
#[derive(Clone, Debug, Default)]
struct Below {
    workers: bool,
    /// What local servers send, and the key that would change it.
    servers: BTreeMap<u8, (UpdateKind, String)>,
}

fn depths(topology: &Topology) -> Vec<usize> {
    let mut depths: Vec<usize> = Vec::with_capacity(topology.nodes.len());
    for node in &topology.nodes {
        depths.push(node.parent.map_or(0, |parent| depths[parent as usize] + 1));
    }
    depths
}

/// The keys that apply to a server and are written, the most specific first.
fn keys(cx: &Resolver<'_>, name: &str, depth: usize) -> Vec<String> {
    let general = if depth == 0 {
        vec!["global".to_owned()]
    } else {
        vec![format!("local-{depth}"), "local".to_owned()]
    };
    let mut keys = vec![name.to_owned()];
    keys.extend(general.into_iter().filter(|key| key != name));
    keys.retain(|key| cx.file.tiers.contains_key(key));
    if keys.is_empty() {
        keys.push(if depth == 0 { "global" } else { "local" }.to_owned());
    }
    keys
}

fn check_keys(cx: &Resolver<'_>, topology: &Topology, depths: &[usize]) -> Result<(), UserError> {
    let servers = || topology.nodes.iter().enumerate().filter(|(_, node)| node.kind == NodeKind::Server);
    let names: BTreeSet<&str> = servers().map(|(_, node)| node.name.as_str()).collect();
    let mut general = vec!["global".to_owned()];
    let deepest = servers().map(|(i, _)| depths[i]).max().unwrap_or(0);
    if deepest > 0 {
        general.push("local".to_owned());
        general.extend((1..=deepest).map(|depth| format!("local-{depth}")));
    }
    for key in cx.file.tiers.keys() {
        if general.contains(key) || names.contains(key.as_str()) {
            continue;
        }
        let others = names.iter().copied().filter(|name| *name != "global");
        let allowed = general.iter().map(String::as_str).chain(others);
        let next = nearest(key, allowed.clone())
            .map_or_else(|| "`hcddl topo` shows the servers".to_owned(), |n| format!("did you mean `{n}`?"));
        let message = format!("no server of this topology is called `{key}`");
        return Err(cx.source.error(&format!("tiers.{key}"), message, some_of(allowed), next));
    }
    Ok(())
}

/// The settings of some keys, read and checked, defaults not yet decided.
struct Written {
    keys: Vec<String>,
    policy: Choice,
    composition: Composition,
    fold: Option<Choice>,
    optimizer: Option<(Choice, String)>,
    update: Option<UpdateKind>,
    max_norm: Option<f64>,
    traffic: Traffic,
    push: Option<Push>,
    send: Option<(UpdateKind, String)>,
    wait: Option<bool>,
    window: Option<u64>,
    adopt: Option<(u16, String)>,
    compress_up: Option<u16>,
    compress_down: Option<u16>,
    /// Whether any setting of an uplink is written, and its path.
    uplink: Option<String>,
}

impl Written {
    fn read(cx: &mut Resolver<'_>, keys: &[String]) -> Result<Self, UserError> {
        let file = cx.file;
        let registry = cx.registry;
        let sync = Pick::text("sync");
        let (policy, path) = find(file, keys, "policy", |t| t.policy.as_ref())
            .unwrap_or((&sync, format!("tiers.{}.policy", keys[0])));
        let (composition, policy) = cx.build(&registry.policies, policy, &path)?;
        let fold = match find(file, keys, "fold", |t| t.fold.as_ref()) {
            Some((pick, path)) => Some(cx.build(&registry.folds, pick, &path)?.1),
            None => None,
        };
        let optimizer = match find(file, keys, "optimizer", |t| t.optimizer.as_ref()) {
            Some((pick, path)) => Some((cx.build(&registry.optimizers, pick, &path)?.1, path)),
            None => None,
        };
        let max_norm = match find(file, keys, "max_norm", |t| t.max_norm.as_ref()) {
            Some((norm, path)) => {
                cx.check(*norm > 0.0 && norm.is_finite(), &path, norm, "a number above 0")?;
                Some(*norm)
            }
            None => None,
        };
        let push = match find(file, keys, "uplink.push", |t| t.uplink.push.as_ref()) {
            Some((pick, path)) => Some(push(pick).map_err(|error| cx.source.option_error(&path, error))?),
            None => None,
        };
        let adopt = match find(file, keys, "uplink.adopt", |t| t.uplink.adopt.as_ref()) {
            Some((adopt, path)) => {
                cx.check((0.0..=1.0).contains(adopt), &path, adopt, "0 to 1")?;
                Some(((adopt * 1000.0).round() as u16, path))
            }
            None => None,
        };
        let window = match find(file, keys, "uplink.window", |t| t.uplink.window.as_ref()) {
            Some((window, path)) => {
                cx.check(*window >= 1, &path, window, "1 or more")?;
                Some(*window)
            }
            None => None,
        };
        let update = find(file, keys, "", |t| t.update.as_ref()).map(|found| *found.0);
        let up = find(file, keys, "compression.up", |t| t.compression.up.as_ref());
        let down = find(file, keys, "compression.down", |t| t.compression.down.as_ref());
        Ok(Self {
            compress_up: cx.codec(up, update.unwrap_or(composition.update) == UpdateKind::Model)?,
            compress_down: cx.codec(down, true)?,
            policy,
            composition,
            fold,
            optimizer,
            update,
            max_norm,
            traffic: find(file, keys, "", |t| t.traffic.as_ref()).map_or(Traffic::default(), |t| *t.0),
            push,
            send: find(file, keys, "uplink.send", |t| t.uplink.send.as_ref()).map(|(s, p)| (*s, p)),
            wait: find(file, keys, "", |t| t.uplink.wait.as_ref()).map(|found| *found.0),
            window,
            adopt,
            uplink: keys.iter().map(|key| format!("tiers.{key}.uplink")).find(|path| cx.source.has(path)),
            keys: keys.to_vec(),
        })
    }

    /// Warns about options that speak of more children than a server has; only so many count then.
    fn compare_counts(&self, cx: &mut Resolver<'_>, topology: &Topology, concerns: impl Fn(usize) -> bool) {
        let mut children: BTreeMap<usize, usize> =
            (0..topology.nodes.len()).filter(|server| concerns(*server)).map(|server| (server, 0)).collect();
        for node in &topology.nodes {
            if let Some(count) = node.parent.and_then(|parent| children.get_mut(&(parent as usize))) {
                *count += 1;
            }
        }
        let Some((server, fewest)) = children.into_iter().min_by_key(|(_, count)| *count) else { return };
        let name = &topology.nodes[server].name;
        for (option, count) in self.composition.policy.counts() {
            if count > fewest {
                let (policy, path) = (&self.policy.name, self.path("policy"));
                cx.warnings.push(format!(
                    "`{path}`: `{option}` of {policy} speaks of {count} children, and {name} has {fewest}: no more than \
                     that can count"
                ));
            }
        }
    }

    fn path(&self, key: &str) -> String {
        format!("tiers.{}.{key}", self.keys[0])
    }

    /// What the children send: as set, else what local servers send, else what the policy needs.
    fn update(&self, cx: &Resolver<'_>, below: &Below) -> Result<UpdateKind, UserError> {
        let from_servers = below.servers.values().next();
        let update = self
            .update
            .or(if below.workers { cx.file.training.update } else { None })
            .or(from_servers.map(|found| found.0))
            .unwrap_or(self.composition.update);
        if let Some((send, path)) = below.servers.values().find(|found| found.0 != update) {
            let message =
                format!("this local server sends a {}, its parent takes a {}", name(*send), name(update));
            let next = format!("set `{}: {}` or change `{}`", self.path("update"), name(*send), path);
            return Err(cx.source.error(path, message, name(update), next));
        }
        Ok(update)
    }

    /// The settings, and what the server sends to its parent.
    fn plan(
        &self,
        cx: &mut Resolver<'_>,
        update: UpdateKind,
        parent_rounds: Option<bool>,
    ) -> Result<(TierPlan, Option<UpdateKind>), UserError> {
        let uplink = match parent_rounds {
            Some(rounds) => Some(self.uplink(cx, update, rounds)?),
            None => {
                if let Some(path) = &self.uplink {
                    let path = path.clone();
                    let warned = cx.warnings.iter().any(|warning| warning.contains(&format!("`{path}`")));
                    if !warned {
                        cx.without_effect(&path, "the root has no parent");
                    }
                }
                None
            }
        };
        let forwards = uplink.is_some_and(|uplink| uplink.send == UpdateKind::Gradient);
        if let (true, Some((optimizer, path))) = (forwards, &self.optimizer) {
            let message =
                format!("the optimiser `{}` at a local server that only forwards gradients", optimizer.name);
            let next = format!("leave it out, or set `{}: delta`", self.path("uplink.send"));
            return Err(cx.source.error(path, message, "no optimizer here", next));
        }
        let optimizer = match &self.optimizer {
            _ if forwards => None,
            Some((optimizer, _)) => Some(optimizer.clone()),
            None if update == self.composition.update => Some(self.composition.optimizer.clone()),
            None => Some(usual_optimizer(update)),
        };
        let plan = TierPlan {
            name: self.keys[0].clone(),
            policy: self.policy.clone(),
            fold: self.fold.clone().unwrap_or_else(|| self.composition.fold.clone()),
            optimizer,
            update,
            uplink,
            max_norm: self.max_norm,
            traffic: self.traffic,
            compress_up: self.compress_up,
            compress_down: self.compress_down,
        };
        Ok((plan, uplink.map(|uplink| uplink.send)))
    }

    fn uplink(
        &self,
        cx: &Resolver<'_>,
        update: UpdateKind,
        parent_rounds: bool,
    ) -> Result<UplinkPlan, UserError> {
        let send = match (&self.send, &self.optimizer) {
            (Some((send, _)), _) => *send,
            (None, None) if update == UpdateKind::Gradient => UpdateKind::Gradient,
            // With an optimiser of its own it has a model of its own, whose change it sends.
            _ => UpdateKind::Delta,
        };
        let forwards = send == UpdateKind::Gradient;
        if forwards && update != UpdateKind::Gradient {
            let message =
                format!("this local server cannot send a gradient: its children send a {}", name(update));
            return Err(cx.source.error(&self.path("uplink.send"), message, "delta, model", ""));
        }
        let adopt_permille = match &self.adopt {
            Some((adopt, path)) if forwards && *adopt != 1000 => {
                let message = "a local server that forwards gradients has no model of its own to mix";
                return Err(cx.source.error(path, message, "1", "leave it out"));
            }
            Some((adopt, _)) => *adopt,
            None => 1000,
        };
        let rounds = self.composition.rounds;
        let push = self.push.unwrap_or(if forwards && !rounds && parent_rounds {
            Push::OnRequest
        } else {
            Push::Every(1)
        });
        let (wait, window) = (self.wait.unwrap_or(rounds), self.window.unwrap_or(WINDOW));
        Ok(UplinkPlan { push, send, wait, window, adopt_permille })
    }
}

/// Pushes that wait for an answer, when nothing is said: with one, what a parent with rounds is sent is never late.
const WINDOW: u64 = 1;

/// The most specific value of a setting, and its path.
fn find<'f, T>(
    file: &'f crate::scenario::file::ScenarioFile,
    keys: &[String],
    setting: &str,
    get: impl Fn(&'f TierFile) -> Option<&'f T>,
) -> Option<(&'f T, String)> {
    keys.iter().find_map(|key| Some((get(file.tiers.get(key)?)?, format!("tiers.{key}.{setting}"))))
}

fn name(kind: UpdateKind) -> &'static str {
    match kind {
        UpdateKind::Gradient => "gradient",
        UpdateKind::Delta => "delta",
        UpdateKind::Model => "model",
    }
}

/// The optimiser of a policy that gets another kind of update than its usual one: the change as it is, or a
/// step of .1 along the gradient.
fn usual_optimizer(update: UpdateKind) -> Choice {
    let mut choice = Choice::named("sgd");
    let lr = if update == UpdateKind::Gradient { 0.1 } else { 1.0 };
    choice.options.insert("lr".to_owned(), lr.into());
    choice
}

fn push(pick: &Pick) -> Result<Push, OptionError> {
    const ALLOWED: &str = "every(k) with k of 1 or more, on_request";
    let choice = pick.choice()?;
    let k = choice.positional.first().or_else(|| choice.options.get("k"));
    let extra = choice.positional.len() + choice.options.len() > 1;
    match (choice.name.as_str(), k) {
        ("on_request", None) if !extra => Ok(Push::OnRequest),
        ("every", Some(k)) if !extra => match k.as_u64() {
            Some(k) if k > 0 => Ok(Push::Every(k)),
            _ => Err(OptionError::new("", format!("every({k})"), ALLOWED)),
        },
        (other, _) => Err(OptionError::new("", format!("unknown way to push `{other}`"), ALLOWED)),
    }
}
