//! CIFAR-10 and CIFAR-100, binary version (<https://www.cs.toronto.edu/~kriz/cifar.html>): for each image one label
//! (two in CIFAR-100: coarse, then fine), then 32x32 red, green and blue values.

use super::files::{find, open, wrong};
use super::{BuildData, DataContext, DataSet, ImageOptions, Samples};
use crate::model::DataShape;
use hcddl_core::domain::{Choice, OptionError, Row};
use serde::Deserialize;
use std::io::Read;
use std::path::Path;

const SIDE: usize = 32;
const PIXELS: usize = 3 * SIDE * SIDE;

/// Krizhevsky, Learning multiple layers of features from tiny images, 2009.
pub fn cifar10() -> Row<BuildData> {
    Row {
        name: "cifar10",
        summary: "CIFAR-10, colour images of 32x32, 50,000 and 10,000; binary version from the data directory",
        example: "{name: cifar10, normalise: unit}",
        positional: &[],
        build: |choice, context| {
            let (images, Nothing {}) = ImageOptions::of(choice)?;
            let train = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"];
            let set = Files { name: "cifar10", folder: "cifar-10-batches-bin", labels: &[10], label: 0 };
            set.load(&train, "test_batch", &images, context)
        },
    }
}

/// The same with 100 classes in 20 groups.
pub fn cifar100() -> Row<BuildData> {
    Row {
        name: "cifar100",
        summary: "CIFAR-100, colour images of 32x32, 50,000 and 10,000; binary version from the data directory",
        example: "{name: cifar100, labels: fine, normalise: unit}",
        positional: &["labels"],
        build: load_100,
    }
}

fn load_100(choice: &Choice, context: &DataContext) -> Result<DataSet, OptionError> {
    let (images, options) = ImageOptions::of::<Options>(choice)?;
    let label = match options.labels {
        Level::Coarse => 0,
        Level::Fine => 1,
    };
    let set = Files { name: "cifar100", folder: "cifar-100-binary", labels: &[20, 100], label };
    set.load(&["train"], "test", &images, context)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// 100 classes, or the 20 groups that they are in.
    labels: Level,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    #[default]
    Fine,
    Coarse,
}

struct Files {
    name: &'static str,
    /// What the published archive unpacks to.
    folder: &'static str,
    /// Classes of each label of an image.
    labels: &'static [u8],
    /// Which of them counts.
    label: usize,
}

/// Pixels and classes.
type Images = (Vec<u8>, Vec<u16>);

impl Files {
    fn load(
        &self,
        train: &[&str],
        test: &str,
        images: &ImageOptions,
        context: &DataContext,
    ) -> Result<DataSet, OptionError> {
        let mut trained = Images::default();
        for file in train {
            self.read(file, &mut trained, context)?;
        }
        let mut tested = Images::default();
        self.read(test, &mut tested, context)?;
        let scale = images.normalise.scale(255.0, 3, SIDE * SIDE, &trained.0)?;
        let samples = |(pixels, classes): Images| Samples::from_bytes(pixels, classes, PIXELS, scale.clone());
        let shape = DataShape::images(3, SIDE, SIDE, usize::from(self.labels[self.label]));
        let set = DataSet::new(shape, samples(trained), samples(tested));
        Ok(set)
    }

    fn read(&self, file: &str, to: &mut Images, context: &DataContext) -> Result<(), OptionError> {
        let path = find(self.name, &[self.folder], &format!("{file}.bin"), context)?;
        let mut from = open(&path)?;
        let mut record = vec![0; self.labels.len() + PIXELS];
        let mut count = 0;
        while fill(&mut from, &mut record, &path, count)? {
            let (labels, pixels) = record.split_at(self.labels.len());
            if let Some((label, classes)) = labels.iter().zip(self.labels).find(|(label, n)| label >= n) {
                let message = format!("has the label {label} for image {count}");
                return Err(wrong(&path, &message, format!("labels from 0 to {}", classes - 1)));
            }
            to.0.extend(pixels);
            to.1.push(u16::from(labels[self.label]));
            count += 1;
        }
        if count == 0 {
            return Err(wrong(&path, "holds no images", "1 or more"));
        }
        Ok(())
    }
}

/// Reads a record; false at the end of the file.
fn fill(from: &mut impl Read, record: &mut [u8], path: &Path, number: usize) -> Result<bool, OptionError> {
    let mut length = 0;
    while length < record.len() {
        match from.read(&mut record[length..]) {
            Ok(0) if length == 0 => return Ok(false),
            Ok(0) => {
                let message = format!("is truncated: {length} bytes of image {number}");
                return Err(wrong(path, &message, format!("{} bytes", record.len())));
            }
            Ok(bytes) => length += bytes,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(wrong(path, &format!("cannot be read: {e}"), "")),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::kernels::Isa;
    use serde_json::{Value, json};

    /// Images whose channels are constant: 10, 20 and 30 more than the number of the image.
    fn file(labels: &[&[u8]]) -> Vec<u8> {
        let image = |(i, labels): (usize, &&[u8])| {
            let channel = |c: u8| vec![10 * (c + 1) + i as u8; SIDE * SIDE];
            [labels.to_vec(), channel(0), channel(1), channel(2)].concat()
        };
        labels.iter().enumerate().flat_map(image).collect()
    }

    fn build(
        row: &Row<BuildData>,
        files: &[(&str, Vec<u8>)],
        options: Value,
    ) -> Result<DataSet, OptionError> {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let options = options.as_object().unwrap().clone();
        let choice = Choice { name: row.name.into(), options, positional: vec![] };
        (row.build)(&choice, &DataContext { data_dir: Some(dir.path().to_owned()), seed: 0 })
    }

    fn ten(first: Vec<u8>, options: Value) -> Result<DataSet, OptionError> {
        let name = |i: usize| format!("cifar10/cifar-10-batches-bin/data_batch_{i}.bin");
        let mut files: Vec<(String, Vec<u8>)> = (2..=5).map(|i| (name(i), file(&[&[i as u8]]))).collect();
        files.extend([(name(1), first), ("cifar10/test_batch.bin".into(), file(&[&[9], &[0]]))]);
        let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
        build(&cifar10(), &files, options)
    }

    #[test]
    fn five_batches_become_one_part_in_their_order() {
        let set = ten(file(&[&[7], &[1]]), json!({})).unwrap();
        assert_eq!(set.shape, DataShape::images(3, 32, 32, 10));
        assert_eq!(set.train.classes().unwrap(), [7, 1, 2, 3, 4, 5]);
        assert_eq!(set.test.classes().unwrap(), [9, 0]);
        let options = json!({"normalise": [[0, 0, 0.5], [1, 0.5, 1]]});
        let set = ten(file(&[&[7], &[1]]), options).unwrap();
        let mut batch = Batch::default();
        set.train.gather(Isa::best(), [1usize].into_iter(), &mut batch);
        let expected = [11.0 / 255.0, 21.0 / 255.0 / 0.5, 31.0 / 255.0 - 0.5];
        assert_eq!([batch.x[1023], batch.x[1024], batch.x[3071]], expected);
    }

    #[test]
    fn a_hundred_has_fine_and_coarse_labels() {
        let files = [
            ("cifar100/cifar-100-binary/train.bin", file(&[&[19, 99], &[3, 50]])),
            ("cifar100/cifar-100-binary/test.bin", file(&[&[0, 1]])),
        ];
        let fine = build(&cifar100(), &files, json!({})).unwrap();
        assert_eq!((fine.train.classes().unwrap(), fine.shape.output_len()), (&[99, 50][..], 100));
        let coarse = build(&cifar100(), &files, json!({"labels": "coarse"})).unwrap();
        assert_eq!((coarse.train.classes().unwrap(), coarse.shape.output_len()), (&[19, 3][..], 20));
        assert_eq!(build(&cifar100(), &files, json!({"labels": "both"})).unwrap_err().key, "labels");
        let wrong = [files[0].clone(), ("cifar100/test.bin", file(&[&[20, 1]]))];
        let error = build(&cifar100(), &wrong, json!({})).unwrap_err().to_string();
        assert!(error.contains("label 20 for image 0") && error.contains("0 to 19"), "{error}");
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        for (bytes, expected) in [
            (file(&[&[7], &[10]]), "label 10 for image 1"),
            (file(&[&[7], &[1]])[..4000].to_vec(), "is truncated: 927 bytes of image 1; allowed: 3073 bytes"),
            (vec![], "holds no images"),
        ] {
            let error = ten(bytes, json!({})).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("data_batch_1.bin"), "{expected}: {error}");
        }
        let error = build(&cifar10(), &[], json!({})).unwrap_err().to_string();
        assert!(
            error.contains("hcddl data fetch cifar10") && error.contains("data_batch_1.bin.gz"),
            "{error}"
        );
        assert_eq!(ten(file(&[&[1]]), json!({"labels": "fine"})).unwrap_err().key, "labels");
        assert_eq!(ten(file(&[&[1]]), json!({"normalise": [[0], [1]]})).unwrap_err().key, "normalise");
    }
}
