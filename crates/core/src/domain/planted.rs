//! Bugs that are put in on purpose, one at a time, to see that the storm finds them. Without the feature `planted` there
//! are none, and asking for one costs nothing.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A local server pushes to a parent that counts as lost, and the push is numbered although nobody keeps it: the
    /// parent, back, waits for it for ever.
    HoleAfterLoss,
    /// A local server pushes whenever it commits, however many pushes wait for an answer.
    NoWindow,
    /// A node that was started again numbers its messages as in its former life.
    SameEra,
    /// A life says that it goes on from the checkpoint after the one that it has read.
    NextCheckpoint,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::HoleAfterLoss, Self::NoWindow, Self::SameEra, Self::NextCheckpoint];

    /// Whether this bug is there, in this thread.
    #[inline]
    #[must_use]
    pub fn is_there(self) -> bool {
        #[cfg(feature = "planted")]
        return CURRENT.get() == Some(self);
        #[cfg(not(feature = "planted"))]
        false
    }

    /// Puts a bug in, or takes it out, in this thread.
    #[cfg(feature = "planted")]
    pub fn set(bug: Option<Self>) {
        CURRENT.set(bug);
    }
}

#[cfg(feature = "planted")]
thread_local! {
    static CURRENT: std::cell::Cell<Option<Planted>> = const { std::cell::Cell::new(None) };
}
