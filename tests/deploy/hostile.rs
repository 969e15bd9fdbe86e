//! A worker that lies about everything it was asked for, in a simulation and in processes.

use super::Run;
use hcddl::Registry;
use hcddl::domain::{Data, Head, Message, NodeId, Params, Progress, Version};
use hcddl::node::kinds::UPDATE;
use hcddl::node::{Cx, Effect, Effects, Event, Node, NodeState};
use std::process::{Command, ExitCode};

/// Says that this test binary is to be the program `hcddl`, with a worker that lies.
const FLAG: &str = "HCDDL_TEST_HOSTILE";

/// Worker 1, whose updates are exchanged on their way out.
struct Liar(Box<dyn Node>);

impl Node for Liar {
    fn on(&mut self, cx: &Cx, event: Event, out: &mut Effects) {
        let before = out.0.len();
        self.0.on(cx, event, out);
        for effect in &mut out.0[before..] {
            if let Effect::Send { message, .. } = effect
                && message.kind == UPDATE
            {
                lie(message);
            }
        }
    }

    fn save(&self) -> NodeState {
        self.0.save()
    }
}

/// Another lie each time, the same in every execution.
fn lie(message: &mut Message) {
    let truth = message.params().and_then(Params::values).map_or(Vec::new(), <[f32]>::to_vec);
    let all = |value: f32| vec![value; truth.len()];
    let (head, values) = match Progress::from(message.head.detail).clock % 8 {
        0 => (message.head, all(f32::NAN)),
        1 => (message.head, all(1e30)),
        2 => (message.head, vec![]),
        3 => (message.head, truth[1..].to_vec()),
        4 => (Head { base: Version(u64::MAX), ..message.head }, all(-1e3)),
        5 => (Head { samples: u64::MAX, steps: u64::MAX, ..message.head }, all(1e3)),
        6 => (Head { loss: f32::INFINITY, ..message.head }, all(f32::NEG_INFINITY)),
        _ => (Head { samples: 0, ..message.head }, truth),
    };
    message.head = head;
    message.bodies[0].data = Data::Dense(Params::new(values));
}

fn registry() -> Registry {
    Registry {
        around: Some(|id, node| if id == NodeId(1) { Box::new(Liar(node)) } else { node }),
        ..Registry::default()
    }
}

/// The test binary as the program of a deployment: of all its tests the next one is run, whose name its first
/// argument is.
pub(super) fn program() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "hostile::acts_as_the_program", "--nocapture", "--"]).env(FLAG, "1");
    command
}

#[test]
fn acts_as_the_program() {
    if std::env::var_os(FLAG).is_none() {
        return;
    }
    let arguments = std::env::args_os().skip_while(|argument| argument != "--").skip(1);
    let code = hcddl::cli::run(std::iter::once("hcddl".into()).chain(arguments), &registry());
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
}

/// Whatever a worker sends, the run has its commits, a model that has learnt, and the worker's name in the log.
#[test]
fn a_worker_that_lies_is_told_and_spoils_nothing() {
    for policy in ["async", "sync"] {
        let text = format!(
            "name: liar\ntopology: flat(4)\nmodel: softmax\ntraining: {{rounds: 240, batch: 16}}\n\
             tiers: {{global: {{policy: {policy}, max_norm: 3.0}}}}\nevaluation: {{every: 240}}\n\
             deploy: {{detection: 10s}}\n"
        );
        let run = Run::with(&text, registry());
        let simulated = run.simulated().summary;
        run.wait(run.start_all());
        let deployed = run.gather().summary;
        for (what, summary) in [("simulated", &simulated), ("deployed", &deployed)] {
            assert_eq!(summary.commits, 240, "{policy}, {what}");
            assert!(summary.accuracy.unwrap() > 0.6, "{policy}, {what}: {:?}", summary.accuracy);
            for counter in ["refused_updates", "unknown_versions", "shortened_updates"] {
                let counted = summary.metrics.get(counter).copied().unwrap_or(0.0);
                assert!(counted > 0.0, "{policy}, {what}: no {counter}");
            }
        }
        let said = std::fs::read_to_string(run.dir.path().join("global.txt")).unwrap();
        assert!(said.contains("an update of worker1 for global has a norm of"), "{said}");
        assert!(said.contains("it is not folded"), "{said}");
        assert!(!said.contains("an update of worker2"), "{said}");
        assert!(run.replayed() >= 240, "{policy}");
    }
}
