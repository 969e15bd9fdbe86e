//! Panels with two axes, side by side on common ground: curves, bands, steps, histograms.

use super::canvas::{shortened, text_width};
use super::quantity::Scale;
use super::{Axis, Canvas, Drawing, Key, Sign, legend, style};

/// Something drawn into a panel.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// A line through points.
    Line(usize, Vec<(f64, f64)>),
    /// A line that keeps its value until the next point.
    Steps(usize, Vec<(f64, f64)>),
    /// An area between two values: (x, low, high).
    Band(usize, Vec<(f64, f64, f64)>),
    /// As `Band`, in steps.
    StepBand(usize, Vec<(f64, f64, f64)>),
    /// Small upright strokes: runs that ended.
    Ticks(usize, Vec<(f64, f64)>),
    /// Bars from zero: (from x, to x, height).
    Bars(usize, Vec<(f64, f64, f64)>),
    /// A horizontal line with a name.
    Level(f64, String),
}

impl Mark {
    /// Every point that must fit into the panel.
    fn points(&self) -> Vec<(f64, f64)> {
        match self {
            Self::Line(_, points) | Self::Steps(_, points) | Self::Ticks(_, points) => points.clone(),
            Self::Band(_, points) | Self::StepBand(_, points) => {
                points.iter().flat_map(|(x, low, high)| [(*x, *low), (*x, *high)]).collect()
            }
            Self::Bars(_, bars) => bars.iter().flat_map(|(a, b, y)| [(*a, *y), (*b, *y)]).collect(),
            Self::Level(y, _) => vec![(f64::NAN, *y)],
        }
    }
}

/// One pair of axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What distinguishes it; may be empty.
    pub title: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// In the order in which they are painted.
    pub marks: Vec<Mark>,
}

/// Panels and their common legend.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// Left to right, then down.
    pub panels: Vec<Panel>,
    /// Panels beside each other.
    pub columns: usize,
    /// What the colours stand for.
    pub keys: Vec<Key>,
    /// Height of the axes of a panel.
    pub height: f64,
}

/// Width of every figure.
pub const WIDTH: f64 = 880.0;
const GAP: f64 = 26.0;
const LEFT: f64 = 62.0;
const BELOW: f64 = 44.0;

impl Plot {
    /// As SVG.
    #[must_use]
    pub fn draw(&self) -> Drawing {
        let mut canvas = Canvas::default();
        let bars =
            self.panels.iter().flat_map(|panel| &panel.marks).any(|mark| matches!(mark, Mark::Bars(..)));
        let mut y = 4.0;
        let sign = if bars { Sign::Box } else { Sign::Line };
        y += legend(&mut canvas, &self.keys, (LEFT, y, WIDTH), |_| sign) + 6.0;
        let columns = self.columns.clamp(1, self.panels.len().max(1));
        let cell = (WIDTH - GAP * (columns as f64 - 1.0)) / columns as f64;
        for row in self.panels.chunks(columns) {
            let titled = row.iter().any(|panel| !panel.title.is_empty());
            let top = y + if titled { 22.0 } else { 6.0 };
            for (i, panel) in row.iter().enumerate() {
                let left = i as f64 * (cell + GAP);
                panel.draw(&mut canvas, (left, top, cell, self.height));
            }
            y = top + self.height + BELOW + 8.0;
        }
        Drawing { width: WIDTH, height: y.ceil(), title: self.title.clone(), body: canvas.into_body() }
    }
}

impl Panel {
    /// Least and largest values of the marks.
    fn ends(&self) -> ((f64, f64), (f64, f64)) {
        let mut ends = ((f64::INFINITY, f64::NEG_INFINITY), (f64::INFINITY, f64::NEG_INFINITY));
        let wider = |(low, high): (f64, f64), value: f64, log: bool| {
            if value.is_finite() && (!log || value > 0.0) {
                (low.min(value), high.max(value))
            } else {
                (low, high)
            }
        };
        for (x, y) in self.marks.iter().flat_map(Mark::points) {
            ends = (wider(ends.0, x, self.x.log), wider(ends.1, y, self.y.log));
        }
        ends
    }

    fn draw(&self, canvas: &mut Canvas, (left, top, width, height): (f64, f64, f64, f64)) {
        let (from, right, bottom) = (left + LEFT, left + width - 8.0, top + height);
        let (xs, ys) = self.ends();
        let x = Scale::new(&self.x, xs, (from, right));
        let y = Scale::new(&self.y, ys, (bottom, top));
        canvas.text("t", from, top - 8.0, "start", &shortened(&self.title, 12.0, width - LEFT));
        for (value, text) in y.ticks((height / 38.0) as usize) {
            canvas.line("g", from, y.at(value), right, y.at(value));
            canvas.text("m", from - 6.0, y.at(value) + 4.0, "end", &text);
        }
        let mut free_from = f64::NEG_INFINITY;
        for (value, text) in x.ticks(((right - from) / 70.0) as usize) {
            canvas.line("a", x.at(value), bottom, x.at(value), bottom + 4.0);
            let half = text_width(&text, 11.0) / 2.0;
            // Numbers of a logarithmic axis can come close to each other.
            if x.at(value) - half > free_from {
                let at = x.at(value).min(right + 6.0 - half);
                canvas.text("m", at, bottom + 16.0, "middle", &text);
                free_from = at + half + 4.0;
            }
        }
        canvas.line("a", from, bottom, right, bottom);
        for mark in &self.marks {
            draw_mark(canvas, mark, &x, &y);
        }
        canvas.text("m", 0.5 * (from + right), bottom + 34.0, "middle", &x.label(&self.x));
        canvas.text_upwards("m", left + 12.0, 0.5 * (top + bottom), &y.label(&self.y));
    }
}

fn draw_mark(canvas: &mut Canvas, mark: &Mark, x: &Scale, y: &Scale) {
    let bottom = y.at(y.ends().0);
    match mark {
        Mark::Line(series, points) => {
            canvas.path(&style::stroke(*series), points.iter().map(|(a, b)| (x.at(*a), y.at(*b))));
        }
        Mark::Steps(series, points) => {
            let corners = steps(points.iter().map(|(a, b)| (x.at(*a), y.at(*b))));
            canvas.path(&style::stroke(*series), corners);
        }
        Mark::Band(series, points) | Mark::StepBand(series, points) => {
            let (low, high) = (
                points.iter().map(|(a, low, _)| (x.at(*a), y.at(*low))),
                points.iter().map(|(a, _, high)| (x.at(*a), y.at(*high))),
            );
            let stepped = matches!(mark, Mark::StepBand(..));
            let side = |points: Vec<(f64, f64)>| if stepped { steps(points.into_iter()) } else { points };
            let mut around = side(high.collect());
            let mut back = side(low.collect());
            back.reverse();
            around.extend(back);
            canvas.area(&format!("b{}", style::colour(*series)), around);
        }
        Mark::Ticks(series, points) => {
            for (a, b) in points {
                canvas.line(
                    &format!("k{}", style::colour(*series)),
                    x.at(*a),
                    y.at(*b) - 5.0,
                    x.at(*a),
                    y.at(*b) + 5.0,
                );
            }
        }
        Mark::Bars(series, bars) => {
            let rects = bars.iter().filter(|bar| bar.2 > 0.0).map(|(a, b, height)| {
                let (left, right, top) = (x.at(*a), x.at(*b), y.at(*height));
                (left, top, (right - left).max(0.4), (bottom - top).max(0.5))
            });
            canvas.rects(&format!("f{}", style::colour(*series)), rects);
        }
        Mark::Level(value, name) => {
            let (left, right) = (x.at(x.ends().0), x.at(x.ends().1));
            canvas.line("r", left, y.at(*value), right, y.at(*value));
            // Below it: most curves end above their target.
            canvas.text("h", right - 2.0, y.at(*value) + 13.0, "end", name);
        }
    }
}

/// Points and the corners between them.
fn steps(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for (x, y) in points {
        if let Some((_, before)) = corners.last() {
            corners.push((x, *before));
        }
        corners.push((x, y));
    }
    corners
}

#[cfg(test)]
mod tests {
    use super::super::Quantity;
    use super::*;

    #[test]
    fn a_panel_holds_what_is_drawn_into_it() {
        let panel = Panel {
            title: "one".to_owned(),
            x: Axis::from_zero("virtual time", Quantity::Seconds),
            y: Axis::fitted("accuracy", Quantity::Share).between(0.0, 1.0),
            marks: vec![
                Mark::Band(0, vec![(0.0, 0.1, 0.2), (2.0, 0.8, 1.0)]),
                Mark::Line(0, vec![(0.0, 0.15), (2.0, 0.9)]),
                Mark::Level(0.9, "target".to_owned()),
            ],
        };
        let keys = vec![Key { series: 0, label: "sync & co".to_owned() }];
        let plot =
            Plot { title: "accuracy".to_owned(), panels: vec![panel], columns: 2, keys, height: 200.0 };
        let drawing = plot.draw();
        for part in
            ["virtual time (s)", "accuracy (%)", "sync &amp; co", "class=\"b0\"", "class=\"s0\"", ">target<"]
        {
            assert!(drawing.body.contains(part), "{part}");
        }
        assert_eq!(drawing.width, WIDTH);
    }

    #[test]
    fn steps_keep_their_value() {
        assert_eq!(steps([(0.0, 1.0), (2.0, 0.5)].into_iter()), [(0.0, 1.0), (2.0, 1.0), (2.0, 0.5)]);
    }
}
