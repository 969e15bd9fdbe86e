//! The uplink alone, in conversation with a server that does what it says: `>` is what it is told, `<` what it wants
//! done, `=` what it has the server do.

mod arrivals;
mod pushes;
mod stored;

use super::*;
use crate::domain::{Choice, Data, Era, Head, Progress};
use crate::node::Effect;
use crate::node::transcript::{Names, coded, id, outcome, show_done, show_effect, show_end, show_message};
use std::fmt::Write;

const NAMES: Names = &["root", "local", "a", "b"];

/// A server without policy or children of its own.
struct Talk {
    uplink: Uplink,
    model: Params,
    version: u64,
    is_folding: bool,
    jobs: Jobs,
    running: BTreeMap<JobId, Work>,
    text: String,
}

/// Pushes the distance from its milestone after each commit; its children wait; takes the parent's model as its own.
const PLAN: UplinkPlan =
    UplinkPlan { push: Push::Every(1), send: UpdateKind::Delta, wait: true, window: 1, adopt_permille: 1000 };

fn config(plan: UplinkPlan) -> UplinkConfig {
    let table = crate::policy::fold::table();
    let combine = (table.get("mean").unwrap().build)(&Choice::named("mean"), &()).unwrap();
    UplinkConfig { parent: NodeId(0), plan, combine, own_model: true, codec_up: None, codec_down: None }
}

/// A model of the parent.
fn assign(version: u64, losses: u32, data: Data) -> Message {
    let detail = Progress { clock: 0, era: Era::new(0, losses) }.into();
    let head = Head { version: Version(version), root: Version(version), detail, ..Head::default() };
    Message::with(ASSIGN, head, "model", data)
}

fn dense(value: f32) -> Data {
    Data::Dense(Params::new(vec![value]))
}

impl Talk {
    fn new(config: UplinkConfig, update: UpdateKind) -> Self {
        let model = Params::new(vec![0.0]);
        let uplink = Uplink::new(config, update, &model, None);
        let (jobs, running, text) = (Jobs::default(), BTreeMap::new(), String::new());
        Self { uplink, model, version: 0, is_folding: false, jobs, running, text }
    }

    fn with(plan: UplinkPlan) -> Self {
        Self::new(config(plan), UpdateKind::Delta)
    }

    fn line(&mut self, sign: char, text: &str) {
        let _ = writeln!(self.text, "{sign} {text}");
    }

    fn tell(&mut self, input: Input<'_>) -> &mut Self {
        let below = Below {
            model: &self.model,
            is_untouched: self.version == 0,
            is_folding: self.is_folding,
            clock: &|| 7,
            jobs: &mut self.jobs,
        };
        let mut out = Effects::default();
        let answer = self.uplink.on(input, below, &mut out);
        for effect in out.0 {
            self.line('<', &show_effect(NAMES, &effect));
            if let Effect::Run { job, work } = effect {
                self.running.insert(job, work);
            }
        }
        match answer {
            Answer::Nothing => {}
            Answer::Fail(reason) => self.line('=', &show_end(&reason)),
            Answer::Adopt { model, waiting } => {
                let who: Vec<&str> = waiting.keys().map(|child| NAMES[child.index()]).collect();
                self.line('=', format!("adopt {model:?} {}", who.join(" ")).trim_end());
                (self.model, self.version) = (model, self.version + 1);
                self.tell(Input::Adopted);
            }
        }
        self
    }

    fn hears(&mut self, message: Message) -> &mut Self {
        self.line('>', &format!("root: {}", show_message(&message)));
        self.tell(Input::Heard(message))
    }

    /// The server commits this model, made of two updates with this aggregate.
    fn commits(&mut self, model: f32, aggregate: Option<f32>) -> &mut Self {
        (self.model, self.version) = (Params::new(vec![model]), self.version + 1);
        let aggregate = aggregate.map(|value| Params::new(vec![value]));
        let of = aggregate.as_ref().map_or(String::new(), |aggregate| format!(", aggregate {aggregate:?}"));
        self.line('>', &format!("commit {:?}{of}", self.model));
        let one = |node| Contribution { node, base: Version(0), weight: 0.5, samples: 10, loss: 0.5 };
        let contributions = [one(NodeId(2)), one(NodeId(3))];
        let origin = self.uplink.parent_version();
        self.tell(Input::Committed { contributions: &contributions, origin, aggregate })
    }

    /// A child is to have the model.
    fn gives(&mut self, child: &str) -> &mut Self {
        let waits = self.uplink.holds_back(id(NAMES, child), Assignment::default());
        self.line(
            '>',
            &format!("{child} is to have the model: it {}", if waits { "waits" } else { "gets it" }),
        );
        self
    }

    fn ends(&mut self, job: u64) -> &mut Self {
        let job = JobId(job);
        let outcome = outcome(self.running.remove(&job).expect("a job of the uplink"));
        self.line('>', &show_done(job, &outcome));
        self.tell(Input::Done(job, outcome))
    }

    fn loses(&mut self) -> &mut Self {
        self.line('>', "root is lost");
        self.tell(Input::Lost)
    }

    fn folds(&mut self, is_folding: bool) -> &mut Self {
        self.is_folding = is_folding;
        self.line('>', if is_folding { "a fold starts" } else { "the fold is over" });
        if is_folding { self } else { self.tell(Input::Settled) }
    }
}
