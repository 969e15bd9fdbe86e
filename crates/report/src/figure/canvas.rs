//! Lines, rectangles and text as SVG.

use std::fmt::Write;

/// Elements of a figure, in the order in which they are painted.
#[derive(Clone, Debug, Default)]
pub struct Canvas {
    body: String,
}

/// Text in which nothing is markup.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // XML knows no other control characters.
            c if c.is_control() && !matches!(c, '\n' | '\t') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// About how wide a text is: there are no fonts here to measure it with.
#[must_use]
pub fn text_width(text: &str, size: f64) -> f64 {
    // Those of DejaVu Sans, the widest of the usual fonts, rounded up.
    let width = |c: char| match c {
        'i' | 'l' | 'j' | '.' | ',' | ':' | ';' | '|' | '\'' | ' ' => 0.34,
        '(' | ')' | '[' | ']' | 't' | 'f' | 'r' => 0.42,
        'm' | 'M' | 'W' | '%' | '→' => 0.98,
        'w' => 0.83,
        c if c.is_ascii_uppercase() => 0.72,
        c if (c as u32) > 0x2e80 => 1.0,
        _ => 0.635,
    };
    size * text.chars().map(width).sum::<f64>()
}

/// A text of at most this width, its end left out with an ellipsis.
#[must_use]
pub fn shortened(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if text_width(&short, size) + size > width {
            break;
        }
    }
    short.push('…');
    short
}

/// A coordinate with a tenth of a pixel.
struct Px(f64);

impl std::fmt::Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        if tenths % 10 == 0 {
            write!(f, "{}", tenths / 10)
        } else {
            write!(f, "{}{}.{}", if tenths < 0 { "-" } else { "" }, tenths.abs() / 10, tenths.abs() % 10)
        }
    }
}

impl Canvas {
    /// What was drawn.
    #[must_use]
    pub fn into_body(self) -> String {
        self.body
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
        let (x1, y1, x2, y2) = (Px(x1), Px(y1), Px(x2), Px(y2));
        let _ =
            writeln!(self.body, "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>");
    }

    /// A line through points; points that fall on the same tenth of a pixel are left out.
    pub fn path(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        let data = path_data(points);
        if !data.is_empty() {
            let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{data}\"/>");
        }
    }

    /// A filled area around points.
    pub fn area(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        let data = path_data(points);
        if !data.is_empty() {
            let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{data}Z\"/>");
        }
    }

    /// Many rectangles of one class in one element.
    pub fn rects(&mut self, class: &str, rects: impl IntoIterator<Item = (f64, f64, f64, f64)>) {
        let mut data = String::new();
        for (x, y, width, height) in rects {
            let _ = write!(data, "M{} {}h{}v{}h{}z", Px(x), Px(y), Px(width), Px(height), Px(-width));
        }
        if !data.is_empty() {
            let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{data}\"/>");
        }
    }

    /// A filled rectangle.
    pub fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        self.rects(class, [(x, y, width, height)]);
    }

    /// A rectangle with an opacity of its own.
    pub fn shaded(&mut self, class: &str, opacity: f64, (x, y, width, height): (f64, f64, f64, f64)) {
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" opacity=\"{:.3}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            opacity,
            Px(x),
            Px(y),
            Px(width),
            Px(height)
        );
    }

    /// A dot.
    pub fn dot(&mut self, class: &str, x: f64, y: f64, radius: f64) {
        let _ = writeln!(
            self.body,
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
            Px(x),
            Px(y),
            Px(radius)
        );
    }

    /// A diamond, where a dot would be taken for another one.
    pub fn diamond(&mut self, class: &str, x: f64, y: f64, radius: f64) {
        self.area(class, [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)]);
    }

    /// Text whose `anchor` (start, middle, end) is at x.
    pub fn text(&mut self, class: &str, x: f64, y: f64, anchor: &str, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let anchor = if anchor == "start" { String::new() } else { format!(" text-anchor=\"{anchor}\"") };
        let _ = writeln!(
            self.body,
            "<text{class} x=\"{}\" y=\"{}\"{anchor}>{}</text>",
            Px(x),
            Px(y),
            escaped(text)
        );
    }

    /// Text that is read from below, centred at a point.
    pub fn text_upwards(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let (x, y) = (Px(x), Px(y));
        let _ = writeln!(
            self.body,
            "<text class=\"{class}\" transform=\"translate({x} {y}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escaped(text)
        );
    }
}

fn path_data(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut data = String::new();
    let mut last = String::new();
    for (x, y) in points {
        if !(x.is_finite() && y.is_finite()) {
            continue;
        }
        let at = format!("{} {}", Px(x), Px(y));
        if at != last {
            data.push(if data.is_empty() { 'M' } else { 'L' });
            data.push_str(&at);
            last = at;
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        let mut canvas = Canvas::default();
        canvas.text("m", 1.0, 2.25, "end", "<a & \"b\"\u{1}");
        assert_eq!(
            canvas.into_body(),
            "<text class=\"m\" x=\"1\" y=\"2.3\" text-anchor=\"end\">&lt;a &amp; &quot;b&quot;\u{fffd}</text>\n"
        );
    }

    #[test]
    fn points_that_cannot_be_told_apart_are_left_out() {
        assert_eq!(path_data([(0.0, 0.0), (0.04, 0.0), (f64::NAN, 1.0), (2.55, -1.0)]), "M0 0L2.6 -1");
        assert_eq!(shortened("worker1", 12.0, 200.0), "worker1");
        assert!(shortened("a very long name of a setting", 12.0, 60.0).ends_with('…'));
    }
}
