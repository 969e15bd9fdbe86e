//! IDX files (the format of <http://yann.lecun.com/exdb/mnist/>), plain or gzip: MNIST, Fashion-MNIST, EMNIST.

use super::files::{directory, file_error, find_in, open, wrong};
use super::{BuildData, DataContext, DataSet, ImageOptions, Samples};
use crate::model::DataShape;
use hcddl_core::domain::{Choice, OptionError, Row};
use serde::Deserialize;
use std::io::Read;
use std::path::Path;

/// LeCun, Cortes and Burges' digits.
pub fn mnist() -> Row<BuildData> {
    Row {
        name: "mnist",
        summary: "MNIST digits, 28x28, 60,000 and 10,000; IDX files from the data directory",
        example: "{name: mnist, normalise: unit, pool: false}",
        positional: &[],
        build: |choice, context| load(&Files::like_mnist("MNIST"), "mnist", choice, context),
    }
}

/// Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017.
pub fn fashion_mnist() -> Row<BuildData> {
    Row {
        name: "fashion_mnist",
        summary: "Fashion-MNIST clothes, 28x28, 60,000 and 10,000; IDX files from the data directory",
        example: "{name: fashion_mnist, normalise: unit, pool: false}",
        positional: &[],
        build: |choice, context| load(&Files::like_mnist("FashionMNIST"), "fashion_mnist", choice, context),
    }
}

/// Cohen, Afshar, Tapson and van Schaik, EMNIST: an extension of MNIST to handwritten letters, 2017.
pub fn emnist() -> Row<BuildData> {
    Row {
        name: "emnist",
        summary: "EMNIST letters and digits, 28x28, one of its six splits; IDX files from the data directory",
        example: "{name: emnist, split: balanced, normalise: unit, pool: false}",
        positional: &["split"],
        build: |choice, context| {
            let mut choice = choice.clone();
            let split = match choice.options.shift_remove("split") {
                Some(split) => {
                    Split::deserialize(split).map_err(|e| OptionError::new("split", e.to_string(), ""))?
                }
                None => Split::Balanced,
            };
            load(&split.files(), "emnist", &choice, context)
        },
    }
}

/// The six ways in which EMNIST is offered.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Split {
    Balanced,
    Byclass,
    Bymerge,
    Letters,
    Digits,
    Mnist,
}

impl Split {
    fn files(self) -> Files {
        let (name, classes) = match self {
            Self::Balanced => ("balanced", 47),
            Self::Byclass => ("byclass", 62),
            Self::Bymerge => ("bymerge", 47),
            Self::Letters => ("letters", 26),
            Self::Digits => ("digits", 10),
            Self::Mnist => ("mnist", 10),
        };
        Files {
            parts: [format!("emnist-{name}-train"), format!("emnist-{name}-test")],
            torchvision: "EMNIST",
            classes,
            first: u8::from(matches!(self, Self::Letters)),
            transposed: true,
        }
    }
}

/// What the files of a set hold, and how they are named.
struct Files {
    /// What the names of training and test files start with.
    parts: [String; 2],
    /// The folder in which torchvision keeps it.
    torchvision: &'static str,
    classes: usize,
    /// The label of the first class.
    first: u8,
    /// Columns lie where rows should.
    transposed: bool,
}

impl Files {
    /// Files that are named as MNIST's are.
    fn like_mnist(torchvision: &'static str) -> Self {
        let parts = ["train".to_owned(), "t10k".to_owned()];
        Self { parts, torchvision, classes: 10, first: 0, transposed: false }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Test images are trained on as well: 70,000 of MNIST, which federated sets are often dealt from.
    pool: bool,
}

/// Images of one part of a set.
struct Part {
    pixels: Vec<u8>,
    classes: Vec<u16>,
    height: usize,
    width: usize,
}

fn load(files: &Files, name: &str, choice: &Choice, context: &DataContext) -> Result<DataSet, OptionError> {
    let (images, options) = ImageOptions::of::<Options>(choice)?;
    let [train, test] = &files.parts;
    let (mut train, test) = (part(files, train, name, context)?, part(files, test, name, context)?);
    let (height, width) = (train.height, train.width);
    if (height, width) != (test.height, test.width) {
        let message = format!(
            "training images of {height}x{width} pixels, test images of {}x{}",
            test.height, test.width
        );
        return Err(file_error(message, "files of the same set"));
    }
    if options.pool {
        train.pixels.extend(&test.pixels);
        train.classes.extend(&test.classes);
    }
    let scale = images.normalise.scale(255.0, 1, height * width, &train.pixels)?;
    let samples = |part: Part| Samples::from_bytes(part.pixels, part.classes, height * width, scale.clone());
    let shape = DataShape::images(1, height, width, files.classes);
    Ok(DataSet::new(shape, samples(train), samples(test)))
}

fn part(files: &Files, prefix: &str, name: &str, context: &DataContext) -> Result<Part, OptionError> {
    let base = directory(name, context)?;
    let places = [base.join(name).join("gzip"), base.join(files.torchvision).join("raw")];
    let images = find_in(name, places.to_vec(), &format!("{prefix}-images-idx3-ubyte"), context)?;
    let labels = find_in(name, places.to_vec(), &format!("{prefix}-labels-idx1-ubyte"), context)?;
    let (dims, mut pixels) = read(&images, 3)?;
    let (count, classes) = read(&labels, 1)?;
    if dims[0] != count[0] {
        let (images, labels) = (images.display(), labels.display());
        let message = format!("`{images}` holds {} images, `{labels}` {} labels", dims[0], count[0]);
        return Err(file_error(message, "files of the same set"));
    }
    let last = files.classes - 1 + usize::from(files.first);
    let allowed = usize::from(files.first)..=last;
    if let Some(at) = classes.iter().position(|label| !allowed.contains(&usize::from(*label))) {
        let message = format!("label {} of sample {at} in `{}`", classes[at], labels.display());
        return Err(file_error(message, format!("labels from {} to {last}", files.first)));
    }
    if pixels.is_empty() {
        return Err(wrong(&images, "holds no images", "1 or more"));
    }
    let [_, mut height, mut width] = dims[..] else { unreachable!("three dimensions were read") };
    if files.transposed {
        pixels = transposed(&pixels, height, width);
        (height, width) = (width, height);
    }
    let classes = classes.into_iter().map(|label| u16::from(label - files.first)).collect();
    Ok(Part { pixels, classes, height, width })
}

/// Each image of `height` rows mirrored at its diagonal.
fn transposed(pixels: &[u8], height: usize, width: usize) -> Vec<u8> {
    let image = |image: &[u8]| -> Vec<u8> {
        (0..width).flat_map(|x| (0..height).map(move |y| (y, x))).map(|(y, x)| image[y * width + x]).collect()
    };
    pixels.chunks_exact(height * width).flat_map(image).collect()
}

/// Reads a file of unsigned bytes in `rank` dimensions.
fn read(path: &Path, rank: usize) -> Result<(Vec<usize>, Vec<u8>), OptionError> {
    parse(open(path)?, rank).map_err(|(message, allowed)| wrong(path, &message, allowed))
}

/// Larger counts and sizes than this are taken for a damaged header.
const VALUES_MAX: usize = 1 << 32;

/// What is wrong, and what was expected.
type Wrong = (String, String);

/// Parses IDX: two zero bytes, type 8 (unsigned byte), rank, sizes as big-endian u32, values.
fn parse(mut from: impl Read, rank: usize) -> Result<(Vec<usize>, Vec<u8>), Wrong> {
    let mut header = [0u8; 4];
    fill(&mut from, &mut header, "its header")?;
    if header != [0, 0, 8, rank as u8] {
        let magic = u32::from_be_bytes(header);
        let expected = u32::from_be_bytes([0, 0, 8, rank as u8]);
        return Err((
            format!("starts with {magic:#010x}"),
            format!("an IDX file starting with {expected:#010x}"),
        ));
    }
    let mut dims = Vec::with_capacity(rank);
    for _ in 0..rank {
        let mut size = [0u8; 4];
        fill(&mut from, &mut size, "its header")?;
        dims.push(u32::from_be_bytes(size) as usize);
    }
    let values = dims.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    let Some(values) = values.filter(|values| *values <= VALUES_MAX) else {
        return Err((format!("claims to hold {dims:?} values"), format!("at most {VALUES_MAX}")));
    };
    // Grows as data arrives: a damaged header must not reserve gigabytes.
    let mut data = Vec::new();
    let read = from.by_ref().take(values as u64).read_to_end(&mut data);
    read.map_err(|e| (format!("cannot be read: {e}"), String::new()))?;
    if data.len() < values {
        return Err((format!("is truncated: {} of {values} values", data.len()), format!("{values} values")));
    }
    let mut one = [0u8; 1];
    match from.read(&mut one) {
        Ok(0) => {}
        Ok(_) => return Err((format!("goes on after its {values} values"), "no more bytes".to_owned())),
        Err(e) => return Err((format!("cannot be read: {e}"), String::new())),
    }
    data.shrink_to_fit();
    Ok((dims, data))
}

fn fill(from: &mut impl Read, buffer: &mut [u8], what: &str) -> Result<(), Wrong> {
    from.read_exact(buffer).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => (format!("ends within {what}"), "a whole IDX file".to_owned()),
        _ => (format!("cannot be read: {e}"), String::new()),
    })
}

#[cfg(test)]
#[path = "idx_tests.rs"]
mod tests;
