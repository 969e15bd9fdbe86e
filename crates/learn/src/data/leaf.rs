//! LEAF (S. Caldas et al., LEAF: A Benchmark for Federated Settings, 2018): JSON files of samples by user, in the
//! folders `train` and `test`.

use super::files::{directory, entries, first_of, given, read_text, wrong};
use super::{BuildData, DataContext, DataSet, Features, Labels, Owners, Samples};
use crate::model::{DataShape, Input, Output};
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// LEAF's letters, in its order (its `language_utils.py`); letter i is class i, and token i + 1, as 0 is the padding.
pub(super) const LETTERS: &str =
    "\n !\"&'(),-.0123456789:;>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz}";

/// Characters of EMNIST by their writers.
pub fn femnist() -> Row<BuildData> {
    Row {
        name: "femnist",
        summary: "FEMNIST of LEAF: handwritten characters of 28x28 by writer, 62 classes; JSON files",
        example: "{name: femnist}",
        positional: &[],
        build: |choice, context| {
            let Nothing {} = choice.options()?;
            values(&folders("femnist", context)?, Some(62), Some([1, 28, 28]))
        },
    }
}

/// The next letter of what a role in a play says.
pub fn shakespeare() -> Row<BuildData> {
    Row {
        name: "shakespeare",
        summary: "Shakespeare of LEAF: 80 letters and the next one, by role in a play; JSON files",
        example: "{name: shakespeare}",
        positional: &[],
        build: |choice, context| {
            let Nothing {} = choice.options()?;
            text(&folders("shakespeare", context)?)
        },
    }
}

/// Any set of that form.
pub fn row() -> Row<BuildData> {
    Row {
        name: "leaf",
        summary: "a set in LEAF's format, values or text by user; a directory with JSON files in train and test",
        example: "{name: leaf, directory: my_set, kind: values, classes: null, image: null}",
        positional: &["directory"],
        build: |choice, context| {
            let options: Options = choice.options()?;
            let directory = given("directory", &options.directory, context)?;
            let folders = [directory.join("train"), directory.join("test")];
            match options.kind {
                Kind::Text => text(&folders),
                Kind::Values => values(&folders, options.classes, options.image),
            }
        },
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Where the folders train and test are.
    directory: PathBuf,
    #[serde(default)]
    kind: Kind,
    /// Number of classes; one more than the largest label when left out.
    #[serde(default)]
    classes: Option<usize>,
    /// Channels, height and width of values that are images.
    #[serde(default)]
    image: Option<[usize; 3]>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// x are lists of numbers, y whole numbers.
    #[default]
    Values,
    /// x are texts of one length, y the letter that comes next.
    Text,
}

/// The training and test files of a set that has a row of its own.
fn folders(name: &str, context: &DataContext) -> Result<[PathBuf; 2], OptionError> {
    let own = directory(name, context)?.join(name);
    let part =
        |part| first_of(name, vec![own.join(part), own.join("data").join(part)], Path::is_dir, "folder");
    Ok([part("train")?, part("test")?])
}

/// Everybody who is named, in order of appearance.
#[derive(Default)]
struct Users {
    numbers: BTreeMap<String, u32>,
    names: Vec<String>,
}

impl Users {
    fn number(&mut self, name: &str) -> u32 {
        *self.numbers.entry(name.to_owned()).or_insert_with(|| {
            self.names.push(name.to_owned());
            self.names.len() as u32 - 1
        })
    }
}

/// A file as LEAF writes it.
#[derive(Deserialize)]
struct File<X, Y> {
    users: Vec<String>,
    num_samples: Vec<usize>,
    user_data: BTreeMap<String, UserData<X, Y>>,
}

#[derive(Deserialize)]
struct UserData<X, Y> {
    x: Vec<X>,
    y: Vec<Y>,
}

/// Hands every sample to `add`, which says what is wrong with it; the owner of each sample is returned.
fn read<X: DeserializeOwned, Y: DeserializeOwned>(
    folder: &Path,
    users: &mut Users,
    mut add: impl FnMut(X, Y) -> Result<(), String>,
) -> Result<Owners, OptionError> {
    let mut of = Vec::new();
    let files = entries(folder)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "json"));
    for path in files {
        let mut file: File<X, Y> = serde_json::from_str(&read_text(&path)?).map_err(|e| {
            wrong(&path, &format!("is not what was expected: {e}"), "a file in LEAF's format")
        })?;
        if file.users.len() != file.num_samples.len() {
            let message = format!("names {} users, but {} counts", file.users.len(), file.num_samples.len());
            return Err(wrong(&path, &message, "num_samples for each of the users"));
        }
        for (name, count) in file.users.iter().zip(&file.num_samples) {
            let bad =
                |message: &str, allowed: &str| wrong(&path, &format!("user `{name}` {message}"), allowed);
            let Some(UserData { x, y }) = file.user_data.remove(name) else {
                return Err(bad("has no user_data", "x and y for each of the users"));
            };
            if x.len() != *count || y.len() != *count {
                let message = format!("has {} x, {} y, and a count of {count}", x.len(), y.len());
                return Err(bad(&message, "as many of each"));
            }
            let number = users.number(name);
            for (i, (x, y)) in x.into_iter().zip(y).enumerate() {
                add(x, y).map_err(|message| bad(&format!("sample {i}: {message}"), ""))?;
                of.push(number);
            }
        }
    }
    if of.is_empty() {
        return Err(wrong(folder, "holds no samples", "files of samples in JSON"));
    }
    Ok(Owners { of, names: users.names.clone() })
}

fn values(
    folders: &[PathBuf; 2],
    classes: Option<usize>,
    image: Option<[usize; 3]>,
) -> Result<DataSet, OptionError> {
    let mut width = image.map(|[channels, height, width]| channels * height * width);
    let mut users = Users::default();
    let mut limit = classes.unwrap_or(1 << 16);
    let mut part = |folder: &Path, limit: usize| {
        let (mut numbers, mut labels) = (Vec::new(), Vec::new());
        let owners = read(folder, &mut users, |x: Vec<f32>, y: f64| {
            let width = *width.get_or_insert(x.len());
            if x.len() != width || width == 0 {
                return Err(format!("{} values instead of {width}", x.len()));
            }
            if y.fract() != 0.0 || !(0.0..limit as f64).contains(&y) {
                return Err(format!("label {y}, not a whole number from 0 to {}", limit - 1));
            }
            numbers.extend(x);
            labels.push(y as u16);
            Ok(())
        })?;
        Ok::<_, OptionError>((numbers, labels, owners))
    };
    let train = part(&folders[0], limit)?;
    if classes.is_none() {
        limit = train.1.iter().copied().max().map_or(1, |label| usize::from(label) + 1);
    }
    let test = part(&folders[1], limit)?;
    let [channels, height, width] = image.unwrap_or([1, 1, width.unwrap_or(0)]);
    let samples = |(numbers, labels, owners)| {
        Samples::from_floats(numbers, labels, channels * height * width).owned_by(owners)
    };
    Ok(DataSet::new(DataShape::images(channels, height, width, limit), samples(train), samples(test)))
}

fn text(folders: &[PathBuf; 2]) -> Result<DataSet, OptionError> {
    let letters: Vec<char> = LETTERS.chars().collect();
    let find = |c: char| {
        let at = letters.iter().position(|letter| *letter == c);
        at.ok_or_else(|| format!("{c:?} is not one of LEAF's {} letters", letters.len()))
    };
    let mut length = None;
    let mut users = Users::default();
    let mut part = |folder: &Path| {
        let (mut tokens, mut labels) = (Vec::new(), Vec::new());
        let owners = read(folder, &mut users, |x: String, y: String| {
            let before = tokens.len();
            for c in x.chars() {
                tokens.push(find(c)? as u32 + 1);
            }
            let (read, length) = (tokens.len() - before, *length.get_or_insert(tokens.len() - before));
            if read != length || length == 0 {
                return Err(format!("{read} letters instead of {length}"));
            }
            let mut next = y.chars();
            let (Some(c), None) = (next.next(), next.next()) else {
                return Err(format!("`{y}` comes next, which is not one letter"));
            };
            labels.push(find(c)? as u16);
            Ok(())
        })?;
        let starts = (0..=labels.len()).map(|i| (i * length.unwrap_or(0)) as u32).collect();
        let samples = Samples::sequences(Features::Tokens(tokens), Labels::Classes(labels), 1, starts);
        Ok::<_, OptionError>(samples.owned_by(owners))
    };
    let (train, test) = (part(&folders[0])?, part(&folders[1])?);
    let shape = DataShape {
        input: Input::Token { vocabulary: letters.len() + 1 },
        sequence: true,
        output: Output::Classes(letters.len()),
    };
    Ok(DataSet::new(shape, train, test))
}

#[cfg(test)]
#[path = "leaf_tests.rs"]
mod tests;
