//! What a stage in the storm sees of the world: it notes what the stage wants, and the storm does it.

use crate::deploy::deployment::NodeProgress;
use crate::deploy::node::checkpoint::Saved;
use crate::deploy::node::world::{Asked, World};
use crate::transport::links::{Stamp, Traffic};
use hcddl_core::domain::{Message, NodeId, Span, Time};
use hcddl_sim::record::order::{Entry, OrderLog};
use hcddl_sim::run::execute::Tools;
use hcddl_sim::run::runner::Direct;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What a stage wants done.
pub(super) enum Want {
    Send(NodeId, Stamp, Message),
    Notice(NodeId, Vec<u8>),
    Compute(Tools, Asked, Arc<AtomicBool>),
    Save(Box<Saved>),
}

/// See the module.
pub(super) struct Desk {
    /// The world's time, and when this life began.
    pub now: Time,
    pub born: Time,
    /// The node's clock runs so many thousandths as fast as the world's.
    pub rate: u64,
    pub wants: Vec<Want>,
    pub log: OrderLog,
    pub is_saving: bool,
    pub disk_full: bool,
    pub interrupted: bool,
}

impl Desk {
    /// When the node's clock shows that it is so old.
    pub fn when(&self, age: Span) -> Time {
        self.born + Span(age.0.saturating_mul(1000).div_ceil(self.rate))
    }

    fn full(&self) -> anyhow::Result<()> {
        if self.disk_full { anyhow::bail!("no space left on device") } else { Ok(()) }
    }
}

impl World for Desk {
    type Runner = Direct;

    fn age(&self) -> Span {
        Span(self.now.since(self.born).0 * self.rate / 1000)
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    fn send(&mut self, to: NodeId, stamp: Stamp, message: Message) {
        self.wants.push(Want::Send(to, stamp, message));
    }

    fn notice(&mut self, to: NodeId, bytes: Vec<u8>) {
        self.wants.push(Want::Notice(to, bytes));
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    fn compute(&mut self, tools: &Tools, asked: Asked, stop: Arc<AtomicBool>) {
        self.wants.push(Want::Compute(tools.clone(), asked, stop));
    }

    fn log(&mut self, entry: &Entry) -> anyhow::Result<()> {
        self.full()?;
        Ok(self.log.push(entry)?)
    }

    fn save(&mut self, saved: Saved) {
        self.is_saving = true;
        self.wants.push(Want::Save(Box::new(saved)));
    }

    fn is_saving(&self) -> bool {
        self.is_saving
    }

    fn saved(&mut self, _: bool) -> anyhow::Result<()> {
        self.full()
    }

    fn show(&self, _: &str, _: &NodeProgress) {}
}
