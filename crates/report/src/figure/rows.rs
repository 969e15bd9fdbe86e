//! A row for each thing, on one common axis: bars, intervals, spans of time.

use super::canvas::{shortened, text_width};
use super::plot::WIDTH;
use super::quantity::Scale;
use super::{Axis, Canvas, Drawing, Key, Sign, legend, style};

/// Something in a row.
#[derive(Clone, Debug, PartialEq)]
pub enum RowMark {
    /// Bars from a value to another.
    Bars(usize, Vec<(f64, f64)>),
    /// A value and its interval.
    Dot(usize, f64, Option<(f64, f64)>),
    /// A value and its interval, with another shape.
    Diamond(usize, f64, Option<(f64, f64)>),
    /// From least to largest, with a box and a stroke: p5, q1, median, q3, p95.
    Box(usize, [f64; 5]),
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name, at the left.
    pub label: String,
    /// What is drawn; dots and boxes one below the other, bars on common ground.
    pub marks: Vec<RowMark>,
    /// Its number as text, at the right; may be empty.
    pub note: String,
}

/// Rows, their axis and legend.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// What it shows.
    pub title: String,
    /// The common axis.
    pub x: Axis,
    /// From above.
    pub rows: Vec<Row>,
    /// What the colours stand for.
    pub keys: Vec<Key>,
    /// Height of one mark.
    pub thickness: f64,
}

impl Rows {
    /// As SVG.
    #[must_use]
    pub fn draw(&self) -> Drawing {
        let widest = |texts: &mut dyn Iterator<Item = &String>, size| {
            texts.map(|text| text_width(text, size)).fold(0.0, f64::max)
        };
        let left = (widest(&mut self.rows.iter().map(|row| &row.label), 12.0) + 14.0).clamp(62.0, 340.0);
        let notes = widest(&mut self.rows.iter().map(|row| &row.note), 11.0);
        let right = WIDTH - 10.0 - if notes > 0.0 { notes + 10.0 } else { 0.0 };
        let mut canvas = Canvas::default();
        let mut y = 4.0;
        y += legend(&mut canvas, &self.keys, (left, y, WIDTH), |series| self.sign(series)) + 8.0;
        let top = y;
        let x = Scale::new(&self.x, self.ends(), (left, right));
        let height = |row: &Row| {
            let apart = row.marks.iter().filter(|mark| !matches!(mark, RowMark::Bars(..))).count().max(1);
            apart as f64 * self.thickness + 7.0
        };
        let bottom = top + self.rows.iter().map(height).sum::<f64>() + 4.0;
        let mut free_from = f64::NEG_INFINITY;
        for (value, text) in x.ticks(((right - left) / 70.0) as usize) {
            canvas.line("g", x.at(value), top, x.at(value), bottom);
            let half = text_width(&text, 11.0) / 2.0;
            if x.at(value) - half > free_from {
                canvas.text("m", x.at(value), bottom + 16.0, "middle", &text);
                free_from = x.at(value) + half + 4.0;
            }
        }
        for row in &self.rows {
            let middle = y + height(row) / 2.0;
            canvas.text("", left - 8.0, middle + 4.0, "end", &shortened(&row.label, 12.0, left - 12.0));
            row.draw(&mut canvas, &x, (y + 3.5, self.thickness));
            canvas.text("n", WIDTH - 4.0, middle + 4.0, "end", &row.note);
            y += height(row);
            // Dots of several series would be taken for the next row's.
            if row.marks.len() > 1 && !matches!(row.marks[0], RowMark::Bars(..)) {
                canvas.line("g", left, y, right, y);
            }
        }
        canvas.line("a", left, bottom, right, bottom);
        canvas.text("m", 0.5 * (left + right), bottom + 34.0, "middle", &x.label(&self.x));
        Drawing {
            width: WIDTH,
            height: (bottom + 42.0).ceil(),
            title: self.title.clone(),
            body: canvas.into_body(),
        }
    }

    /// What stands for a series: the shape of its first mark.
    fn sign(&self, series: usize) -> Sign {
        let of_mark = |mark: &RowMark| match mark {
            RowMark::Bars(of, _) | RowMark::Box(of, _) if *of == series => Some(Sign::Box),
            RowMark::Dot(of, ..) if *of == series => Some(Sign::Dot),
            RowMark::Diamond(of, ..) if *of == series => Some(Sign::Diamond),
            _ => None,
        };
        self.marks().find_map(of_mark).unwrap_or(Sign::Box)
    }

    fn marks(&self) -> impl Iterator<Item = &RowMark> {
        self.rows.iter().flat_map(|row| &row.marks)
    }

    fn ends(&self) -> (f64, f64) {
        let mut ends = (f64::INFINITY, f64::NEG_INFINITY);
        let mut include = |value: f64| {
            if value.is_finite() && (!self.x.log || value > 0.0) {
                ends = (ends.0.min(value), ends.1.max(value));
            }
        };
        for mark in self.marks() {
            match mark {
                RowMark::Bars(_, bars) => bars.iter().for_each(|(from, to)| {
                    include(*from);
                    include(*to);
                }),
                RowMark::Dot(_, value, interval) | RowMark::Diamond(_, value, interval) => {
                    include(*value);
                    if let Some((low, high)) = interval {
                        include(*low);
                        include(*high);
                    }
                }
                RowMark::Box(_, values) => values.iter().for_each(|value| include(*value)),
            }
        }
        ends
    }
}

impl Row {
    fn draw(&self, canvas: &mut Canvas, x: &Scale, (top, thickness): (f64, f64)) {
        let mut line = 0.0;
        for mark in &self.marks {
            let middle = top + (line + 0.5) * thickness;
            match mark {
                RowMark::Bars(series, bars) => {
                    let rects = bars
                        .iter()
                        .filter(|(from, to)| to > from)
                        .map(|(from, to)| (x.at(*from), top, (x.at(*to) - x.at(*from)).max(0.3), thickness));
                    canvas.rects(&format!("f{}", style::colour(*series)), rects);
                    continue;
                }
                RowMark::Dot(series, value, interval) | RowMark::Diamond(series, value, interval) => {
                    let (stroke, fill) =
                        (format!("k{}", style::colour(*series)), format!("f{}", style::colour(*series)));
                    if let Some((low, high)) = interval {
                        whisker(canvas, &stroke, (x.at(*low), x.at(*high)), middle);
                    }
                    if value.is_finite() {
                        if matches!(mark, RowMark::Dot(..)) {
                            canvas.dot(&fill, x.at(*value), middle, 4.0);
                        } else {
                            canvas.diamond(&fill, x.at(*value), middle, 5.0);
                        }
                    }
                }
                RowMark::Box(series, [p5, q1, median, q3, p95]) => {
                    let (stroke, fill) =
                        (format!("k{}", style::colour(*series)), format!("f{}", style::colour(*series)));
                    whisker(canvas, &stroke, (x.at(*p5), x.at(*p95)), middle);
                    let (from, to) = (x.at(*q1), x.at(*q3));
                    canvas.shaded(
                        &fill,
                        0.35,
                        (from, middle - 0.32 * thickness, (to - from).max(1.0), 0.64 * thickness),
                    );
                    canvas.line(
                        "w",
                        x.at(*median),
                        middle - 0.4 * thickness,
                        x.at(*median),
                        middle + 0.4 * thickness,
                    );
                }
            }
            line += 1.0;
        }
    }
}

fn whisker(canvas: &mut Canvas, class: &str, (from, to): (f64, f64), y: f64) {
    canvas.line(class, from, y, to, y);
    for end in [from, to] {
        canvas.line(class, end, y - 3.0, end, y + 3.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Quantity;
    use super::*;

    #[test]
    fn rows_have_names_marks_and_an_axis() {
        let rows = Rows {
            title: "time".to_owned(),
            x: Axis::from_zero("time to target", Quantity::Seconds),
            rows: vec![
                Row {
                    label: "sync".to_owned(),
                    marks: vec![
                        RowMark::Dot(0, 2.0, Some((1.0, 3.0))),
                        RowMark::Diamond(1, f64::INFINITY, None),
                    ],
                    note: "2 s".to_owned(),
                },
                Row {
                    label: "async".to_owned(),
                    marks: vec![RowMark::Bars(2, vec![(0.0, 1.0), (1.0, 1.0)])],
                    note: String::new(),
                },
            ],
            keys: Vec::new(),
            thickness: 14.0,
        };
        let body = rows.draw().body;
        for part in ["time to target (s)", ">sync<", ">2 s<", "circle class=\"f0\"", "class=\"f2\""] {
            assert!(body.contains(part), "{part}");
        }
        assert!(!body.contains("NaN") && !body.contains("inf"), "{body}");
    }
}
