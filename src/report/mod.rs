//! What a person or a program sees of a run: the progress bar, the final table, summary.json, test verdicts; the
//! report of runs and studies ([`page`]) with its figures, and exports for other programs.

pub mod carbon;
pub mod compare;
pub mod explain;
pub mod export;
pub mod figure;
pub mod holdings;
pub mod junit;
pub mod pace;
pub mod page;
pub mod progress;
pub mod read;
pub mod run;
pub mod sheet;
pub mod study;
pub mod terminal;
pub mod validity;
pub mod verdict;

use crate::node::Reason;

/// The text of summary.json (and of `hcddl sim --json`) and of other results.
#[must_use]
pub fn json(result: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(result).expect("plain data") + "\n"
}

/// Why a run ended, as the end of a sentence that starts with "ended".
#[must_use]
pub fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Rounds => "after the configured rounds".to_owned(),
        Reason::Target => "at the target accuracy".to_owned(),
        Reason::TimeLimit => "at the limit of virtual time".to_owned(),
        Reason::Interrupted => "early: interrupted".to_owned(),
        Reason::Stalled(why) => format!("early: {why}"),
    }
}
