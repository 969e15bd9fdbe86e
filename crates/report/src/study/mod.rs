//! What a study found, as figures, tables and words.
//!
//! | file | section |
//! |---|---|
//! | `results` | what was asked; a row for each setting |
//! | `curves` | accuracy and loss against time, updates, bytes, energy |
//! | `target` | time to accuracy; how often A beats B |
//! | `variance` | which seed the variance comes from |
//! | `divergence` | how far interleavings drift apart |
//! | `staleness` | staleness and participation |
//! | `spent` | where time, bytes and energy went |

mod curves;
mod divergence;
mod results;
mod spent;
mod staleness;
mod target;
mod variance;

pub use target::{beats_across, measure};

use super::carbon::Carbon;
use super::figure::quantity::digits;
use super::figure::{Key, Quantity};
use super::page::{Part, Section};
use super::read::Study;
use super::read::study::{Point, short_names};
use super::sheet::Sheet;
use hcddl_core::stats::{Interval, Resampling};

/// A study and what its sections share.
pub(super) struct Cx<'a> {
    study: &'a Study,
    how: Resampling,
    carbon: &'a Carbon,
    /// Before the names of files, where a report has several parts.
    prefix: &'a str,
    sheets: Vec<Sheet>,
}

/// What is measured at evaluations: name, unit, value.
type Measure = (&'static str, Quantity, fn(&Point) -> f64);

const MEASURES: [Measure; 2] =
    [("accuracy", Quantity::Share, |point| point.accuracy), ("loss", Quantity::Plain, |point| point.loss)];

/// Settings that are drawn together: they differ in the last axis only.
struct Facet {
    /// What they have in common; empty when there is one axis.
    label: String,
    /// Colour and position of each setting.
    settings: Vec<(usize, usize)>,
}

/// Levels of an axis that a figure can tell apart.
const COLOURS: usize = 8;
/// Facets that a figure has room for.
const FACETS: usize = 6;
/// Rows that a figure has room for.
const SETTINGS: usize = 24;

/// The part of a report about a study, and the numbers behind it.
#[must_use]
pub fn part(
    study: &Study,
    carbon: &Carbon,
    validity: &[(String, String)],
    prefix: &str,
) -> (Part, Vec<Sheet>) {
    let mut cx = Cx { study, how: Resampling::default(), carbon, prefix, sheets: Vec::new() };
    let mut sections = vec![results::section(&mut cx)];
    let others: [fn(&mut Cx<'_>) -> Option<Section>; 7] = [
        curves::section,
        target::section,
        variance::section,
        divergence::section,
        staleness::section,
        spent::section,
        spent::energy,
    ];
    sections.extend(others.into_iter().filter_map(|section| section(&mut cx)));
    sections.push(super::validity::section(validity));
    let about = study.head.question.clone().unwrap_or_default();
    (Part { title: study.head.name.clone(), about, sections }, cx.sheets)
}

impl Cx<'_> {
    /// What is known of at least one evaluation.
    fn measures(&self) -> Vec<Measure> {
        let known = |y: fn(&Point) -> f64| self.study.curves.iter().flatten().any(|point| !y(point).is_nan());
        MEASURES.into_iter().filter(|(_, _, y)| known(*y)).collect()
    }

    /// Name of a file.
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn sheet(&mut self, sheet: Sheet) {
        self.sheets.push(Sheet { name: self.name(&sheet.name), ..sheet });
    }

    fn label(&self, setting: usize) -> String {
        self.study.settings[setting].label.clone()
    }

    /// Settings with runs.
    fn settings(&self) -> Vec<usize> {
        (0..self.study.settings.len()).filter(|setting| !self.study.of_setting(*setting).is_empty()).collect()
    }

    /// Settings with runs, as many as a figure has room for.
    fn shown(&self, most: usize) -> Vec<usize> {
        self.settings().into_iter().take(most).collect()
    }

    /// Colour of a setting: the level of the last axis.
    fn colour(&self, setting: usize) -> usize {
        self.study.settings[setting].levels.last().copied().unwrap_or(0)
    }

    fn facets(&self) -> Vec<Facet> {
        let mut facets: Vec<Facet> = Vec::new();
        for setting in self.settings() {
            let levels = &self.study.settings[setting].levels;
            let common = &levels[..levels.len().saturating_sub(1)];
            let colour = self.colour(setting);
            if colour >= COLOURS {
                continue;
            }
            let fits =
                |facet: &&mut Facet| self.study.settings[facet.settings[0].1].levels.starts_with(common);
            if let Some(facet) = facets.iter_mut().find(fits) {
                facet.settings.push((colour, setting));
            } else if facets.len() < FACETS {
                let names = short_names(&self.study.head.axes);
                let parts = common
                    .iter()
                    .enumerate()
                    .map(|(i, level)| format!("{} {}", names[i], self.study.head.axes[i].levels[*level]));
                let label = parts.collect::<Vec<_>>().join(", ");
                facets.push(Facet { label, settings: vec![(colour, setting)] });
            }
        }
        facets
    }

    /// What the colours of facets stand for.
    fn keys(&self) -> Vec<Key> {
        let Some(axis) = self.study.head.axes.last() else { return Vec::new() };
        let name = short_names(&self.study.head.axes).pop().unwrap_or_default();
        let key = |(series, level): (usize, &String)| Key { series, label: format!("{name} {level}") };
        axis.levels.iter().take(COLOURS).enumerate().map(key).collect()
    }

    /// What a figure with facets leaves out, as a sentence; empty when nothing.
    fn left_out(&self) -> String {
        let drawn: usize = self.facets().iter().map(|facet| facet.settings.len()).sum();
        let all = self.settings().len();
        if drawn == all {
            String::new()
        } else {
            format!(" {drawn} of {all} settings are drawn; all are in the data.")
        }
    }

    /// What the intervals are, as a sentence.
    fn intervals(&self) -> String {
        let seeds = &self.study.head.seeds;
        let varied: Vec<String> = seeds
            .iter()
            .filter(|(_, seeds)| seeds.len() > 1)
            .map(|(name, seeds)| format!("{} {name}", seeds.len()))
            .collect();
        match varied.len() {
            0 => "There is one run for each setting, so nothing can be said about other seeds.".to_owned(),
            1 => format!("Intervals: 95 %, over {} seeds.", varied[0]),
            _ => format!(
                "Intervals: 95 %, by resampling levels of the crossed seeds ({}), never single runs.",
                varied.join(" x ")
            ),
        }
    }
}

/// `95.1 [94.0, 96.2] %`: all in one unit.
fn with_interval(quantity: Quantity, value: f64, interval: Option<Interval>) -> String {
    let Some(Interval { low, high }) = interval else { return quantity.text(value) };
    if value.is_infinite() {
        return if low.is_finite() {
            format!("not reached [{}, ∞]", quantity.text(low))
        } else {
            quantity.text(value)
        };
    }
    let (unit, size) = quantity.unit(value);
    let number = |value: f64| match value / size {
        value if value.is_infinite() => "∞".to_owned(),
        value if quantity == Quantity::Share => format!("{value:.1}"),
        value => digits(value),
    };
    format!("{} [{}, {}] {unit}", number(value), number(low), number(high)).trim_end().to_owned()
}
