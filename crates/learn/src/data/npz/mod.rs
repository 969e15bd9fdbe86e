//! Arrays of NumPy in one .npz file.

mod array;

use super::files::{given, wrong};
use super::samples::Owners;
use super::{BuildData, DataContext, DataSet, Features, ImageOptions, Labels, Normalise, Samples};
use crate::model::DataShape;
use array::{Array, NoClasses, Numbers};
use hcddl_core::domain::{Choice, OptionError, Row};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Its row.
pub fn row() -> Row<BuildData> {
    Row {
        name: "npz",
        summary: "arrays of NumPy: features of any kind of number, labels whole numbers or one-hot; an .npz file named by an option",
        example: "{name: npz, file: set.npz, x_train: x_train, y_train: y_train, x_test: x_test, \
                  y_test: y_test, owner: null, channels_last: null, classes: null, normalise: unit}",
        positional: &["file"],
        build: load,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    file: PathBuf,
    /// Names of the arrays.
    x_train: String,
    y_train: String,
    x_test: String,
    y_test: String,
    /// Name of an array with the number of the owner of each training sample, for `partition: natural`.
    owner: Option<String>,
    /// Images are `[n, height, width, channels]`, not `[n, channels, height, width]`; told from the shape when left out.
    channels_last: Option<bool>,
    /// Number of classes; one more than the largest training label when left out.
    classes: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        let [x_train, y_train, x_test, y_test] = ["x_train", "y_train", "x_test", "y_test"].map(String::from);
        let file = PathBuf::new();
        Self { file, x_train, y_train, x_test, y_test, owner: None, channels_last: None, classes: None }
    }
}

/// Features as they are kept.
enum Values {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
}

/// One part of the set.
struct Part {
    values: Values,
    /// Channels, height, width.
    image: [usize; 3],
    classes: Vec<u16>,
}

type Archive = zip::ZipArchive<BufReader<File>>;

fn load(choice: &Choice, context: &DataContext) -> Result<DataSet, OptionError> {
    let (images, options) = ImageOptions::of::<Options>(choice)?;
    let path = given("file", &options.file, context)?;
    let file = File::open(&path).map_err(|e| wrong(&path, &format!("cannot be opened: {e}"), ""))?;
    let mut archive = zip::ZipArchive::new(BufReader::new(file))
        .map_err(|e| wrong(&path, &format!("cannot be read: {e}"), "an .npz file"))?;
    let limit = options.classes.unwrap_or(1 << 16);
    let allowed = "1 to 65536";
    OptionError::check((1..=1 << 16).contains(&limit), "classes", limit, allowed)?;
    let mut part = |x: &str, y: &str, limit| part(&mut archive, &path, [x, y], options.channels_last, limit);
    let train = part(&options.x_train, &options.y_train, limit)?;
    let largest = train.classes.iter().copied().max().map_or(1, |label| usize::from(label) + 1);
    let classes = options.classes.unwrap_or(largest);
    let test = part(&options.x_test, &options.y_test, classes)?;
    let image @ [channels, height, width] = train.image;
    if image != test.image {
        let message = format!("has samples of {image:?} to train on, of {:?} to test on", test.image);
        return Err(wrong(&path, &message, "the same shape [channels, height, width]"));
    }
    let trained = match &train.values {
        Values::Bytes(pixels) => &pixels[..],
        Values::Floats(_) if images.normalise != Normalise::Unit => {
            let message = "normalisation is for bytes, these are other numbers";
            return Err(OptionError::new("normalise", message, "leave it out"));
        }
        Values::Floats(_) => &[],
    };
    let scale = images.normalise.scale(255.0, channels, height * width, trained)?;
    let samples = |part: Part| {
        let features = match part.values {
            Values::Bytes(pixels) => Features::Bytes { pixels, scale: scale.clone() },
            Values::Floats(values) => Features::Floats(values),
        };
        Samples::new(features, Labels::Classes(part.classes), channels * height * width)
    };
    let shape = DataShape::images(channels, height, width, classes);
    let mut train = samples(train);
    if let Some(name) = &options.owner {
        let owners = owners(&mut archive, &path, name, train.len())?;
        train = train.owned_by(owners);
    }
    Ok(DataSet::new(shape, train, samples(test)))
}

/// Who each of so many samples comes from; names are the numbers, in ascending order.
fn owners(archive: &mut Archive, path: &Path, name: &str, samples: usize) -> Result<Owners, OptionError> {
    let array =
        array::read(archive, path, name).map_err(|error| OptionError { key: "owner".to_owned(), ..error })?;
    let shape = array.shape.clone();
    let numbers = match array.classes(samples) {
        Ok(numbers) if shape.iter().product::<usize>() == samples => numbers,
        Ok(_) | Err(NoClasses::Count) => {
            let message = format!("holds `{name}` of shape {shape:?}");
            return Err(wrong(
                path,
                &message,
                format!("an owner for each of the {samples} training samples"),
            ));
        }
        Err(NoClasses::Value(at, value)) => {
            let message = format!("has the owner {value} for sample {at} in `{name}`");
            return Err(wrong(path, &message, "whole numbers"));
        }
    };
    let known: BTreeSet<i64> = numbers.iter().copied().collect();
    let place: BTreeMap<i64, u32> = known.iter().enumerate().map(|(i, number)| (*number, i as u32)).collect();
    Ok(Owners {
        of: numbers.iter().map(|number| place[number]).collect(),
        names: known.iter().map(ToString::to_string).collect(),
    })
}

fn part(
    archive: &mut Archive,
    path: &Path,
    [x, y]: [&str; 2],
    channels_last: Option<bool>,
    limit: usize,
) -> Result<Part, OptionError> {
    let Array { numbers, shape } = array::read(archive, path, x)?;
    let channels_last = channels_last.unwrap_or_else(|| looks_channels_last(&shape));
    let image = match (shape[..].split_first(), channels_last) {
        (Some((_, [features])), _) => [1, 1, *features],
        (Some((_, [height, width])), _) => [1, *height, *width],
        (Some((_, [channels, height, width])), false) => [*channels, *height, *width],
        (Some((_, [height, width, channels])), true) => [*channels, *height, *width],
        _ => {
            let message = format!("holds `{x}` of shape {shape:?}");
            return Err(wrong(path, &message, "[n, features], [n, h, w] or [n, c, h, w]"));
        }
    };
    let labels = array::read(archive, path, y)?;
    let counts = labels.shape.clone();
    let classes = labels.classes(shape[0]).map_err(|problem| match problem {
        NoClasses::Count => {
            let message = format!("holds `{x}` of shape {shape:?} and `{y}` of shape {counts:?}");
            wrong(path, &message, "as many labels as samples, 1 or more; or one-hot labels [n, classes]")
        }
        NoClasses::Value(at, value) => {
            let message = format!("has the label {value} for sample {at} of `{y}`");
            wrong(path, &message, "whole numbers from 0, or one-hot rows: a 1 among zeros")
        }
    })?;
    if shape.contains(&0) {
        return Err(wrong(path, &format!("holds `{x}` of shape {shape:?}"), "1 sample or more"));
    }
    if let Some(at) = classes.iter().position(|label| !(0..limit as i64).contains(label)) {
        let message = format!("has the label {} for sample {at} of `{y}`", classes[at]);
        return Err(wrong(path, &message, format!("labels from 0 to {}", limit - 1)));
    }
    let values = match numbers {
        Numbers::Bytes(pixels) if shape.len() == 4 && channels_last => {
            Values::Bytes(channels_first(&pixels, image))
        }
        Numbers::Bytes(pixels) => Values::Bytes(pixels),
        Numbers::Others(values) => {
            let width = image.iter().product::<usize>();
            if let Some(at) = values.iter().position(|value| !(*value as f32).is_finite()) {
                let message = format!("has `{}` in sample {} of `{x}`", values[at], at / width.max(1));
                return Err(wrong(path, &message, "finite numbers"));
            }
            let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
            let last = shape.len() == 4 && channels_last;
            Values::Floats(if last { channels_first(&values, image) } else { values })
        }
    };
    Ok(Part { values, image, classes: classes.into_iter().map(|label| label as u16).collect() })
}

/// Whether the last dimension of images must be their channels: it is 1, 3 or 4, and both before are larger than that.
fn looks_channels_last(shape: &[usize]) -> bool {
    matches!(shape[..], [_, height, width, 1 | 3 | 4] if height > 4 && width > 4)
}

/// `[n, h, w, c]` as `[n, c, h, w]`.
fn channels_first<T: Copy>(values: &[T], [channels, height, width]: [usize; 3]) -> Vec<T> {
    let area = height * width;
    let image = |image: &[T]| -> Vec<T> {
        (0..channels * area).map(|i| image[(i % area) * channels + i / area]).collect()
    };
    values.chunks_exact(channels * area).flat_map(image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::data::files::Unpacked;
    use crate::kernels::Isa;
    use npyz::WriterBuilder;
    use serde_json::{Value, json};
    use std::io::Write;

    fn npy<T: npyz::AutoSerialize + Clone>(shape: &[u64], values: &[T], order: npyz::Order) -> Vec<u8> {
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
        let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
        writer.extend(values.iter().cloned()).unwrap();
        writer.finish().unwrap();
        bytes
    }

    fn c<T: npyz::AutoSerialize + Clone>(shape: &[u64], values: &[T]) -> Vec<u8> {
        npy(shape, values, npyz::Order::C)
    }

    fn build(arrays: &[(&str, Vec<u8>)], options: Value) -> Result<DataSet, OptionError> {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        build_from(&zip.finish().unwrap().into_inner(), options)
    }

    fn build_from(bytes: &[u8], options: Value) -> Result<DataSet, OptionError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("set.npz"), bytes).unwrap();
        let mut options = options.as_object().unwrap().clone();
        options.entry("file").or_insert(json!("set.npz"));
        let choice = Choice { name: "npz".into(), options, positional: vec![] };
        (row().build)(&choice, &DataContext { data_dir: Some(dir.path().to_owned()), seed: 0 })
    }

    /// Two images of two channels and 1x3 pixels to train on, one to test on.
    fn images() -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("x_train", c(&[2, 2, 1, 3], &(0u8..12).collect::<Vec<_>>())),
            ("y_train", c(&[2, 1], &[1i64, 0])),
            ("x_test", c(&[1, 2, 1, 3], &[9u8; 6])),
            ("y_test", c(&[1], &[1u8])),
        ]
    }

    fn first(set: &DataSet) -> Batch {
        let mut batch = Batch::default();
        set.train.gather(Isa::best(), [0usize].into_iter(), &mut batch);
        batch
    }

    #[test]
    fn bytes_are_images_with_channels_first_or_last() {
        let set = build(&images(), json!({"normalise": [0, 0.5]})).unwrap();
        assert_eq!(set.shape, DataShape::images(2, 1, 3, 2));
        let unit = |v: f32| v / 255.0 / 0.5;
        assert_eq!(
            first(&set),
            Batch::of_classes([0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(unit).to_vec(), vec![1])
        );
        let mut last = images();
        last[0].1 = c(&[2, 1, 3, 2], &(0u8..12).collect::<Vec<_>>());
        last[2].1 = c(&[1, 1, 3, 2], &[9u8; 6]);
        let set = build(&last, json!({"channels_last": true, "normalise": [0, 0.5], "classes": 5})).unwrap();
        assert_eq!(set.shape, DataShape::images(2, 1, 3, 5));
        assert_eq!(first(&set).x, [0.0, 2.0, 4.0, 1.0, 3.0, 5.0].map(unit));
    }

    #[test]
    fn floats_are_features_and_names_are_options() {
        let arrays = [
            ("a", c(&[2, 2], &[0.5f64, 1.0, 1.5, 2.0])),
            ("b", c(&[2], &[2i32, 0])),
            ("c", c(&[1, 2], &[0.5f32, 3.0])),
            ("d", c(&[1], &[1i32])),
        ];
        let names = json!({"x_train": "a", "y_train": "b", "x_test": "c", "y_test": "d"});
        let set = build(&arrays, names.clone()).unwrap();
        assert_eq!(set.shape, DataShape::features(2, 3));
        assert_eq!(first(&set), Batch::of_classes(vec![0.5, 1.0], vec![2]));
        let mut options = names;
        options["normalise"] = json!("per_pixel");
        assert_eq!(build(&arrays, options).unwrap_err().key, "normalise");
    }

    #[test]
    fn every_kind_and_order_of_numbers_is_read() {
        let mut arrays = [
            ("x_train", c(&[2, 2], &[1u8, 2, 3, 4])),
            ("y_train", c(&[2], &[1i64, 0])),
            ("x_test", c(&[1, 2], &[1u8, 2])),
            ("y_test", c(&[1], &[1u8])),
        ];
        let floats = |arrays: &[(&str, Vec<u8>)]| first(&build(arrays, json!({})).unwrap()).x;
        for array in [
            c(&[2, 2], &[1i8, 2, 3, 4]),
            c(&[2, 2], &[1i16, 2, 3, 4]),
            c(&[2, 2], &[1i32, 2, 3, 4]),
            c(&[2, 2], &[1i64, 2, 3, 4]),
            c(&[2, 2], &[1u16, 2, 3, 4]),
            c(&[2, 2], &[1u64, 2, 3, 4]),
            npy(&[2, 2], &[1f32, 3.0, 2.0, 4.0], npyz::Order::Fortran),
            npy(&[2, 2], &[1f64, 3.0, 2.0, 4.0], npyz::Order::Fortran),
        ] {
            arrays[0].1 = array;
            assert_eq!(floats(&arrays), [1.0, 2.0]);
        }
        arrays[0].1 = c(&[2, 2], &[true, false, false, true]);
        assert_eq!(floats(&arrays), [1.0, 0.0]);
        arrays[1].1 = c(&[2, 2], &[false, true, true, false]);
        arrays[3].1 = c(&[1], &[1.0f32]);
        let set = build(&arrays, json!({})).unwrap();
        assert_eq!(set.train.classes().unwrap(), [1, 0]);
    }

    #[test]
    fn owners_are_an_array_of_their_own() {
        let mut arrays = images();
        arrays.push(("user", c(&[2], &[70i64, -3])));
        arrays.push(("wrong", c(&[3], &[1i64, 2, 3])));
        let set = build(&arrays, json!({"owner": "user"})).unwrap();
        let owners = set.train.owners().unwrap();
        assert_eq!(
            (&owners.of[..], &owners.names[..]),
            (&[1, 0][..], &["-3".to_owned(), "70".to_owned()][..])
        );
        let error = |name: &str| build(&arrays, json!({"owner": name})).unwrap_err().to_string();
        assert!(error("wrong").contains("`wrong` of shape [3]"), "{}", error("wrong"));
        assert!(error("who").contains("owner"), "{}", error("who"));
        assert!(build(&arrays, json!({})).unwrap().train.owners().is_none());
    }

    #[test]
    fn channels_that_must_be_last_are_found() {
        let mut arrays = images();
        arrays[0].1 = c(&[2, 5, 6, 3], &[7u8; 180]);
        arrays[2].1 = c(&[1, 5, 6, 3], &[7u8; 90]);
        let told = |options| build(&arrays, options).unwrap().shape;
        assert_eq!(told(json!({})), DataShape::images(3, 5, 6, 2));
        assert_eq!(told(json!({"channels_last": false})), DataShape::images(5, 6, 3, 2));
    }

    #[test]
    fn an_archive_that_unpacks_to_far_too_much_is_refused() {
        let bomb = Unpacked::new(std::io::repeat(0), 10);
        let read = std::io::copy(&mut { bomb }, &mut std::io::sink()).unwrap_err();
        assert!(read.to_string().contains("unpacks to more than"), "{read}");
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        let with = |at: usize, array: Vec<u8>| {
            let mut arrays = images();
            arrays[at].1 = array;
            build(&arrays, json!({})).unwrap_err().to_string()
        };
        let whole = images().swap_remove(0).1;
        for (at, array, expected) in [
            (0, c(&[12], &[0u8; 12]), "holds `x_train` of shape [12]"),
            (0, c(&[3, 2, 1, 2], &[0u8; 12]), "and `y_train` of shape [2, 1]"),
            (0, c(&[2, 2, 1, 3], &[f32::NAN; 12]), "has `NaN` in sample 0 of `x_train`"),
            (0, whole[..whole.len() - 2].to_vec(), "array `x_train` cannot be read"),
            (0, vec![], "array `x_train` cannot be read"),
            (1, c(&[2], &[-1i64, 0]), "label -1 for sample 0"),
            (1, c(&[2], &[0.5f64, 0.0]), "label 0.5 for sample 0"),
            (1, c(&[2, 2], &[1u8, 1, 0, 1]), "label 2 for sample 0"),
            (2, c(&[1, 2, 3, 1], &[9u8; 6]), "has samples of [2, 1, 3] to train on, of [2, 3, 1]"),
            (3, c(&[1], &[2u8]), "label 2 for sample 0 of `y_test`; allowed: labels from 0 to 1"),
        ] {
            let error = with(at, array);
            assert!(error.contains(expected) && error.contains("set.npz"), "{expected}: {error}");
        }
        let error = build(&images()[1..], json!({})).unwrap_err().to_string();
        assert!(error.contains("no array `x_train`") && error.contains("y_train, x_test, y_test"), "{error}");
        let error = build_from(b"no archive", json!({})).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
        assert_eq!(build(&images(), json!({"file": "none.npz"})).unwrap_err().key, "file");
        assert_eq!(build(&images(), json!({"x": "a"})).unwrap_err().key, "x");
    }
}
