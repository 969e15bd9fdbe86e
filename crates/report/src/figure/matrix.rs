//! A table of shaded numbers: how often the row's setting beats the column's.

use super::canvas::{shortened, text_width};
use super::plot::WIDTH;
use super::{Canvas, Drawing};

/// A square table of probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// What it shows.
    pub title: String,
    /// Names of rows and columns.
    pub labels: Vec<String>,
    /// For each row and column: the value in [0, 1] and a smaller text below; `None` for no value.
    pub cells: Vec<Vec<Option<(f64, String)>>>,
}

impl Matrix {
    /// As SVG. Columns are numbered, the numbers stand before the rows' names.
    #[must_use]
    pub fn draw(&self) -> Drawing {
        let n = self.labels.len();
        let labels: Vec<String> =
            self.labels.iter().enumerate().map(|(i, label)| format!("{}  {label}", i + 1)).collect();
        let left = (labels.iter().map(|label| text_width(label, 12.0)).fold(0.0, f64::max) + 16.0)
            .clamp(60.0, 320.0);
        let side = ((WIDTH - left - 8.0) / n.max(1) as f64).min(118.0);
        let (top, height) = (40.0, 40.0);
        let mut canvas = Canvas::default();
        canvas.text("m", left - 10.0, top - 26.0, "end", "row better than column");
        for (i, label) in labels.iter().enumerate() {
            let y = top + i as f64 * height;
            canvas.text("", left - 10.0, y + 24.0, "end", &shortened(label, 12.0, left - 14.0));
            canvas.text("m", left + (i as f64 + 0.5) * side, top - 8.0, "middle", &(i + 1).to_string());
            for (j, cell) in self.cells[i].iter().enumerate() {
                let x = left + j as f64 * side;
                let Some((value, below)) = cell else {
                    canvas.shaded("p", 0.3, (x + 1.0, y + 1.0, side - 2.0, height - 2.0));
                    continue;
                };
                // Better blue, worse vermillion, undecided pale.
                let class = if *value >= 0.5 { "f0" } else { "f1" };
                canvas.shaded(
                    class,
                    0.08 + 0.6 * (value - 0.5).abs(),
                    (x + 1.0, y + 1.0, side - 2.0, height - 2.0),
                );
                let middle = x + side / 2.0;
                if side >= 34.0 {
                    canvas.text(
                        "t",
                        middle,
                        y + if below.is_empty() || side < 84.0 { 24.0 } else { 18.0 },
                        "middle",
                        &format!("{value:.2}"),
                    );
                }
                if side >= 84.0 {
                    canvas.text("m", middle, y + 33.0, "middle", below);
                }
            }
        }
        let height = top + n as f64 * height + 8.0;
        Drawing { width: WIDTH, height, title: self.title.clone(), body: canvas.into_body() }
    }
}
