//! Cutout (DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017): a
//! square around a random pixel is set to 0 in every channel; what lies beyond the border is cut off.

use super::{Augment, BuildAugment, ImageShape};
use hcddl_core::domain::{OptionError, Row, Stream};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Cutout {
    size: usize,
}

impl Default for Cutout {
    fn default() -> Self {
        Self { size: 16 }
    }
}

impl Augment for Cutout {
    fn apply(&self, image: &mut [f32], shape: ImageShape, stream: &mut Stream, _: &mut Vec<f32>) {
        let ImageShape { height, width, .. } = shape;
        let mut side = |len: usize| {
            let start = stream.below(len as u64) as usize + len - self.size / 2;
            // Both ends shifted up by `len`, so that they cannot fall below 0.
            start.clamp(len, 2 * len) - len..(start + self.size).clamp(len, 2 * len) - len
        };
        let (rows, columns) = (side(height), side(width));
        for channel in image.chunks_exact_mut(height * width) {
            for row in rows.clone() {
                channel[row * width..][columns.clone()].fill(0.0);
            }
        }
    }
}

/// Its row.
pub fn row() -> Row<BuildAugment> {
    Row {
        name: "cutout",
        summary: "sets a square of this side around a random pixel to 0",
        example: "{name: cutout, size: 16}",
        positional: &["size"],
        build: |choice, shape| {
            let options: Cutout = choice.options()?;
            let most = 2 * shape.height.min(shape.width);
            let allowed = format!("1 to {most} for images of {}x{}", shape.height, shape.width);
            OptionError::check((1..=most).contains(&options.size), "size", options.size, &allowed)?;
            Ok(Box::new(options))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::images;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn every_square_by_hand() {
        let mut seen = BTreeSet::new();
        for image in images(&json!("cutout(2)"), 300) {
            let cut: Vec<usize> = (0..18).filter(|i| image[*i] == 0.0).collect();
            assert!((0..18).all(|i| cut.contains(&i) || image[i] == i as f32 + 1.0));
            seen.insert(cut);
        }
        // Around pixel (y, x): rows y - 1 and y, columns x - 1 and x, as far as they are there; in both channels.
        let mut expected = BTreeSet::new();
        for (y, x) in (0..9).map(|i| (i / 3, i % 3)) {
            let near = |at: usize, of: usize| of == at || of + 1 == at;
            let cut = (0..18).filter(|i| near(y, i / 3 % 3) && near(x, i % 3));
            expected.insert(cut.collect::<Vec<usize>>());
        }
        assert_eq!((seen.len(), seen), (9, expected));
    }
}
