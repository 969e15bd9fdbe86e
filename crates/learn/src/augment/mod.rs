//! Changes of training images, one file each: they are made anew for every batch, after normalising, from a
//! random stream of (data seed, shard, batch, sample), so that a batch is the same whoever makes it.

mod crop;
mod cutout;
mod flip;

use super::batch::Batch;
use super::model::{DataShape, Input};
use hcddl_core::domain::rng::{Streams, derived};
use hcddl_core::domain::{Choice, OptionError, Stream, Table};
use serde_json::Value;

/// Size of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// Channels.
    pub channels: usize,
    /// Rows of a channel.
    pub height: usize,
    /// Values of a row.
    pub width: usize,
}

impl ImageShape {
    /// Values of an image.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// True when an image has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A random change of an image.
pub trait Augment: Send + Sync + std::fmt::Debug {
    /// Changes an image `[channels, height, width]` in place. `scratch` is working memory, kept between calls.
    fn apply(&self, image: &mut [f32], shape: ImageShape, stream: &mut Stream, scratch: &mut Vec<f32>);
}

/// Makes a change from its options, for images of this size.
pub type BuildAugment = fn(&Choice, ImageShape) -> Result<Box<dyn Augment>, OptionError>;

/// All changes of images.
#[must_use]
pub fn table() -> Table<BuildAugment> {
    Table::new("augmentation", vec![crop::row(), flip::row(), cutout::row()])
}

/// Changes one after another.
#[derive(Debug, Default)]
pub struct Pipeline {
    steps: Vec<Box<dyn Augment>>,
    shape: Option<ImageShape>,
}

impl Pipeline {
    /// The changes that `augment: [...]` lists.
    ///
    /// # Errors
    /// [`OptionError`] below the key `augment`: unknown names, options out of bounds, data that are not images.
    pub fn new(
        written: &[Value],
        table: &Table<BuildAugment>,
        data: &DataShape,
    ) -> Result<Self, OptionError> {
        if written.is_empty() {
            return Ok(Self::default());
        }
        let Some(shape) = image_shape(data) else {
            let hint = "leave it out".to_owned();
            let message = "expected images, found other samples";
            return Err(OptionError { hint, ..OptionError::new("augment", message, "only with images") });
        };
        let step = |(i, value): (usize, &Value)| {
            let choice = Choice::from_value(value).and_then(|choice| table.resolve(&choice));
            choice
                .and_then(|(row, choice)| (row.build)(&choice, shape))
                .map_err(|error| error.below(&format!("augment.{i}")))
        };
        let steps = written.iter().enumerate().map(step).collect::<Result<_, _>>()?;
        Ok(Self { steps, shape: Some(shape) })
    }

    /// Changes every image of batch `cursor` of a shard.
    pub fn apply(&self, seed: u64, shard: u32, cursor: u64, batch: &mut Batch, scratch: &mut Vec<f32>) {
        let Some(shape) = self.shape else { return };
        let streams = Streams::new(seed, "augment");
        let key = derived(u64::from(shard), cursor);
        for (sample, image) in batch.x.chunks_exact_mut(shape.len()).enumerate() {
            let mut stream = streams.stream(key, sample as u64);
            self.steps.iter().for_each(|step| step.apply(image, shape, &mut stream, scratch));
        }
    }
}

fn image_shape(data: &DataShape) -> Option<ImageShape> {
    match data.input {
        Input::Values { channels, height, width } if height > 1 && !data.sequence => {
            Some(ImageShape { channels, height, width })
        }
        Input::Values { .. } | Input::Token { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SHAPE: ImageShape = ImageShape { channels: 2, height: 3, width: 3 };

    /// One image after another through one change, each from the next state of the stream.
    pub(super) fn images(options: &Value, count: usize) -> Vec<Vec<f32>> {
        let pipeline =
            Pipeline::new(std::slice::from_ref(options), &table(), &DataShape::images(2, 3, 3, 2)).unwrap();
        let image: Vec<f32> = (1..=SHAPE.len()).map(|i| i as f32).collect();
        let mut batch = Batch { x: image.repeat(count), samples: count, steps: 1, ..Batch::default() };
        pipeline.apply(1, 0, 0, &mut batch, &mut Vec::new());
        batch.x.chunks(SHAPE.len()).map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn a_batch_depends_on_seed_shard_cursor_and_place_only() {
        let data = DataShape::images(1, 8, 8, 2);
        let pipeline = Pipeline::new(&[json!("crop(2)"), json!("flip"), json!("cutout(3)")], &table(), &data);
        let pipeline = pipeline.unwrap();
        let image: Vec<f32> = (1..=64u8).map(f32::from).collect();
        let batch = |seed, shard, cursor, samples: usize| {
            let mut batch = Batch { x: image.repeat(samples), samples, steps: 1, ..Batch::default() };
            pipeline.apply(seed, shard, cursor, &mut batch, &mut vec![7.0; 3]);
            batch.x
        };
        let first = batch(1, 2, 3, 6);
        assert_eq!(first, batch(1, 2, 3, 6));
        assert_eq!(first[..64 * 4], batch(1, 2, 3, 4), "later samples change nothing");
        assert_ne!(first[..64], first[64..128], "samples differ");
        for other in [batch(2, 2, 3, 6), batch(1, 3, 3, 6), batch(1, 2, 4, 6)] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn the_example_of_every_row_is_its_default() {
        let shape = ImageShape { channels: 1, height: 32, width: 32 };
        for (row, written) in table().rows().iter().zip([
            json!({"name": "crop", "padding": 4}),
            json!({"name": "flip", "p": 0.5}),
            json!({"name": "cutout", "size": 16}),
        ]) {
            let choice = Choice::from_value(&written).unwrap();
            let built =
                [choice, Choice::named(row.name)].map(|c| format!("{:?}", (row.build)(&c, shape).unwrap()));
            assert_eq!(built[0], built[1]);
            let text = written.to_string().replace('"', "").replace(':', ": ").replace(',', ", ");
            assert_eq!(text, row.example);
        }
    }
}
