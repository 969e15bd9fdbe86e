//! What one run did, as figures, tables and words.
//!
//! | file | section |
//! |---|---|
//! | `results` | how it ended; learning curves |
//! | `side_by_side` | several runs in the same figures |
//! | `time` | where each node's time went; who did what when |
//! | `path` | the critical path over commits, blame and what-if |
//! | `updates` | staleness and participation |
//! | `devices` | clocks, processors and links of a deployed run |
//! | `spent` | traffic, energy, carbon |

mod devices;
pub mod path;
mod results;
mod side_by_side;
mod spent;
mod time;
mod updates;

pub use side_by_side::together;

use super::carbon::Carbon;
use super::page::{Block, Part, Section};
use super::read::Run;
use super::sheet::Sheet;
use hcddl_core::error::UserError;

/// A run and what its sections share.
pub(super) struct Cx<'a> {
    run: &'a Run,
    carbon: &'a Carbon,
    prefix: &'a str,
    sheets: Vec<Sheet>,
}

/// The part of a report about a run, and the numbers behind it.
///
/// # Errors
/// [`UserError`] when a file of the run is damaged.
pub fn part(
    run: &Run,
    carbon: &Carbon,
    validity: &[(String, String)],
    prefix: &str,
) -> Result<(Part, Vec<Sheet>), UserError> {
    let mut cx = Cx { run, carbon, prefix, sheets: Vec::new() };
    let mut sections = vec![results::section(&mut cx)?];
    let others: [fn(&mut Cx<'_>) -> Option<Section>; 6] =
        [time::section, path::section, updates::section, devices::section, spent::traffic, spent::energy];
    sections.extend(others.into_iter().filter_map(|section| section(&mut cx)));
    let mut card = super::validity::section(validity);
    card.blocks.push(Block::Verbatim("The scenario as it was run".to_owned(), run.plan.clone()));
    sections.push(card);
    let about = format!("Ended {}.", run.summary.reason);
    Ok((Part { title: run.summary.name.clone(), about, sections }, cx.sheets))
}

impl Cx<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn sheet(&mut self, sheet: Sheet) {
        self.sheets.push(Sheet { name: self.name(&sheet.name), ..sheet });
    }
}
