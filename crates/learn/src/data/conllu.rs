//! Part-of-speech tagging on treebanks in CoNLL-U (<https://universaldependencies.org/format.html>).

use super::files::{find, given, read_text, wrong};
use super::{Average, BuildData, DataContext, DataSet, Features, Labels, Order, Samples};
use crate::model::{DataShape, Input, Output};
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The universal parts of speech of Universal Dependencies 2, in the order of their classes.
const UPOS: [&str; 17] = [
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT",
    "SCONJ", "SYM", "VERB", "X",
];
const COLUMNS: usize = 10;
/// The token of words that are not in the vocabulary; 0 is the padding.
const UNKNOWN: u32 = 1;

/// The English Web Treebank, as the POS tagger of torchtext's UDPOS uses it.
pub fn ud_english_ewt() -> Row<BuildData> {
    Row {
        name: "ud_english_ewt",
        summary: "UD English Web Treebank: words to part-of-speech tags, 12,544 / 2,001 / 2,077 sentences; CoNLL-U",
        example: "{name: ud_english_ewt, min_frequency: 2, pad_tag: true, average: batches}",
        positional: &[],
        build: |choice, context| {
            let options: Options = choice.options()?;
            let path = |part| find("ud_english_ewt", &[], &format!("en_ewt-ud-{part}.conllu"), context);
            let (train, validation, test) = (path("train")?, path("dev")?, path("test")?);
            load(&options, &train, Some(&validation), &test)
        },
    }
}

/// Any treebank.
pub fn row() -> Row<BuildData> {
    Row {
        name: "conllu",
        summary: "a treebank in CoNLL-U: words to part-of-speech tags; files named by options",
        example: "{name: conllu, train: train.conllu, validation: dev.conllu, test: test.conllu, \
                  min_frequency: 2, pad_tag: true, average: batches}",
        positional: &["train", "test"],
        build: |choice, context| {
            let mut common = choice.clone();
            let mut file = |key| path(key, common.options.shift_remove(key), context);
            let (train, validation, test) = (file("train")?, file("validation")?, file("test")?);
            let (train, test) = (needed("train", train)?, needed("test", test)?);
            load(&common.options()?, &train, validation.as_deref(), &test)
        },
    }
}

fn path(key: &str, value: Option<Value>, context: &DataContext) -> Result<Option<PathBuf>, OptionError> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let text = value.as_str().ok_or_else(|| OptionError::new(key, format!("`{value}`"), "a file name"))?;
    given(key, Path::new(text), context).map(Some)
}

fn needed(key: &str, path: Option<PathBuf>) -> Result<PathBuf, OptionError> {
    path.ok_or_else(|| OptionError::new(key, format!("no {key}"), "the name of a file in CoNLL-U"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Words that come less often in the training part are unknown.
    min_frequency: usize,
    /// Models have an output for the padding as well, the first one, which no word has.
    pad_tag: bool,
    /// What the mean of an evaluation is taken over: `batches` is the metric of torchtext's examples.
    average: Over,
}

impl Default for Options {
    fn default() -> Self {
        Self { min_frequency: 2, pad_tag: true, average: Over::Batches }
    }
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Over {
    Batches,
    Tokens,
}

/// A sentence: lower-cased words and the numbers of their tags in [`UPOS`].
type Sentence = Vec<(String, u16)>;

fn load(
    options: &Options,
    train: &Path,
    validation: Option<&Path>,
    test: &Path,
) -> Result<DataSet, OptionError> {
    let train = read(train)?;
    let vocabulary = vocabulary(&train, options.min_frequency);
    let first = u16::from(options.pad_tag);
    let evaluated = |path: &Path| Ok(samples(&read(path)?, &vocabulary, first));
    let (validation, test) = (validation.map(evaluated).transpose()?, evaluated(test)?);
    let shape = DataShape {
        input: Input::Token { vocabulary: vocabulary.len() + 2 },
        sequence: true,
        output: Output::Tags(UPOS.len() + usize::from(first)),
    };
    let average = match options.average {
        Over::Batches => Average::Batches,
        Over::Tokens => Average::Rows,
    };
    let train = samples(&train, &vocabulary, first);
    Ok(DataSet { validation, order: Order::Bucketed, average, ..DataSet::new(shape, train, test) })
}

/// Tokens of the words that are frequent enough, from 2 on: by falling frequency, then by spelling.
fn vocabulary(sentences: &[Sentence], min_frequency: usize) -> HashMap<&str, u32> {
    let mut counts = BTreeMap::new();
    for (word, _) in sentences.iter().flatten() {
        *counts.entry(word.as_str()).or_insert(0) += 1;
    }
    let mut words: Vec<(usize, &str)> = counts.into_iter().map(|(word, count)| (count, word)).collect();
    words.retain(|(count, _)| *count >= min_frequency);
    words.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    words.into_iter().zip(UNKNOWN + 1..).map(|((_, word), token)| (word, token)).collect()
}

fn samples(sentences: &[Sentence], vocabulary: &HashMap<&str, u32>, first: u16) -> Samples {
    let words = || sentences.iter().flatten();
    let tokens = words().map(|(word, _)| vocabulary.get(word.as_str()).copied().unwrap_or(UNKNOWN));
    let tags = words().map(|(_, tag)| tag + first);
    let ends = sentences.iter().scan(0, |end, sentence| {
        *end += sentence.len() as u32;
        Some(*end)
    });
    let starts = std::iter::once(0).chain(ends).collect();
    Samples::sequences(Features::Tokens(tokens.collect()), Labels::Tags(tags.collect()), 1, starts)
}

/// Reads sentences; comments, multiword ranges (1-2) and empty nodes (1.1) are skipped.
fn read(path: &Path) -> Result<Vec<Sentence>, OptionError> {
    let text = read_text(path)?;
    let (mut sentences, mut sentence) = (Vec::new(), Sentence::new());
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() {
            if !sentence.is_empty() {
                sentences.push(std::mem::take(&mut sentence));
            }
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let columns: Vec<&str> = line.split('\t').collect();
        if columns.len() != COLUMNS {
            let message = format!("has {} columns in line {}", columns.len(), number + 1);
            return Err(wrong(path, &message, format!("{COLUMNS} columns separated by tabs")));
        }
        let (id, word, tag) = (columns[0], columns[1], columns[3]);
        if id.contains(['-', '.']) {
            continue;
        }
        if id.parse() != Ok(sentence.len() + 1) {
            let message = format!("numbers a word `{id}` in line {}", number + 1);
            return Err(wrong(path, &message, (sentence.len() + 1).to_string()));
        }
        let Some(tag) = UPOS.iter().position(|upos| *upos == tag) else {
            let message = format!("has the tag `{tag}` in line {}", number + 1);
            return Err(wrong(path, &message, UPOS.join(", ")));
        };
        sentence.push((word.to_lowercase(), tag as u16));
    }
    if !sentence.is_empty() {
        return Err(wrong(path, "ends within a sentence", "an empty line after each"));
    }
    if sentences.is_empty() {
        return Err(wrong(path, "holds no sentences", "1 or more"));
    }
    Ok(sentences)
}

#[cfg(test)]
#[path = "conllu_tests.rs"]
mod tests;
