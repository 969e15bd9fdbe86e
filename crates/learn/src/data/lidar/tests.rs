use super::*;
use crate::batch::{Batch, Targets};
use crate::kernels::Isa;
use hcddl_core::domain::Choice;
use serde_json::{Value, json};

const SIDE: u32 = 64;

/// A room of 64x64 pixels with a wall in columns 44 and 45, and robots at rest near these places (in halves of the
/// plan).
fn build(robots: &[[f64; 2]], options: Value) -> Result<DataSet, OptionError> {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(FOLDER);
    std::fs::create_dir_all(folder.join("tight_paths")).unwrap();
    let wall = |x, _| image::Luma([if x == 44 || x == 45 { 255u8 } else { 0 }]);
    image::GrayImage::from_fn(SIDE, SIDE, wall).save(folder.join("floor_img_32.png")).unwrap();
    for (i, [x, y]) in robots.iter().enumerate() {
        let points: Vec<f64> = (0..5).flat_map(|step| [*x, y + f64::from(step) * 0.01]).collect();
        npy(&folder.join(format!("tight_paths/{}.npy", i + 1)), &[5, 2], &points);
    }
    let choice =
        Choice { name: "lidar".into(), options: options.as_object().unwrap().clone(), positional: vec![] };
    (row().build)(&choice, &DataContext { data_dir: Some(dir.path().to_owned()), seed: 5 })
}

fn npy(path: &Path, shape: &[u64], values: &[f64]) {
    use npyz::WriterBuilder;
    let file = std::fs::File::create(path).unwrap();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(file).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

fn small() -> Value {
    json!({"beams": 4, "beam_samples": 5, "beam_length": 0.5, "border": 2, "spline_resolution": 3, "window": 2,
           "validation_scans": 7})
}

fn rows(samples: &Samples, range: std::ops::Range<usize>) -> Vec<(f32, f32, f32)> {
    let mut batch = Batch::default();
    samples.gather(Isa::best(), range, &mut batch);
    let Targets::Values(values) = batch.targets else { panic!("densities are values") };
    batch.x.chunks(2).zip(values).map(|(place, density)| (place[0], place[1], density)).collect()
}

#[test]
fn beams_end_at_walls_and_else_have_their_whole_length() {
    let set = build(&[[0.0, 0.0], [0.0, -0.5]], small()).unwrap();
    // 3 x 4 scans of 4 x 5 samples for each of two robots.
    assert_eq!((set.train.len(), set.test.len()), (480, 140));
    let owners = set.train.owners().unwrap();
    assert_eq!(
        (&owners.names[..], owners.of[239], owners.of[240]),
        (&["1".to_owned(), "2".into()][..], 0, 1)
    );
    assert_eq!(set.order, Order::Windows { len: 40, step: 20 });
    let scan = rows(&set.train, 0..20);
    let close = |a: f32, b: f32| (a - b).abs() < 1e-3;
    // Beam 0 looks left (-pi): free for 32 pixels but for the border of two at the end.
    assert!(close(scan[0].0, 0.0) && close(scan[0].2, 0.0), "{scan:?}");
    let left = scan[4].0;
    assert!((-31.5..-30.0).contains(&left) && scan[4].2 == 1.0, "{scan:?}");
    // Evenly spaced on the way there.
    assert!(close(scan[1].0, left / 4.0) && close(scan[3].0, left * 0.75), "{scan:?}");
    // Beam 2 looks right: the wall is 12 pixels away.
    assert!((11.0..13.5).contains(&scan[14].0) && scan[14].2 == 1.0, "{scan:?}");
    assert!(scan[10..14].iter().all(|(_, _, density)| *density == 0.0), "{scan:?}");
}

#[test]
fn a_free_beam_is_sampled_evenly_and_a_power_draws_samples_to_one_end() {
    let mut options = small();
    options["beam_length"] = json!(0.1);
    options["online"] = json!(false);
    let set = build(&[[0.0, 0.0]], options.clone()).unwrap();
    assert_eq!(set.order, Order::Shuffled);
    let scan = rows(&set.train, 0..20);
    assert!((scan[14].0 - 6.4).abs() < 1e-3 && (scan[11].0 - 1.6).abs() < 1e-3 && scan[14].2 == 0.0);
    options["beam_length"] = json!(0.5);
    options["sample_power"] = json!(2.0);
    let scan = rows(&build(&[[0.0, 0.0]], options).unwrap().train, 0..20);
    assert!((scan[11].0 - scan[14].0 / 16.0).abs() < 1e-3, "{scan:?}");
}

#[test]
fn random_scans_start_in_free_space_and_come_from_the_seed() {
    let (a, b) = (build(&[[0.0, 0.0]], small()).unwrap(), build(&[[0.0, 0.0]], small()).unwrap());
    assert_eq!(rows(&a.test, 0..140), rows(&b.test, 0..140));
    for (x, _, density) in rows(&a.test, 0..140).iter().step_by(5) {
        assert!(*density == 0.0 && !(12.0..13.5).contains(x), "a scan starts at {x}");
    }
}

#[test]
fn says_what_is_wrong() {
    let mut options = small();
    options["image"] = json!("other.png");
    let error = build(&[[0.0, 0.0]], options).unwrap_err().to_string();
    assert!(error.contains("other.png") && error.contains("hcddl data fetch lidar"), "{error}");
    for (robots, expected) in [
        (vec![[0.39, 0.0]], "`1.npy` leads into a wall"),
        (vec![], "holds no waypoints"),
        (vec![[0.0, 0.0], [1.2, 0.0]], "lies outside of the plan"),
    ] {
        let error = build(&robots, small()).unwrap_err().to_string();
        assert!(error.contains(expected.trim_start_matches("`1.npy` ")), "{expected}: {error}");
    }
    for (key, value) in [
        ("beams", json!(0)),
        ("border", json!(32)),
        ("beam_length", json!(0.0)),
        ("sample_power", json!(-1.0)),
        ("window", json!(0)),
        ("robots", json!(3)),
    ] {
        let mut options = small();
        options[key] = value;
        assert_eq!(build(&[[0.0, 0.0]], options).unwrap_err().key, key);
    }
}

#[test]
fn the_building_of_the_paper_is_driven_through_without_hitting_a_wall() {
    let Some(directory) = std::env::var_os("HCDDL_DATA") else {
        eprintln!("skipped: HCDDL_DATA is not set");
        return;
    };
    let options = json!({"beams": 2, "beam_samples": 2, "validation_scans": 10});
    let choice =
        Choice { name: "lidar".into(), options: options.as_object().unwrap().clone(), positional: vec![] };
    let context = DataContext { data_dir: Some(directory.into()), seed: 1 };
    let set = (row().build)(&choice, &context).unwrap();
    // 30 scans for each of 81 (once 79) steps between waypoints, of 7 robots.
    assert_eq!(set.train.len(), (6 * 81 + 79) * 30 * 4);
    assert_eq!(set.train.owners().unwrap().names.len(), 7);
}
