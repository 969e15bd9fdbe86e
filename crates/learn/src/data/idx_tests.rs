use super::*;
use crate::batch::Batch;
use crate::kernels::Isa;
use hcddl_core::domain::Choice;
use proptest::prelude::*;
use serde_json::json;
use std::io::Write;

fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// A right set of 3 + 2 images of 2x2, with one file replaced.
fn with(replaced: Option<(usize, &str, Vec<u8>)>) -> Result<DataSet, String> {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        idx(&[3, 2, 2], &[0, 255, 51, 102, 1, 2, 3, 4, 5, 6, 7, 8]),
        idx(&[3], &[1, 9, 0]),
        idx(&[2, 2, 2], &[9; 8]),
        idx(&[2], &[4, 4]),
    ];
    for (i, (name, bytes)) in NAMES.iter().zip(&files).enumerate() {
        match &replaced {
            Some((index, suffix, bytes)) if *index == i => {
                std::fs::write(dir.path().join(format!("{name}{suffix}")), bytes).unwrap();
            }
            _ => std::fs::write(dir.path().join(name), bytes).unwrap(),
        }
    }
    let context = DataContext { data_dir: Some(dir.path().to_owned()), seed: 0 };
    (mnist().build)(&Choice::named("mnist"), &context).map_err(|e| e.to_string())
}

#[test]
fn reads_plain_and_gzip() {
    let plain = with(None).unwrap();
    assert_eq!(plain.shape, DataShape::images(1, 2, 2, 10));
    let mut batch = Batch::default();
    plain.train.gather(Isa::best(), [0usize].into_iter(), &mut batch);
    assert_eq!(batch, Batch::of_classes(vec![0.0, 1.0, 51.0 / 255.0, 102.0 / 255.0], vec![1]));
    let zipped = with(Some((1, ".gz", gz(&idx(&[3], &[1, 9, 0]))))).unwrap();
    assert_eq!(zipped.train.classes(), plain.train.classes());
}

/// A set of 2 + 1 letters of 2x3 pixels, as EMNIST stores them.
fn letters(labels: [u8; 2], options: serde_json::Value) -> Result<DataSet, OptionError> {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("emnist/gzip");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in [
        ("train-images-idx3-ubyte.gz", idx(&[2, 2, 3], &[0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15])),
        ("train-labels-idx1-ubyte.gz", idx(&[2], &labels)),
        ("test-images-idx3-ubyte.gz", idx(&[1, 2, 3], &[20, 21, 22, 23, 24, 25])),
        ("test-labels-idx1-ubyte.gz", idx(&[1], &[26])),
    ] {
        std::fs::write(folder.join(format!("emnist-letters-{name}")), gz(&bytes)).unwrap();
    }
    let context = DataContext { data_dir: Some(dir.path().to_owned()), seed: 0 };
    let options = options.as_object().unwrap().clone();
    (emnist().build)(&Choice { name: "emnist".into(), options, positional: vec![] }, &context)
}

#[test]
fn emnist_is_turned_and_its_letters_count_from_zero() {
    let set = letters([1, 26], json!({"split": "letters"})).unwrap();
    assert_eq!(set.shape, DataShape::images(1, 3, 2, 26));
    let mut batch = Batch::default();
    set.train.gather(Isa::best(), [0usize, 1].into_iter(), &mut batch);
    let expected = [0, 3, 1, 4, 2, 5, 10, 13, 11, 14, 12, 15].map(|v| f32::from(v as u8) / 255.0);
    assert_eq!(batch, Batch::of_classes(expected.to_vec(), vec![0, 25]));
    let error = letters([0, 26], json!({"split": "letters"})).unwrap_err().to_string();
    assert!(error.contains("label 0 of sample 0") && error.contains("from 1 to 26"), "{error}");
    let error = letters([1, 2], json!({"split": "capitals"})).unwrap_err();
    assert!(error.key == "split" && error.message.contains("byclass"), "{error}");
    let error = letters([1, 2], json!({})).unwrap_err().to_string();
    assert!(error.contains("emnist-balanced-train") && error.contains("hcddl data fetch emnist"), "{error}");
}

#[test]
fn a_pooled_set_is_trained_on_whole_and_tested_on_the_same_test_images() {
    let options = json!({"split": "letters", "pool": true, "normalise": "per_pixel"});
    let set = letters([1, 26], options).unwrap();
    assert_eq!((set.train.classes().unwrap(), set.test.classes().unwrap()), (&[0, 25, 25][..], &[25][..]));
    let mut batch = Batch::default();
    set.train.gather(Isa::best(), [1usize, 2].into_iter(), &mut batch);
    let one = 10.0 / ((200f64 / 3.0).sqrt() + 0.001) as f32;
    assert_eq!(batch.x, [[0.0; 6], [one; 6]].concat());
    assert_eq!(letters([1, 2], json!({"split": "letters", "pol": true})).unwrap_err().key, "pol");
}

#[test]
fn real_files_are_whole() {
    let Some(directory) = std::env::var_os("HCDDL_DATA") else {
        eprintln!("skipped: HCDDL_DATA is not set");
        return;
    };
    let context = DataContext { data_dir: Some(directory.into()), seed: 0 };
    let options = json!({"pool": true}).as_object().unwrap().clone();
    let choice = Choice { name: "mnist".into(), options, positional: vec![] };
    for row in [mnist(), fashion_mnist()] {
        let set = (row.build)(&choice, &context).unwrap();
        assert_eq!((set.train.len(), set.test.len()), (70_000, 10_000));
        assert_eq!(set.train.classes().unwrap()[60_000..], *set.test.classes().unwrap());
    }
}

#[test]
fn says_what_is_wrong_with_a_file() {
    let labels = idx(&[3], &[1, 9, 0]);
    let cases = [
        (1, "", labels[..9].to_vec(), "is truncated: 1 of 3 values"),
        (1, "", labels[..6].to_vec(), "ends within its header"),
        (1, "", vec![], "ends within its header"),
        (1, "", [labels.clone(), vec![1]].concat(), "goes on after its 3 values"),
        (1, "", idx(&[3], &[1, 10, 0]), "label 10 of sample 1"),
        (1, "", idx(&[4], &[1, 2, 0, 3]), "holds 3 images"),
        (0, "", labels.clone(), "starts with 0x00000801"),
        (0, "", b"\x1f\x8bnot plain".to_vec(), "starts with 0x1f8b"),
        (0, "", idx(&[u32::MAX, u32::MAX, 9], &[]), "claims to hold"),
        (2, "", idx(&[2, 1, 2], &[9; 4]), "test images of 1x2"),
        (1, ".gz", gz(&labels)[..12].to_vec(), "ends within its header"),
        (1, ".gz", labels, "cannot be read"),
        (0, ".missing", vec![], "`hcddl data fetch mnist`"),
    ];
    for (index, suffix, bytes, expected) in cases {
        let error = with(Some((index, suffix, bytes))).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn asks_for_a_data_directory() {
    let error =
        (fashion_mnist().build)(&Choice::named("fashion_mnist"), &DataContext::default()).unwrap_err();
    assert!(error.to_string().contains("HCDDL_DATA"), "{error}");
}

proptest! {
    #[test]
    fn the_parser_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64), rank in 1usize..4, whole: bool) {
        let mut bytes = bytes;
        if whole {
            bytes.splice(0..0, [0, 0, 8, rank as u8]);
        }
        let _ = parse(bytes.as_slice(), rank);
        let _ = parse(flate2::read::MultiGzDecoder::new(bytes.as_slice()), rank);
    }

    #[test]
    fn what_was_written_is_read(values in prop::collection::vec(any::<u8>(), 1..50)) {
        let bytes = idx(&[values.len() as u32], &values);
        prop_assert_eq!(parse(bytes.as_slice(), 1), Ok((vec![values.len()], values)));
    }
}
