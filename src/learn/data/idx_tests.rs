use super::*;
use crate::domain::Choice;
use crate::learn::batch::Batch;
use crate::learn::kernels::Isa;
use proptest::prelude::*;
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
        (0, ".missing", vec![], "mnist/train-images-idx3-ubyte.gz"),
    ];
    for (index, suffix, bytes, expected) in cases {
        let error = with(Some((index, suffix, bytes))).unwrap_err();
        assert!(error.contains(expected) && error.contains("--data-dir"), "{expected}: {error}");
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
