//! The uplink alone, in conversation with a server that does what it says: `>` is what it is told, `<` what it wants
//! done, `=` what it has the server do.

use super::*;
use crate::domain::{Choice, Data, Era, Head, Progress};
use crate::node::Effect;
use crate::node::transcript::{Names, coded, id, outcome, show_done, show_effect, show_end, show_message};
use insta::assert_snapshot;
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
    let combine = (table.get("mean").unwrap().build)(&Choice::named("mean")).unwrap();
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

/// The children wait for the parent's first model, and then for its answer to each push. What is pushed is the way from
/// the milestone; what is adopted is the next one.
#[test]
fn every_commit_is_pushed_and_the_children_wait() {
    let mut talk = Talk::with(PLAN);
    talk.gives("a").gives("b").hears(assign(1, 0, dense(10.0))).gives("a");
    talk.commits(12.0, None).gives("a").ends(1).hears(assign(2, 0, dense(11.0)));
    assert_snapshot!(talk.text, @r"
    > a is to have the model: it waits
    > b is to have the model: it waits
    > root: ASSIGN v1 root v1 model [10.0]
    = adopt [10.0] a b
    > a is to have the model: it gets it
    > commit [12.0]
    < j1 sum of 1 x [12.0], -1 x [10.0]
    > a is to have the model: it waits
    > j1 folded to [12.0], aggregate [2.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta [2.0]
    > root: ASSIGN v2 root v2 model [11.0]
    = adopt [11.0] a
    ");
}

/// While the window is full commits go on and are pushed together, once there is an answer; the part that the answer
/// does not have yet is carried over to it.
#[test]
fn a_full_window_merges_and_what_is_not_pushed_is_carried_over() {
    let mut talk = Talk::with(UplinkPlan { wait: false, ..PLAN });
    talk.hears(assign(1, 0, dense(10.0))).commits(12.0, None).ends(1).gives("a");
    talk.commits(13.0, None).commits(14.0, None).hears(assign(2, 0, dense(20.0))).ends(2);
    talk.commits(24.0, None).ends(3);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [10.0]
    = adopt [10.0]
    > commit [12.0]
    < j1 sum of 1 x [12.0], -1 x [10.0]
    > j1 folded to [12.0], aggregate [2.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta [2.0]
    > a is to have the model: it gets it
    > commit [13.0]
    > commit [14.0]
    > root: ASSIGN v2 root v2 model [20.0]
    < j2 sum of 1 x [20.0], 1 x [14.0], -1 x [12.0]
    > j2 folded to [14.0], aggregate [22.0]
    = adopt [22.0]
    > commit [24.0]
    < j3 sum of 1 x [24.0], -1 x [20.0]
    > j3 folded to [24.0], aggregate [4.0]
    < root: UPDATE v2 base v1 root v2 clock 7 samples 60 steps 3 loss 0.5 delta [4.0]
    ");
}

/// A window of two, and a push that has to wait for the one before to be ready.
#[test]
fn pushes_are_made_one_after_the_other() {
    let mut talk = Talk::with(UplinkPlan { wait: false, window: 2, ..PLAN });
    talk.hears(assign(1, 0, dense(0.0))).commits(1.0, None).commits(3.0, None).ends(1).ends(2);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [0.0]
    = adopt [0.0]
    > commit [1.0]
    < j1 sum of 1 x [1.0], -1 x [0.0]
    > commit [3.0]
    > j1 folded to [1.0], aggregate [1.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta [1.0]
    < j2 sum of 1 x [3.0], -1 x [1.0]
    > j2 folded to [3.0], aggregate [2.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta [2.0]
    ");
}

#[test]
fn every_second_commit() {
    let mut talk = Talk::with(UplinkPlan { push: Push::Every(2), ..PLAN });
    talk.hears(assign(1, 0, dense(0.0))).commits(1.0, None).gives("a").commits(2.0, None).gives("a").ends(1);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [0.0]
    = adopt [0.0]
    > commit [1.0]
    > a is to have the model: it gets it
    > commit [2.0]
    < j1 sum of 1 x [2.0], -1 x [0.0]
    > a is to have the model: it waits
    > j1 folded to [2.0], aggregate [2.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 40 steps 2 loss 0.5 delta [2.0]
    ");
}

/// It answers each model of the parent once: with the next commit, or at once if there is one already.
#[test]
fn on_request() {
    let mut talk = Talk::with(UplinkPlan { push: Push::OnRequest, wait: false, ..PLAN });
    talk.hears(assign(1, 0, dense(10.0))).commits(11.0, None).ends(1);
    talk.commits(12.0, None).commits(13.0, None).hears(assign(2, 0, dense(20.0))).ends(2).ends(3);
    assert_snapshot!(talk.text, @"");
}

/// Aggregates are sent on as their mean over updates; of many that wait for an answer the older ones are merged, and
/// the push waits for that.
#[test]
fn aggregates_are_forwarded_and_merged_while_they_wait() {
    let plan = UplinkPlan { send: UpdateKind::Gradient, wait: false, ..PLAN };
    let mut talk = Talk::new(UplinkConfig { own_model: false, ..config(plan) }, UpdateKind::Gradient);
    talk.hears(assign(1, 0, dense(0.0))).commits(0.0, Some(1.0));
    for value in 1..=8 {
        talk.commits(0.0, Some(value as f32));
    }
    talk.hears(assign(2, 0, dense(1.0))).commits(1.0, Some(9.0)).ends(1).ends(2);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [0.0]
    = adopt [0.0]
    > commit [0.0], aggregate [1.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 gradient [1.0]
    > commit [0.0], aggregate [1.0]
    > commit [0.0], aggregate [2.0]
    > commit [0.0], aggregate [3.0]
    > commit [0.0], aggregate [4.0]
    > commit [0.0], aggregate [5.0]
    > commit [0.0], aggregate [6.0]
    > commit [0.0], aggregate [7.0]
    > commit [0.0], aggregate [8.0]
    < j1 mean of 1 x [1.0], 1 x [2.0], 1 x [3.0], 1 x [4.0], 1 x [5.0], 1 x [6.0], 1 x [7.0], 1 x [8.0]
    > root: ASSIGN v2 root v2 model [1.0]
    = adopt [1.0]
    > commit [1.0], aggregate [9.0]
    > j1 folded to [0.0], aggregate [4.5]
    < j2 mean of 1.7777778 x [4.5], 0.22222222 x [9.0]
    > j2 folded to [1.0], aggregate [5.0]
    < root: UPDATE v2 base v1 root v2 clock 7 samples 180 steps 9 loss 0.5 gradient [5.0]
    ");
}

#[test]
fn its_model_is_pushed_and_the_parents_mixed_in() {
    let plan = UplinkPlan { send: UpdateKind::Model, wait: false, adopt_permille: 250, ..PLAN };
    let mut talk = Talk::with(plan);
    talk.hears(assign(1, 0, dense(8.0))).commits(10.0, None).hears(assign(2, 0, dense(20.0)));
    assert!(talk.uplink.is_mixing(), "no fold may start");
    talk.ends(1);
    assert!(!talk.uplink.is_mixing());
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [8.0]
    = adopt [8.0]
    > commit [10.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 model [10.0]
    > root: ASSIGN v2 root v2 model [20.0]
    < j1 sum of 0.75 x [10.0], 0.25 x [20.0]
    > j1 folded to [10.0], aggregate [12.5]
    = adopt [12.5]
    ");
}

/// What the codec holds back goes out with the next push, also when a push was given up with the parent.
#[test]
fn coded_both_ways() {
    let config = UplinkConfig { codec_up: Some(0), codec_down: Some(1), ..config(PLAN) };
    let mut talk = Talk::new(config, UpdateKind::Delta);
    talk.hears(assign(1, 0, coded(&[1.0]))).ends(1).commits(2.75, None).ends(2).ends(3);
    talk.hears(assign(2, 0, coded(&[2.0]))).ends(4).commits(3.5, None).ends(5);
    talk.loses().hears(assign(3, 1, coded(&[3.0]))).ends(6).ends(7).commits(4.0, None).ends(8).ends(9);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model ~[1.0]
    < j1 decode ~[1.0]
    > j1 decoded [1.0]
    = adopt [1.0]
    > commit [2.75]
    < j2 sum of 1 x [2.75], -1 x [1.0]
    > j2 folded to [2.75], aggregate [1.75]
    < j3 code [1.75]
    > j3 coded ~[1.0], left Some([0.75])
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta ~[1.0]
    > root: ASSIGN v2 root v2 model ~[2.0]
    < j4 decode ~[2.0]
    > j4 decoded [2.0]
    = adopt [2.0]
    > commit [3.5]
    < j5 sum of 1 x [3.5], -1 x [2.0]
    > j5 folded to [3.5], aggregate [1.5]
    < j6 code [1.5] and [0.75]
    > root is lost
    > root: ASSIGN v3 root v3 era 0.1 model ~[3.0]
    < j7 decode ~[3.0]
    > j6 coded ~[2.0], left Some([0.25])
    > j7 decoded [3.0]
    = adopt [3.0]
    > commit [4.0]
    < j8 sum of 1 x [4.0], -1 x [3.0]
    > j8 folded to [4.0], aggregate [1.0]
    < j9 code [1.0] and [0.75]
    > j9 coded ~[1.0], left Some([0.75])
    < root: UPDATE v3 base v3 root v3 clock 7 era 0.1 samples 20 steps 1 loss 0.5 delta ~[1.0]
    ");
}

/// Until the parent, back, has sent a model it takes no push; what was under way between them comes to nothing, and
/// what was committed meanwhile goes out in the new era.
#[test]
fn the_parent_is_lost_and_back() {
    let mut talk = Talk::with(PLAN);
    talk.hears(assign(1, 0, dense(10.0))).commits(12.0, None).gives("a").loses();
    talk.ends(1).commits(13.0, None).hears(assign(5, 1, dense(20.0))).ends(2).commits(22.0, None).ends(3);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [10.0]
    = adopt [10.0]
    > commit [12.0]
    < j1 sum of 1 x [12.0], -1 x [10.0]
    > a is to have the model: it waits
    > root is lost
    > j1 folded to [12.0], aggregate [2.0]
    > commit [13.0]
    > root: ASSIGN v5 root v5 era 0.1 model [20.0]
    < j2 sum of 1 x [20.0], 1 x [13.0], -1 x [12.0]
    > j2 folded to [13.0], aggregate [21.0]
    = adopt [21.0] a
    > commit [22.0]
    < j3 sum of 1 x [22.0], -1 x [20.0]
    > j3 folded to [22.0], aggregate [2.0]
    < root: UPDATE v5 base v1 root v5 clock 7 era 0.1 samples 40 steps 2 loss 0.5 delta [2.0]
    ");
}

/// A parent that is lost while its model is being mixed in: the model is its old one, and no fold waits for it.
#[test]
fn a_model_of_a_lost_parent_is_not_adopted() {
    let mut talk = Talk::with(UplinkPlan { wait: false, adopt_permille: 500, ..PLAN });
    talk.hears(assign(1, 0, dense(10.0))).hears(assign(2, 0, dense(12.0))).loses();
    assert!(!talk.uplink.is_mixing());
    talk.ends(1);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [10.0]
    = adopt [10.0]
    > root: ASSIGN v2 root v2 model [12.0]
    < j1 sum of 0.5 x [10.0], 0.5 x [12.0]
    > root is lost
    > j1 folded to [10.0], aggregate [11.0]
    ");
}

/// A model that comes during a fold would be undone by it: it waits. Of two that come the newer one is taken, also if
/// it is still being decoded when the fold ends.
#[test]
fn a_model_waits_for_the_end_of_a_fold() {
    let config = UplinkConfig { codec_down: Some(0), ..config(UplinkPlan { wait: false, ..PLAN }) };
    let mut talk = Talk::new(config, UpdateKind::Delta);
    talk.folds(true).hears(assign(1, 0, coded(&[1.0]))).ends(1).folds(false);
    talk.folds(true).hears(assign(2, 0, coded(&[2.0]))).ends(2).hears(assign(3, 0, coded(&[3.0])));
    talk.folds(false).ends(3);
    assert_snapshot!(talk.text, @r"
    > a fold starts
    > root: ASSIGN v1 root v1 model ~[1.0]
    < j1 decode ~[1.0]
    > j1 decoded [1.0]
    > the fold is over
    = adopt [1.0]
    > a fold starts
    > root: ASSIGN v2 root v2 model ~[2.0]
    < j2 decode ~[2.0]
    > j2 decoded [2.0]
    > root: ASSIGN v3 root v3 model ~[3.0]
    < j3 decode ~[3.0]
    > the fold is over
    > j3 decoded [3.0]
    = adopt [3.0]
    ");
}

#[test]
fn with_pulls_it_asks_for_the_model() {
    let mut talk = Talk::with(PLAN);
    let head = Head { version: Version(3), ..Head::default() };
    talk.hears(Message::control(READY, head)).hears(assign(3, 0, dense(1.0)));
    assert_snapshot!(talk.text, @r"
    > root: READY v3
    < root: PULL v3
    > root: ASSIGN v3 root v3 model [1.0]
    = adopt [1.0]
    ");
}

#[test]
fn a_model_of_another_length_or_none_ends_the_run() {
    let mut talk = Talk::with(PLAN);
    talk.hears(assign(1, 0, Data::Dense(Params::new(vec![1.0, 2.0]))));
    talk.hears(Message::control(ASSIGN, Head::default()));
    talk.hears(assign(2, 0, coded(&[1.0])));
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [1.0, 2.0]
    = end early: the parent sent a model of 2 values, expected 1
    > root: ASSIGN v0
    = end early: the parent sent a model of 0 values, expected 1
    > root: ASSIGN v2 root v2 model ~[1.0]
    = end early: the parent sent a model of 0 values, expected 1
    ");
}

/// The stored form is that of older checkpoints, whatever the uplink is at; it goes on from it as if nothing had been.
#[test]
fn it_is_stored_as_before_and_goes_on() {
    let config =
        UplinkConfig { codec_up: Some(0), codec_down: Some(0), ..config(UplinkPlan { wait: false, ..PLAN }) };
    let mut talk = Talk::new(config.clone(), UpdateKind::Delta);
    let mut forms = Vec::new();
    let mut look = |talk: &mut Talk| {
        let stored = serde_json::to_value(talk.uplink.save()).unwrap();
        let read = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(read, talk.uplink.save());
        talk.uplink = Uplink::new(config.clone(), UpdateKind::Delta, &talk.model, Some(read));
        forms.push(stored);
    };
    look(&mut talk);
    talk.gives("a").hears(assign(1, 0, coded(&[1.0])));
    look(&mut talk);
    talk.folds(true).ends(1);
    look(&mut talk);
    talk.folds(false).commits(3.0, None);
    look(&mut talk);
    talk.ends(2);
    look(&mut talk);
    talk.ends(3).commits(4.0, None).hears(assign(2, 0, coded(&[2.0]))).ends(4);
    look(&mut talk);
    assert_snapshot!(talk.text, @r"
    > a is to have the model: it waits
    > root: ASSIGN v1 root v1 model ~[1.0]
    < j1 decode ~[1.0]
    > a fold starts
    > j1 decoded [1.0]
    > the fold is over
    = adopt [1.0] a
    > commit [3.0]
    < j2 sum of 1 x [3.0], -1 x [1.0]
    > j2 folded to [3.0], aggregate [2.0]
    < j3 code [2.0]
    > j3 coded ~[2.0], left Some([0.0])
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta ~[2.0]
    > commit [4.0]
    > root: ASSIGN v2 root v2 model ~[2.0]
    < j4 decode ~[2.0]
    > j4 decoded [2.0]
    < j5 sum of 1 x [2.0], 1 x [4.0], -1 x [3.0]
    ");
    let names: Vec<&String> = forms[0].as_object().unwrap().keys().collect();
    assert_snapshot!(format!("{names:?}"), @r#"["parent_version", "root_version", "life", "open", "gate_closed", "gated", "requested", "unanswered", "answers", "commits", "merging", "milestone", "towards", "pushing", "due", "adopting", "deferred", "mixing", "residual", "pushes"]"#);
    let of = |name: &str| forms.iter().map(|form| form[name].to_string()).collect::<Vec<_>>().join("\n");
    let kept = ["gate_closed", "gated", "adopting", "deferred", "mixing", "towards", "pushing"];
    assert_snapshot!(kept.map(|name| format!("{name}\n{}", of(name))).join("\n"), @r#"
    gate_closed
    true
    true
    true
    false
    false
    false
    gated
    {}
    {"2":{"steps":0}}
    {"2":{"steps":0}}
    {}
    {}
    {}
    adopting
    null
    [1,{"version":1,"base":0,"root":1,"clock":0,"samples":0,"steps":0,"part":0,"loss":0.0}]
    null
    null
    null
    [5,{"version":2,"base":0,"root":2,"clock":0,"samples":0,"steps":0,"part":0,"loss":0.0}]
    deferred
    null
    null
    [{"len":1,"values":[1.0]},{"version":1,"base":0,"root":1,"clock":0,"samples":0,"steps":0,"part":0,"loss":0.0}]
    null
    null
    null
    mixing
    false
    false
    false
    false
    false
    true
    towards
    null
    null
    null
    null
    null
    {"len":1,"values":[2.0]}
    pushing
    null
    null
    null
    [2,"Combining",{"version":1,"base":1,"root":1,"clock":7,"samples":20,"steps":1,"part":0,"loss":0.5}]
    [3,"Encoding",{"version":1,"base":1,"root":1,"clock":7,"samples":20,"steps":1,"part":0,"loss":0.5}]
    null
    "#);
}
