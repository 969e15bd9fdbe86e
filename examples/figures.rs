//! Draws the README's figures from real runs: `cargo run --release --example figures` rewrites docs/img/*.svg.
//!
//! Also an example of an [`Observer`]: it sees every commit, evaluation, computation and transfer of a run.

use hcddl::measure::outcome::{
    CommitRow, EvaluationRow, Observer, Progress, SimOptions, SpanKind, Summary, TimelineSpan,
};
use hcddl::{Registry, SimulateError};
use std::fmt::Write;

/// Keeps what the figures show.
#[derive(Default)]
struct Seen {
    evaluations: Vec<EvaluationRow>,
    spans: Vec<TimelineSpan>,
}

impl Observer for Seen {
    fn commit(&mut self, _: &CommitRow) {}
    fn evaluation(&mut self, row: &EvaluationRow) {
        self.evaluations.push(row.clone());
    }
    fn span(&mut self, span: &TimelineSpan) {
        self.spans.push(span.clone());
    }
    fn progress(&mut self, _: &Progress) {}
}

/// What is compared: label, policy, the server's learning rate, commits between evaluations, colour.
const RUNS: [(&str, &str, f64, u64, &str); 5] = [
    ("sync: waits for all eight", "sync", 0.5, 1, "#c0392b"),
    ("sync, backup 1: waits for seven", "{name: sync, backup: 1}", 0.5, 1, "#1f77b4"),
    ("k_async(4): commits every four", "k_async(4)", 0.5, 2, "#2a8c4a"),
    ("ssp(3): at most three steps ahead", "ssp(3)", 0.1, 8, "#8e44ad"),
    ("async: waits for nobody", "async", 0.1, 8, "#d98200"),
];

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/straggler.yml");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/img/");

fn run(policy: &str, lr: f64, every: u64) -> Result<(Seen, Summary), SimulateError> {
    let sets = [
        format!("tiers.global.policy={policy}"),
        format!("tiers.global.optimizer=sgd({lr})"),
        format!("evaluation.every={every}"),
        "devices.slowdown.worker8=50".to_owned(),
        "training.rounds=null".to_owned(),
        "training.target_accuracy=null".to_owned(),
        "training.max_time=300ms".to_owned(),
    ];
    let sets = sets.each_ref().map(String::as_str);
    let mut seen = Seen::default();
    let result = hcddl::simulate(SCENARIO, &sets, &Registry::default(), &SimOptions::default(), &mut seen)?;
    Ok((seen, result.summary))
}

/// A card with its own background, so that it reads on a dark page as on a light one.
fn card(width: u32, height: u32, title: &str, inside: &str) -> String {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' \
         font-family='Helvetica, Arial, sans-serif' font-size='13' fill='#222'>\n\
         <rect width='{width}' height='{height}' rx='8' fill='#fbfbf8' stroke='#d5d5d0'/>\n\
         <text x='20' y='28' font-size='15' font-weight='bold'>{title}</text>\n{inside}</svg>\n"
    )
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64, colour: &str) -> String {
    format!("<line x1='{x1:.1}' y1='{y1:.1}' x2='{x2:.1}' y2='{y2:.1}' stroke='{colour}'/>\n")
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    format!("<text x='{x:.1}' y='{y:.1}' text-anchor='{anchor}'>{words}</text>\n")
}

fn accuracy() -> Result<String, SimulateError> {
    let x = |seconds: f64| 60.0 + seconds / 0.3 * 660.0;
    let y = |accuracy: f64| 330.0 - accuracy * 280.0;
    let mut svg = String::new();
    for tenth in [0, 2, 4, 6, 8, 10] {
        let value = f64::from(tenth) / 10.0;
        svg += &line(x(0.0), y(value), x(0.3), y(value), "#e3e3de");
        svg += &text(52.0, y(value) + 4.0, "end", &format!("{value:.1}"));
    }
    for ms in [0, 50, 100, 150, 200, 250, 300] {
        svg += &text(x(f64::from(ms) / 1e3), 350.0, "middle", &format!("{ms} ms"));
    }
    svg += &text(390.0, 372.0, "middle", "virtual time");
    for (i, (label, policy, lr, every, colour)) in RUNS.iter().enumerate() {
        let (seen, summary) = run(policy, *lr, *every)?;
        let mut points = String::new();
        for row in &seen.evaluations {
            let at = row.at.0 as f64 / 1e9;
            let _ = write!(points, "{:.1},{:.1} ", x(at), y(row.values["accuracy"]));
        }
        let _ = writeln!(svg, "<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>");
        let at = 200.0 + 22.0 * i as f64;
        let _ = writeln!(svg, "<rect x='400' y='{}' width='22' height='4' fill='{colour}'/>", at - 6.0);
        svg += &text(430.0, at, "start", &format!("{label} ({} commits)", summary.commits));
    }
    Ok(card(760, 390, "Test accuracy on the digits; one worker of eight is fifty times slower", &svg))
}

fn timeline() -> Result<String, SimulateError> {
    const UNTIL: f64 = 0.018;
    let x = |seconds: f64| 80.0 + seconds / UNTIL * 650.0;
    let mut svg = String::new();
    for (panel, (label, policy, lr, every, _)) in [RUNS[0], RUNS[4]].into_iter().enumerate() {
        let top = 70.0 + 215.0 * panel as f64;
        svg += &text(80.0, top - 14.0, "start", label);
        for node in 0..9u32 {
            let name = if node == 0 { "global".to_owned() } else { format!("worker{node}") };
            let at = top + 20.0 * f64::from(node);
            svg += &text(72.0, at + 11.0, "end", &name);
            svg += &line(x(0.0), at + 14.5, x(UNTIL), at + 14.5, "#e3e3de");
        }
        for span in run(policy, lr, every)?.0.spans {
            let (start, end) = (span.start.0 as f64 / 1e9, (span.end.0 as f64 / 1e9).min(UNTIL));
            let (colour, height) = match span.kind {
                SpanKind::Compute => ("#1f77b4", 11),
                SpanKind::Send => ("#e59866", 4),
                SpanKind::Down => ("#999999", 11),
            };
            if start < UNTIL {
                let (left, width) = (x(start), (x(end) - x(start)).max(0.6));
                let at = top + 20.0 * f64::from(span.node.0) + f64::from(12 - height);
                let _ = writeln!(
                    svg,
                    "<rect x='{left:.1}' y='{at:.1}' width='{width:.1}' height='{height}' fill='{colour}'/>"
                );
            }
        }
    }
    for ms in [0, 6, 12, 18] {
        svg += &text(x(f64::from(ms) / 1e3), 488.0, "middle", &format!("{ms} ms"));
    }
    svg += "<rect x='560' y='18' width='14' height='11' fill='#1f77b4'/>\n";
    svg += &text(580.0, 28.0, "start", "computes");
    svg += "<rect x='656' y='22' width='14' height='4' fill='#e59866'/>\n";
    svg += &text(676.0, 28.0, "start", "sends");
    Ok(card(760, 505, "The first 18 ms of two of these runs", &svg))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(FOLDER)?;
    std::fs::write(format!("{FOLDER}accuracy.svg"), accuracy()?)?;
    std::fs::write(format!("{FOLDER}timeline.svg"), timeline()?)?;
    Ok(())
}
