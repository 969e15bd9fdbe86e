//! What an axis shows: its unit, its ticks, numbers as text.

use hcddl_core::domain::math;

/// What a number measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Joules.
    Joules,
    /// Grams of CO2.
    Grams,
    /// A share, shown in per cent.
    Share,
    /// A number of things.
    Count,
    /// Anything without a unit.
    Plain,
}

impl Quantity {
    /// Unit that suits values up to `max`, and what a value is divided by.
    #[must_use]
    pub fn unit(self, max: f64) -> (&'static str, f64) {
        let pick = |units: &'static [(&'static str, f64)]| {
            let found = units.iter().rev().find(|(_, size)| max.abs() >= *size);
            *found.unwrap_or(&units[0])
        };
        match self {
            Self::Seconds => {
                pick(&[("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0)])
            }
            Self::Bytes => pick(&[("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12)]),
            Self::Joules => pick(&[("mJ", 1e-3), ("J", 1.0), ("kJ", 1e3), ("MJ", 1e6), ("GJ", 1e9)]),
            Self::Grams => pick(&[("µg", 1e-6), ("mg", 1e-3), ("g", 1.0), ("kg", 1e3), ("t", 1e6)]),
            Self::Share => ("%", 0.01),
            Self::Count | Self::Plain => ("", 1.0),
        }
    }

    /// A value with its unit, three or four significant digits.
    #[must_use]
    pub fn text(self, value: f64) -> String {
        if value.is_nan() {
            return "–".to_owned();
        }
        if value.is_infinite() {
            return "not reached".to_owned();
        }
        let (unit, size) = self.unit(value);
        let number = if self == Self::Share { format!("{:.1}", value / size) } else { digits(value / size) };
        if unit.is_empty() { number } else { format!("{number} {unit}") }
    }
}

/// Up to four significant digits, thousands apart.
#[must_use]
pub fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v == 0.0 || v >= 1000.0 => 0,
        v if v >= 100.0 => 1,
        v if v >= 10.0 => 2,
        v if v >= 0.1 => 3,
        v if v >= 0.001 => 4,
        _ => return format!("{value:.2e}"),
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    thousands(text)
}

/// `1234567` as `1 234 567`, with narrow blanks.
fn thousands(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, part) = rest.split_once('.').map_or((rest, String::new()), |(a, b)| (a, format!(".{b}")));
    if whole.len() < 5 {
        return text.to_owned();
    }
    let mut grouped = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            grouped.push('\u{202f}');
        }
        grouped.push(c);
    }
    format!("{sign}{grouped}{part}")
}

/// One axis of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it shows, without the unit.
    pub label: String,
    /// What its numbers measure.
    pub quantity: Quantity,
    /// Whether equal distances are equal ratios.
    pub log: bool,
    /// First value; what the marks need when absent.
    pub min: Option<f64>,
    /// Last value; what the marks need when absent.
    pub max: Option<f64>,
}

impl Axis {
    /// A linear axis from zero.
    #[must_use]
    pub fn from_zero(label: &str, quantity: Quantity) -> Self {
        Self { label: label.to_owned(), quantity, log: false, min: Some(0.0), max: None }
    }

    /// A linear axis that fits its marks.
    #[must_use]
    pub fn fitted(label: &str, quantity: Quantity) -> Self {
        Self { min: None, ..Self::from_zero(label, quantity) }
    }

    /// With ends given.
    #[must_use]
    pub fn between(mut self, min: f64, max: f64) -> Self {
        (self.min, self.max) = (Some(min), Some(max));
        self
    }
}

/// An axis with its numbers placed.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    min: f64,
    max: f64,
    log: bool,
    from: f64,
    to: f64,
    unit: (&'static str, f64),
    quantity: Quantity,
}

impl Scale {
    /// For values between two ends, onto pixels.
    #[must_use]
    pub fn new(axis: &Axis, values: (f64, f64), pixels: (f64, f64)) -> Self {
        let (mut min, mut max) = (axis.min.unwrap_or(values.0), axis.max.unwrap_or(values.1));
        if !(min.is_finite() && max.is_finite()) {
            (min, max) = (0.0, 1.0);
        }
        if axis.log {
            max = max.max(1e-300);
            min = if min > 0.0 { min } else { max / 1e3 };
            if max <= min * 1.001 {
                (min, max) = (min / 2.0, max * 2.0);
            }
            let room = math::pow(max / min, 0.03);
            if axis.min.is_none() {
                min /= room;
            }
            if axis.max.is_none() {
                max *= room;
            }
        } else if max <= min {
            let reach = if min == 0.0 { 1.0 } else { 0.1 * min.abs() };
            max = min + reach;
            if axis.min.is_none() {
                min -= reach;
            }
        } else {
            // Room around marks, where the end is not given.
            let reach = max - min;
            if axis.min.is_none() {
                min -= 0.04 * reach;
            }
            if axis.max.is_none() {
                max += 0.04 * reach;
            }
        }
        let unit = axis.quantity.unit(max);
        Self { min, max, log: axis.log, from: pixels.0, to: pixels.1, unit, quantity: axis.quantity }
    }

    /// Where a value is drawn; values beyond the ends are drawn at them.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        let part = if self.log {
            let value = value.max(self.min);
            math::ln(value / self.min) / math::ln(self.max / self.min)
        } else {
            (value - self.min) / (self.max - self.min)
        };
        self.from + part.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// The first and the last value.
    #[must_use]
    pub fn ends(&self) -> (f64, f64) {
        (self.min, self.max)
    }

    /// The label of the axis, with its unit.
    #[must_use]
    pub fn label(&self, axis: &Axis) -> String {
        let log = if self.log { ", logarithmic" } else { "" };
        match (self.unit.0, log) {
            ("", "") => axis.label.clone(),
            ("", _) => format!("{} (logarithmic)", axis.label),
            (unit, _) => format!("{} ({unit}{log})", axis.label),
        }
    }

    /// Values to mark, with their texts: about `wanted`.
    #[must_use]
    pub fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        if self.log {
            return self.decades(wanted);
        }
        let size = self.unit.1;
        let (min, max) = (self.min / size, self.max / size);
        let mut step = nice((max - min) / wanted.max(1) as f64);
        if self.quantity == Quantity::Count {
            step = step.max(1.0);
        }
        let decimals = (0..10).find(|d| {
            let scaled = step * power(10.0, *d);
            (scaled - scaled.round()).abs() < 1e-6
        });
        let decimals = decimals.unwrap_or(10) as usize;
        let first = (min / step - 1e-9).ceil() as i64;
        let last = (max / step + 1e-9).floor() as i64;
        (first..=last.min(first + 40))
            .map(|i| {
                let value = i as f64 * step;
                (value * size, thousands(&format!("{value:.decimals$}")))
            })
            .collect()
    }

    fn decades(&self, wanted: usize) -> Vec<(f64, String)> {
        let size = self.unit.1;
        let log10 = |value: f64| math::ln(value / size) / std::f64::consts::LN_10;
        let (low, high) = (log10(self.min), log10(self.max));
        let inner: &[f64] = if high - low > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let every = (((high - low) / wanted.max(1) as f64).ceil() as i32).max(1);
        let mut ticks = Vec::new();
        for exponent in (low.floor() as i32)..=(high.ceil() as i32) {
            if exponent.rem_euclid(every) != 0 {
                continue;
            }
            for digit in inner {
                let value = digit * power(10.0, exponent);
                let true_value = value * size;
                if true_value >= self.min * 0.9999 && true_value <= self.max * 1.0001 {
                    ticks.push((true_value, digits(value)));
                }
            }
        }
        ticks
    }
}

fn power(base: f64, exponent: i32) -> f64 {
    let magnitude = (0..exponent.abs()).fold(1.0, |value, _| value * base);
    if exponent < 0 { 1.0 / magnitude } else { magnitude }
}

/// The next of 1, 2, 2.5, 5 times a power of ten.
fn nice(step: f64) -> f64 {
    if !(step.is_finite() && step > 0.0) {
        return 1.0;
    }
    let exponent = (math::ln(step) / std::f64::consts::LN_10).floor() as i32;
    let decade = power(10.0, exponent);
    let digit = step / decade;
    let nice = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|nice| digit <= *nice + 1e-9);
    nice.unwrap_or(10.0) * decade
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale, wanted: usize) -> Vec<String> {
        scale.ticks(wanted).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_in_the_unit() {
        let axis = Axis::from_zero("virtual time", Quantity::Seconds);
        let scale = Scale::new(&axis, (0.0, 0.0415), (0.0, 100.0));
        assert_eq!(scale.label(&axis), "virtual time (ms)");
        assert_eq!(texts(&scale, 5), ["0", "10", "20", "30", "40"]);
        let share = Axis::fitted("accuracy", Quantity::Share).between(0.9, 1.0);
        assert_eq!(
            texts(&Scale::new(&share, (0.0, 0.0), (100.0, 0.0)), 4),
            ["90.0", "92.5", "95.0", "97.5", "100.0"]
        );
        let log = Axis { log: true, ..Axis::fitted("loss", Quantity::Plain) };
        let scale = Scale::new(&log, (0.02, 30.0), (0.0, 100.0));
        assert_eq!(texts(&scale, 6), ["0.1", "1", "10"]);
        assert_eq!(scale.label(&log), "loss (logarithmic)");
        assert!(scale.at(0.02) > 1.0 && scale.at(30.0) < 99.0 && scale.at(-1.0) == 0.0);
    }

    #[test]
    fn numbers_in_words() {
        assert_eq!(Quantity::Seconds.text(0.001_234_5), "1.234 ms");
        assert_eq!(Quantity::Bytes.text(12_345_678.0), "12.35 MB");
        assert_eq!(Quantity::Share.text(0.9512), "95.1 %");
        assert_eq!(Quantity::Count.text(1_234_567.0), "1\u{202f}234\u{202f}567");
        assert_eq!(Quantity::Seconds.text(f64::INFINITY), "not reached");
        assert_eq!([digits(0.0), digits(-0.25), digits(1e-7)], ["0", "-0.25", "1.00e-7"]);
    }

    #[test]
    fn an_axis_without_extent_still_has_one() {
        for values in [(3.0, 3.0), (0.0, 0.0), (f64::INFINITY, f64::NEG_INFINITY)] {
            let scale = Scale::new(&Axis::fitted("x", Quantity::Plain), values, (0.0, 10.0));
            assert!(scale.at(values.0).is_finite() && !scale.ticks(4).is_empty(), "{values:?}");
        }
    }
}
