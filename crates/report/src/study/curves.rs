//! Accuracy and loss against virtual time, updates, bytes and energy, with bands over seeds.

use super::super::figure::{Axis, Mark, Panel, Plot, Quantity};
use super::super::page::Section;
use super::super::read::study::Point;
use super::super::sheet::Sheet;
use super::Cx;
use hcddl_core::stats::quantile::{quantile, sorted};

/// What a curve is drawn against.
struct Against {
    file: &'static str,
    label: &'static str,
    quantity: Quantity,
    of: fn(&Point) -> f64,
}

const AGAINST: [Against; 4] = [
    Against { file: "time", label: "virtual time", quantity: Quantity::Seconds, of: |point| point.time },
    Against { file: "updates", label: "client fits", quantity: Quantity::Count, of: |point| point.updates },
    Against { file: "bytes", label: "bytes sent", quantity: Quantity::Bytes, of: |point| point.bytes },
    Against { file: "energy", label: "energy", quantity: Quantity::Joules, of: |point| point.energy },
];

/// Positions at which curves are sampled.
const SAMPLES: usize = 100;

/// Median and 5th to 95th percentile over runs.
struct Sampled {
    x: Vec<f64>,
    median: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
}

pub(super) fn section(cx: &mut Cx<'_>) -> Option<Section> {
    let known = |y: fn(&Point) -> f64| cx.study.curves.iter().flatten().any(|point| !y(point).is_nan());
    let ys = cx.measures();
    if ys.is_empty() {
        return None;
    }
    let mut section = Section::new("Learning curves");
    section.text(format!(
        "Lines are medians over the runs of a setting, bands reach from the 5th to the 95th percentile. A run counts \
         with the last model that it had evaluated, and after its end with its final one.{}",
        cx.left_out()
    ));
    let mut sheet = Columns::default();
    for against in &AGAINST {
        if !known(against.of) {
            continue;
        }
        let mut panels = Vec::new();
        for facet in cx.facets() {
            for (name, quantity, y) in &ys {
                let mut marks = (Vec::new(), Vec::new());
                for (colour, setting) in &facet.settings {
                    let sampled = sample(cx, *setting, against.of, *y);
                    sheet.add(&cx.label(*setting), against.label, name, &sampled);
                    let band = (0..sampled.x.len()).map(|i| (sampled.x[i], sampled.low[i], sampled.high[i]));
                    marks.0.push(Mark::StepBand(*colour, band.collect()));
                    let line = sampled.x.iter().copied().zip(sampled.median.iter().copied());
                    marks.1.push(Mark::Steps(*colour, line.collect()));
                }
                marks.0.extend(marks.1);
                if let (true, Some(target)) = (*name == "accuracy", cx.study.head.target_accuracy) {
                    marks.0.push(Mark::Level(target, "target".to_owned()));
                }
                let log = *name == "loss";
                let title =
                    if facet.label.is_empty() { String::new() } else { format!("{name}: {}", facet.label) };
                panels.push(Panel {
                    title,
                    x: Axis::from_zero(against.label, against.quantity),
                    y: Axis { log, ..Axis::fitted(name, *quantity) },
                    marks: marks.0,
                });
            }
        }
        let title =
            format!("{} against {}", ys.iter().map(|y| y.0).collect::<Vec<_>>().join(" and "), against.label);
        let plot = Plot { title: title.clone(), panels, columns: ys.len(), keys: cx.keys(), height: 230.0 };
        let name = cx.name(&format!("curves-{}", against.file));
        section.figure(&name, plot.draw(), caption(cx, against, &title));
    }
    cx.sheet(sheet.sheet());
    Some(section)
}

/// The title, and which setting ends best.
fn caption(cx: &Cx<'_>, against: &Against, title: &str) -> String {
    let mut title = title.to_owned();
    title[..1].make_ascii_uppercase();
    if against.file != "time" {
        return format!(
            "{title}. The same runs as above. Line: median; band: 5th to 95th percentile of the runs."
        );
    }
    let finals = cx.settings().into_iter().filter_map(|setting| {
        let values = sorted(cx.study.values(&cx.study.of_setting(setting), "accuracy"));
        Some((setting, quantile(&values, 0.5)?))
    });
    let best = finals.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
    let title =
        format!("{title}. Line: median; band: 5th to 95th percentile of the runs, no confidence interval");
    best.filter(|_| cx.settings().len() > 1).map_or(format!("{title}."), |(setting, accuracy)| {
        let accuracy = Quantity::Share.text(accuracy);
        format!(
            "{title}. The highest median of final accuracies, {accuracy}, is that of {}.",
            cx.label(setting)
        )
    })
}

fn sample(cx: &Cx<'_>, setting: usize, x: fn(&Point) -> f64, y: fn(&Point) -> f64) -> Sampled {
    let curves: Vec<Vec<(f64, f64)>> = cx
        .study
        .of_setting(setting)
        .iter()
        .map(|run| {
            cx.study.curves[*run].iter().map(|point| (x(point), y(point))).filter(|p| !p.1.is_nan()).collect()
        })
        .filter(|curve: &Vec<_>| !curve.is_empty())
        .collect();
    let end = curves.iter().filter_map(|curve| curve.last()).map(|point| point.0).fold(0.0, f64::max);
    let mut sampled = Sampled { x: Vec::new(), median: Vec::new(), low: Vec::new(), high: Vec::new() };
    for i in 0..=SAMPLES {
        let at = end * i as f64 / SAMPLES as f64;
        let last = |curve: &Vec<(f64, f64)>| {
            let later = curve.partition_point(|point| point.0 <= at);
            (later > 0).then(|| curve[later - 1].1)
        };
        let values = sorted(curves.iter().filter_map(last));
        // Where most runs have no value yet a median would be one of the fast ones only.
        if values.len() * 2 <= curves.len() {
            continue;
        }
        let at_p = |p| quantile(&values, p).unwrap_or(f64::NAN);
        sampled.x.push(at);
        sampled.median.push(at_p(0.5));
        sampled.low.push(at_p(0.05));
        sampled.high.push(at_p(0.95));
    }
    sampled
}

/// The sampled curves as a long table.
#[derive(Default)]
struct Columns {
    words: [Vec<String>; 3],
    numbers: [Vec<f64>; 4],
}

impl Columns {
    fn add(&mut self, setting: &str, against: &str, y: &str, sampled: &Sampled) {
        let Sampled { x, median, low, high } = sampled;
        for (column, word) in self.words.iter_mut().zip([setting, against, y]) {
            column.extend(std::iter::repeat_n(word.to_owned(), x.len()));
        }
        for (column, values) in self.numbers.iter_mut().zip([x, median, low, high]) {
            column.extend(values);
        }
    }

    fn sheet(self) -> Sheet {
        let ([setting, against, y], [x, median, low, high]) = (self.words, self.numbers);
        let sheet = Sheet::new("curves").text("setting", setting).text("against", against).float("x", x);
        sheet.text("metric", y).float("median", median).float("p5", low).float("p95", high)
    }
}
