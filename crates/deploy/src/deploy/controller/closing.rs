//! How far the end of a run has come on a host.

/// What has been done there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closing {
    /// Nothing of the run runs there any more.
    pub is_stopped: bool,
    /// What it wrote is here.
    pub is_fetched: bool,
}

impl Closing {
    /// Whether its files may go. A host that could not be told to stop, and is heard again, may still be writing.
    #[must_use]
    pub fn may_clean(self) -> bool {
        self.is_stopped && self.is_fetched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_removed_under_what_runs_and_nothing_that_is_not_here() {
        let all = [(false, false), (false, true), (true, false), (true, true)];
        let may = all.map(|(is_stopped, is_fetched)| Closing { is_stopped, is_fetched }.may_clean());
        assert_eq!(may, [false, false, false, true]);
    }
}
