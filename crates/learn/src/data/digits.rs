//! Handwritten digits, 8x8 pixels, embedded: UCI Optical Recognition of Handwritten Digits, E. Alpaydin and
//! C. Kaynak, CC BY 4.0 (see assets/README.md).

use super::{BuildData, DataSet, ImageOptions, Samples, shuffled};
use crate::model::DataShape;
use hcddl_core::domain::{OptionError, Row};

static BYTES: &[u8; COUNT * (PIXELS + 1)] = include_bytes!("../../../../assets/digits.bin");
const COUNT: usize = 1797;
const PIXELS: usize = 64;
const TRAIN: usize = 1437;
/// The split never changes: not with the seeds of a run.
const SPLIT_SEED: u64 = 0;

/// Its row.
pub fn row() -> Row<BuildData> {
    Row {
        name: "digits",
        summary: "1,797 handwritten digits of 8x8 pixels, embedded: 1,437 to train on, 360 to test on",
        example: "{name: digits, normalise: unit}",
        positional: &[],
        build: |choice, _| load(&choice.options()?),
    }
}

fn load(options: &ImageOptions) -> Result<DataSet, OptionError> {
    let (pixels, labels) = BYTES.split_at(COUNT * PIXELS);
    let order = shuffled(COUNT, SPLIT_SEED, "digits");
    let image = |i: &u32| &pixels[*i as usize * PIXELS..(*i as usize + 1) * PIXELS];
    let trained: Vec<u8> = order[..TRAIN].iter().flat_map(image).copied().collect();
    let scale = options.normalise.scale(16.0, 1, PIXELS, &trained)?;
    let take = |part: &[u32]| {
        let features = part.iter().flat_map(image).copied().collect();
        let labels = part.iter().map(|i| u16::from(labels[*i as usize])).collect();
        Samples::from_bytes(features, labels, PIXELS, scale.clone())
    };
    Ok(DataSet::new(DataShape::images(1, 8, 8, 10), take(&order[..TRAIN]), take(&order[TRAIN..])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_core::domain::digest::of_bytes;

    #[test]
    fn the_file_is_whole_and_the_split_is_fixed() {
        let set = load(&ImageOptions::default()).unwrap();
        assert_eq!((set.train.len(), set.test.len()), (1437, 360));
        assert!(BYTES[..COUNT * PIXELS].iter().all(|p| *p <= 16));
        let bytes: Vec<u8> = set.test.classes().unwrap().iter().map(|class| *class as u8).collect();
        // Images of each class in the published file.
        let mut counts = [0; 10];
        BYTES[COUNT * PIXELS..].iter().for_each(|label| counts[usize::from(*label)] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!(of_bytes(&bytes).to_string(), "1ed09cfb27b0416de02658fad6551504");
    }
}
