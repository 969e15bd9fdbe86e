//! A plan in words: `hcddl check`.

use hcddl_core::domain::units::Rate;
use hcddl_core::domain::{Choice, NodeId};
use hcddl_core::node::work::UpdateKind;
use hcddl_learn::Learner;
use hcddl_plan::plan::{
    Changing, Contention, Expect, LearningPlan, LocalWork, NetworkPlan, Plan, Push, StopPlan, TierPlan,
    Traffic,
};
use hcddl_plan::scenario::draw::choice;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What the plan means: a subject and a sentence each, in the order in which people ask.
#[must_use]
pub fn plan(plan: &Plan, learner: Option<&dyn Learner>) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut say = |subject: &str, text: String| lines.push((subject.to_owned(), text));
    say("nodes", nodes(plan));
    say("devices", devices(plan));
    say("model", model(&plan.learning, learner, plan.timing_only));
    say("data", data(plan, learner));
    say("training", training(plan));
    say("ends", stop(plan));
    for tier in &plan.tiers {
        say(&format!("tier {}", tier.name), tier_in_words(tier, &plan.codecs));
    }
    if let Some(peers) = &plan.peers {
        say("peers", format!("mix by {}", choice(&peers.algorithm)));
    }
    say("network", network(&plan.network));
    for (key, text) in links(&plan.network) {
        say(&format!("link {key}"), text);
    }
    let metrics = plan.evaluation.metrics.join(", ");
    say(
        "evaluation",
        match plan.evaluation.every {
            0 => format!("{metrics} at the end"),
            1 => format!("{metrics} at every version"),
            every => format!("{metrics} every {every} versions and at the end"),
        },
    );
    let (events, rules) = (plan.faults.events.len(), plan.faults.rules.len());
    if events + rules > 0 {
        let detection = plan.faults.detection;
        say("faults", format!("{events} events, {rules} message rules; noticed after {detection}"));
    }
    if !plan.injections.is_empty() {
        let count = plan.injections.len();
        say("injections", format!("{count} of latency or compute time, in their order"));
    }
    if !plan.traces.is_empty() {
        let rates = plan.traces.iter().filter(|trace| matches!(trace.what, Changing::Rate(..))).count();
        let nodes = plan.traces.len() - rates;
        say("traces", format!("{rates} lines whose rates change over time, {nodes} nodes that come and go"));
    }
    if plan.expect != Expect::default() {
        say("expects", expect(&plan.expect));
    }
    let seeds = plan.seeds;
    say("seeds", format!("data {}, init {}, interleaving {}", seeds.data, seeds.init, seeds.interleaving));
    lines
}

/// The lines of [`plan`] as aligned text; ends in a line break.
#[must_use]
pub fn as_text(name: &str, lines: &[(String, String)]) -> String {
    let width = lines.iter().map(|(subject, _)| subject.chars().count()).max().unwrap_or(0);
    let mut text = format!("`{name}` is a valid scenario\n\n");
    for (subject, sentence) in lines {
        let _ = writeln!(text, "{subject:width$}  {sentence}");
    }
    text
}

fn nodes(plan: &Plan) -> String {
    let depth = plan.nodes.iter().map(|node| node.depth).max().unwrap_or(0);
    let tree = if plan.peers.is_none() { format!(", {depth} links deep") } else { String::new() };
    let later = plan.nodes.iter().filter(|node| node.joins_later).count();
    let later = if later > 0 { format!(", {later} of them join later") } else { String::new() };
    format!("{}{tree}{later}", hcddl_plan::scenario::draw::census(plan.nodes.iter()))
}

fn devices(plan: &Plan) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for host in &plan.hosts {
        *counts.entry(&host.device.name).or_default() += 1;
    }
    let mut text = counts.iter().map(|(name, n)| format!("{n} x {name}")).collect::<Vec<_>>().join(", ");
    let slow = plan.nodes.iter().map(|node| node.slowdown);
    let (least, most) = slow.fold((f64::INFINITY, 0.0_f64), |(a, b), s| (a.min(s), b.max(s)));
    if most > least {
        let _ = write!(text, "; compute times x {least:.2} to x {most:.2}");
    }
    text
}

fn model(plan: &LearningPlan, learner: Option<&dyn Learner>, timing_only: bool) -> String {
    let start = plan.init_from.as_ref().map_or(String::new(), |file| format!(", from {}", file.display()));
    let size = learner.map_or(String::new(), |learner| {
        let params = learner.params_len();
        format!(", {params} parameters, {} as f32", super::terminal::bytes(params as u64 * 4))
    });
    let timing = if timing_only { "; timing only: no gradients are computed" } else { "" };
    format!("{}{size}{start}{timing}", choice(&plan.model))
}

/// Puts what is said of the samples below what is said of the data.
pub fn with_samples(lines: &mut Vec<(String, String)>, samples: Vec<(String, String)>) {
    let below = lines.iter().position(|(subject, _)| subject == "data").map_or(lines.len(), |at| at + 1);
    lines.splice(below..below, samples);
}

fn data(plan: &Plan, learner: Option<&dyn Learner>) -> String {
    let LearningPlan { data, partition, shards, .. } = &plan.learning;
    let mut text = format!("{} split by {} into {shards} shards", choice(data), choice(partition));
    if let Some(learner) = learner {
        let trains = (0..plan.nodes.len()).filter(|i| plan.nodes[*i].shard.is_some());
        let sizes = trains.map(|i| learner.shard_len(NodeId(i as u32)));
        let (least, most) = sizes.fold((usize::MAX, 0), |(a, b), n| (a.min(n), b.max(n)));
        let _ = write!(text, " of {least} to {most} samples");
    }
    text
}

fn training(plan: &Plan) -> String {
    let (learning, rule) = (&plan.learning, &plan.learning.rule);
    let plural = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let local = match learning.local {
        LocalWork::Steps(steps) => plural(steps, "gradient step"),
        LocalWork::Epochs(epochs) => plural(epochs, "epoch"),
    };
    let mut text = format!("{local} for each job, batches of {}", learning.batch);
    // Plain gradients pass no local optimiser.
    if plan.peers.is_some() || plan.tiers.iter().any(|tier| tier.update != UpdateKind::Gradient) {
        let _ = write!(text, ", local learning rate {}", rule.optimizer.lr());
        if (rule.optimizer.name(), rule.schedule.name()) != ("sgd", "constant") {
            let _ = write!(text, " ({}, {} schedule)", rule.optimizer.name(), rule.schedule.name());
        }
    }
    if let Some(norm) = rule.clip_norm {
        let _ = write!(text, ", gradients at most {norm} long");
    }
    if rule.proximal > 0.0 {
        let _ = write!(text, ", proximal term {}", rule.proximal);
    }
    text
}

fn stop(plan: &Plan) -> String {
    let StopPlan { rounds, time, target_accuracy } = plan.stop;
    let what = if plan.peers.is_some() { "rounds of every peer" } else { "commits of the root" };
    let mut ends = Vec::new();
    ends.extend(rounds.map(|rounds| format!("after {rounds} {what}")));
    ends.extend(time.map(|time| format!("after {time} of virtual time")));
    ends.extend(target_accuracy.map(|target| format!("at an accuracy of {target}")));
    ends.join(", or ")
}

fn tier_in_words(tier: &TierPlan, codecs: &[Choice]) -> String {
    let kind = |kind| match kind {
        UpdateKind::Gradient => "gradients",
        UpdateKind::Delta => "deltas",
        UpdateKind::Model => "models",
    };
    let apply = tier
        .optimizer
        .as_ref()
        .map_or("forwards the aggregate".to_owned(), |optimizer| format!("optimizer {}", choice(optimizer)));
    let traffic = match tier.traffic {
        Traffic::Broadcast => "sent",
        Traffic::Pull => "pulled",
    };
    let mut text = format!(
        "policy {}, fold {}, {apply}; children send {}{}; models are {traffic}{}",
        choice(&tier.policy),
        choice(&tier.fold),
        kind(tier.update),
        coded(tier.compress_up, codecs),
        coded(tier.compress_down, codecs),
    );
    if let Some(uplink) = &tier.uplink {
        let when = match uplink.push {
            Push::Every(1) => "after every commit".to_owned(),
            Push::Every(k) => format!("after every {k} commits"),
            Push::OnRequest => "when its parent asks".to_owned(),
        };
        let wait = if uplink.wait { "its children wait for the answer" } else { "its children go on" };
        let adopt = f64::from(uplink.adopt_permille) / 1000.0;
        let _ = write!(text, "; pushes {} {when}, {wait}, adopts {adopt} of the answer", kind(uplink.send));
    }
    text
}

fn coded(codec: Option<u16>, codecs: &[Choice]) -> String {
    codec.map_or(String::new(), |index| format!(" coded by {}", choice(&codecs[usize::from(index)])))
}

fn network(network: &NetworkPlan) -> String {
    let contention = match network.contention {
        Contention::Tcp(settings) => format!("queues of {} and windows of TCP", settings.queue),
        Contention::None => "transfers do not disturb each other".to_owned(),
        Contention::Fifo => "transfers pass one after the other".to_owned(),
        Contention::FairShare { unfairness } if unfairness > 0.0 => {
            format!("transfers share rates, unfairness {unfairness}")
        }
        Contention::FairShare { .. } => "transfers share rates fairly".to_owned(),
    };
    let reliable = if network.reliable {
        format!("; resent after {} until acknowledged", network.resend_after)
    } else {
        String::new()
    };
    format!("{contention}{reliable}")
}

/// Each kind of link in words; those of a thousand single links are counted instead.
fn links(network: &NetworkPlan) -> Vec<(String, String)> {
    const LINKS_SHOWN: usize = 8;
    let mut lines: Vec<(String, String)> = network
        .links
        .iter()
        .take(LINKS_SHOWN)
        .map(|link| {
            let mean = link
                .latency
                .mean()
                .map_or("latency without a mean".to_owned(), |mean| format!("{mean} on average"));
            let rate = if link.rate_max.is_finite() {
                format!(", at most {}", Rate(link.rate_max))
            } else {
                String::new()
            };
            let loss =
                if link.loss > 0.0 { format!(", loses {} of the packets", link.loss) } else { String::new() };
            (link.name.clone(), format!("{mean}{rate}{loss}"))
        })
        .collect();
    if network.links.len() > LINKS_SHOWN {
        lines.push(("...".to_owned(), format!("and {} more kinds", network.links.len() - LINKS_SHOWN)));
    }
    lines
}

fn expect(expect: &Expect) -> String {
    let value = serde_json::to_value(expect).expect("plain data");
    let told = value.as_object().into_iter().flatten().filter(|(_, v)| !v.is_null() && **v != false);
    told.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_plan::fixture;

    #[test]
    fn a_tree_in_words() {
        let mut tree = fixture::tree(2, 2);
        tree.expect.accuracy_min = Some(0.9);
        tree.expect.no_lost_update = true;
        tree.nodes[2].slowdown = 3.0;
        insta::assert_snapshot!(as_text("tree", &plan(&tree, None)), @r#"
        `tree` is a valid scenario

        nodes        1 global server, 2 local servers, 5 workers, 2 links deep
        devices      8 x pi4; compute times x 1.00 to x 3.00
        model        mlp
        data         digits split by iid into 1 shards
        training     1 gradient step for each job, batches of 32
        ends         after 10 commits of the root
        tier global  policy sync, fold mean, optimizer adam; children send gradients; models are sent
        tier local   policy ssp {slack: 3}, fold mean, optimizer adam; children send gradients; models are sent
        network      transfers share rates fairly
        link wan     20 ms on average, at most 100mbit
        link lan     200 us on average
        evaluation   accuracy, loss, bytes at every version
        expects      accuracy_min 0.9, no_lost_update true
        seeds        data 1, init 1, interleaving 1
        "#);
    }

    #[test]
    fn peers_in_words() {
        let mut ring = fixture::ring(4);
        ring.timing_only = true;
        ring.stop.time = Some(hcddl_core::domain::Span::from_millis(90_000));
        insta::assert_snapshot!(as_text("ring", &plan(&ring, None)), @r#"
        `ring` is a valid scenario

        nodes       4 peers
        devices     4 x pi4
        model       mlp; timing only: no gradients are computed
        data        digits split by iid into 1 shards
        training    1 gradient step for each job, batches of 32, local learning rate 0.1
        ends        after 10 rounds of every peer, or after 90 s of virtual time
        peers       mix by dpsgd
        network     transfers share rates fairly
        link wan    20 ms on average, at most 100mbit
        link lan    200 us on average
        evaluation  accuracy, loss, bytes at every version
        seeds       data 1, init 1, interleaving 1
        "#);
    }
}
