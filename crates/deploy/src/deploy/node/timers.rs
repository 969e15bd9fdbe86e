//! A node's timers in real time.

use hcddl_core::domain::{Time, Token};
use std::collections::{BTreeMap, BTreeSet};

/// Timers that have been set and have not run down. Setting one again replaces it.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Time, u64, Token)>,
    of: BTreeMap<Token, (Time, u64)>,
    set: u64,
}

impl Timers {
    pub fn set(&mut self, at: Time, token: Token) {
        self.clear(token);
        self.set += 1;
        self.due.insert((at, self.set, token));
        self.of.insert(token, (at, self.set));
    }

    pub fn clear(&mut self, token: Token) {
        if let Some((at, set)) = self.of.remove(&token) {
            self.due.remove(&(at, set, token));
        }
    }

    /// When the next one runs down.
    pub fn next(&self) -> Option<Time> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// Takes a timer that has run down, the earliest first.
    pub fn take_due(&mut self, now: Time) -> Option<Token> {
        let (_, _, token) = *self.due.first().filter(|(at, ..)| *at <= now)?;
        self.clear(token);
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_run_down_in_order_unless_they_are_cleared_or_set_anew() {
        let mut timers = Timers::default();
        for (at, token) in [(30, 1), (10, 2), (20, 3), (10, 4), (5, 5)] {
            timers.set(Time(at), Token(token));
        }
        timers.set(Time(40), Token(2));
        timers.clear(Token(5));
        assert_eq!(timers.next(), Some(Time(10)));
        let mut order = Vec::new();
        while let Some(token) = timers.take_due(Time(30)) {
            order.push(token.0);
        }
        assert_eq!((order, timers.next()), (vec![4, 3, 1], Some(Time(40))));
    }
}
