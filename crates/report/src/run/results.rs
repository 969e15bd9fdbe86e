//! How a run ended, and its learning curves.

use super::super::figure::{Axis, Mark, Panel, Plot, Quantity};
use super::super::page::{Block, Section};
use super::super::sheet::Sheet;
use super::Cx;
use hcddl_core::error::UserError;

pub(super) fn section(cx: &mut Cx<'_>) -> Result<Section, UserError> {
    let mut section = Section::new("Results");
    section.blocks.push(Block::Facts(facts(cx)));
    let mut panels = Vec::new();
    for (x, label, quantity) in
        [("virtual_time_s", cx.run.time_label(), Quantity::Seconds), ("version", "commits", Quantity::Count)]
    {
        for (y, name, of) in [("accuracy", "accuracy", Quantity::Share), ("loss", "loss", Quantity::Plain)] {
            let points = cx.run.curve(x, y)?;
            if points.len() > 1 {
                panels.push(Panel {
                    title: String::new(),
                    x: Axis::from_zero(label, quantity),
                    y: Axis { log: y == "loss", ..Axis::fitted(name, of) },
                    marks: vec![Mark::Line(0, points)],
                });
            }
        }
    }
    if !panels.is_empty() {
        let columns = panels.len().div_ceil(2);
        let time = cx.run.time_label();
        let title = format!("accuracy and loss against {time} and commits");
        let drawing = Plot { title, panels, columns, keys: Vec::new(), height: 210.0 }.draw();
        let caption = format!(
            "Test accuracy and loss of the root's model (peers: of their mean), against {time} and against commits."
        );
        section.figure(&cx.name("curves"), drawing, caption);
    }
    cx.sheet(Sheet::of_csv("metrics", &cx.run.metrics));
    Ok(section)
}

fn facts(cx: &Cx<'_>) -> Vec<(String, String)> {
    let summary = &cx.run.summary;
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut say = |subject: &str, text: String| facts.push((subject.to_owned(), text));
    if let Some(accuracy) = summary.accuracy {
        say("final accuracy", Quantity::Share.text(accuracy));
    }
    if let Some(loss) = summary.loss {
        say("final loss", Quantity::Plain.text(loss));
    }
    if let Some(time) = summary.time_to_target_s {
        say("time to target", Quantity::Seconds.text(time));
    }
    say(
        "time",
        format!(
            "{} of {} time",
            Quantity::Seconds.text(summary.virtual_time_s),
            if cx.run.deployed { "real" } else { "virtual" }
        ),
    );
    let count = |count: u64| Quantity::Count.text(count as f64);
    say("commits", format!("{} from {} client fits", count(summary.commits), count(summary.client_fits)));
    let stale = &summary.staleness;
    say(
        "staleness",
        format!("{:.2} on average, 99 % at most {}, largest {}", stale.mean, stale.p99, stale.max),
    );
    let dropped: u64 = summary.dropped_updates.values().sum();
    if dropped + summary.lost_updates > 0 {
        say(
            "updates not used",
            format!("{} dropped by a policy, {} lost", count(dropped), count(summary.lost_updates)),
        );
    }
    let bytes = |bytes: u64| Quantity::Bytes.text(bytes as f64);
    say("traffic", format!("{} up, {} down", bytes(summary.bytes_up), bytes(summary.bytes_down)));
    let [data, init, interleaving] = summary.seeds;
    say("seeds", format!("data {data}, init {init}, interleaving {interleaving}"));
    say("digests", format!("trace {}, weights {}", summary.trace_digest, summary.weight_digest));
    if let Some(repeat) = cx.run.repeat["repeat"].as_str() {
        say("repeat it", repeat.to_owned());
    }
    facts
}
