//! Tables in CSV: numbers, and a class by its number or name, or numbers to be predicted.

mod columns;
mod table;

use super::files::{find, given};
use super::{BuildData, DataContext, DataSet};
use columns::{Column, Wanted};
use hcddl_core::domain::{Choice, OptionError, Row, Tables, options};
use serde::Deserialize;
use std::path::PathBuf;
use table::{Form, Test};

/// Any table.
pub fn row() -> Row<BuildData> {
    Row {
        name: "csv",
        summary: "a table of numbers in CSV with a column of classes (`label`) or of numbers (`target`); files named by options",
        example: "{name: csv, train: train.csv, test: test.csv, test_rows: null, label: class, target: null, \
                  owner: null, skip: [id], header: true, separator: null, standardise: false}",
        positional: &["train", "test"],
        options: options::<Options>,
        build: any,
    }
}

/// Candanedo and Feldheim's office room: is somebody in it?
pub fn occupancy() -> Row<BuildData> {
    Row {
        name: "occupancy",
        summary: "UCI Occupancy Detection: is somebody in the room? 5 features, 8,143 rows to train on; CSV",
        example: "{name: occupancy, test: datatest, standardise: true}",
        positional: &[],
        options: options::<Occupancy>,
        build: load_occupancy,
    }
}

/// Baldi, Sadowski and Whiteson's supersymmetric particles.
pub fn susy() -> Row<BuildData> {
    Row {
        name: "susy",
        summary: "UCI SUSY: signal or background? 18 features, 5,000,000 rows, the last 500,000 to test on; CSV",
        example: "{name: susy, test_rows: 500000, standardise: false}",
        positional: &[],
        options: options::<Susy>,
        build: load_susy,
    }
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The file to train on.
    train: PathBuf,
    /// Rows to test on, of another file.
    test: Option<PathBuf>,
    /// Or so many last rows of the training file.
    test_rows: Option<usize>,
    /// The column of classes.
    label: Option<Column>,
    /// Or the columns of numbers that are to be predicted.
    target: Option<Targets>,
    /// The column of who a row comes from, for `partition: natural`.
    owner: Option<Column>,
    /// What parts columns; told from the first lines when left out.
    separator: Option<char>,
    /// Columns that are not features.
    #[serde(default)]
    skip: Vec<Column>,
    /// Whether the first line names the columns. Rows may have one value more than that: a name, which comes first
    /// and is skipped, as R writes it.
    #[serde(default = "yes")]
    header: bool,
    /// Features get mean 0 and deviation 1 over the training rows.
    #[serde(default)]
    standardise: bool,
}

/// One column or several.
#[derive(Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(untagged)]
enum Targets {
    One(Column),
    Several(Vec<Column>),
}

fn yes() -> bool {
    true
}

fn any(choice: &Choice, _: &dyn Tables, context: &DataContext) -> Result<DataSet, OptionError> {
    let options: Options = choice.options()?;
    let (key, targets) = match (options.label, options.target) {
        (Some(label), None) => ("label", vec![label]),
        (None, Some(Targets::One(target))) => ("target", vec![target]),
        (None, Some(Targets::Several(targets))) if !targets.is_empty() => ("target", targets),
        _ => {
            let message = "it is not told what is to be learned";
            let allowed = "either label, a column of classes, or target, columns of numbers";
            return Err(OptionError::new("label", message, allowed));
        }
    };
    let columns = Wanted { targets, key, owner: options.owner, skip: options.skip };
    let (header, separator) = (options.header, options.separator);
    let form = Form { columns, numbers: key == "target", header, separator };
    let train = given("train", &options.train, context)?;
    match (&options.test, options.test_rows) {
        (Some(test), None) => {
            form.load(&train, &Test::Files(&[given("test", test, context)?]), options.standardise)
        }
        (None, Some(rows)) => form.load(&train, &Test::Rows(rows), options.standardise),
        _ => {
            let message = "nothing says which rows are the test set";
            Err(OptionError::new("test", message, "either test, a file, or test_rows, a number of rows"))
        }
    }
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Occupancy {
    /// `datatest` (the door mostly closed), `datatest2` (mostly open) or `both`.
    test: String,
    /// Features get mean 0 and deviation 1 over the training rows.
    standardise: bool,
}

impl Default for Occupancy {
    fn default() -> Self {
        Self { test: "datatest".to_owned(), standardise: true }
    }
}

fn load_occupancy(choice: &Choice, _: &dyn Tables, context: &DataContext) -> Result<DataSet, OptionError> {
    let options: Occupancy = choice.options()?;
    let tests: &[&str] = match options.test.as_str() {
        "datatest" => &["datatest"],
        "datatest2" => &["datatest2"],
        "both" => &["datatest", "datatest2"],
        other => return Err(OptionError::new("test", format!("`{other}`"), "datatest, datatest2, both")),
    };
    let path = |file: &str| find("occupancy", &[], &format!("{file}.txt"), context);
    let tests: Vec<PathBuf> = tests.iter().map(|file| path(file)).collect::<Result<_, _>>()?;
    let (label, skip) = (Column::Name("Occupancy".into()), vec![Column::Name("date".into())]);
    let form = Form::of_classes(label, skip, true);
    form.load(&path("datatraining")?, &Test::Files(&tests), options.standardise)
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Susy {
    /// So many last rows are for the test.
    test_rows: usize,
    /// Features get mean 0 and deviation 1 over the training rows.
    standardise: bool,
}

impl Default for Susy {
    fn default() -> Self {
        Self { test_rows: 500_000, standardise: false }
    }
}

fn load_susy(choice: &Choice, _: &dyn Tables, context: &DataContext) -> Result<DataSet, OptionError> {
    let options: Susy = choice.options()?;
    let path = find("susy", &[], "SUSY.csv", context)?;
    let form = Form::of_classes(Column::Number(0), vec![], false);
    form.load(&path, &Test::Rows(options.test_rows), options.standardise)
}

#[cfg(test)]
mod tests;
