//! Time to accuracy with censored runs, and how often one setting beats another.

use super::super::figure::matrix::Matrix;
use super::super::figure::{Axis, Mark, Panel, Plot, Quantity, Row, RowMark, Rows};
use super::super::page::Section;
use super::super::read::Study;
use super::super::sheet::Sheet;
use super::{Cx, SETTINGS, with_interval};
use hcddl_core::stats::kaplan_meier::{Curve, Outcome, crossed_band, crossed_quantile};
use hcddl_core::stats::paired::{self, Paired, cheaper, larger};
use hcddl_core::stats::quantile::sorted;
use hcddl_core::stats::{Interval, Resampling};

/// Settings that are compared with each other in a figure.
const COMPARED: usize = 12;

/// Positions of a band.
const POSITIONS: usize = 60;

pub(super) fn section(cx: &mut Cx<'_>) -> Option<Section> {
    let mut section = Section::new(if cx.study.has_target() { "Time to accuracy" } else { "Comparison" });
    if cx.study.has_target() {
        distribution(cx, &mut section);
        summary(cx, &mut section);
    }
    comparison(cx, &mut section);
    (!section.blocks.is_empty()).then_some(section)
}

/// Runs of a setting: when each reached the target, or its end.
fn outcomes(cx: &Cx<'_>, setting: usize) -> Vec<Outcome> {
    cx.study.of_setting(setting).iter().map(|run| cx.study.runs[*run].outcome()).collect()
}

fn distribution(cx: &Cx<'_>, section: &mut Section) {
    let mut panels = Vec::new();
    for facet in cx.facets() {
        let (mut bands, mut lines) = (Vec::new(), Vec::new());
        for (colour, setting) in &facet.settings {
            let outcomes = outcomes(cx, *setting);
            let curve = Curve::of(&outcomes, cx.how.confidence).trusted();
            bands.push(Mark::StepBand(*colour, band(cx, *setting, &outcomes, &curve)));
            let end = told_until(&outcomes);
            let mut line = vec![(0.0, 0.0)];
            line.extend(curve.steps.iter().map(|step| (step.cost, 1.0 - step.survival)));
            line.push((end, curve.reached()));
            let share =
                |cost: f64| line.iter().rev().find(|point| point.0 <= cost).map_or(0.0, |point| point.1);
            lines.push(Mark::Ticks(
                *colour,
                curve.censored.iter().map(|cost| (*cost, share(*cost))).collect(),
            ));
            lines.push(Mark::Steps(*colour, line));
        }
        bands.extend(lines);
        panels.push(Panel {
            title: facet.label.clone(),
            x: Axis::from_zero("virtual time", Quantity::Seconds),
            y: Axis::from_zero("runs that reached the target", Quantity::Share).between(0.0, 1.0),
            marks: bands,
        });
    }
    let columns = panels.len().min(2);
    let title = "share of the runs that have reached the target accuracy".to_owned();
    let height = if columns == 1 { 300.0 } else { 240.0 };
    let plot = Plot { title, panels, columns, keys: cx.keys(), height };
    let target = cx.study.head.target_accuracy.map_or(String::new(), |target| Quantity::Share.text(target));
    let caption = format!(
        "Share of the runs that have reached an accuracy of {target} by a virtual time (Kaplan-Meier). A small stroke \
         is a run that ended without it: it counts as one that takes longer, and is never dropped. A curve says nothing \
         more where runs have ended without it and less than a fifth is still under way. Bands: 95 %, at each time.{}",
        cx.left_out()
    );
    section.figure(&cx.name("time-to-target"), plot.draw(), caption);
}

/// Where a curve ends: with the last run, or where less than a fifth is under way and others ended without the target.
fn told_until(outcomes: &[Outcome]) -> f64 {
    let costs = sorted(outcomes.iter().map(|outcome| outcome.cost));
    let all = outcomes.iter().all(|outcome| outcome.reached);
    let last = if all { costs.len() } else { (0.8 * costs.len() as f64).ceil() as usize + 1 };
    costs.get(last.clamp(1, costs.len()) - 1).copied().unwrap_or(0.0)
}

/// The band of the share that has reached the target.
fn band(cx: &Cx<'_>, setting: usize, outcomes: &[Outcome], curve: &Curve) -> Vec<(f64, f64, f64)> {
    let design = cx.study.design(&cx.study.of_setting(setting));
    if design.independent() {
        return curve
            .steps
            .iter()
            .map(|step| (step.cost, 1.0 - step.band.high, 1.0 - step.band.low))
            .collect();
    }
    let every = curve.steps.len().div_ceil(POSITIONS).max(1);
    let costs: Vec<f64> = curve.steps.iter().step_by(every).map(|step| step.cost).collect();
    let how = Resampling { repetitions: 500, ..cx.how };
    let bands = crossed_band(outcomes, &design, &costs, &how).unwrap_or_default();
    costs.into_iter().zip(bands).map(|(cost, band)| (cost, 1.0 - band.high, 1.0 - band.low)).collect()
}

/// Time to the target of the runs of a setting.
struct Times {
    setting: usize,
    runs: usize,
    reached: usize,
    /// At 5, 25, 50, 75 and 95 %.
    quantiles: [f64; 5],
    interval: Option<Interval>,
}

const SHARES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

impl Times {
    fn of(cx: &Cx<'_>, setting: usize) -> Self {
        let outcomes = outcomes(cx, setting);
        let curve = Curve::of(&outcomes, cx.how.confidence).trusted();
        Self {
            setting,
            runs: outcomes.len(),
            reached: outcomes.iter().filter(|outcome| outcome.reached).count(),
            quantiles: SHARES.map(|p| curve.quantile(p).unwrap_or(f64::INFINITY)),
            interval: median_interval(cx, setting, &outcomes, &curve),
        }
    }

    /// A quantile in words; marked where fewer runs than that reached the target, so that the estimate takes those
    /// that ended to go on like the others.
    fn text(&self, at: usize, interval: Option<Interval>) -> String {
        let value = self.quantiles[at];
        let assumed = value.is_finite() && (self.reached as f64) < SHARES[at] * self.runs as f64;
        format!("{}{}", if assumed { "≈ " } else { "" }, with_interval(Quantity::Seconds, value, interval))
    }
}

fn summary(cx: &mut Cx<'_>, section: &mut Section) {
    let all: Vec<Times> = cx.settings().into_iter().map(|setting| Times::of(cx, setting)).collect();
    let rows = all.iter().take(SETTINGS).map(|times| {
        let colour = cx.colour(times.setting);
        let interval = times.interval.map(|interval| (interval.low, interval.high));
        let marks =
            vec![RowMark::Box(colour, times.quantiles), RowMark::Dot(colour, times.quantiles[2], interval)];
        Row { label: cx.label(times.setting), marks, note: times.text(2, None) }
    });
    let title = "time to the target accuracy for each setting".to_owned();
    // Settings that differ by orders of magnitude need an axis of ratios.
    let finite =
        || all.iter().flat_map(|times| times.quantiles).filter(|time| time.is_finite() && *time > 0.0);
    let log = finite().fold(0.0, f64::max) > 20.0 * finite().fold(f64::INFINITY, f64::min);
    let linear = Axis::from_zero("time to target", Quantity::Seconds);
    let x = if log { Axis { log, ..Axis::fitted("time to target", Quantity::Seconds) } } else { linear };
    let drawing = Rows { title, x, rows: rows.collect(), keys: Vec::new(), thickness: 14.0 }.draw();
    let caption = format!(
        "Time to the target. Box: quartiles and median; whiskers: 5th to 95th percentile, up to the right end where \
         too few runs reached it. Below it, the dot is the median with its interval; its value is at the right. {}",
        cx.intervals()
    );
    section.figure(&cx.name("time-to-target-settings"), drawing, caption);
    let row = |times: &Times| {
        let mut row = vec![cx.label(times.setting), format!("{} of {}", times.reached, times.runs)];
        row.push(times.text(2, times.interval));
        row.extend([1, 3, 0, 4].map(|at| times.text(at, None)));
        row
    };
    section.table(
        "Time to the target accuracy. ≈: fewer runs than that really reached it; the estimate takes the runs that ended \
         without it to go on like the others.",
        &["setting", "reached", "median [95 %]", "first quartile", "third quartile", "5th percentile", "95th percentile"],
        1,
        all.iter().map(row).collect(),
    );
    let end =
        |which: fn(Interval) -> f64| all.iter().map(move |times| times.interval.map_or(f64::NAN, which));
    let mut sheet = Sheet::new("time-to-target")
        .text("setting", all.iter().map(|times| cx.label(times.setting)))
        .float("runs", all.iter().map(|times| times.runs as f64))
        .float("reached", all.iter().map(|times| times.reached as f64));
    for (at, name) in ["p5_s", "q1_s", "median_s", "q3_s", "p95_s"].into_iter().enumerate() {
        sheet = sheet.float(name, all.iter().map(|times| times.quantiles[at]));
    }
    sheet = sheet.float("median_low_s", end(|ends| ends.low)).float("median_high_s", end(|ends| ends.high));
    cx.sheet(sheet);
}

fn median_interval(cx: &Cx<'_>, setting: usize, outcomes: &[Outcome], curve: &Curve) -> Option<Interval> {
    let design = cx.study.design(&cx.study.of_setting(setting));
    if design.fewest().is_some() && design.independent() {
        return Some(curve.quantile_interval(0.5));
    }
    crossed_quantile(outcomes, &design, 0.5, &cx.how)
}

/// How often a setting beats another one, run by run with the same seeds.
fn beats(study: &Study, (a, b): (usize, usize), how: &Resampling) -> Option<Paired> {
    beats_across(study, study, &study.pairs(a, b), how)
}

/// How often runs of A beat their pairs of B.
#[must_use]
pub fn beats_across(a: &Study, b: &Study, pairs: &[(usize, usize)], how: &Resampling) -> Option<Paired> {
    let score = |(of_a, of_b): &(usize, usize)| {
        let (x, y) = (&a.runs[*of_a], &b.runs[*of_b]);
        if a.has_target() {
            cheaper(x.outcome(), y.outcome())
        } else if a.head.timing_only {
            larger(y.value("virtual_time_s"), x.value("virtual_time_s"))
        } else {
            larger(x.value("accuracy"), y.value("accuracy"))
        }
    };
    let scores: Vec<f64> = pairs.iter().map(score).collect();
    let design = a.design(&pairs.iter().map(|pair| pair.0).collect::<Vec<_>>());
    paired::probability(&scores, &design, how)
}

/// What [`beats_across`] compares, as the end of a sentence.
#[must_use]
pub fn measure(study: &Study) -> &'static str {
    if study.has_target() {
        "reaches the target earlier"
    } else if study.head.timing_only {
        "takes less virtual time"
    } else {
        "has the higher final accuracy"
    }
}

fn comparison(cx: &mut Cx<'_>, section: &mut Section) {
    let settings = cx.shown(COMPARED);
    if settings.len() < 2 {
        return;
    }
    let how = Resampling { repetitions: 1000, ..cx.how };
    let mut pairs = (Vec::new(), Vec::new(), Vec::<[f64; 3]>::new());
    let mut cells = vec![vec![None; settings.len()]; settings.len()];
    for (i, a) in settings.iter().enumerate() {
        for (j, b) in settings.iter().enumerate().filter(|(j, _)| *j != i) {
            let Some(paired) = beats(cx.study, (*a, *b), &how) else { continue };
            let ends = paired.interval.map_or([f64::NAN; 2], |interval| [interval.low, interval.high]);
            let below =
                paired.interval.map_or(String::new(), |ends| format!("{:.2} – {:.2}", ends.low, ends.high));
            cells[i][j] = Some((paired.mean, below));
            pairs.0.push(cx.label(*a));
            pairs.1.push(cx.label(*b));
            pairs.2.push([paired.mean, ends[0], ends[1]]);
        }
    }
    let what = measure(cx.study);
    let labels = settings.iter().map(|setting| cx.label(*setting)).collect();
    let drawing = Matrix { title: format!("probability that a setting {what}"), labels, cells }.draw();
    let all = cx.settings().len();
    let more =
        if all > COMPARED { format!(" The first {COMPARED} of {all} settings.") } else { String::new() };
    let caption = format!(
        "Probability that the row's setting {what} than the column's, pair by pair with the same seeds; below it the \
         interval. 0.5 is undecided; ties, and pairs of which censored times cannot tell, count half.{more}"
    );
    section.figure(&cx.name("a-beats-b"), drawing, caption);
    let sheet = Sheet::new("a-beats-b").text("a", pairs.0).text("b", pairs.1);
    let column = |i: usize| pairs.2.iter().map(move |row| row[i]);
    cx.sheet(sheet.float("probability", column(0)).float("low", column(1)).float("high", column(2)));
}
