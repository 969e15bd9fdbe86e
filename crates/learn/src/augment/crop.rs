//! Random crop: the image is padded with zeros on every side and cut to its size again at a random place.

use super::{Augment, BuildAugment, ImageShape};
use hcddl_core::domain::{OptionError, Row, Stream};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Crop {
    padding: usize,
}

impl Default for Crop {
    fn default() -> Self {
        Self { padding: 4 }
    }
}

impl Augment for Crop {
    fn apply(&self, image: &mut [f32], shape: ImageShape, stream: &mut Stream, scratch: &mut Vec<f32>) {
        let ImageShape { height, width, .. } = shape;
        let places = 2 * self.padding as u64 + 1;
        let (down, right) = (stream.below(places) as usize, stream.below(places) as usize);
        scratch.clear();
        scratch.extend_from_slice(image);
        image.fill(0.0);
        // Rows and columns of the original from `from`, to be put at `to`, `count` of them.
        let kept = |offset: usize, size: usize| {
            let (from, to) = (offset.saturating_sub(self.padding), self.padding.saturating_sub(offset));
            (from, to, size - from.max(to))
        };
        let (from_row, to_row, rows) = kept(down, height);
        let (from_column, to_column, columns) = kept(right, width);
        for (to, from) in image.chunks_exact_mut(height * width).zip(scratch.chunks_exact(height * width)) {
            for row in 0..rows {
                let source = &from[(from_row + row) * width + from_column..][..columns];
                to[(to_row + row) * width + to_column..][..columns].copy_from_slice(source);
            }
        }
    }
}

/// Its row.
pub fn row() -> Row<BuildAugment> {
    Row {
        name: "crop",
        summary: "pads images with so many zeros and cuts them to their size again at a random place",
        example: "{name: crop, padding: 4}",
        positional: &["padding"],
        build: |choice, shape| {
            let options: Crop = choice.options()?;
            let most = shape.height.min(shape.width) - 1;
            let allowed = format!("1 to {most} for images of {}x{}", shape.height, shape.width);
            OptionError::check((1..=most).contains(&options.padding), "padding", options.padding, &allowed)?;
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
    fn every_place_by_hand() {
        let mut places = BTreeSet::new();
        for image in images(&json!("crop(1)"), 200) {
            // The centre of the first channel tells the place: (row, column) of the original holds 3 row + column + 1.
            let centre = image[4] as usize - 1;
            let (row, column) = (centre / 3, centre % 3);
            places.insert((row, column));
            for (i, value) in image.iter().enumerate() {
                let (channel, y, x) = (i / 9, i / 3 % 3 + row, i % 3 + column);
                // The original lies in rows and columns 1 to 3 of the padded image.
                let inside = (1..4).contains(&y) && (1..4).contains(&x);
                let expected = if inside { channel * 9 + (y - 1) * 3 + x } else { 0 };
                assert_eq!(*value, expected as f32, "{image:?}");
            }
        }
        assert_eq!(places.len(), 9);
    }
}
