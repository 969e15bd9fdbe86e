//! The report as one page: parts, sections, figures, tables; [`html`] writes them, [`files`] puts them on the disk.

pub mod files;
pub mod html;

use super::figure::Drawing;
use super::sheet::Sheet;

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
