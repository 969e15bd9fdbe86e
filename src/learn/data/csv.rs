//! Tables in CSV: numbers, and a class by its number or name.

use super::files::{file_error, find, given, open, wrong};
use super::{BuildData, DataContext, DataSet, Samples};
use crate::domain::{Choice, OptionError, Row};
use crate::learn::model::DataShape;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Any table.
pub fn row() -> Row<BuildData> {
    Row {
        name: "csv",
        summary: "a table of numbers in CSV with a column of classes; files named by options",
        example: "{name: csv, train: train.csv, test: test.csv, test_rows: null, label: class, skip: [id], \
                  header: true, standardise: false}",
        positional: &["train", "test"],
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
        build: load_susy,
    }
}

/// A column by its name in the header, or by its number from 0.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Column {
    Number(usize),
    Name(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    train: PathBuf,
    /// Rows to test on, of another file.
    test: Option<PathBuf>,
    /// Or so many last rows of the training file.
    test_rows: Option<usize>,
    label: Column,
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

fn yes() -> bool {
    true
}

fn any(choice: &Choice, context: &DataContext) -> Result<DataSet, OptionError> {
    let options: Options = choice.options()?;
    let form = Form { label: options.label, skip: options.skip, header: options.header };
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Occupancy {
    /// `datatest` (the door mostly closed), `datatest2` (mostly open) or `both`.
    test: String,
    standardise: bool,
}

impl Default for Occupancy {
    fn default() -> Self {
        Self { test: "datatest".to_owned(), standardise: true }
    }
}

fn load_occupancy(choice: &Choice, context: &DataContext) -> Result<DataSet, OptionError> {
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
    let form = Form { label, skip, header: true };
    form.load(&path("datatraining")?, &Test::Files(&tests), options.standardise)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Susy {
    test_rows: usize,
    standardise: bool,
}

impl Default for Susy {
    fn default() -> Self {
        Self { test_rows: 500_000, standardise: false }
    }
}

fn load_susy(choice: &Choice, context: &DataContext) -> Result<DataSet, OptionError> {
    let options: Susy = choice.options()?;
    let path = find("susy", &[], "SUSY.csv", context)?;
    let form = Form { label: Column::Number(0), skip: vec![], header: false };
    form.load(&path, &Test::Rows(options.test_rows), options.standardise)
}

/// Where rows to test on are.
enum Test<'a> {
    Files(&'a [PathBuf]),
    /// So many last ones of the training file.
    Rows(usize),
}

/// What the columns of files mean.
struct Form {
    label: Column,
    skip: Vec<Column>,
    header: bool,
}

/// Rows that were read.
#[derive(Default)]
struct Table {
    width: usize,
    values: Vec<f32>,
    /// Numbers of [`Classes`].
    labels: Vec<u32>,
}

/// The classes that were read, in order of appearance.
#[derive(Default)]
struct Classes {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
}

impl Classes {
    /// The number of a class; `1`, `1.0` and `1e0` are the same one. `None` for numbers that are not whole.
    fn number(&mut self, field: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(field) {
            return Some(*number);
        }
        let name = match field.parse::<f64>() {
            Ok(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{}", value as i64),
            Ok(_) => return None,
            Err(_) => field.to_owned(),
        };
        let number = self.names.iter().position(|n| *n == name).unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        self.numbers.insert(field.to_owned(), number as u32);
        Some(number as u32)
    }

    /// Class of each number: by value if all are numbers, else by name.
    fn order(&self) -> Vec<u16> {
        let values: Result<Vec<i64>, _> = self.names.iter().map(|name| name.parse()).collect();
        let mut sorted: Vec<usize> = (0..self.names.len()).collect();
        match values {
            Ok(values) => sorted.sort_by_key(|i| values[*i]),
            Err(_) => sorted.sort_by_key(|i| &self.names[*i]),
        }
        let mut order = vec![0; sorted.len()];
        sorted.into_iter().enumerate().for_each(|(class, number)| order[number] = class as u16);
        order
    }
}

impl Form {
    fn load(&self, train: &Path, test: &Test<'_>, standardise: bool) -> Result<DataSet, OptionError> {
        let mut classes = Classes::default();
        let mut trained = Table::default();
        self.read(train, &mut trained, &mut classes)?;
        let (mut tested, width) = (Table::default(), trained.width);
        match test {
            Test::Files(paths) => {
                let known = classes.names.len();
                for path in *paths {
                    self.read(path, &mut tested, &mut classes)?;
                    if let Some(name) = classes.names.get(known) {
                        let allowed = format!("the classes of `{}`", train.display());
                        return Err(wrong(path, &format!("has the class `{name}`"), allowed));
                    }
                }
                if tested.width != width {
                    let message = format!("{width} features to train on, {} to test on", tested.width);
                    return Err(file_error(message, "files of the same set"));
                }
            }
            Test::Rows(rows) => {
                let all = trained.labels.len();
                let allowed = format!("1 to {} of the {all} rows", all - 1);
                OptionError::check((1..all).contains(rows), "test_rows", rows, &allowed)?;
                tested.labels = trained.labels.split_off(all - rows);
                tested.values = trained.values.split_off((all - rows) * width);
            }
        }
        if standardise {
            self::standardise(&mut trained.values, &mut tested.values, width);
        }
        let order = classes.order();
        let samples = |table: Table| {
            let classes = table.labels.iter().map(|number| order[*number as usize]).collect();
            Samples::from_floats(table.values, classes, width)
        };
        let shape = DataShape::features(width, order.len());
        Ok(DataSet::new(shape, samples(trained), samples(tested)))
    }

    /// Appends the rows of a file.
    fn read(&self, path: &Path, to: &mut Table, classes: &mut Classes) -> Result<(), OptionError> {
        let mut builder = ::csv::ReaderBuilder::new();
        let mut reader =
            builder.has_headers(false).flexible(true).trim(::csv::Trim::All).from_reader(open(path)?);
        let mut record = ::csv::StringRecord::new();
        let mut next = |record: &mut ::csv::StringRecord| {
            reader.read_record(record).map_err(|e| wrong(path, &format!("cannot be read: {e}"), "a CSV file"))
        };
        let header = if self.header && next(&mut record)? { Some(record.clone()) } else { None };
        let mut layout: Option<Layout> = None;
        let mut number = usize::from(self.header);
        while next(&mut record)? {
            number += 1;
            let layout = match &layout {
                Some(layout) => layout,
                None => layout.insert(self.layout(header.as_ref(), record.len(), path)?),
            };
            if record.len() != layout.fields {
                let message = format!("has {} values in row {number}", record.len());
                return Err(wrong(path, &message, format!("{} values", layout.fields)));
            }
            for at in &layout.features {
                let value = record[*at].parse::<f32>().ok().filter(|value| value.is_finite());
                let Some(value) = value else {
                    let message = format!("has `{}` in row {number}, column {at}", &record[*at]);
                    return Err(wrong(path, &message, "a number, or skip the column"));
                };
                to.values.push(value);
            }
            let label = &record[layout.label];
            let Some(class) = classes.number(label).filter(|class| *class < 1 << 16) else {
                let message = format!("has the class `{label}` in row {number}");
                return Err(wrong(path, &message, "a whole number or a name, at most 65536 of them"));
            };
            to.labels.push(class);
        }
        let Some(layout) = layout else { return Err(wrong(path, "holds no rows", "1 or more")) };
        to.width = layout.features.len();
        Ok(())
    }

    /// Which fields of a row are what.
    fn layout(
        &self,
        header: Option<&::csv::StringRecord>,
        fields: usize,
        path: &Path,
    ) -> Result<Layout, OptionError> {
        let columns = header.map_or(fields, ::csv::StringRecord::len);
        let named = usize::from(fields == columns + 1);
        if fields != columns + named {
            let message = format!("names {columns} columns, but its rows have {fields} values");
            return Err(wrong(path, &message, "as many of each, or one more for the names of rows"));
        }
        let find = |key: &str, column: &Column| {
            let at = match column {
                Column::Number(number) => Some(*number).filter(|number| *number < columns),
                Column::Name(name) => header.and_then(|header| header.iter().position(|n| n == name)),
            };
            at.map(|at| at + named).ok_or_else(|| {
                let allowed = match header {
                    Some(header) => header.iter().collect::<Vec<_>>().join(", "),
                    None => format!("a number from 0 to {}", columns - 1),
                };
                let message = format!("no column {column:?} in `{}`", path.display());
                OptionError::new(key, message, allowed)
            })
        };
        let label = find("label", &self.label)?;
        let skipped: Vec<usize> = self.skip.iter().map(|c| find("skip", c)).collect::<Result<_, _>>()?;
        let features: Vec<usize> =
            (named..fields).filter(|at| *at != label && !skipped.contains(at)).collect();
        if features.is_empty() {
            return Err(wrong(path, "has no column left for features", "1 or more"));
        }
        Ok(Layout { fields, label, features })
    }
}

struct Layout {
    fields: usize,
    label: usize,
    features: Vec<usize>,
}

/// (x - mean) / deviation by feature, both of the training rows; a constant feature becomes 0.
fn standardise(train: &mut [f32], test: &mut [f32], width: usize) {
    let rows = (train.len() / width) as f64;
    for feature in 0..width {
        let column = || train.iter().skip(feature).step_by(width).map(|v| f64::from(*v));
        let mean = column().sum::<f64>() / rows;
        let deviation = (column().map(|v| (v - mean) * (v - mean)).sum::<f64>() / rows).sqrt();
        let deviation = if deviation > 0.0 { deviation } else { 1.0 };
        for value in train.iter_mut().chain(&mut *test).skip(feature).step_by(width) {
            *value = ((f64::from(*value) - mean) / deviation) as f32;
        }
    }
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
