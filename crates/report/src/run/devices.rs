//! What is known of the devices of a deployed run: how well their clocks are known, how busy their processors were, what
//! crossed each link.

use super::super::figure::Quantity;
use super::super::page::Section;
use super::super::read::csv::Csv;
use super::super::sheet::Sheet;
use super::Cx;

/// Rows of a table that a page has room for.
const ROWS: usize = 64;

/// A field as a number; `None` of an empty one, or one that is none.
fn number(csv: &Csv, row: usize, column: &str) -> Option<f64> {
    csv.rows[row][csv.find(column)?].parse().ok()
}

fn word(csv: &Csv, row: usize, column: &str) -> String {
    csv.find(column).map_or(String::new(), |column| csv.rows[row][column].clone())
}

fn shown(quantity: Quantity, value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| quantity.text(value))
}

pub(super) fn section(cx: &mut Cx<'_>) -> Option<Section> {
    let measured = &cx.run.measured;
    if measured.clocks.rows.is_empty() && measured.nodes.rows.is_empty() {
        return None;
    }
    let mut section = Section::new("Devices and links");
    if !measured.clocks.rows.is_empty() {
        section.text(clocks(&measured.clocks));
    }
    nodes(&measured.nodes, &measured.clocks, &mut section);
    links(&measured.links, cx.run.summary.virtual_time_s, &mut section);
    for (name, csv) in [("nodes", &measured.nodes), ("links", &measured.links), ("clocks", &measured.clocks)]
    {
        if !csv.rows.is_empty() {
            let sheet = Sheet::of_csv(name, csv);
            cx.sheets.push(Sheet { name: format!("{}{}", cx.prefix, sheet.name), ..sheet });
        }
    }
    Some(section)
}

/// How well all clocks are known, in words.
fn clocks(csv: &Csv) -> String {
    let known: Vec<f64> = (0..csv.rows.len()).filter_map(|row| number(csv, row, "uncertainty_s")).collect();
    let worst = known.iter().copied().fold(0.0, f64::max);
    let unknown = csv.rows.len() - known.len();
    let mut text = format!(
        "Moments of all nodes are on one clock, that of the root. Differences of clocks are read from messages there and \
         back, the fastest of each few seconds: a moment of another node can be wrong by {} at most, half of the fastest \
         round trip, if both ways are not alike.",
        Quantity::Seconds.text(worst)
    );
    if unknown > 0 {
        text += &format!(
            " {unknown} clocks are known by the dates of their hosts alone, since no message went there and back."
        );
    }
    text
}

fn nodes(csv: &Csv, clocks: &Csv, section: &mut Section) {
    let uncertainty = |name: &str| {
        let own = (0..clocks.rows.len()).filter(|row| word(clocks, *row, "node") == name);
        own.filter_map(|row| number(clocks, row, "uncertainty_s")).reduce(f64::max)
    };
    let percent = |value: Option<f64>| shown(Quantity::Share, value.map(|value| value / 100.0));
    let row = |row: usize| {
        let name = word(csv, row, "node");
        let clock = uncertainty(&name)
            .map_or("–".to_owned(), |value| format!("± {}", Quantity::Seconds.text(value)));
        let seconds = number(csv, row, "seconds");
        let computing = number(csv, row, "compute_s").zip(seconds).map(|(part, all)| part / all.max(1e-9));
        let cpu = percent(number(csv, row, "cpu_percent"));
        let host = word(csv, row, "host");
        vec![name, host, shown(Quantity::Seconds, seconds), shown(Quantity::Share, computing), cpu, clock]
    };
    let rows: Vec<Vec<String>> = (0..csv.rows.len().min(ROWS)).map(row).collect();
    if !rows.is_empty() {
        section.table(
            "Nodes: how long each was there, the share of it in which a job of its own ran, the share of one core that its \
             process had (more than 100 % with several threads), and how well its clock is known.",
            &["node", "host", "time", "with a job", "processor", "clock"],
            2,
            rows,
        );
    }
}

fn links(csv: &Csv, whole: f64, section: &mut Section) {
    let row = |row: usize| {
        let (bytes, busy) = (number(csv, row, "bytes"), number(csv, row, "busy_s"));
        let rate = bytes.zip(busy).filter(|(_, busy)| *busy > 0.0).map(|(bytes, busy)| bytes / busy);
        vec![
            format!("{} → {}", word(csv, row, "from"), word(csv, row, "to")),
            shown(Quantity::Count, number(csv, row, "messages")),
            shown(Quantity::Bytes, bytes),
            shown(Quantity::Share, busy.map(|busy| busy / whole.max(1e-9))),
            rate.map_or("–".to_owned(), |rate| format!("{}/s", Quantity::Bytes.text(rate))),
        ]
    };
    let rows: Vec<Vec<String>> = (0..csv.rows.len().min(ROWS)).map(row).collect();
    if !rows.is_empty() {
        section.table(
            "Links: messages that were sent, heads included; the share of the run in which one was on its way; bytes for \
             each second of that.",
            &["link", "messages", "bytes", "busy", "rate"],
            1,
            rows,
        );
    }
}
