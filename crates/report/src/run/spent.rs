//! Traffic, energy and carbon of a run.

use super::super::figure::{Axis, Quantity, Row, RowMark, Rows};
use super::super::page::Section;
use super::super::read::run::Measured;
use super::super::sheet::Sheet;
use super::Cx;
use std::collections::BTreeMap;

/// Hosts that a figure has room for.
const HOSTS: usize = 32;
/// Hosts that a sentence names.
const NAMED: usize = 6;

fn bars(title: &str, x: Axis, of: &[(String, f64, String)]) -> Rows {
    let rows = of.iter().map(|(label, value, note)| Row {
        label: label.clone(),
        marks: vec![RowMark::Bars(0, vec![(0.0, *value)])],
        note: note.clone(),
    });
    Rows { title: title.to_owned(), x, rows: rows.collect(), keys: Vec::new(), thickness: 15.0 }
}

pub(super) fn traffic(cx: &mut Cx<'_>) -> Option<Section> {
    let tiers = &cx.run.summary.bytes_by_tier;
    if tiers.is_empty() {
        return None;
    }
    let mut section = Section::new("Traffic");
    let of: Vec<_> = tiers
        .iter()
        .map(|(tier, bytes)| (tier.clone(), *bytes as f64, Quantity::Bytes.text(*bytes as f64)))
        .collect();
    let drawing = bars("bytes by tier of links", Axis::from_zero("bytes sent", Quantity::Bytes), &of).draw();
    let messages = Quantity::Count.text(cx.run.summary.messages as f64);
    let caption = format!(
        "Bytes sent by tier of links (depth 1 ends at the root; up is towards it), in {messages} messages."
    );
    section.figure(&cx.name("traffic"), drawing, caption);
    let sheet = Sheet::new("traffic").text("tier", tiers.keys().cloned());
    cx.sheet(sheet.float("bytes", of.iter().map(|row| row.1)));
    Some(section)
}

/// Where the energy of a deployed run is from, in words.
fn measured(measured: &Measured) -> String {
    if let Some(meter) = &measured.meter {
        let (file, covered) = (&meter.file, Quantity::Seconds.text(meter.covered_s));
        return format!("Measured by a meter, {file}, whose readings cover {covered} of the run.");
    }
    let hosts = &measured.hosts;
    let mut of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    if let (Some(host), Some(source)) = (hosts.find("host"), hosts.find("source")) {
        hosts.rows.iter().for_each(|row| of.entry(&row[source]).or_default().push(&row[host]));
    }
    let sentences = of.into_iter().map(|(source, hosts)| {
        let how = match source {
            "hwmon" => "measured by the sensors of their boards (hwmon)",
            "battery" => "measured by what their batteries gave",
            "rapl" => "measured by the counters of their processors (RAPL), which leave out all but the processor packages",
            _ => "not measured but estimated: what the scenario's devices would have drawn for this time and these jobs",
        };
        let some: Vec<&str> = hosts.iter().take(NAMED).copied().collect();
        let more = hosts.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}: {how}.", some.join(", "))
    });
    let sentences: Vec<String> = sentences.collect();
    sentences.join(" ") + " `hcddl report --meter FILE` takes readings of a meter instead."
}

pub(super) fn energy(cx: &mut Cx<'_>) -> Option<Section> {
    let summary = &cx.run.summary;
    if summary.energy_j <= 0.0 {
        return None;
    }
    let mut section = Section::new("Energy and carbon");
    if cx.run.deployed {
        section.text(format!(
            "{} in all: {} of CO2. {}",
            Quantity::Joules.text(summary.energy_j),
            cx.carbon.text(summary.energy_j),
            cx.carbon.assumption()
        ));
        section.text(measured(&cx.run.measured));
    } else {
        section.text(format!(
            "{} in all, {} of it above idle: {} of CO2, {} above idle. {}",
            Quantity::Joules.text(summary.energy_j),
            Quantity::Joules.text(summary.energy_marginal_j),
            cx.carbon.text(summary.energy_j),
            cx.carbon.text(summary.energy_marginal_j),
            cx.carbon.assumption()
        ));
    }
    let hosts = &summary.energy_by_host_j;
    let of: Vec<_> = hosts
        .iter()
        .take(HOSTS)
        .map(|(host, joules)| (host.clone(), *joules, format!("{} CO2", cx.carbon.text(*joules))))
        .collect();
    if !of.is_empty() {
        let drawing = bars("energy of each host", Axis::from_zero("energy", Quantity::Joules), &of).draw();
        let all = hosts.len();
        let more = if all > HOSTS {
            format!(" The first {HOSTS} of {all} hosts; all are in the data.")
        } else {
            String::new()
        };
        section.figure(&cx.name("energy"), drawing, format!("Energy of each host, idle included.{more}"));
        let sheet = Sheet::new("energy").text("host", hosts.keys().cloned());
        cx.sheet(sheet.float("energy_j", hosts.values().copied()));
    }
    Some(section)
}
