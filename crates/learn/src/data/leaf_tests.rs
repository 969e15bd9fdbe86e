use super::*;
use crate::batch::Batch;
use crate::kernels::Isa;
use hcddl_core::domain::Choice;
use serde_json::{Value, json};

/// A file of users with samples (x, y).
fn file(users: &[(&str, &[(Value, Value)])]) -> Value {
    let data = users.iter().map(|(name, samples)| {
        let (x, y): (Vec<Value>, Vec<Value>) = samples.iter().cloned().unzip();
        ((*name).to_owned(), json!({"x": x, "y": y}))
    });
    json!({
        "users": users.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "num_samples": users.iter().map(|(_, samples)| samples.len()).collect::<Vec<_>>(),
        "user_data": data.collect::<serde_json::Map<_, _>>(),
    })
}

fn build(row: &Row<BuildData>, files: &[(&str, String)], options: Value) -> Result<DataSet, OptionError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let choice =
        Choice { name: row.name.into(), options: options.as_object().unwrap().clone(), positional: vec![] };
    (row.build)(&choice, &DataContext { data_dir: Some(dir.path().to_owned()), seed: 0 })
}

fn numbers(train: &Value, test: &Value, options: Value) -> Result<DataSet, OptionError> {
    let files = [("set/train/a.json", train.to_string()), ("set/test/a.json", test.to_string())];
    let mut options = options;
    options["directory"] = json!("set");
    build(&row(), &files, options)
}

fn two_users() -> Value {
    file(&[
        ("eve", &[(json!([0.5, 1.0]), json!(2)), (json!([0.25, 0.0]), json!(0))]),
        ("bob", &[(json!([1, 0]), json!(1.0))]),
    ])
}

#[test]
fn samples_keep_their_users_over_all_files() {
    let files = [
        ("set/train/a.json", two_users().to_string()),
        ("set/train/b.json", file(&[("ann", &[(json!([3, 4]), json!(0))])]).to_string()),
        ("set/test/a.json", file(&[("bob", &[(json!([5, 6]), json!(2))])]).to_string()),
    ];
    let set = build(&row(), &files, json!({"directory": "set"})).unwrap();
    assert_eq!(set.shape, DataShape::features(2, 3));
    let owners = set.train.owners().unwrap();
    assert_eq!(
        (&owners.of[..], &owners.names[..]),
        (&[0, 0, 1, 2][..], &["eve", "bob", "ann"].map(String::from)[..])
    );
    assert_eq!(set.test.owners().unwrap().of, [1]);
    let mut batch = Batch::default();
    set.train.gather(Isa::best(), [1usize, 3].into_iter(), &mut batch);
    assert_eq!(batch, Batch::of_classes(vec![0.25, 0.0, 3.0, 4.0], vec![0, 0]));
    let set = numbers(&two_users(), &two_users(), json!({"classes": 9, "image": [2, 1, 1]})).unwrap();
    assert_eq!(set.shape, DataShape::images(2, 1, 1, 9));
}

#[test]
fn femnist_has_images_and_62_classes() {
    let image = |label: u32| file(&[("f0", &[(json!(vec![0.5; 784]), json!(label))])]).to_string();
    let files = [("femnist/data/train/0.json", image(61)), ("femnist/data/test/0.json", image(0))];
    let set = build(&femnist(), &files, json!({})).unwrap();
    assert_eq!((set.shape, set.train.classes()), (DataShape::images(1, 28, 28, 62), Some(&[61][..])));
    let files = [("femnist/train/0.json", image(62)), ("femnist/test/0.json", image(0))];
    let error = build(&femnist(), &files, json!({})).unwrap_err().to_string();
    assert!(error.contains("user `f0` sample 0: label 62"), "{error}");
    let error = build(&femnist(), &[], json!({})).unwrap_err().to_string();
    assert!(error.contains("femnist/train") && error.contains("preprocess.sh"), "{error}");
}

#[test]
fn letters_become_tokens_and_the_next_one_the_class() {
    assert_eq!(LETTERS.chars().count(), 80);
    let say = |x: &str, y: &str| file(&[("HAMLET", &[(json!(x), json!(y))])]).to_string();
    let files =
        [("shakespeare/train/a.json", say("\n }", "a")), ("shakespeare/test/a.json", say("abc", "}"))];
    let set = build(&shakespeare(), &files, json!({})).unwrap();
    assert_eq!((set.shape.input, set.shape.output), (Input::Token { vocabulary: 81 }, Output::Classes(80)));
    let mut batch = Batch::default();
    set.train.gather(Isa::best(), [0usize].into_iter(), &mut batch);
    assert_eq!((&batch.x[..], batch.steps), (&[1.0, 2.0, 80.0][..], 3));
    assert_eq!((set.train.classes().unwrap(), set.test.classes().unwrap()), (&[53][..], &[79][..]));
    for (x, y, expected) in [
        ("ab~", "a", "'~' is not one of LEAF's 80 letters"),
        ("abcd", "a", "4 letters instead of 3"),
        ("abc", "", "`` comes next"),
    ] {
        let files = [files[0].clone(), ("shakespeare/test/a.json", say(x, y))];
        let error = build(&shakespeare(), &files, json!({})).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn says_what_is_wrong_with_a_file() {
    let right = two_users();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut file = two_users();
        change(&mut file);
        file
    };
    for (file, expected) in [
        (with(&|f| f["num_samples"][0] = json!(3)), "has 2 x, 2 y, and a count of 3"),
        (with(&|f| f["num_samples"] = json!([2])), "names 2 users, but 1 counts"),
        (with(&|f| f["users"][1] = json!("ann")), "user `ann` has no user_data"),
        (with(&|f| f["user_data"]["eve"]["x"][1] = json!([1])), "sample 1: 1 values instead of 2"),
        (with(&|f| f["user_data"]["eve"]["y"][0] = json!(-1)), "sample 0: label -1"),
        (with(&|f| f["user_data"]["eve"]["y"][0] = json!(0.5)), "sample 0: label 0.5"),
        (with(&|f| f["user_data"]["eve"]["x"][0] = json!("text")), "is not what was expected"),
        (file(&[]), "holds no samples"),
    ] {
        let error = numbers(&file, &right, json!({})).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let error = numbers(&right, &file(&[("x", &[(json!([1, 2]), json!(3))])]), json!({})).unwrap_err();
    assert!(error.message.contains("label 3, not a whole number from 0 to 2"), "{error}");
    let files = [("set/train/a.json", right.to_string()[..40].to_owned())];
    let error = build(&row(), &files, json!({"directory": "set"})).unwrap_err();
    assert!(error.message.contains("EOF"), "{error}");
    assert_eq!(build(&row(), &[], json!({"directory": "none"})).unwrap_err().key, "directory");
}
