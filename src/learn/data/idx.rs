//! IDX files (the format of <http://yann.lecun.com/exdb/mnist/>), plain or gzip: MNIST, Fashion-MNIST.

use super::{BuildData, DataContext, DataSet, ImageOptions, Samples};
use crate::domain::{OptionError, Row};
use crate::learn::model::DataShape;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// LeCun, Cortes and Burges' digits.
pub fn mnist() -> Row<BuildData> {
    Row {
        name: "mnist",
        summary: "MNIST digits, 28x28, 60,000 and 10,000; IDX files from the data directory",
        example: "{name: mnist, normalise: unit}",
        positional: &[],
        build: |choice, context| load("mnist", choice.options()?, context),
    }
}

/// Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017.
pub fn fashion_mnist() -> Row<BuildData> {
    Row {
        name: "fashion_mnist",
        summary: "Fashion-MNIST clothes, 28x28, 60,000 and 10,000; IDX files from the data directory",
        example: "{name: fashion_mnist, normalise: unit}",
        positional: &[],
        build: |choice, context| load("fashion_mnist", choice.options()?, context),
    }
}

const CLASSES: usize = 10;
/// Larger counts and sizes than this are taken for a damaged header.
const VALUES_MAX: usize = 1 << 32;

fn load(name: &str, options: ImageOptions, context: &DataContext) -> Result<DataSet, OptionError> {
    let part = |prefix: &str| -> Result<(Samples, usize, usize), OptionError> {
        let images = find(name, &format!("{prefix}-images-idx3-ubyte"), context)?;
        let labels = find(name, &format!("{prefix}-labels-idx1-ubyte"), context)?;
        let (dims, pixels) = read(&images, 3)?;
        let (count, classes) = read(&labels, 1)?;
        if dims[0] != count[0] {
            let (images, labels) = (images.display(), labels.display());
            let message = format!("`{images}` holds {} images, `{labels}` {} labels", dims[0], count[0]);
            return Err(file_error(message, "files of the same set"));
        }
        if let Some(at) = classes.iter().position(|label| usize::from(*label) >= CLASSES) {
            let message = format!("label {} of sample {at} in `{}`", classes[at], labels.display());
            return Err(file_error(message, format!("labels from 0 to {}", CLASSES - 1)));
        }
        if pixels.is_empty() {
            return Err(file_error(format!("`{}` holds no images", images.display()), "1 or more"));
        }
        let scale = options.normalise.scale(255.0);
        let classes = classes.into_iter().map(u16::from).collect();
        Ok((Samples::from_bytes(pixels, classes, dims[1] * dims[2], scale), dims[1], dims[2]))
    };
    let ((train, height, width), (test, test_height, test_width)) = (part("train")?, part("t10k")?);
    if (height, width) != (test_height, test_width) {
        let message =
            format!("training images of {height}x{width} pixels, test images of {test_height}x{test_width}");
        return Err(file_error(message, "files of the same set"));
    }
    Ok(DataSet::new(DataShape::images(1, height, width, CLASSES), train, test))
}

fn file_error(message: String, allowed: impl Into<String>) -> OptionError {
    let hint = "fetch the file again, or point --data-dir or HCDDL_DATA at another directory";
    OptionError { hint: hint.to_owned(), ..OptionError::new("", message, allowed) }
}

/// The first of `DIR/NAME/FILE`, `DIR/FILE`, each plain or with `.gz`.
fn find(name: &str, file: &str, context: &DataContext) -> Result<PathBuf, OptionError> {
    let Some(directory) = &context.data_dir else {
        return Err(OptionError {
            hint: format!("set --data-dir or HCDDL_DATA to the directory that holds {name}/{file}.gz"),
            ..OptionError::new("", format!("no data directory to look for {name} in"), "")
        });
    };
    let candidates: Vec<PathBuf> = [directory.join(name), directory.clone()]
        .iter()
        .flat_map(|d| [d.join(file), d.join(format!("{file}.gz"))])
        .collect();
    candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        let looked: Vec<String> = candidates.iter().map(|path| format!("`{}`", path.display())).collect();
        OptionError {
            hint: "set --data-dir or HCDDL_DATA to the directory that holds it".to_owned(),
            ..OptionError::new("", format!("no file {}", looked.join(", ")), "one of these")
        }
    })
}

/// Reads a file of unsigned bytes in `rank` dimensions.
fn read(path: &Path, rank: usize) -> Result<(Vec<usize>, Vec<u8>), OptionError> {
    let shown = path.display();
    let file = File::open(path).map_err(|e| file_error(format!("`{shown}` cannot be opened: {e}"), ""))?;
    let file = std::io::BufReader::with_capacity(1 << 16, file);
    let result = if path.extension().is_some_and(|e| e == "gz") {
        parse(flate2::read::MultiGzDecoder::new(file), rank)
    } else {
        parse(file, rank)
    };
    result.map_err(|(message, allowed)| file_error(format!("`{shown}` {message}"), allowed))
}

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
