//! Learners that runs share: reading data and dealing it out costs more than many a run.

use super::design::{Cell, Study};
use hcddl_core::error::UserError;
use hcddl_learn::Learner;
use hcddl_plan::plan::Plan;
use hcddl_plan::scenario::Written;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

type Key = (u32, u64);
type Made = Option<Result<Arc<dyn Learner>, UserError>>;

/// See the module.
pub(super) struct Learners {
    slots: Mutex<BTreeMap<Key, Slot>>,
    /// Runs at the same time.
    threads: usize,
}

struct Slot {
    /// Runs that still need it.
    left: u64,
    /// Locked while it is made, so that one thread makes it and the others wait.
    made: Arc<Mutex<Made>>,
}

impl Learners {
    /// The learners that these runs need.
    pub fn new(keys: impl Iterator<Item = Key>, threads: usize) -> Self {
        let mut slots: BTreeMap<Key, Slot> = BTreeMap::new();
        for key in keys {
            slots.entry(key).or_insert_with(|| Slot { left: 0, made: Arc::default() }).left += 1;
        }
        Self { slots: Mutex::new(slots), threads }
    }

    /// The learner of a run, made unless another run made it.
    ///
    /// # Errors
    /// Data that cannot be read, too few samples.
    pub fn get(
        &self,
        study: &Study<'_>,
        cell: &Cell<'_>,
        written: &Written,
        plan: &Plan,
    ) -> Result<Arc<dyn Learner>, UserError> {
        let make = || {
            let learner = written.learner(plan, study.registry())?;
            learner.offer_runs(self.threads);
            Ok(learner)
        };
        let slot = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.get(&study.learner_key(cell)).map(|slot| Arc::clone(&slot.made))
        };
        match slot {
            Some(slot) => {
                let mut made = slot.lock().unwrap_or_else(PoisonError::into_inner);
                made.get_or_insert_with(make).clone()
            }
            None => make(),
        }
    }

    /// A run is over; what no other run needs is given up.
    pub fn release(&self, key: Key) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(&key) {
            slot.left = slot.left.saturating_sub(1);
            if slot.left == 0 {
                slots.remove(&key);
            }
        }
    }
}
