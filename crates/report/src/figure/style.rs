//! Colours and fonts of figures.
//!
//! The colours are those of Okabe and Ito (Color Universal Design, 2008), which people with any colour vision can
//! tell apart, darkened for a light page where they would be too faint, lightened for a dark one. Lines also differ
//! by their dashes.

use super::Drawing;
use super::canvas::escaped;
use std::fmt::Write;

/// Colours that repeat after this.
pub const COLOURS: usize = 8;

/// Name, on light, on dark.
const VARIABLES: &[(&str, &str, &str)] = &[
    ("page", "#ffffff", "#14171b"),
    ("card", "#f6f7f9", "#1d2126"),
    ("ink", "#1c2126", "#e4e7ea"),
    ("muted", "#5a636d", "#a0a9b3"),
    ("grid", "#e1e5e9", "#323941"),
    ("rule", "#8b949e", "#7d8791"),
    ("link", "#0a62a0", "#6cb8ee"),
    ("warn", "#9a3b00", "#ffab70"),
    ("c0", "#0072b2", "#56b4e9"),
    ("c1", "#d55e00", "#ff8b3d"),
    ("c2", "#00805c", "#2cc79b"),
    ("c3", "#a5478b", "#e58fc6"),
    ("c4", "#8a6d00", "#e8d44d"),
    ("c5", "#5d666f", "#b3bac1"),
    ("c6", "#3f51b5", "#9aa8ff"),
    ("c7", "#7a3b1d", "#cf9674"),
    ("pale", "#c9d0d6", "#454d56"),
];

const DASHES: [&str; COLOURS] = ["", "7 3", "2 3", "9 3 2 3", "12 4", "4 2", "1 2", "6 2 2 2 2 2"];

/// The series of what is not the point: waiting, the rest.
pub const PALE: usize = usize::MAX;

/// Number of the colour of a series.
#[must_use]
pub fn colour(series: usize) -> usize {
    if series == PALE { COLOURS } else { series % COLOURS }
}

/// Class of the line of a series.
#[must_use]
pub fn stroke(series: usize) -> String {
    format!("s{}", colour(series))
}

/// Rules for the classes of figures; `value` gives the colour of a variable.
fn rules(value: impl Fn(&str) -> String) -> String {
    let mut css = String::new();
    let ink = value("ink");
    let (muted, page) = (value("muted"), value("page"));
    let _ = write!(
        css,
        "svg.fig text{{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:{ink}}}\
         svg.fig .t{{font-weight:600}}svg.fig .m{{fill:{muted};font-size:11px}}svg.fig .n{{font-size:11px}}\
         svg.fig .g{{stroke:{};stroke-width:1}}svg.fig .a{{stroke:{};stroke-width:1}}\
         svg.fig .r{{stroke:{};stroke-width:1.2;stroke-dasharray:4 3;fill:none}}\
         svg.fig .w{{stroke:{ink};stroke-width:1.6;fill:none}}svg.fig .p{{fill:{}}}svg.fig .bg{{fill:{page}}}\
         svg.fig .h{{fill:{muted};font-size:11px;paint-order:stroke;stroke:{page};stroke-width:4px}}",
        value("grid"),
        value("rule"),
        value("muted"),
        value("pale"),
    );
    for (i, dash) in DASHES.iter().chain([&""]).enumerate() {
        let colour = if i == COLOURS { value("pale") } else { value(&format!("c{i}")) };
        let dash = if dash.is_empty() { String::new() } else { format!(";stroke-dasharray:{dash}") };
        let _ = write!(
            css,
            "svg.fig .s{i}{{stroke:{colour};stroke-width:2;fill:none;stroke-linejoin:round{dash}}}\
             svg.fig .k{i}{{stroke:{colour};stroke-width:1.6;fill:none}}\
             svg.fig .f{i}{{fill:{colour}}}svg.fig .b{i}{{fill:{colour};fill-opacity:.16}}",
        );
    }
    css
}

/// The style of a page: variables for both themes, rules for figures.
#[must_use]
pub fn page() -> String {
    let variables = |pick: fn(&(&str, &'static str, &'static str)) -> &'static str| {
        VARIABLES.iter().fold(String::new(), |text, row| format!("{text}--{}:{};", row.0, pick(row)))
    };
    let (light, dark) = (variables(|row| row.1), variables(|row| row.2));
    format!(
        ":root{{color-scheme:light;{light}}}\n\
         @media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}\n\
         :root[data-theme=dark]{{color-scheme:dark;{dark}}}\n{}",
        rules(|name| format!("var(--{name})")),
    )
}

/// A figure as a file of its own; it follows the reader's theme where the viewer knows it.
#[must_use]
pub fn file(drawing: &Drawing) -> String {
    let pick = |name: &str, dark: bool| {
        let row = VARIABLES.iter().find(|row| row.0 == name).expect("every name is in the table");
        (if dark { row.2 } else { row.1 }).to_owned()
    };
    let (light, dark) = (rules(|name| pick(name, false)), rules(|name| pick(name, true)));
    let Drawing { width, height, title, body } = drawing;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"fig\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>{}</title>\n\
         <style>{light}\n@media (prefers-color-scheme:dark){{{dark}}}</style>\n\
         <rect class=\"bg\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n",
        escaped(title),
    )
}

/// A figure within a page that has the style of [`page`].
#[must_use]
pub fn inline(drawing: &Drawing) -> String {
    let Drawing { width, height, title, body } = drawing;
    format!(
        "<svg class=\"fig\" viewBox=\"0 0 {width} {height}\" style=\"max-width:{width}px\" role=\"img\" \
         aria-label=\"{}\">\n{body}</svg>\n",
        escaped(title),
    )
}
