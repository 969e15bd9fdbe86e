//! Which parts and sections a report has: one part for each run or study, and one that sets runs side by side.

use super::carbon::Carbon;
use super::page::Report;
use super::read::Source;
use hcddl_core::error::UserError;

/// A run or study, and its validity card.
#[derive(Debug)]
pub struct Subject {
    /// What it left behind.
    pub source: Source,
    /// What stands behind its numbers.
    pub validity: Vec<(String, String)>,
}

impl Report {
    /// The report about some runs and studies.
    ///
    /// # Errors
    /// [`UserError`] when a file of them is damaged.
    pub fn about(subjects: &[Subject], carbon: &Carbon) -> Result<Self, UserError> {
        let mut report = Self::default();
        let runs = subjects.iter().filter_map(|subject| match &subject.source {
            Source::Run(run) => Some(run.as_ref()),
            Source::Study(_) => None,
        });
        report.parts.extend(super::run::together(&runs.collect::<Vec<_>>())?);
        for (i, Subject { source, validity }) in subjects.iter().enumerate() {
            let prefix = if subjects.len() > 1 { format!("{}-", i + 1) } else { String::new() };
            let (mut part, sheets) = match source {
                Source::Run(run) => super::run::part(run, carbon, validity, &prefix)?,
                Source::Study(study) => super::study::part(study, carbon, validity, &prefix),
            };
            if subjects.iter().filter(|other| other.source.name() == source.name()).count() > 1 {
                part.title = source.name_and_place();
            }
            report.parts.push(part);
            report.sheets.extend(sheets);
        }
        report.title = match subjects {
            [one] => one.source.name().to_owned(),
            several => format!("{} runs and studies", several.len()),
        };
        Ok(report)
    }
}
