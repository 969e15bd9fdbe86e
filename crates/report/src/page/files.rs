//! A report as files: `report.html`, `figures/*.svg`, `data/*.csv`, `data/*.parquet`.

use super::super::export::parquet;
use super::super::figure::style;
use super::{Block, Report, html};
use anyhow::Context;
use std::path::{Path, PathBuf};

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The page.
    pub page: PathBuf,
    /// Its size in bytes.
    pub page_bytes: usize,
    /// Figures.
    pub figures: usize,
    /// Tables of numbers.
    pub sheets: usize,
}

/// Writes a report into a directory, which is made if need be; files of an earlier report are replaced.
///
/// # Errors
/// When the operating system says no.
pub fn write(report: &Report, dir: &Path) -> anyhow::Result<Written> {
    let (figures, data) = (dir.join("figures"), dir.join("data"));
    for dir in [&figures, &data] {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
    }
    let write = |path: PathBuf, bytes: &[u8]| {
        hcddl_files::atomic::refresh(&path, bytes)
            .with_context(|| format!("cannot write `{}`", path.display()))
    };
    let page = html::page(report);
    write(dir.join("report.html"), page.as_bytes())?;
    let blocks = report.parts.iter().flat_map(|part| &part.sections).flat_map(|section| &section.blocks);
    let mut drawn = 0;
    for block in blocks {
        if let Block::Figure(name, drawing, _) = block {
            write(figures.join(format!("{name}.svg")), style::file(drawing).as_bytes())?;
            drawn += 1;
        }
    }
    for sheet in &report.sheets {
        write(data.join(format!("{}.csv", sheet.name)), sheet.to_csv().as_bytes())?;
        write(data.join(format!("{}.parquet", sheet.name)), &parquet::file(sheet))?;
    }
    Ok(Written {
        page: dir.join("report.html"),
        page_bytes: page.len(),
        figures: drawn,
        sheets: report.sheets.len(),
    })
}
