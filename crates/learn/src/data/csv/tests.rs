use super::*;
use crate::batch::Batch;
use crate::data::{Owners, Samples};
use crate::kernels::Isa;
use crate::model::{DataShape, Output};
use serde_json::{Value, json};

fn build(row: &Row<BuildData>, files: &[(&str, &str)], options: Value) -> Result<DataSet, OptionError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let options = options.as_object().unwrap().clone();
    let choice = Choice { name: row.name.into(), options, positional: vec![] };
    (row.build)(&choice, &(), &DataContext { data_dir: Some(dir.path().to_owned()), seed: 0 })
}

/// A table with one file to train and one to test on.
fn table(train: &str, test: &str, options: Value) -> Result<DataSet, OptionError> {
    let mut options = options;
    options["train"] = json!("a.csv");
    options["test"] = json!("b.csv");
    build(&row(), &[("a.csv", train), ("b.csv", test)], options)
}

fn gathered(samples: &Samples) -> Batch {
    let mut batch = Batch::default();
    samples.gather(Isa::best(), 0..samples.len(), &mut batch);
    batch
}

const TRAIN: &str = "id,x,kind,y\na,1,wolf,2\nb,3,cat,2.0\nc,-1e0,wolf,2\n";
const TEST: &str = "id,x,kind,y\nd,3,cat,4\n";

#[test]
fn columns_are_named_and_classes_sorted() {
    let set = table(TRAIN, TEST, json!({"label": "kind", "skip": ["id"]})).unwrap();
    assert_eq!(set.shape, DataShape::features(2, 2));
    let expected = Batch::of_classes(vec![1.0, 2.0, 3.0, 2.0, -1.0, 2.0], vec![1, 0, 1]);
    assert_eq!(gathered(&set.train), expected);
    assert_eq!(gathered(&set.test), Batch::of_classes(vec![3.0, 4.0], vec![0]));
    let standard = table(TRAIN, TEST, json!({"label": 2, "skip": [0], "standardise": true})).unwrap();
    let d = (8f64 / 3.0).sqrt();
    assert_eq!(gathered(&standard.train).x, [0.0, 0.0, (2.0 / d) as f32, 0.0, (-2.0 / d) as f32, 0.0]);
    assert_eq!(gathered(&standard.test).x, [(2.0 / d) as f32, 2.0]);
}

#[test]
fn last_rows_can_be_the_test_and_whole_numbers_are_classes_by_value() {
    let rows = "10,0.5\n2.0,1\n2,3\n1e1,4\n";
    let options = json!({"train": "a.csv", "test_rows": 1, "label": 0, "header": false});
    let set = build(&row(), &[("a.csv", rows)], options).unwrap();
    assert_eq!((set.train.classes().unwrap(), set.test.classes().unwrap()), (&[1, 0, 0][..], &[1][..]));
    for (rows, key) in [(json!(0), "test_rows"), (json!(4), "test_rows"), (json!(null), "test")] {
        let options = json!({"train": "a.csv", "test_rows": rows, "label": 0, "header": false});
        assert_eq!(build(&row(), &[("a.csv", "1,1\n1,1\n1,1\n1,1\n")], options).unwrap_err().key, key);
    }
}

#[test]
fn occupancy_has_unnamed_names_of_rows() {
    let header = "\"date\",\"Temperature\",\"Occupancy\"\n";
    let train =
        format!("{header}\"1\",\"2015-02-04 17:51:00\",23.5,1\n\"2\",\"2015-02-04 17:51:59\",22.5,0\n");
    let test = format!("{header}\"140\",\"2015-02-02 14:19:00\",24.5,1\n");
    let files = [("occupancy/datatraining.txt", train.as_str()), ("occupancy/datatest.txt", &test)];
    let set = build(&occupancy(), &files, json!({"standardise": false})).unwrap();
    assert_eq!(gathered(&set.train), Batch::of_classes(vec![23.5, 22.5], vec![1, 0]));
    assert_eq!(gathered(&build(&occupancy(), &files, json!({})).unwrap().test).x, [3.0]);
    assert_eq!(build(&occupancy(), &files, json!({"test": "datatest3"})).unwrap_err().key, "test");
    let error = build(&occupancy(), &files, json!({"test": "both"})).unwrap_err().to_string();
    assert!(error.contains("datatest2.txt") && error.contains("hcddl data fetch occupancy"), "{error}");
}

#[test]
fn susy_has_its_label_first() {
    let row_of = |label: &str, x: f64| {
        let values: Vec<String> = (0..18).map(|i| format!("{:.18e}", x + f64::from(i))).collect();
        format!("{label},{}\n", values.join(","))
    };
    let zero = "0.000000000000000000e+00";
    let text = row_of("1.000000000000000000e+00", 1.0) + &row_of(zero, 2.0) + &row_of(zero, 3.0);
    let set = build(&susy(), &[("susy/SUSY.csv", &text)], json!({"test_rows": 1})).unwrap();
    assert_eq!((set.shape, set.train.classes().unwrap()), (DataShape::features(18, 2), &[1, 0][..]));
    assert_eq!((gathered(&set.test).x[0], gathered(&set.test).x[17]), (3.0, 20.0));
}

#[test]
fn says_what_is_wrong_with_a_file() {
    let options = json!({"label": "kind", "skip": ["id"]});
    for (train, test, expected) in [
        (
            TRAIN.replace("b,3,cat,2.0", "b,3,cat"),
            TEST.to_owned(),
            "has 3 values in row 3; allowed: 4 values",
        ),
        (TRAIN.replace("-1e0", "n/a"), TEST.into(), "has `n/a` in row 4, column 1"),
        (TRAIN.replace("-1e0", "inf"), TEST.into(), "has `inf` in row 4"),
        (TRAIN.replace("wolf", "0.5"), TEST.into(), "has the class `0.5` in row 2"),
        (TRAIN.into(), TEST.replace("cat", "dog"), "has the class `dog`"),
        (TRAIN.into(), "id,x,kind\nd,3,cat\n".into(), "has no column `y`"),
        ("id,x,kind,y\n".into(), TEST.into(), "holds no rows"),
        (String::new(), TEST.into(), "holds no rows"),
        ("id,kind\na,b,c,d\n".into(), TEST.into(), "names 2 columns, but its rows have 4 values"),
        ("id,kind\na,wolf\n".into(), TEST.into(), "no column left"),
    ] {
        let error = table(&train, &test, options.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let error = table(TRAIN, TEST, json!({"label": "sort"})).unwrap_err();
    assert!(error.key == "label" && error.allowed == "id, x, kind, y", "{error}");
    assert_eq!(table(TRAIN, TEST, json!({"label": "kind", "skip": [9]})).unwrap_err().key, "skip");
}

#[test]
fn the_rooms_have_their_known_rows() {
    let Some(directory) = std::env::var_os("HCDDL_DATA") else {
        eprintln!("skipped: HCDDL_DATA is not set");
        return;
    };
    let context = DataContext { data_dir: Some(directory.into()), seed: 0 };
    let options = json!({"test": "both"}).as_object().unwrap().clone();
    let choice = Choice { name: "occupancy".into(), options, positional: vec![] };
    let set = (occupancy().build)(&choice, &(), &context).unwrap();
    assert_eq!((set.shape, set.train.len()), (DataShape::features(5, 2), 8143));
    assert_eq!(set.test.len(), 2665 + 9752);
}

const ABC: &str = "a,b,c,class\n1,2,3,x\n4,5,7,y\n7,9,9,x\n";

#[test]
fn columns_of_a_test_file_go_by_their_names() {
    let options = json!({"label": "class"});
    let set = table(ABC, "c,class,b,a\n30,y,20,10\n", options.clone()).unwrap();
    assert_eq!(gathered(&set.test), Batch::of_classes(vec![10.0, 20.0, 30.0], vec![1]));
    // By number, too: numbers are those of the training file.
    let set = table(ABC, "class,c,b,a\ny,30,20,10\n", json!({"label": 3, "skip": [0]})).unwrap();
    assert_eq!(gathered(&set.test), Batch::of_classes(vec![20.0, 30.0], vec![1]));
    for (test, expected) in [
        ("a,b,zzz,class\n1,2,3,x\n", "has no column `c`; allowed: a, b, c, class"),
        ("a,b,c,d,class\n1,2,3,4,x\n", "has a column `d` that the training file lacks"),
        ("a,b,c\n1,2,3\n", "has no column `class`"),
        ("a,a,b,c,class\n1,1,2,3,x\n", "names two columns `a`"),
    ] {
        let error = table(ABC, test, options.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn a_column_without_a_name_names_the_rows() {
    let rows = |first: &str| {
        let lines: Vec<String> = (0..12).map(|i| format!("{i},{},{}\n", f64::from(i) * 0.7, i % 2)).collect();
        format!("{first},x,class\n{}", lines.concat())
    };
    for first in ["", "Unnamed: 0"] {
        let set = table(&rows(first), &rows(first), json!({"label": "class"})).unwrap();
        assert_eq!(set.shape, DataShape::features(1, 2), "{first:?}");
        assert!(set.notes[0].contains("has no name"), "{:?}", set.notes);
    }
    let skipped = table(&rows(""), &rows(""), json!({"label": "class", "skip": [""]})).unwrap();
    assert_eq!((skipped.shape, skipped.notes.len()), (DataShape::features(1, 2), 0));
    let named = table(&rows("id"), &rows("id"), json!({"label": "class"})).unwrap();
    assert_eq!(named.shape, DataShape::features(2, 2));
    assert!(
        named.notes[0].contains("`id`") && named.notes[0].contains("numbers its rows"),
        "{:?}",
        named.notes
    );
}

#[test]
fn a_header_of_numbers_is_doubted() {
    let rows = "0.5,1\n1.5,0\n2.5,1\n";
    let set = table(rows, rows, json!({"label": 1})).unwrap();
    assert!(set.train.len() == 2 && set.notes[0].contains("header: false"), "{:?}", set.notes);
    assert_eq!(table(rows, rows, json!({"label": 1, "header": false})).unwrap().notes, Vec::<String>::new());
}

#[test]
fn separators_marks_and_line_ends_of_other_programs_are_read() {
    let plain = table(ABC, ABC, json!({"label": "class"})).unwrap();
    for text in [
        ABC.replace(',', ";"),
        ABC.replace(',', "\t"),
        ABC.replace('\n', "\r\n"),
        ABC.replace('\n', "\r"),
        format!("\u{feff}{ABC}"),
        ABC.replace("a,b", "\"a\",\"b\""),
    ] {
        let set = table(&text, &text, json!({"label": "class"})).unwrap();
        assert_eq!(gathered(&set.train), gathered(&plain.train), "{text:?}");
        assert_eq!(set.notes, plain.notes, "{text:?}");
    }
    let doubtful = "0,5;1\n1,5;0\n2,5;1\n";
    let options = json!({"label": 1, "header": false});
    assert_eq!(table(doubtful, doubtful, options).unwrap_err().key, "separator");
}

#[test]
fn rows_have_owners_and_numbers_to_be_predicted() {
    let text = "who,x,y\nann,1,0.5\nbob,2,1.5\nann,3,2.5\n";
    let set = table(text, text, json!({"target": "y", "owner": "who"})).unwrap();
    assert_eq!(set.shape.output, Output::Numbers(1));
    assert_eq!(
        set.train.owners().unwrap(),
        &Owners { of: vec![0, 1, 0], names: vec!["ann".into(), "bob".into()] }
    );
    let options = json!({"train": "a.csv", "test_rows": 1, "target": ["x", "y"], "skip": ["who"]});
    assert!(build(&row(), &[("a.csv", text)], options).unwrap_err().to_string().contains("no column left"));
    for options in [json!({}), json!({"label": "y", "target": "y"}), json!({"target": []})] {
        assert_eq!(table(text, text, options).unwrap_err().key, "label");
    }
    let error = table(text, text, json!({"label": "y", "skip": ["who"]})).unwrap_err().to_string();
    assert!(error.contains("`target: COLUMN`"), "{error}");
}
