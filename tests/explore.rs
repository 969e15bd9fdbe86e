//! The search finds planted bugs and shrinks what shows them; real policies keep every law in whatever order.

mod common;

#[path = "common/planted.rs"]
mod planted;

use hcddl::domain::{Span, Time};
use hcddl::explore::attempt::Setup;
use hcddl::explore::{Exploration, ExploreOptions, Reach, Strategy, explore, report};
use hcddl::learn::Learner;
use hcddl::learn::quadratic::Quadratic;
use hcddl::measure::outcome::Silent;
use hcddl::plan::Plan;
use hcddl::plan::schedule::{Decision, Schedule};
use hcddl::registry::{AroundNode, Registry};
use hcddl::scenario::{Written, parse, resolve};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A scenario that trains random quadratic functions.
struct Case {
    plan: Plan,
    written: Written,
    registry: Registry,
    learner: Arc<dyn Learner>,
}

impl Case {
    fn new(text: &str, registry: Registry) -> Self {
        let text = format!("model: softmax\n{text}");
        let written = parse("inline.yml", &text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"));
        let plan = resolve(&written, &registry).unwrap_or_else(|error| panic!("{text}: {error}"));
        let shards = plan.nodes.iter().map(|node| node.shard).collect();
        let quadratic = Quadratic::random(5, shards, 1.0, plan.seeds.data);
        let learner = Arc::new(Quadratic { rule: plan.learning.rule.clone(), ..quadratic });
        Self { plan, written, registry, learner }
    }

    fn setup(&self) -> Setup<'_> {
        Setup {
            plan: &self.plan,
            registry: &self.registry,
            learner: Arc::clone(&self.learner),
            interrupt: Arc::new(AtomicBool::new(false)),
            events_max: common::ENDLESS,
        }
    }

    fn explore(&self, options: &ExploreOptions) -> Exploration {
        explore(&self.setup(), options, |_| {}).expect("the search runs")
    }

    /// Plays a schedule as `sim` does, from the text of its file.
    fn sim(&self, text: &str) -> (String, String) {
        let (source, value) = hcddl::scenario::Source::read("schedule.yml", text).expect("YAML");
        let file = source.typed(value).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let written = Written { schedule: Some((file, source)), ..self.written.clone() };
        let plan = resolve(&written, &self.registry).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(plan.warnings, self.plan.warnings, "the schedule belongs to this scenario");
        let (options, interrupt) = (common::direct(), Arc::new(AtomicBool::new(false)));
        let learner = Arc::clone(&self.learner);
        let run = hcddl::sim::run(&plan, &self.registry, learner, &options, &mut Silent, interrupt, None);
        let summary = run.expect("the run ends").summary;
        (summary.trace_digest, summary.weight_digest)
    }
}

/// Workers of about 20 ms and links whose latency has a tail: 4 ms as a rule, 50 ms now and then.
const WORLD: &str = "network: {contention: none, resend_after: 60ms, reliable: RELIABLE, \
    lan: {latency: 'lognormal(4ms, 0.8)'}}\n\
    devices: {workers: {name: fixed, step_time: 'uniform(18ms, 22ms)'}, servers: instant}";

fn flat(workers: usize, rounds: u64, tier: &str, more: &str) -> String {
    let reliable = more.contains("reliable");
    format!(
        "topology: flat({workers})\ntiers: {{global: {{{tier}}}}}\n\
         training: {{rounds: {rounds}, local: {{steps: 1}}}}\n{}\n{}",
        WORLD.replace("RELIABLE", &reliable.to_string()),
        more.replace("reliable", "")
    )
}

const SCHEDULES: usize = 1_000;
const EVENTS: usize = 20;

/// A planted bug breaks this law within 1,000 schedules, and at most 20 decisions are needed to show it. The
/// scenario as it is shows nothing: the search has something to do.
fn found(text: &str, around: Option<AroundNode>, law: &str) {
    let case = Case::new(text, Registry { around, ..planted::registry() });
    let options = ExploreOptions { schedules: SCHEDULES, threads: 1, ..ExploreOptions::default() };
    let found = case.explore(&options);
    assert_eq!(found.base.broken, None, "shown by the scenario as it is: {text}");
    let [finding] = &found.findings[..] else { panic!("nothing found in {}: {text}", found.tried.len()) };
    println!(
        "{law}: schedule {} ({}), {} decisions shrunk to {} in {} runs, {} commits: {}",
        finding.number,
        finding.strategy.map_or("", Strategy::name),
        finding.decisions_before,
        finding.schedule.decisions.len(),
        finding.runs,
        finding.breach.commits,
        finding.breach.what
    );
    assert_eq!(finding.breach.law, law, "{}: {text}", finding.breach.what);
    let count = finding.schedule.decisions.len();
    assert!((1..=EVENTS).contains(&count), "{count} decisions: {:?}", finding.schedule);
    // No decision of them can be left out.
    for left_out in 0..count {
        let mut fewer = finding.schedule.clone();
        fewer.decisions.remove(left_out);
        let breach = case.setup().play(&fewer, true).expect("a run").breach;
        assert!(breach.is_none_or(|breach| breach.law != law), "without {left_out} it breaks too: {text}");
    }
    // What is written is what `sim` repeats.
    if let (Some(trace), Some(weights)) = (&finding.trace_digest, &finding.weight_digest) {
        let text = report::finding_text(&case.plan, &case.written.digest(), &found, finding);
        assert_eq!(case.sim(&text), (trace.clone(), weights.clone()), "{text}");
    }
}

#[test]
fn ssp_off_by_one_is_found() {
    found(&flat(4, 60, "policy: 'ssp_off_by_one(2)'", ""), None, "slack");
}

#[test]
fn an_update_lost_after_a_crash_is_found() {
    let faults =
        "faults: {detection: 20ms, events: [{at: 203ms, crash: worker2}, {at: 260ms, restart: worker2}]}";
    found(&flat(4, 60, "policy: forgetful", faults), None, "kept");
}

#[test]
fn a_double_commit_after_a_retry_is_found() {
    found(&flat(4, 60, "policy: async", "reliable"), Some(planted::gets_retries_twice), "once");
}

#[test]
fn a_wrong_snapshot_in_a_delay_compensated_update_is_found() {
    found(&flat(4, 40, "policy: async, fold: last_snapshot", ""), None, "fresh");
    found(&flat(3, 60, "policy: dc_asgd", ""), Some(planted::keeps_eight_snapshots), "snapshot");
}

#[test]
fn a_panic_is_found() {
    found(&flat(3, 60, "policy: panics", ""), None, "no panic");
}

#[test]
fn real_policies_break_no_law() {
    let policies = hcddl::policy::trials().concat();
    let worlds = [
        "",
        "faults: {messages: [{loss: 0.05, duplicate: 0.05}]}",
        "faults: {detection: 20ms, events: [{at: 203ms, crash: worker2}, {at: 260ms, restart: worker2}]}",
        "faults: {detection: 20ms, events: [{at: 203ms, link_down: [global, worker2]}, \
         {at: 260ms, link_up: [global, worker2]}]}",
        "faults: {detection: 20ms, events: [{at: 203ms, crash: global}, {at: 260ms, restart: global}]}",
        "faults: {detection: 20ms, messages: [{loss: 0.05, duplicate: 0.05}], \
         events: [{at: 203ms, crash: worker2}, {at: 215ms, restart: worker2}]}",
    ];
    let mut broken = Vec::new();
    for policy in policies {
        for world in worlds {
            for way in ["", ", traffic: pull"] {
                let mut text = flat(4, 40, &format!("policy: {policy}{way}"), world);
                if world.contains("loss") {
                    text = text.replace("reliable: false", "reliable: true");
                }
                broken.extend(breaks(&text, 24));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn real_trees_and_peers_break_no_law() {
    let tiers = [
        ("sync", "sync", ""),
        ("async", "async", ""),
        ("sync", "async", "push: every(3), wait: true"),
        ("dc_asgd", "ssp(1)", ""),
        ("ssp(1)", "k_async(2)", ""),
        ("fedbuff(2)", "fedbuff(2)", "send: delta, wait: false"),
    ];
    let worlds =
        ["", "faults: {detection: 20ms, events: [{at: 203ms, crash: local2}, {at: 260ms, restart: local2}]}"];
    let mut broken = Vec::new();
    for (root, local, uplink) in tiers {
        for world in worlds {
            let text = flat(1, 40, &format!("policy: {root}"), world)
                .replace("topology: flat(1)", "topology: {name: tree, fanout: [2, 2]}")
                .replace("tiers: {", &format!("tiers: {{local: {{policy: {local}, uplink: {{{uplink}}}}}, "));
            broken.extend(breaks(&text, 30));
        }
    }
    let world =
        WORLD.replace("RELIABLE", "false").replace("workers:", "default:").replace(", servers: instant", "");
    let peers = format!("topology: ring(4)\npeers: {{algorithm: d_psgd}}\ntraining: {{rounds: 20}}\n{world}");
    broken.extend(breaks(&peers, 30));
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// What a search in a scenario without planted bugs finds: nothing, if all is well.
fn breaks(text: &str, schedules: usize) -> Vec<String> {
    let case = Case::new(text, Registry::default());
    let found = case.explore(&ExploreOptions { schedules, threads: 1, ..ExploreOptions::default() });
    let told = found.findings.iter().map(|finding| {
        let lines: Vec<String> = finding
            .schedule
            .decisions
            .iter()
            .map(|decision| hcddl::plan::schedule::line(decision, &case.plan))
            .collect();
        format!(
            "{}: {} at {} (schedule {}, {} decisions)\n{}\n{text}\n",
            finding.breach.law,
            finding.breach.what,
            finding.breach.at,
            finding.number,
            lines.len(),
            lines.join("\n")
        )
    });
    let told: Vec<String> = told.collect();
    assert!(found.tried.len() == schedules || !told.is_empty(), "{text}");
    told
}

#[test]
fn the_same_results_whatever_the_threads() {
    let case = Case::new(&flat(4, 40, "policy: async", ""), Registry::default());
    let csv = |threads| {
        let options = ExploreOptions { schedules: 30, threads, ..ExploreOptions::default() };
        let found = case.explore(&options);
        (report::csv(&found).expect("a table"), report::json(&case.plan, "", &options, &found))
    };
    let one = csv(1);
    assert_eq!(one, csv(3));
    let other = ExploreOptions { schedules: 30, seed: 2, ..ExploreOptions::default() };
    assert_ne!(one.0, report::csv(&case.explore(&other)).expect("a table"), "another seed, other schedules");
    // With a broken law, too: the first one in order counts.
    let case = Case::new(&flat(4, 60, "policy: 'ssp_off_by_one(2)'", ""), planted::registry());
    let first = |threads| {
        let options = ExploreOptions { schedules: SCHEDULES, threads, ..ExploreOptions::default() };
        report::csv(&case.explore(&options)).expect("a table")
    };
    assert_eq!(first(1), first(3));
}

/// The worst are worse than what is likely, and their files repeat them.
#[test]
fn the_worst_schedules_are_repeated_by_sim() {
    let case = Case::new(&flat(4, 60, "policy: async", ""), Registry::default());
    let found = case.explore(&ExploreOptions { schedules: 90, ..ExploreOptions::default() });
    assert!(found.findings.is_empty());
    let random = found.random_times(&case.plan).expect("random schedules");
    let (number, schedule) = found.worst_time.as_ref().expect("the worst");
    let worst = found.number(*number);
    assert!(worst.virtual_time_s > 1.2 * random.p99, "{} against {random:?}", worst.virtual_time_s);
    let text = report::worst_text(&case.plan, &case.written.digest(), worst, schedule);
    assert_eq!(case.sim(&text).0, worst.trace_digest, "{text}");
    let same_again = case.setup().play(schedule, true).expect("a run").summary.expect("a summary");
    assert_eq!(same_again.trace_digest, worst.trace_digest);
}

/// Everything that is decided is possible: between the least and the quantile, or the factor.
#[test]
fn decisions_stay_within_their_bounds() {
    for (reach, latency_max) in [("p99", 4e6 * 6.5), ("x3", 3.0 * 4e6 * 1.4)] {
        let case = Case::new(&flat(3, 30, "policy: async", ""), Registry::default());
        let reach: Reach = reach.parse().expect("a reach");
        for strategy in Strategy::ALL {
            let options =
                ExploreOptions { schedules: 5, strategies: vec![strategy], reach, ..Default::default() };
            let found = case.explore(&options);
            let (_, schedule) = found.worst_time.expect("the worst");
            assert!(schedule.decisions.len() > 50);
            for decision in &schedule.decisions {
                match decision {
                    Decision::Message { latency: Some(latency), .. } => {
                        assert!((100_000.0..latency_max).contains(&(latency.0 as f64)), "{latency:?}");
                    }
                    Decision::Job { duration, .. } => {
                        let most = if reach == Reach::Factor(3.0) { 60.1 } else { 22.0 };
                        let range = Span::from_millis(18)..=Span::from_seconds(most / 1e3);
                        assert!(range.contains(duration), "{duration:?}");
                    }
                    other => panic!("nothing else can vary here: {other:?}"),
                }
            }
        }
    }
}

/// A schedule decides what it lists and nothing else.
#[test]
fn a_schedule_moves_only_what_it_lists() {
    let faults =
        "faults: {detection: 20ms, events: [{at: 203ms, crash: worker2}, {at: 260ms, restart: worker2}]}";
    let case = Case::new(&flat(3, 30, "policy: async", faults), Registry::default());
    let digest = |decisions: Vec<Decision>| {
        let schedule = Schedule { rounds: None, decisions };
        let attempt = case.setup().play(&schedule, true).expect("a run");
        assert_eq!(attempt.breach, None);
        attempt.summary.expect("a summary").trace_digest
    };
    let plain = digest(vec![]);
    let options = common::direct();
    let interrupt = Arc::new(AtomicBool::new(false));
    let learner = Arc::clone(&case.learner);
    let run = hcddl::sim::run(&case.plan, &case.registry, learner, &options, &mut Silent, interrupt, None);
    assert_eq!(run.expect("a run").summary.trace_digest, plain, "an empty schedule changes nothing");
    let never = Decision::Job { node: hcddl::domain::NodeId(1), number: 1_000_000, duration: Span(1) };
    assert_eq!(digest(vec![never]), plain, "a job that never comes");
    let same = Decision::Fault { index: 1, at: Time(260_000_000) };
    assert_eq!(digest(vec![same]), plain, "a fault at its own time");
    let later = Decision::Fault { index: 1, at: Time(300_000_000) };
    assert_ne!(digest(vec![later]), plain);
    // A restart does not come before its crash.
    let early = Decision::Fault { index: 1, at: Time(1) };
    let with = Decision::Fault { index: 1, at: Time(203_000_000) };
    assert_eq!(digest(vec![early]), digest(vec![with]));
}

#[test]
fn mistakes_in_a_schedule_name_their_place() {
    let case = Case::new(&flat(3, 30, "policy: async", ""), Registry::default());
    let fails = |decisions: &str| {
        let text = format!("scenario: x\ndecisions:\n  - {decisions}\n");
        let (source, value) = hcddl::scenario::Source::read("s.yml", &text).expect("YAML");
        match source.typed(value) {
            Err(error) => error.to_string(),
            Ok(file) => {
                let written = Written { schedule: Some((file, source)), ..case.written.clone() };
                resolve(&written, &case.registry).map(|_| ()).expect_err(decisions).to_string()
            }
        }
    };
    for (decision, parts) in [
        (
            "{message: 1, from: workr1, to: global, latency: 2ms}",
            "s.yml:3: decisions.0.from: unknown node `workr1`",
        ),
        ("{message: 1, from: worker1, to: worker2, latency: 2ms}", "s.yml:3: decisions.0: no link between"),
        (
            "{message: 0, from: worker1, to: global, latency: 2ms}",
            "decisions.0.message: `0` is out of bounds",
        ),
        ("{message: 1, from: worker1, latency: 2ms}", "decisions.0: a message without `from` or `to`"),
        (
            "{message: 1, from: worker1, to: global, lost: true}",
            "decisions.0.lost: no rule of `faults.messages`",
        ),
        (
            "{message: 1, from: worker1, to: global, latency: 2}",
            "decisions.0.latency: the duration `2` has no unit",
        ),
        (
            "{message: 1, job: 2, node: worker1, duration: 2ms}",
            "decisions.0: a decision about several things",
        ),
        ("{job: 2, node: worker1}", "decisions.0: a job without `node` or `duration`"),
        ("{job: 2, node: worker1, time: 2ms}", "decisions.0.time: unknown key `time`"),
        ("{fault: 0, at: 2ms}", "decisions.0.fault: `0` is out of bounds"),
        ("{}", "decisions.0: a decision about nothing"),
    ] {
        let error = fails(decision);
        assert!(error.contains(parts) && error.starts_with("s.yml"), "{decision}: {error}");
    }
}
