//! CSV files with a header; every mistake has its line.

use hcddl_core::error::UserError;
use std::path::Path;

/// A file, all of it text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Csv {
    file: String,
    /// Names of the columns.
    pub header: Vec<String>,
    /// Rows with as many fields as the header.
    pub rows: Vec<Vec<String>>,
}

const NEXT_STEP: &str = "run it again: the file was changed or cut off";

impl Csv {
    /// Reads a file.
    ///
    /// # Errors
    /// [`UserError`] when it is missing or a row has other fields than the header.
    pub fn read(path: &Path, next_step: &str) -> Result<Self, UserError> {
        let text = super::text(path, next_step)?;
        let file = path.display().to_string();
        let mut reader = ::csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let damaged = |error: &::csv::Error| UserError {
            line: error.position().map(|position| position.line() as usize),
            ..UserError::in_file(&file, format!("is damaged: {error}"), NEXT_STEP)
        };
        let header = reader.headers().map_err(|error| damaged(&error))?.iter().map(str::to_owned).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| damaged(&error))?;
            rows.push(record.iter().map(str::to_owned).collect());
        }
        Ok(Self { file, header, rows })
    }

    /// As [`Csv::read`], without rows when there is no such file.
    ///
    /// # Errors
    /// As [`Csv::read`].
    pub fn read_if_there(path: &Path) -> Result<Self, UserError> {
        if path.is_file() { Self::read(path, NEXT_STEP) } else { Ok(Self::default()) }
    }

    /// Position of a column.
    ///
    /// # Errors
    /// [`UserError`] when there is none.
    pub fn column(&self, name: &str) -> Result<usize, UserError> {
        self.find(name).ok_or_else(|| {
            let message = format!("has no column `{name}`");
            UserError {
                allowed: self.header.join(", "),
                ..UserError::in_file(&self.file, message, NEXT_STEP)
            }
        })
    }

    /// Position of a column that need not be there.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// A number; an empty field has none.
    ///
    /// # Errors
    /// [`UserError`] when it is something else.
    pub fn number(&self, row: usize, column: usize) -> Result<Option<f64>, UserError> {
        let field = &self.rows[row][column];
        if field.is_empty() {
            return Ok(None);
        }
        field.parse().map(Some).map_err(|_| self.mistake(row, column, "a number or nothing"))
    }

    /// A whole number that must be there.
    ///
    /// # Errors
    /// [`UserError`] when it is something else.
    pub fn whole(&self, row: usize, column: usize) -> Result<u64, UserError> {
        self.rows[row][column].parse().map_err(|_| self.mistake(row, column, "a whole number"))
    }

    /// The error of a field.
    #[must_use]
    pub fn mistake(&self, row: usize, column: usize, allowed: &str) -> UserError {
        UserError {
            line: Some(row + 2),
            path: self.header[column].clone(),
            allowed: allowed.to_owned(),
            ..UserError::in_file(
                &self.file,
                format!("`{}` does not belong there", self.rows[row][column]),
                NEXT_STEP,
            )
        }
    }
}
