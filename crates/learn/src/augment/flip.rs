//! Random horizontal flip.

use super::{Augment, BuildAugment, ImageShape};
use hcddl_core::domain::{OptionError, Row, Stream};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Flip {
    p: f64,
}

impl Default for Flip {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}

impl Augment for Flip {
    fn apply(&self, image: &mut [f32], shape: ImageShape, stream: &mut Stream, _: &mut Vec<f32>) {
        if stream.uniform() < self.p {
            image.chunks_exact_mut(shape.width).for_each(<[f32]>::reverse);
        }
    }
}

/// Its row.
pub fn row() -> Row<BuildAugment> {
    Row {
        name: "flip",
        summary: "mirrors images left to right with probability p",
        example: "{name: flip, p: 0.5}",
        positional: &["p"],
        build: |choice, _| {
            let options: Flip = choice.options()?;
            OptionError::check((0.0..=1.0).contains(&options.p), "p", options.p, "0 to 1")?;
            Ok(Box::new(options))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::images;
    use serde_json::json;

    #[test]
    fn half_of_them_by_hand() {
        let original: Vec<f32> = (1..=18u8).map(f32::from).collect();
        let mirrored: Vec<f32> = original.chunks(3).flat_map(|row| [row[2], row[1], row[0]]).collect();
        let images = images(&json!("flip"), 400);
        let flipped = images.iter().filter(|image| **image == mirrored).count();
        assert!((160..240).contains(&flipped), "{flipped}");
        assert_eq!(images.iter().filter(|image| **image == original).count(), 400 - flipped);
        assert!(super::super::tests::images(&json!("flip(1)"), 9).iter().all(|image| *image == mirrored));
    }
}
