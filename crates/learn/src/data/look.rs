//! What samples look like to a person, and what is unlikely about them.

use super::{DataSet, Features, Labels, Samples};
use crate::Look;
use crate::model::{Input, Output};
use std::collections::BTreeSet;
use std::fmt::Write;
use xxhash_rust::xxh3::xxh3_64;

/// Classes that are counted one by one.
const CLASSES_SHOWN: usize = 12;
/// Test samples of a hundred that may be training samples too before that is said.
const REPEATED_PERCENT: usize = 1;
/// Numbers beyond this in images were not brought to a range that networks learn from.
const PIXEL_MAX: f32 = 20.0;

impl DataSet {
    /// Shape, kind and range of the samples of each part, and what is unlikely about them.
    #[must_use]
    pub fn look(&self) -> Look {
        let parts =
            [("training samples", Some(&self.train)), ("validation samples", self.validation.as_ref())];
        let parts = parts.into_iter().chain([("test samples", Some(&self.test))]);
        let line = |(name, samples): (&str, Option<&Samples>)| {
            Some((name.to_owned(), self.in_words(samples.filter(|samples| !samples.is_empty())?)))
        };
        Look { lines: parts.filter_map(line).collect(), doubts: self.doubts() }
    }

    fn in_words(&self, samples: &Samples) -> String {
        let mut text = format!("{} of {}", samples.len(), self.shape.input);
        if self.shape.sequence {
            let steps = || (0..samples.len()).map(|i| samples.steps(i));
            let (least, most) = (steps().min().unwrap_or(0), steps().max().unwrap_or(0));
            let _ = write!(text, " in sequences of {least} to {most}");
        }
        let _ = match samples.features() {
            Features::Bytes { pixels, .. } => {
                write!(text, ", bytes {}", range(pixels.iter().map(|v| f32::from(*v))))
            }
            Features::Floats(values) => write!(text, ", numbers {}", range(values.iter().copied())),
            Features::Tokens(tokens) => write!(text, ", tokens {}", range(tokens.iter().map(|v| *v as f32))),
        };
        let _ = match samples.targets() {
            Labels::Classes(classes) => write!(text, "; {}", counted(&counts(classes, self.classes()))),
            Labels::Tags(tags) => write!(text, "; tags {}", range(tags.iter().map(|v| f32::from(*v)))),
            Labels::Values { values, .. } => write!(text, "; targets {}", range(values.iter().copied())),
        };
        text
    }

    fn classes(&self) -> usize {
        match self.shape.output {
            Output::Classes(classes) | Output::Tags(classes) => classes,
            Output::Probabilities(_) | Output::Numbers(_) => 0,
        }
    }

    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if let Labels::Classes(classes) = self.train.targets() {
            doubts.extend(class_doubts(&counts(classes, self.classes())));
        }
        if let (Input::Values { channels, height, .. }, Features::Floats(values)) =
            (self.shape.input, self.train.features())
        {
            let most = values.iter().fold(0f32, |most, value| most.max(value.abs()));
            if (channels > 1 || height > 1) && most > PIXEL_MAX {
                doubts.push(format!(
                    "the pixels of images are numbers up to {most}; networks learn from a range as 0 to 1: divide them, \
                     or give bytes"
                ));
            }
            if values.first().is_some_and(|first| values.iter().all(|value| value == first)) {
                doubts.push(format!("every value of every training sample is {}", values[0]));
            }
        }
        let (repeated, all) = (self.repeated(), self.test.len());
        if repeated * 100 > all * REPEATED_PERCENT {
            doubts.push(format!(
                "{repeated} of {all} test samples are training samples too, so accuracy tells nothing about new ones there"
            ));
        }
        doubts
    }

    /// Test samples that are among the training samples. Sequences are cut out of one text, so they may well be alike.
    fn repeated(&self) -> usize {
        if self.shape.sequence {
            return 0;
        }
        let known: BTreeSet<u64> = (0..self.train.len()).map(|i| mark(&self.train, i)).collect();
        (0..self.test.len()).filter(|i| known.contains(&mark(&self.test, *i))).count()
    }
}

/// A hash of the values of a sample.
fn mark(samples: &Samples, index: usize) -> u64 {
    let range = samples.place(index);
    match samples.features() {
        Features::Bytes { pixels, .. } => xxh3_64(&pixels[range]),
        Features::Floats(values) => {
            let bytes: Vec<u8> =
                values[range].iter().flat_map(|value| value.to_bits().to_le_bytes()).collect();
            xxh3_64(&bytes)
        }
        Features::Tokens(tokens) => {
            let bytes: Vec<u8> = tokens[range].iter().flat_map(|token| token.to_le_bytes()).collect();
            xxh3_64(&bytes)
        }
    }
}

/// `from 0 to 255`.
fn range(values: impl Iterator<Item = f32>) -> String {
    let (least, most) =
        values.fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), v| (least.min(v), most.max(v)));
    format!("from {least} to {most}")
}

/// Samples of each class.
fn counts(labels: &[u16], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for label in labels {
        if let Some(count) = counts.get_mut(usize::from(*label)) {
            *count += 1;
        }
    }
    counts
}

fn counted(counts: &[usize]) -> String {
    if counts.len() <= CLASSES_SHOWN {
        let each: Vec<String> = counts.iter().enumerate().map(|(class, n)| format!("{class}: {n}")).collect();
        return format!("samples of each class: {}", each.join(", "));
    }
    let (least, most) = (counts.iter().min().unwrap_or(&0), counts.iter().max().unwrap_or(&0));
    format!("{} classes of {least} to {most} samples", counts.len())
}

fn class_doubts(counts: &[usize]) -> Option<String> {
    let without: Vec<usize> = (0..counts.len()).filter(|class| counts[*class] == 0).collect();
    if counts.len() - without.len() < 2 {
        return Some("all training samples are of one class".to_owned());
    }
    match without[..] {
        [] => None,
        [0] => Some(
            "no training sample is of class 0: labels that begin with 1 make a class more than there are"
                .to_owned(),
        ),
        [first, ..] => Some(format!(
            "no training sample is of class {first}{}; classes are numbered from 0 without a gap",
            if without.len() > 1 { format!(", nor of {} others", without.len() - 1) } else { String::new() }
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scale;
    use super::*;
    use crate::model::DataShape;

    fn set(train: &[f32], classes: &[u16], test: &[f32], shape: DataShape) -> DataSet {
        let width = shape.row_len();
        let tested = vec![0; test.len() / width];
        let samples =
            |values: &[f32], classes: &[u16]| Samples::from_floats(values.to_vec(), classes.to_vec(), width);
        DataSet::new(shape, samples(train, classes), samples(test, &tested))
    }

    #[test]
    fn parts_are_told_with_shape_kind_range_and_classes() {
        let look = set(&[0.5, 1.0, -2.0, 4.0], &[0, 1], &[9.0, 9.0], DataShape::features(2, 2)).look();
        let lines: Vec<(&str, &str)> = look.lines.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(
            lines,
            [
                (
                    "training samples",
                    "2 of 2 values, numbers from -2 to 4; samples of each class: 0: 1, 1: 1"
                ),
                ("test samples", "1 of 2 values, numbers from 9 to 9; samples of each class: 0: 1, 1: 0"),
            ]
        );
        assert_eq!(look.doubts, [""; 0]);
        let scale = Scale::Same { divisor: 255.0, mean: 0.0, deviation: 1.0 };
        let samples = || Samples::from_bytes(vec![0, 7, 255, 3], (0..4).collect(), 1, scale.clone());
        let many = DataSet::new(DataShape::images(1, 1, 1, 40), samples(), samples()).look();
        assert_eq!(many.lines[0].1, "4 of 1 values, bytes from 0 to 255; 40 classes of 0 to 1 samples");
    }

    #[test]
    fn what_is_unlikely_is_said() {
        let doubt = |set: DataSet| set.look().doubts.join("; ");
        let features = DataShape::features(1, 3);
        assert!(
            doubt(set(&[1.0, 2.0, 3.0], &[1, 2, 1], &[9.0], features)).contains("labels that begin with 1")
        );
        assert!(
            doubt(set(&[1.0, 2.0, 3.0], &[0, 2, 0], &[9.0], features))
                .contains("no training sample is of class 1")
        );
        assert!(doubt(set(&[1.0, 2.0, 3.0], &[2, 2, 2], &[9.0], features)).contains("of one class"));
        assert!(
            doubt(set(&[1.0; 3], &[0, 1, 2], &[9.0], features))
                .contains("every value of every training sample is 1")
        );
        let twice = doubt(set(&[1.0, 2.0, 3.0], &[0, 1, 2], &[3.0, 9.0], features));
        assert!(twice.contains("1 of 2 test samples are training samples too"), "{twice}");
        let image = DataShape::images(1, 2, 1, 2);
        let raw = doubt(set(&[0.0, 255.0, 17.0, 3.0], &[0, 1], &[9.0, 8.0], image));
        assert!(raw.contains("numbers up to 255"), "{raw}");
    }
}
