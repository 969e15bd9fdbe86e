//! How pixels become numbers.

use hcddl_core::domain::OptionError;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;

/// How pixels become f32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Scale {
    /// (pixel / divisor - mean) / deviation, the same for each.
    Same {
        /// The largest pixel value.
        divisor: f32,
        /// Subtracted from the share of the largest value; 0 for none.
        mean: f32,
        /// What that is divided by; 1 for none.
        deviation: f32,
    },
    /// The same, with the mean and deviation of each value of a row.
    Each {
        /// The largest pixel value, or 1.
        divisor: f32,
        /// One for each value of a row.
        mean: Arc<[f32]>,
        /// One for each value of a row.
        deviation: Arc<[f32]>,
    },
}

/// The option `normalise`: `unit` (pixel / largest value); the mean and deviation of such values, as in
/// `[0.1307, 0.3081]`, or lists of them for each channel; `per_pixel`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Normalise {
    /// From 0 to 1.
    #[default]
    Unit,
    /// Then minus the mean, divided by the deviation.
    Standard(f32, f32),
    /// The same with a mean and a deviation for each channel.
    Channels(Vec<f32>, Vec<f32>),
    /// (x - mean) / (deviation + 0.001) with the mean and deviation of each pixel over all training images, of
    /// values that are not divided first: FedProx's generate_niid.py (Li et al. 2020).
    PerPixel,
}

impl Normalise {
    /// For images of `channels` x `area` values, of which `pixels` are all that is trained on.
    ///
    /// # Errors
    /// As many means as channels are needed.
    pub(super) fn scale(
        &self,
        divisor: f32,
        channels: usize,
        area: usize,
        pixels: &[u8],
    ) -> Result<Scale, OptionError> {
        match self {
            Self::Unit => Ok(Scale::Same { divisor, mean: 0.0, deviation: 1.0 }),
            Self::Standard(mean, deviation) => {
                Ok(Scale::Same { divisor, mean: *mean, deviation: *deviation })
            }
            Self::Channels(mean, deviation) => {
                if mean.len() != channels {
                    let message = format!("means and deviations of {} channels", mean.len());
                    let allowed = format!("{channels}, as many as the images have");
                    return Err(OptionError::new("normalise", message, allowed));
                }
                let wide = |of: &[f32]| of.iter().flat_map(|v| std::iter::repeat_n(*v, area)).collect();
                Ok(Scale::Each { divisor, mean: wide(mean), deviation: wide(deviation) })
            }
            Self::PerPixel => Ok(per_pixel(pixels, channels * area)),
        }
    }
}

/// Sums are whole numbers, so they are exact in any order.
fn per_pixel(pixels: &[u8], len: usize) -> Scale {
    let mut sums = vec![(0u64, 0u64); len];
    for row in pixels.chunks_exact(len) {
        for (sum, pixel) in sums.iter_mut().zip(row) {
            let pixel = u64::from(*pixel);
            *sum = (sum.0 + pixel, sum.1 + pixel * pixel);
        }
    }
    let count = (pixels.len() / len) as u64;
    let variance = |(sum, squares): (u64, u64)| {
        let (sum, squares, n) = (u128::from(sum), u128::from(squares), u128::from(count));
        (n * squares - sum * sum) as f64 / (n * n) as f64
    };
    Scale::Each {
        divisor: 1.0,
        mean: sums.iter().map(|(sum, _)| (*sum as f64 / count as f64) as f32).collect(),
        deviation: sums.iter().map(|sums| (variance(*sums).sqrt() + 0.001) as f32).collect(),
    }
}

impl<'de> Deserialize<'de> for Normalise {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Name(String),
            Pair(f32, f32),
            Lists(Vec<f32>, Vec<f32>),
        }
        const ALLOWED: &str = "allowed: unit, per_pixel, or [mean, deviation] with a deviation above 0, as in \
            [0.1307, 0.3081], or a list of each for the channels";
        let error = |message: String| Err(serde::de::Error::custom(format!("{message}; {ALLOWED}")));
        let right = |mean: f32, deviation: f32| mean.is_finite() && deviation > 0.0 && deviation.is_finite();
        match Written::deserialize(deserializer) {
            Ok(Written::Name(name)) if name == "unit" => Ok(Self::Unit),
            Ok(Written::Name(name)) if name == "per_pixel" => Ok(Self::PerPixel),
            Ok(Written::Name(name)) => error(format!("unknown normalisation `{name}`")),
            Ok(Written::Pair(mean, deviation)) if right(mean, deviation) => {
                Ok(Self::Standard(mean, deviation))
            }
            Ok(Written::Pair(mean, deviation)) => error(format!("normalisation [{mean}, {deviation}]")),
            Ok(Written::Lists(means, deviations))
                if means.len() == deviations.len()
                    && means.iter().zip(&deviations).all(|(m, d)| right(*m, *d)) =>
            {
                Ok(Self::Channels(means, deviations))
            }
            Ok(Written::Lists(means, deviations)) => {
                error(format!("normalisation [{means:?}, {deviations:?}]"))
            }
            Err(_) => error("not a normalisation".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalisation_is_read_and_refused() {
        let read = |text: &str| serde_json::from_str::<Normalise>(text).map_err(|e| e.to_string());
        assert_eq!(read("\"unit\""), Ok(Normalise::Unit));
        assert_eq!(read("\"per_pixel\""), Ok(Normalise::PerPixel));
        assert_eq!(read("[0.5, 0.25]"), Ok(Normalise::Standard(0.5, 0.25)));
        let lists = Normalise::Channels(vec![0.5, 0.4], vec![0.25, 0.2]);
        assert_eq!(read("[[0.5, 0.4], [0.25, 0.2]]"), Ok(lists.clone()));
        for wrong in ["\"zscore\"", "[0.5, 0]", "[1]", "3", "[[1], [1, 2]]", "[[1], [0]]"] {
            assert!(read(wrong).unwrap_err().contains("allowed: unit"), "{wrong}");
        }
        assert_eq!(lists.scale(255.0, 3, 4, &[]).unwrap_err().key, "normalise");
        let Scale::Each { mean, .. } = lists.scale(255.0, 2, 2, &[]).unwrap() else { panic!("for each") };
        assert_eq!(*mean, [0.5, 0.5, 0.4, 0.4]);
    }

    #[test]
    fn each_pixel_has_its_own_mean_and_population_deviation() {
        let scale = Normalise::PerPixel.scale(255.0, 1, 2, &[0, 7, 10, 7, 20, 7]).unwrap();
        let deviation = (200f64 / 3.0).sqrt() + 0.001;
        assert_eq!(
            scale,
            Scale::Each {
                divisor: 1.0,
                mean: [10.0, 7.0].into(),
                deviation: [deviation as f32, 0.001].into()
            }
        );
    }
}
