//! Figures, drawn by ourselves as SVG: no browser, no fonts, no network, the same bytes every time.
//!
//! A figure names classes and no colours; [`style`] gives them colours, for a page that can be light or dark and
//! for a file that stands alone.
//!
//! | file | what |
//! |---|---|
//! | [`quantity`] | what an axis shows: unit, ticks, numbers as text |
//! | [`canvas`] | lines, rectangles and text as SVG |
//! | [`plot`] | panels with two axes: curves, bands, steps, histograms |
//! | [`rows`] | a row for each thing: bars, intervals, spans of time |
//! | [`matrix`] | a table of shaded numbers |
//! | [`style`] | colours and fonts |

pub mod canvas;
pub mod matrix;
pub mod plot;
pub mod quantity;
pub mod rows;
pub mod style;

pub use canvas::Canvas;
pub use plot::{Mark, Panel, Plot};
pub use quantity::{Axis, Quantity};
pub use rows::{Row, RowMark, Rows};

/// A drawn figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// What it shows, for those who cannot see it.
    pub title: String,
    /// The elements within the `svg` element.
    pub body: String,
}

/// An entry of a legend.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Number of the colour.
    pub series: usize,
    /// What it stands for.
    pub label: String,
}

/// What stands for a series in a legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Line,
    Box,
    Dot,
    Diamond,
}

/// Draws a legend below `y`, wrapped; returns the height that it takes.
fn legend(
    canvas: &mut Canvas,
    keys: &[Key],
    (left, y, right): (f64, f64, f64),
    sign: impl Fn(usize) -> Sign,
) -> f64 {
    const LINE: f64 = 18.0;
    let (mut x, mut line) = (left, 0.0);
    for key in keys {
        let width = 34.0 + canvas::text_width(&key.label, 12.0) + 16.0;
        if x > left && x + width > right {
            (x, line) = (left, line + LINE);
        }
        let middle = y + line + 8.0;
        let fill = format!("f{}", style::colour(key.series));
        match sign(key.series) {
            Sign::Line => canvas.line(&style::stroke(key.series), x, middle, x + 26.0, middle),
            Sign::Box => canvas.rect(&fill, x + 10.0, middle - 5.0, 14.0, 10.0),
            Sign::Dot => canvas.dot(&fill, x + 18.0, middle, 4.0),
            Sign::Diamond => canvas.diamond(&fill, x + 18.0, middle, 5.0),
        }
        canvas.text("", x + 32.0, middle + 4.0, "start", &key.label);
        x += width;
    }
    if keys.is_empty() { 0.0 } else { line + LINE }
}
