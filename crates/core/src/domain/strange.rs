//! What servers notice about what their children send.

use serde::{Deserialize, Serialize};

/// What is strange about an update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Strange {
    /// Values are not finite: it is not folded.
    NotFinite,
    /// It has so many values, and not as many as the model: it is not folded.
    Length(usize),
    /// It is based on this version, which the server has not made yet: it counts as one of the newest.
    Version(u64),
    /// Its norm is this, more than allowed: it is shortened.
    Shortened(f64),
    /// Its norm is this, more than 10,000 times that of the model, and nothing bounds it: it is folded.
    Long(f64),
}

impl Strange {
    /// Every name that [`Strange::counter`] may give.
    pub const COUNTERS: [&str; 4] =
        ["refused_updates", "unknown_versions", "shortened_updates", "absurd_updates"];

    /// Name of the counter in summaries.
    #[must_use]
    pub fn counter(self) -> &'static str {
        match self {
            Strange::NotFinite | Strange::Length(_) => "refused_updates",
            Strange::Version(_) => "unknown_versions",
            Strange::Shortened(_) => "shortened_updates",
            Strange::Long(_) => "absurd_updates",
        }
    }
}

impl std::fmt::Display for Strange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Strange::NotFinite => write!(f, "has values that are not finite; it is not folded"),
            Strange::Length(len) => write!(f, "has {len} values, not as many as the model; it is not folded"),
            Strange::Version(version) => {
                write!(f, "says that it is based on version {version}, which does not exist yet")
            }
            Strange::Shortened(norm) => write!(f, "has a norm of {norm:.3e}; it is shortened to `max_norm`"),
            Strange::Long(norm) => write!(
                f,
                "has a norm of {norm:.3e}, more than 10,000 times that of the model; `max_norm` of the server's \
                 tier would bound it"
            ),
        }
    }
}
