//! What both ends of an edge agree on: whether the other one was lost in between. Between processes and in the
//! simulator alike; only what makes two ends part and meet differs.
//!
//! Each end counts losses. Declaring one adds to the count; meeting takes the larger count of both: so one that was
//! declared by one end only is known to both, and one that both declared is one. An end whose last
//! meeting was with another life, or at another count, has been lost or has lost the other one, and starts anew.

use serde::{Deserialize, Serialize};

/// What an end knows of itself and of the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Which of its lives this end is in, from 0.
    pub life: u32,
    /// Losses of the other end that it has declared or agreed to.
    pub losses: u64,
}

/// What happens to the node when two ends meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The other end is lost.
    Down,
    /// It is there.
    Up,
    /// It was never lost, but what was on its way may be.
    Reconnected,
}

/// One end's view.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bond {
    losses: u64,
    down: bool,
    /// The other end's life and the count of losses at the last meeting.
    met: Option<(u32, u64)>,
}

impl Bond {
    /// An end that has met this life of the other one, and lost nobody yet.
    #[must_use]
    pub fn with(life: u32) -> Self {
        Self { met: Some((life, 0)), ..Self::default() }
    }

    /// What this end says when it meets the other.
    #[must_use]
    pub fn standing(&self, life: u32) -> Standing {
        Standing { life, losses: self.losses }
    }

    /// Whether it counts as lost.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.down
    }

    /// Whether the two have ever met.
    #[must_use]
    pub fn has_met(&self) -> bool {
        self.met.is_some()
    }

    /// Whether this life of the other end was the last one met, and nobody was lost since.
    #[must_use]
    pub fn is_with(&self, life: u32) -> bool {
        self.met == Some((life, self.losses)) && !self.down
    }

    /// Whether a life is older than one that we know: a process that should not be there any more.
    #[must_use]
    pub fn is_outdated(&self, life: u32) -> bool {
        self.met.is_some_and(|(known, _)| life < known)
    }

    /// The other end was silent or absent for too long.
    pub fn lose(&mut self) -> &'static [Change] {
        if self.down {
            return &[];
        }
        self.down = true;
        self.losses += 1;
        &[Change::Down]
    }

    /// Both ends are connected.
    pub fn meet(&mut self, other: Standing) -> &'static [Change] {
        self.losses = self.losses.max(other.losses);
        let now = Some((other.life, self.losses));
        let before = std::mem::replace(&mut self.met, now);
        if std::mem::replace(&mut self.down, false) {
            &[Change::Up]
        } else if before.is_none() {
            &[]
        } else if before == now {
            &[Change::Reconnected]
        } else {
            &[Change::Down, Change::Up]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meet(a: &mut Bond, b: &mut Bond) -> (&'static [Change], &'static [Change]) {
        let (from_a, from_b) = (a.standing(0), b.standing(0));
        (a.meet(from_b), b.meet(from_a))
    }

    #[test]
    fn the_first_meeting_is_silent_and_a_break_is_a_reconnection() {
        let (mut a, mut b) = (Bond::default(), Bond::default());
        assert_eq!(meet(&mut a, &mut b), (&[][..], &[][..]));
        assert_eq!(meet(&mut a, &mut b), (&[Change::Reconnected][..], &[Change::Reconnected][..]));
    }

    #[test]
    fn a_loss_that_one_end_declared_is_a_loss_for_both() {
        let (mut a, mut b) = (Bond::default(), Bond::default());
        meet(&mut a, &mut b);
        assert_eq!(a.lose(), [Change::Down]);
        assert_eq!(a.lose(), [], "once");
        assert_eq!(meet(&mut a, &mut b), (&[Change::Up][..], &[Change::Down, Change::Up][..]));
        assert_eq!(meet(&mut a, &mut b), (&[Change::Reconnected][..], &[Change::Reconnected][..]));
    }

    #[test]
    fn another_life_is_a_loss_and_an_older_one_is_outdated() {
        let mut a = Bond::default();
        a.meet(Standing { life: 1, losses: 0 });
        assert_eq!(a.meet(Standing { life: 2, losses: 0 }), [Change::Down, Change::Up]);
        assert!(a.is_outdated(1) && !a.is_outdated(2));
    }

    #[test]
    fn a_late_comer_is_up_for_the_one_that_waited() {
        let (mut a, mut b) = (Bond::default(), Bond::default());
        a.lose();
        assert_eq!(meet(&mut a, &mut b), (&[Change::Up][..], &[][..]));
    }

    proptest! {
        /// Whatever happens, each end sees Down and Up in turns, and a meeting of two undisturbed ends is calm.
        #[test]
        fn changes_alternate(steps in proptest::collection::vec(0..5_u8, 0..40)) {
            let (mut a, mut b) = (Bond::default(), Bond::default());
            let (mut at_a, mut at_b): (Vec<Change>, Vec<Change>) = (vec![], vec![]);
            for step in steps {
                let (sa, sb) = (a.standing(0), b.standing(0));
                match step {
                    0 => at_a.extend(a.lose()),
                    1 => at_b.extend(b.lose()),
                    // A connection that only one end sees completed.
                    2 => at_a.extend(a.meet(sb)),
                    3 => at_b.extend(b.meet(sa)),
                    _ => {
                        at_a.extend(a.meet(sb));
                        at_b.extend(b.meet(sa));
                        let again = meet(&mut a, &mut b);
                        prop_assert_eq!(again, (&[Change::Reconnected][..], &[Change::Reconnected][..]));
                    }
                }
            }
            for changes in [at_a, at_b] {
                let mut down = false;
                for change in changes {
                    prop_assert_eq!(down, change == Change::Up, "Up only after Down, nothing else in between");
                    down = change == Change::Down;
                }
            }
        }
    }
}
