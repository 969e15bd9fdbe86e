//! The report as one page: parts, sections, figures, tables; [`html`] writes them, [`files`] puts them on the disk.

pub mod files;
pub mod html;

use super::carbon::Carbon;
use super::figure::Drawing;
use super::read::Source;
use super::sheet::Sheet;
use crate::error::UserError;

/// Everything that a report holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Heading of the page.
    pub title: String,
    /// One for each run or study.
    pub parts: Vec<Part>,
    /// The numbers behind it.
    pub sheets: Vec<Sheet>,
}

/// What is said of one run or study.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Its name.
    pub title: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Its sections.
    pub sections: Vec<Section>,
}

/// A section with a heading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// In the order in which they are shown.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A figure: name of its files, drawing, caption.
    Figure(String, Drawing, String),
    /// A table.
    Table(Table),
    /// Subjects and what is said of them.
    Facts(Vec<(String, String)>),
    /// A text as it is, folded away under a name.
    Verbatim(String, String),
}

/// A table of words and numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Names of the columns.
    pub header: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
    /// Leading columns that hold words; the others are numbers.
    pub words: usize,
}

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

impl Section {
    /// Without blocks yet.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), blocks: Vec::new() }
    }

    /// With a paragraph.
    pub fn text(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Text(text.into()));
    }

    /// With a figure.
    pub fn figure(&mut self, name: &str, drawing: Drawing, caption: impl Into<String>) {
        self.blocks.push(Block::Figure(name.to_owned(), drawing, caption.into()));
    }

    /// With a table.
    pub fn table(&mut self, caption: &str, header: &[&str], words: usize, rows: Vec<Vec<String>>) {
        let header = header.iter().map(|name| (*name).to_owned()).collect();
        self.blocks.push(Block::Table(Table { caption: caption.to_owned(), header, rows, words }));
    }
}
