//! What an uplink is told once.

use crate::domain::{Build, NoOptions, NodeId, OptionError, Pluggable, Row, Table, options};
use crate::node::work::UpdateKind;
use crate::policy::fold::FoldRule;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a local server pushes to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkPlan {
    /// When it pushes.
    pub push: Push,
    /// What it pushes.
    pub send: UpdateKind,
    /// Whether its children wait until the parent has answered a push.
    pub wait: bool,
    /// Pushes that may wait for an answer of the parent, at least 1.
    pub window: u64,
    /// How much of the parent's model it takes, in thousandths: 1000 replaces its own, 0 ignores it.
    pub adopt_permille: u16,
}

/// When a local server pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Push {
    /// After every k-th commit.
    Every(u64),
    /// When the parent has sent a model and at least one update has arrived since the last push.
    OnRequest,
}

/// Makes a way to push from its options.
pub type BuildPush = Build<Push>;

impl Pluggable for Push {
    type Build = BuildPush;
    const KIND: &'static str = "way to push";
    const LIST: &'static str = "pushes";
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Every {
    /// Commits from one push to the next.
    k: u64,
}

/// All ways to push.
#[must_use]
pub fn push_table() -> Table<BuildPush> {
    let every: BuildPush = |choice, _| {
        let Every { k } = choice.options()?;
        OptionError::check(k > 0, "k", k, "1 or more")?;
        Ok(Push::Every(k))
    };
    let on_request: BuildPush = |choice, _| {
        let NoOptions {} = choice.options()?;
        Ok(Push::OnRequest)
    };
    let row = |name, summary, example, positional, options, build| Row {
        name,
        summary,
        example,
        positional,
        options,
        build,
    };
    Table::new::<Push>(vec![
        row("every", "after every k-th commit", "{name: every, k: 1}", &["k"], options::<Every>, every),
        row(
            "on_request",
            "when the parent has sent a model and an update has arrived since the last push",
            "{name: on_request}",
            &[],
            options::<NoOptions>,
            on_request,
        ),
    ])
}

/// What an uplink is told once.
#[derive(Clone)]
pub struct UplinkConfig {
    /// The parent.
    pub parent: NodeId,
    /// When and what to push, and how to adopt.
    pub plan: UplinkPlan,
    /// How aggregates of several commits are combined before they are forwarded.
    pub combine: Arc<dyn FoldRule>,
    /// Whether the server has an optimiser of its own.
    pub own_model: bool,
    /// Codec of what it pushes: index into the plan's codecs.
    pub codec_up: Option<u16>,
    /// Codec of the parent's models.
    pub codec_down: Option<u16>,
}

impl UplinkConfig {
    /// Whether the aggregates themselves are sent on.
    ///
    /// Not for deltas of a server with a model of its own: its optimiser has made something else of them.
    #[must_use]
    pub fn forwards(&self, update: UpdateKind) -> bool {
        self.plan.send == update && (!self.own_model || update == UpdateKind::Gradient)
    }
}
