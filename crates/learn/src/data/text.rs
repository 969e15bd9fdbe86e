//! Plain text by speaker: what they say, letter by letter. Blocks of `NAME:` and lines, parted by empty lines.

use super::files::{file_error, find, given, read_text, wrong};
use super::{BuildData, DataSet, Features, Labels, Owners, Samples};
use crate::model::{DataShape, Input, Output};
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The token of letters that the training text does not have; 0 is the padding.
const UNKNOWN: u32 = 1;

/// A. Karpathy's excerpt of Shakespeare's plays.
pub fn tinyshakespeare() -> Row<BuildData> {
    Row {
        name: "tinyshakespeare",
        summary: "a million letters of Shakespeare by speaker: 80 letters and the next one; a text file",
        example: "{name: tinyshakespeare, window: 80, stride: 10, test_share: 0.1}",
        positional: &[],
        build: |choice, context| {
            let options = choice.options()?;
            load(&options, &find("tinyshakespeare", &[], "input.txt", context)?)
        },
    }
}

/// Any text of that form.
pub fn row() -> Row<BuildData> {
    Row {
        name: "text",
        summary: "a text by speaker (`NAME:` and lines, parted by empty lines): some letters and the next one",
        example: "{name: text, file: play.txt, window: 80, stride: 10, test_share: 0.1}",
        positional: &["file"],
        build: |choice, context| {
            let mut rest = choice.clone();
            let file = rest.options.shift_remove("file").unwrap_or_default();
            let file = PathBuf::deserialize(&file)
                .map_err(|_| OptionError::new("file", format!("`{file}`"), "the name of a text file"))?;
            load(&rest.options()?, &given("file", &file, context)?)
        },
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Letters of a sample.
    window: usize,
    /// Letters from the start of a sample to that of the next; LEAF uses 1, which takes ten times the memory.
    stride: usize,
    /// The last share of what each speaker says is for the test.
    test_share: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { window: 80, stride: 10, test_share: 0.1 }
    }
}

/// Samples of one part.
#[derive(Default)]
struct Part {
    tokens: Vec<u32>,
    classes: Vec<u16>,
    owners: Vec<u32>,
}

fn load(options: &Options, path: &Path) -> Result<DataSet, OptionError> {
    let Options { window, stride, test_share } = *options;
    OptionError::check((1..=10_000).contains(&window), "window", window, "1 to 10000")?;
    OptionError::check((1..=1_000_000).contains(&stride), "stride", stride, "1 to 1000000")?;
    let allowed = "above 0, less than 1";
    OptionError::check(test_share > 0.0 && test_share < 1.0, "test_share", test_share, allowed)?;
    let speakers = speakers(path)?;
    let split = |text: &[char]| text.len() - (text.len() as f64 * test_share) as usize;
    let seen: BTreeSet<char> = speakers.iter().flat_map(|(_, text)| &text[..split(text)]).copied().collect();
    let vocabulary: BTreeMap<char, u32> = seen.into_iter().zip(UNKNOWN + 1..).collect();
    let token = |c: &char| vocabulary.get(c).copied().unwrap_or(UNKNOWN);
    let (mut train, mut test) = (Part::default(), Part::default());
    let mut names = Vec::new();
    for (name, text) in &speakers {
        let (before, after) = text.split_at(split(text));
        if before.len() <= window {
            continue;
        }
        for (part, text) in [(&mut train, before), (&mut test, after)] {
            for sample in text.windows(window + 1).step_by(stride) {
                part.tokens.extend(sample[..window].iter().map(token));
                // Class 0 is a letter that was not seen in training.
                part.classes.push((token(&sample[window]) - UNKNOWN) as u16);
                part.owners.push(names.len() as u32);
            }
        }
        names.push(name.clone());
    }
    for (part, what) in [(&train, "training"), (&test, "test")] {
        if part.classes.is_empty() {
            let message = format!("`{}` gives no {what} samples", path.display());
            return Err(file_error(message, format!("a speaker with more than {window} letters for it")));
        }
    }
    let samples = |part: Part| {
        let starts = (0..=part.classes.len()).map(|i| (i * window) as u32).collect();
        let (tokens, classes) = (Features::Tokens(part.tokens), Labels::Classes(part.classes));
        let owners = Owners { of: part.owners, names: names.clone() };
        Samples::sequences(tokens, classes, 1, starts).owned_by(owners)
    };
    let shape = DataShape {
        input: Input::Token { vocabulary: vocabulary.len() + 2 },
        sequence: true,
        output: Output::Classes(vocabulary.len() + 1),
    };
    Ok(DataSet::new(shape, samples(train), samples(test)))
}

/// Everybody in order of appearance, with all that they say; lines keep their breaks.
fn speakers(path: &Path) -> Result<Vec<(String, Vec<char>)>, OptionError> {
    let text = read_text(path)?;
    let mut numbers = BTreeMap::new();
    let mut speakers: Vec<(String, Vec<char>)> = Vec::new();
    let mut current = None;
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            current = None;
            continue;
        }
        if let Some(at) = current {
            let said: &mut (String, Vec<char>) = &mut speakers[at];
            said.1.extend(line.chars().chain(['\n']));
            continue;
        }
        let Some(name) = line.strip_suffix(':').filter(|name| !name.is_empty()) else {
            let message = format!("has no speaker in line {}: `{line}`", number + 1);
            return Err(wrong(path, &message, "`NAME:` after each empty line"));
        };
        let at = *numbers.entry(name.to_owned()).or_insert(speakers.len());
        if at == speakers.len() {
            speakers.push((name.to_owned(), Vec::new()));
        }
        current = Some(at);
    }
    Ok(speakers)
}

#[cfg(test)]
mod tests {
    use super::super::DataContext;
    use super::*;
    use crate::batch::Batch;
    use crate::kernels::Isa;
    use hcddl_core::domain::Choice;
    use serde_json::{Value, json};

    const PLAY: &str = "ANN:\nabcab\n\n\nBOB:\nab\n\nANN:\ncabz\n\n";

    fn build(text: &str, options: Value) -> Result<DataSet, OptionError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("play.txt"), text).unwrap();
        let mut options = options.as_object().unwrap().clone();
        options.entry("file").or_insert(json!("play.txt"));
        let choice = Choice { name: "text".into(), options, positional: vec![] };
        (row().build)(&choice, &DataContext { data_dir: Some(dir.path().to_owned()), seed: 0 })
    }

    #[test]
    fn speakers_are_cut_into_windows_and_their_last_words_are_the_test() {
        // ANN says 11 letters, of which the last 4 are for the test; BOB's 3 are fewer than a sample.
        let set = build(PLAY, json!({"window": 3, "stride": 2, "test_share": 0.4})).unwrap();
        // Training: a b c a b \n c; vocabulary \n = 2, a = 3, b = 4, c = 5.
        assert_eq!((set.shape.input, set.shape.output), (Input::Token { vocabulary: 6 }, Output::Classes(5)));
        let mut batch = Batch::default();
        set.train.gather(Isa::best(), [0usize, 1].into_iter(), &mut batch);
        assert_eq!(batch.x, [3.0, 5.0, 4.0, 3.0, 5.0, 4.0]);
        assert_eq!((set.train.classes().unwrap(), batch.steps), (&[2, 1][..], 3));
        assert_eq!(set.train.owners().unwrap().names, ["ANN"]);
        // Test: a b z \n, of which z is unknown.
        set.test.gather(Isa::best(), [0usize].into_iter(), &mut batch);
        assert_eq!((&batch.x[..], set.test.classes().unwrap()), (&[3.0, 4.0, 1.0][..], &[1][..]));
    }

    #[test]
    fn says_what_is_wrong() {
        let options = || json!({"window": 3, "test_share": 0.4});
        for (text, expected) in [
            ("ANN\nabc\n", "has no speaker in line 1: `ANN`"),
            ("ANN:\nabcab\n\nabc\n", "has no speaker in line 4"),
            ("", "gives no training samples"),
            ("ANN:\nabcabcab\n", "gives no test samples"),
        ] {
            let error = build(text, options()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("play.txt"), "{expected}: {error}");
        }
        for (options, key) in [
            (json!({"window": 0}), "window"),
            (json!({"stride": 0}), "stride"),
            (json!({"test_share": 1}), "test_share"),
            (json!({"file": "none.txt"}), "file"),
            (json!({"file": null}), "file"),
            (json!({"step": 1}), "step"),
        ] {
            assert_eq!(build(PLAY, options.clone()).unwrap_err().key, key, "{options}");
        }
    }

    #[test]
    fn the_plays_have_their_known_speakers() {
        let Some(directory) = std::env::var_os("HCDDL_DATA") else {
            eprintln!("skipped: HCDDL_DATA is not set");
            return;
        };
        let context = DataContext { data_dir: Some(directory.into()), seed: 0 };
        let set = (tinyshakespeare().build)(&Choice::named("tinyshakespeare"), &context).unwrap();
        // 65 letters, of which & only comes in what is for the test.
        assert_eq!(set.shape.input, Input::Token { vocabulary: 66 });
        // Counted by another program.
        let speakers = set.train.owners().unwrap().names.len();
        assert_eq!((set.train.len(), set.test.len(), speakers), (90_423, 8712, 254));
    }
}
