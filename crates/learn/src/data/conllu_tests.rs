use super::*;
use crate::batch::{Batch, IGNORE, Targets};
use crate::kernels::Isa;
use hcddl_core::domain::Choice;
use serde_json::json;

/// A file of sentences of (word, tag), with what readers must skip.
fn file(sentences: &[&[(&str, &str)]]) -> String {
    let mut text = String::new();
    for sentence in sentences {
        text += "# text = ...\n1-2\tboth\t_\t_\t_\t_\t_\t_\t_\t_\n";
        for (i, (word, tag)) in sentence.iter().enumerate() {
            text += &format!("{}\t{word}\t_\t{tag}\t_\t_\t0\troot\t_\t_\n", i + 1);
        }
        text += "8.1\tempty\t_\tVERB\t_\t_\t_\t_\t_\t_\n\n";
    }
    text
}

fn load_with(train: &str, test: &str, options: Value) -> Result<DataSet, OptionError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.conllu"), train).unwrap();
    std::fs::write(dir.path().join("b.conllu"), test).unwrap();
    let mut options = options.as_object().unwrap().clone();
    options.entry("train").or_insert(json!("a.conllu"));
    options.entry("test").or_insert(json!("b.conllu"));
    let choice = Choice { name: "conllu".into(), options, positional: vec![] };
    (row().build)(&choice, &DataContext { data_dir: Some(dir.path().to_owned()), seed: 0 })
}

fn train() -> String {
    file(&[&[("The", "DET"), ("the", "DET"), ("a", "X")], &[("cat", "NOUN"), ("A", "X"), ("THE", "DET")]])
}

fn test() -> String {
    file(&[&[("the", "DET"), ("dog", "NOUN"), ("a", "X")], &[("Cat", "NOUN")]])
}

fn gathered(samples: &Samples) -> Batch {
    let mut batch = Batch::default();
    samples.gather(Isa::best(), 0..samples.len(), &mut batch);
    batch
}

#[test]
fn words_become_tokens_by_frequency_and_tags_follow_the_padding() {
    let set = load_with(&train(), &test(), json!({"validation": "b.conllu"})).unwrap();
    assert_eq!((set.shape.input, set.shape.output), (Input::Token { vocabulary: 4 }, Output::Tags(18)));
    assert!(set.shape.sequence && set.order == Order::Bucketed && set.average == Average::Batches);
    // the = 2 (three times), a = 3 (twice), cat = 1 (once: unknown).
    let batch = gathered(&set.train);
    assert_eq!(batch.x, [2.0, 1.0, 2.0, 3.0, 3.0, 2.0]);
    assert_eq!(batch.targets, Targets::Classes(vec![6, 8, 6, 17, 17, 6]));
    // In order of the file, padded with 0.
    for part in [&set.test, set.validation.as_ref().unwrap()] {
        let batch = gathered(part);
        assert_eq!(batch.x, [2.0, 1.0, 1.0, 0.0, 3.0, 0.0]);
        assert_eq!(batch.targets, Targets::Classes(vec![6, 8, 8, IGNORE, 17, IGNORE]));
    }
}

#[test]
fn options_change_the_vocabulary_the_outputs_and_the_average() {
    let options = json!({"min_frequency": 1, "pad_tag": false, "average": "tokens"});
    let set = load_with(&train(), &test(), options).unwrap();
    assert_eq!((set.shape.input, set.shape.output), (Input::Token { vocabulary: 5 }, Output::Tags(17)));
    assert!(set.average == Average::Rows && set.validation.is_none());
    assert_eq!(gathered(&set.test).targets, Targets::Classes(vec![5, 7, 7, IGNORE, 16, IGNORE]));
}

#[test]
fn says_what_is_wrong_with_a_file() {
    let cut = |drop: usize| train()[..train().len() - drop].to_owned();
    for (text, expected) in [
        (cut(1), "ends within a sentence"),
        (cut(5), "columns in line"),
        (String::new(), "holds no sentences"),
        ("# only a comment\n\n".to_owned(), "holds no sentences"),
        (train().replace("NOUN", "NN"), "has the tag `NN` in line 10; allowed: ADJ, ADP"),
        (train().replace("\n2\tthe", "\n3\tthe"), "numbers a word `3` in line 4"),
    ] {
        let error = load_with(&text, &test(), json!({})).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("a.conllu"), "{expected}: {error}");
    }
    for (options, key) in [
        (json!({"train": null}), "train"),
        (json!({"test": 3}), "test"),
        (json!({"test": "none.conllu"}), "test"),
        (json!({"average": "sentences"}), "average"),
        (json!({"max_frequency": 3}), "max_frequency"),
    ] {
        assert_eq!(load_with(&train(), &test(), options.clone()).unwrap_err().key, key, "{options}");
    }
}

#[test]
fn the_web_treebank_has_its_known_size() {
    let missing = DataContext { data_dir: Some("no/such/place".into()), seed: 0 };
    let error = (ud_english_ewt().build)(&Choice::named("ud_english_ewt"), &missing).unwrap_err().to_string();
    assert!(error.contains("hcddl data fetch ud_english_ewt") && error.contains("ud-train"), "{error}");
    let Some(directory) = std::env::var_os("HCDDL_DATA") else {
        eprintln!("skipped: HCDDL_DATA is not set");
        return;
    };
    let context = DataContext { data_dir: Some(directory.into()), seed: 0 };
    let set = (ud_english_ewt().build)(&Choice::named("ud_english_ewt"), &context).unwrap();
    assert_eq!(set.shape.input, Input::Token { vocabulary: 8867 });
    let sizes = (set.train.len(), set.validation.unwrap().len(), set.test.len());
    assert_eq!(sizes, (12_544, 2001, 2077));
}
