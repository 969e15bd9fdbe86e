//! Rounds that end at a deadline: whoever has answered by then is folded (Nishio and Yonetani, Client Selection
//! for Federated Learning with Heterogeneous Resources in Mobile Edge, arXiv 1804.08333; Bonawitz et al.,
//! arXiv 1902.01046, report goals and time-outs). A late update is dropped, or kept for the next round.

use super::{
    Composition, Policy, PolicyEvent, PolicyRow, ServerView, TimerRequest, Verdict, Why, choice,
    state_is_self,
};
use crate::domain::units::Duration;
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, NodeId, OptionError, Span, Version};
use serde::{Deserialize, Serialize};

pub(super) const ROW: PolicyRow = PolicyRow {
    name: "deadline",
    summary: "rounds that end at a deadline; late updates are dropped or kept for the next round",
    example: "{name: deadline, after: 1s, minimum: 1, late: drop}",
    positional: &["after"],
    build,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Length of a round.
    after: Duration,
    /// Updates without which the round is not closed.
    minimum: usize,
    /// What happens to an update of an older round.
    late: Late,
}

impl Default for Options {
    fn default() -> Self {
        Self { after: Duration(Span::from_millis(1000)), minimum: 1, late: Late::Drop }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Late {
    Drop,
    Keep,
}

fn build(options: &Choice) -> Result<Composition, OptionError> {
    let Options { after, minimum, late } = options.options()?;
    if after.0 == Span::ZERO {
        return Err(OptionError::new(
            "after",
            "a round of no time gets no answer",
            "more than 0, as in `1s`",
        ));
    }
    if minimum == 0 {
        return Err(OptionError::new("minimum", "a commit of 0 updates changes nothing", "1 or more"));
    }
    Ok(Composition {
        policy: Box::new(Deadline { after: after.0, minimum, late, overdue: false, begun: Version(0) }),
        update: UpdateKind::Gradient,
        fold: choice("weighted", None),
        optimizer: choice("sgd", Some(("lr", 0.1))),
        rounds: true,
    })
}

#[derive(Debug, Serialize, Deserialize)]
struct Deadline {
    after: Span,
    minimum: usize,
    late: Late,
    /// The deadline has passed with too few answers.
    overdue: bool,
    /// Version of the running round.
    begun: Version,
}

impl Deadline {
    fn begin(&mut self, view: &ServerView<'_>) -> Verdict {
        self.overdue = false;
        self.begun = view.version;
        let free: Vec<NodeId> = view.free().collect();
        Verdict { timer: Some(TimerRequest::After(self.after)), ..Verdict::nothing() }.reply(free)
    }

    /// Folds at the deadline, and before it when nobody is left to wait for.
    fn maybe_fold(&self, view: &ServerView<'_>) -> Verdict {
        let busy = view.children.values().any(|c| c.alive && c.busy);
        if view.pending.is_empty() || (busy && (!self.overdue || view.pending.len() < self.minimum)) {
            return Verdict::nothing();
        }
        Verdict {
            fold: view.pending.keys().map(|id| (*id, 1.0)).collect(),
            timer: Some(TimerRequest::Clear),
            ..Verdict::nothing()
        }
    }
}

impl Policy for Deadline {
    fn counts(&self) -> Vec<(&'static str, usize)> {
        vec![("minimum", self.minimum)]
    }

    fn on(&mut self, event: PolicyEvent, view: &ServerView<'_>) -> Verdict {
        match event {
            PolicyEvent::Start | PolicyEvent::Folded => self.begin(view),
            PolicyEvent::Update(id) => {
                let update = &view.pending[&id];
                if self.late == Late::Drop && update.base < self.begun {
                    let late = Verdict { dropped: vec![(id, Why::Late)], ..Verdict::nothing() };
                    return late.reply([update.from]);
                }
                self.maybe_fold(view)
            }
            PolicyEvent::Timer => {
                self.overdue = true;
                self.maybe_fold(view)
            }
            PolicyEvent::Lost(_) => self.maybe_fold(view),
            PolicyEvent::Joined(child) => Verdict::nothing().reply([child]),
        }
    }

    state_is_self!();
}
