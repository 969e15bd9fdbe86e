//! One HTML file that needs nothing else: no network, no fonts, a few lines of script for the theme.

use super::super::figure::canvas::escaped;
use super::super::figure::style;
use super::{Block, Part, Report, Table};
use std::fmt::Write;

const CSS: &str = include_str!("page.css");

/// Follows the system until somebody presses the button.
const SCRIPT: &str = "const r=document.documentElement,b=document.getElementById('theme');\
b.hidden=false;b.onclick=()=>{const d=r.dataset.theme?r.dataset.theme==='dark':\
matchMedia('(prefers-color-scheme:dark)').matches;r.dataset.theme=d?'light':'dark'};";

/// The report as the text of a file.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut html = String::new();
    let title = escaped(&report.title);
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{}\n{CSS}</style>\n</head>\n<body>\n\
         <header><h1>{title}</h1><button id=\"theme\" type=\"button\" hidden>light / dark</button></header>\n",
        style::page(),
    );
    contents(&mut html, report);
    html.push_str("<main>\n");
    for (i, part) in report.parts.iter().enumerate() {
        write_part(&mut html, i, part, report.parts.len() > 1);
    }
    let _ = write!(
        html,
        "</main>\n<footer>Written by hcddl {}. Figures as SVG and numbers as CSV and Parquet lie beside this \
         file.</footer>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
    );
    html
}

fn anchor(part: usize, section: usize) -> String {
    format!("p{}s{}", part + 1, section + 1)
}

fn contents(html: &mut String, report: &Report) {
    html.push_str("<nav aria-label=\"contents\">");
    for (i, part) in report.parts.iter().enumerate() {
        if report.parts.len() > 1 {
            let _ = write!(html, "<b><a href=\"#p{}\">{}</a></b>", i + 1, escaped(&part.title));
        }
        for (j, section) in part.sections.iter().enumerate() {
            let _ = write!(html, "<a href=\"#{}\">{}</a>", anchor(i, j), escaped(&section.title));
        }
    }
    html.push_str("</nav>\n");
}

fn write_part(html: &mut String, i: usize, part: &Part, several: bool) {
    if several {
        let _ = writeln!(html, "<h1 class=\"part\" id=\"p{}\">{}</h1>", i + 1, escaped(&part.title));
    }
    if !part.about.is_empty() {
        let _ = writeln!(html, "<p class=\"about\">{}</p>", escaped(&part.about));
    }
    for (j, section) in part.sections.iter().enumerate() {
        let id = anchor(i, j);
        let _ = writeln!(html, "<section id=\"{id}\">\n<h2>{}</h2>", escaped(&section.title));
        for block in &section.blocks {
            write_block(html, block);
        }
        html.push_str("</section>\n");
    }
}

fn write_block(html: &mut String, block: &Block) {
    match block {
        Block::Text(text) => {
            let _ = writeln!(html, "<p>{}</p>", escaped(text));
        }
        Block::Figure(_, drawing, caption) => {
            let (drawing, caption) = (style::inline(drawing), escaped(caption));
            let _ = writeln!(html, "<figure>\n{drawing}<figcaption>{caption}</figcaption>\n</figure>");
        }
        Block::Table(table) => write_table(html, table),
        Block::Facts(facts) => {
            html.push_str("<dl>\n");
            for (subject, text) in facts {
                let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escaped(subject), escaped(text));
            }
            html.push_str("</dl>\n");
        }
        Block::Verbatim(name, text) => {
            let (name, text) = (escaped(name), escaped(text));
            let _ = writeln!(html, "<details><summary>{name}</summary><pre>{text}</pre></details>");
        }
    }
}

/// Rows above which a table is folded away.
const ROWS_SHOWN: usize = 40;

fn write_table(html: &mut String, table: &Table) {
    let long = table.rows.len() > ROWS_SHOWN;
    if long {
        let _ = write!(
            html,
            "<details><summary>{} ({} rows)</summary>",
            escaped(&table.caption),
            table.rows.len()
        );
    }
    if !long && !table.caption.is_empty() {
        let _ = write!(html, "<p class=\"caption\">{}</p>", escaped(&table.caption));
    }
    html.push_str("<div class=\"scroll\"><table>");
    let class = |column: usize| if column < table.words { "" } else { " class=\"n\"" };
    html.push_str("<thead><tr>");
    for (i, name) in table.header.iter().enumerate() {
        let _ = write!(html, "<th{}>{}</th>", class(i), escaped(name));
    }
    html.push_str("</tr></thead>\n<tbody>");
    for row in &table.rows {
        html.push_str("<tr>");
        for (i, field) in row.iter().enumerate() {
            let _ = write!(html, "<td{}>{}</td>", class(i), escaped(field));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>");
    html.push_str(if long { "</details>\n" } else { "\n" });
}
