//! Synchronous SGD with client sampling and backup workers.
//!
//! A round: the selected children compute on the same version; when enough have answered, their updates are
//! folded into the next version. With `backup: b`, the first N of N + b answers are taken and the late ones
//! dropped (Chen et al., Revisiting Distributed Synchronous SGD, arXiv 1604.00981). With `cancel`, the rest
//! are told to stop (K-sync SGD; Dutta et al., Slow and Stale Gradients Can Win the Race, arXiv 1803.01113).

use super::{
    Assignment, Composition, Policy, PolicyEvent, PolicyRow, ServerView, Verdict, Why, choice, state_is_self,
};
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, NodeId, OptionError, UpdateId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

pub(super) const ROW: PolicyRow = PolicyRow {
    name: "sync",
    summary: "rounds with a barrier; client sampling, backup workers, K of N",
    example: "{name: sync, clients: null, fraction: null, backup: 0, wait_for: null, cancel: false}",
    positional: &[],
    build,
};

/// Who takes part in a round, and how many are waited for. Shared with `fedavg`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SyncOptions {
    /// Children selected for a round; all when absent.
    pub clients: Option<usize>,
    /// The same as a share of the children that are alive, in (0, 1].
    pub fraction: Option<f64>,
    /// Selected children that are not waited for.
    pub backup: usize,
    /// Answers waited for (K of N) instead of all but `backup`.
    pub wait_for: Option<usize>,
    /// Whether children that are not waited for are told to stop.
    pub cancel: bool,
}

impl SyncOptions {
    pub(super) fn checked(choice: &Choice) -> Result<Self, OptionError> {
        let options: Self = choice.options()?;
        if options.clients == Some(0) {
            return Err(OptionError::new("clients", "a round of 0 clients commits nothing", "1 or more"));
        }
        if let Some(fraction) = options.fraction
            && !(fraction > 0.0 && fraction <= 1.0)
        {
            return Err(OptionError::new(
                "fraction",
                format!("expected a share, found {fraction}"),
                "above 0 and at most 1",
            ));
        }
        if options.clients.is_some() && options.fraction.is_some() {
            return Err(OptionError::new(
                "fraction",
                "`clients` is given too",
                "one of clients and fraction",
            ));
        }
        if options.wait_for == Some(0) {
            return Err(OptionError::new("wait_for", "a round of 0 answers commits nothing", "1 or more"));
        }
        if options.wait_for.is_some() && options.backup > 0 {
            return Err(OptionError::new("backup", "`wait_for` is given too", "one of backup and wait_for"));
        }
        Ok(options)
    }
}

fn build(options: &Choice) -> Result<Composition, OptionError> {
    Ok(Composition {
        policy: Box::new(Sync::new(SyncOptions::checked(options)?)),
        update: UpdateKind::Gradient,
        fold: choice("weighted", None),
        optimizer: choice("sgd", Some(("lr", 0.1))),
        rounds: true,
    })
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sync {
    options: SyncOptions,
    /// Rounds begun; names the sampling stream.
    round: u64,
    /// Children of this round that have not answered.
    waiting: BTreeSet<NodeId>,
    /// Selected children that are still busy with an older round; they get this round's model on return.
    behind: BTreeSet<NodeId>,
    /// Updates of this round.
    accepted: Vec<UpdateId>,
    /// Answers this round needs.
    needed: usize,
    /// A fold is on its way.
    folding: bool,
}

impl Sync {
    pub(super) fn new(options: SyncOptions) -> Self {
        Self {
            options,
            round: 0,
            waiting: BTreeSet::new(),
            behind: BTreeSet::new(),
            accepted: Vec::new(),
            needed: 0,
            folding: false,
        }
    }

    /// The children of the next round, ascending.
    fn select(&self, view: &ServerView<'_>) -> Vec<NodeId> {
        let mut living: Vec<NodeId> = view.living().collect();
        let wanted = match (self.options.clients, self.options.fraction) {
            (Some(clients), _) => clients,
            (None, Some(fraction)) => ((living.len() as f64 * fraction).round() as usize).max(1),
            (None, None) => living.len(),
        };
        if wanted < living.len() {
            let mut stream = view.stream("select", self.round);
            for i in 0..wanted {
                let j = i + stream.below((living.len() - i) as u64) as usize;
                living.swap(i, j);
            }
            living.truncate(wanted);
            living.sort_unstable();
        }
        living
    }

    fn begin(&mut self, view: &ServerView<'_>) -> Verdict {
        let selected = self.select(view);
        self.round += 1;
        self.folding = false;
        self.accepted.clear();
        self.needed =
            self.options.wait_for.unwrap_or_else(|| selected.len().saturating_sub(self.options.backup));
        self.needed = self.needed.clamp(1, selected.len().max(1));
        let mut verdict = Verdict::nothing();
        if self.options.cancel {
            verdict.cancel = selected.iter().copied().filter(|c| view.children[c].busy).collect();
        }
        self.behind = if self.options.cancel {
            BTreeSet::new()
        } else {
            selected.iter().copied().filter(|c| view.children[c].busy).collect()
        };
        self.waiting = selected.into_iter().filter(|c| !self.behind.contains(c)).collect();
        verdict.reply(self.waiting.iter().copied())
    }

    /// Whether nobody is left of the running round.
    fn is_empty(&self) -> bool {
        !self.folding && self.accepted.is_empty() && self.waiting.is_empty() && self.behind.is_empty()
    }

    /// Folds once enough have answered, or all that still can have.
    fn maybe_fold(&mut self) -> Verdict {
        let possible = self.accepted.len() + self.waiting.len() + self.behind.len();
        if self.folding || self.accepted.is_empty() || self.accepted.len() < self.needed.min(possible) {
            return Verdict::nothing();
        }
        self.folding = true;
        Verdict { fold: self.accepted.iter().map(|id| (*id, 1.0)).collect(), ..Verdict::nothing() }
    }

    fn update(&mut self, id: UpdateId, view: &ServerView<'_>) -> Verdict {
        let update = &view.pending[&id];
        let from = update.from;
        if update.current && !self.folding && self.waiting.remove(&from) {
            self.accepted.push(id);
            return self.maybe_fold();
        }
        let mut verdict = Verdict { dropped: vec![(id, Why::Late)], ..Verdict::nothing() };
        if self.behind.remove(&from) {
            self.waiting.insert(from);
            verdict.replies.insert(from, Assignment::default());
        }
        verdict
    }
}

impl Policy for Sync {
    fn counts(&self) -> Vec<(&'static str, usize)> {
        let SyncOptions { clients, wait_for, backup, .. } = self.options;
        // Somebody must be left to wait for.
        let backup = (backup > 0).then_some(("backup", backup + 1));
        let counts = [clients.map(|n| ("clients", n)), wait_for.map(|n| ("wait_for", n)), backup];
        counts.into_iter().flatten().collect()
    }

    fn on(&mut self, event: PolicyEvent, view: &ServerView<'_>) -> Verdict {
        match event {
            PolicyEvent::Start | PolicyEvent::Folded => self.begin(view),
            PolicyEvent::Update(id) => self.update(id, view),
            PolicyEvent::Lost(child) => {
                self.waiting.remove(&child);
                self.behind.remove(&child);
                if self.is_empty() { self.begin(view) } else { self.maybe_fold() }
            }
            // A newcomer takes part from the next round on; if nobody is left in this one, that is now.
            PolicyEvent::Joined(_) if self.is_empty() => self.begin(view),
            PolicyEvent::Joined(_) | PolicyEvent::Timer => Verdict::nothing(),
        }
    }

    state_is_self!();
}
