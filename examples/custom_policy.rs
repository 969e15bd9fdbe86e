//! A policy of your own, in a crate of your own: asynchronous while the model is young, then synchronous.
//!
//! Early updates help even when they are stale, so nobody waits; later a barrier removes the noise.
//!
//! ```sh
//! cargo run --release --example custom_policy                 # compares it with two built-in policies
//! cargo run --release --example custom_policy -- list policies
//! cargo run --release --example custom_policy -- sim scenarios/straggler.yml --set 'tiers.global.policy=hybrid(100)'
//! ```

use hcddl::domain::{Choice, OptionError, Row, Tables, options};
use hcddl::measure::outcome::{Silent, SimOptions};
use hcddl::node::work::UpdateKind;
use hcddl::policy::{Claims, Composition, Policy, PolicyEvent, ServerView, Verdict};
use hcddl::{Registry, SimulateError};
use serde::{Deserialize, Serialize};
use std::process::ExitCode;

/// The policy: all that it knows is when it changes its mind.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Hybrid {
    /// Asynchronous before this version, synchronous from it on.
    until: u64,
}

impl Default for Hybrid {
    fn default() -> Self {
        Self { until: 100 }
    }
}

impl Hybrid {
    /// In the synchronous part: folds what has arrived once nobody is at work any more.
    fn barrier(view: &ServerView<'_>) -> Verdict {
        if view.children.values().any(|child| child.alive && child.busy) {
            return Verdict::nothing();
        }
        match view.pending.len() {
            0 => Verdict::nothing().reply(view.free()),
            _ => Verdict { fold: view.pending.keys().map(|id| (*id, 1.0)).collect(), ..Verdict::nothing() },
        }
    }
}

impl Policy for Hybrid {
    /// Answers with data: which updates to fold, who gets the new model. No tensor, clock or network in sight.
    fn on(&mut self, event: PolicyEvent, view: &ServerView<'_>) -> Verdict {
        let synchronous = view.version.0 >= self.until;
        match event {
            PolicyEvent::Start => Verdict::nothing().reply(view.free()),
            PolicyEvent::Update(id) if !synchronous => {
                Verdict { fold: vec![(id, 1.0)], ..Verdict::nothing() }
            }
            PolicyEvent::Folded if !synchronous => {
                Verdict::nothing().reply(view.contributors.iter().copied())
            }
            PolicyEvent::Joined(child) if !synchronous => Verdict::nothing().reply([child]),
            PolicyEvent::Lost(_) if !synchronous => Verdict::nothing(),
            PolicyEvent::Timer => Verdict::nothing(),
            _ => Self::barrier(view),
        }
    }

    fn save(&self) -> String {
        serde_json::to_string(self).expect("plain data")
    }

    fn load(&mut self, state: &str) -> Result<(), serde_json::Error> {
        *self = serde_json::from_str(state)?;
        Ok(())
    }
}

fn build(choice: &Choice, _: &dyn Tables) -> Result<Composition, OptionError> {
    let policy: Hybrid = choice.options()?;
    Ok(Composition {
        policy: Box::new(policy),
        update: UpdateKind::Gradient,
        fold: Choice::named("mean"),
        optimizer: Choice::named("sgd"),
        rounds: false,
        claims: Claims::default(),
    })
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.policies.add(Row {
        name: "hybrid",
        summary: "asynchronous before version `until`, synchronous from it on",
        example: "{name: hybrid, until: 100}",
        positional: &["until"],
        options: options::<Hybrid>,
        build,
    });
    registry
}

fn compare() -> Result<(), SimulateError> {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/straggler.yml");
    println!(
        "{:<14} {:>8} {:>12} {:>9} {:>10}",
        "policy", "commits", "virtual time", "accuracy", "staleness"
    );
    for policy in ["sync", "async", "hybrid(200)"] {
        let policy_set = format!("tiers.global.policy={policy}");
        let sets = [&policy_set, "tiers.global.optimizer=sgd(0.1)", "training.rounds=null"];
        let run = hcddl::simulate(scenario, &sets, &registry(), &SimOptions::default(), &mut Silent)?.summary;
        let accuracy = run.accuracy.unwrap_or_default();
        let (commits, time, stale) = (run.commits, run.virtual_time_s, run.staleness.mean);
        println!("{policy:<14} {commits:>8} {time:>10.3} s {accuracy:>9.4} {stale:>10.2}");
    }
    Ok(())
}

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        return hcddl::cli::main_with(&registry());
    }
    compare().map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
