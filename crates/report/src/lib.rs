//! What a person or a program sees of a run: the progress bar, the final table, summary.json, test verdicts; the
//! report of runs and studies ([`page`]) with its figures, and exports for other programs.

pub mod carbon;
pub mod compare;
pub mod compose;
pub mod explain;
pub mod export;
pub mod figure;
pub mod holdings;
pub mod junit;
pub mod page;
pub mod progress;
pub mod read;
pub mod run;
pub mod sheet;
pub mod study;
pub mod terminal;
pub mod validity;
pub mod verdict;
