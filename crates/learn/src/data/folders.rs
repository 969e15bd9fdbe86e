//! Pictures in folders by class: `train/CLASS/PICTURE`, `test/CLASS/PICTURE` and perhaps `valid/CLASS/PICTURE`.

use super::files::{entries, file_error, find_folder, given, wrong};
use super::{BuildData, DataSet, Normalise, Samples, shuffled};
use crate::model::DataShape;
use hcddl_core::domain::{OptionError, Row, both, options};
use image::DynamicImage;
use image::imageops::FilterType;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Pictures lie in one random order, so that the first ones are of all classes; it never changes.
const ORDER_SEED: u64 = 0;

/// Any such folder.
pub fn row() -> Row<BuildData> {
    Row {
        name: "folders",
        summary: "pictures (PNG, JPEG) in train, test and perhaps valid, in a folder for each class",
        example: "{name: folders, directory: pictures, resize: null, grey: false, normalise: unit}",
        positional: &["directory"],
        options: both::<Given, Options>,
        build: |choice, _, context| {
            let (Given { directory }, options) = choice.two()?;
            load(&given("directory", &directory, context)?, &options)
        },
    }
}

/// Darlow, Crowley, Antoniou and Storkey, CINIC-10 is not ImageNet or CIFAR-10, 2018.
pub fn cinic10() -> Row<BuildData> {
    Row {
        name: "cinic10",
        summary: "CINIC-10, colour images of 32x32, 90,000 each to train, validate and test on; folders of PNG",
        example: "{name: cinic10, resize: null, grey: false, normalise: unit}",
        positional: &[],
        options: options::<Options>,
        build: |choice, _, context| {
            let options = choice.options()?;
            load(&find_folder("cinic10", &["CINIC-10"], context)?, &options)
        },
    }
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Given {
    /// The folder with `train` and `test`.
    directory: PathBuf,
}

#[derive(Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Width and height that all pictures are brought to; else all must have the same.
    resize: Option<[u32; 2]>,
    /// One channel of brightness instead of three colours.
    grey: bool,
    /// How pixels become numbers: `unit` (from 0 to 1), a mean and a deviation as in `[0.13, 0.31]`, `per_pixel`.
    normalise: Normalise,
}

/// Pixels `[picture, channel, row, column]` and classes.
#[derive(Default)]
struct Part {
    pixels: Vec<u8>,
    classes: Vec<u16>,
}

fn load(directory: &Path, options: &Options) -> Result<DataSet, OptionError> {
    if let Some([width, height]) = options.resize {
        let right = (1..=4096).contains(&width) && (1..=4096).contains(&height);
        OptionError::check(right, "resize", format!("{width}x{height}"), "1 to 4096 for each side")?;
    }
    let classes = classes(&directory.join("train"))?;
    let mut size = options.resize;
    let mut part = |name: &str| part(&directory.join(name), &classes, options, &mut size);
    let (train, test) = (part("train")?, part("test")?);
    let validation = if directory.join("valid").is_dir() { Some(part("valid")?) } else { None };
    let [width, height] = size.unwrap_or_default().map(|side| side as usize);
    let channels = if options.grey { 1 } else { 3 };
    let scale = options.normalise.scale(255.0, channels, width * height, &train.pixels)?;
    let samples =
        |part: Part| Samples::from_bytes(part.pixels, part.classes, channels * width * height, scale.clone());
    let shape = DataShape::images(channels, height, width, classes.len());
    let mut set = DataSet::new(shape, samples(train), samples(test));
    set.validation = validation.map(samples);
    Ok(set)
}

/// Names of the folders in a folder.
fn classes(folder: &Path) -> Result<Vec<String>, OptionError> {
    let folders = entries(folder)?.into_iter().filter(|path| path.is_dir());
    let classes: Vec<String> =
        folders.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    if classes.is_empty() || classes.len() > 1 << 16 {
        return Err(wrong(folder, &format!("holds {} folders", classes.len()), "one for each class"));
    }
    Ok(classes)
}

fn part(
    folder: &Path,
    classes: &[String],
    options: &Options,
    size: &mut Option<[u32; 2]>,
) -> Result<Part, OptionError> {
    let found = self::classes(folder)?;
    if let Some(name) = found.iter().find(|name| !classes.contains(name)) {
        return Err(wrong(folder, &format!("has the class `{name}`"), classes.join(", ")));
    }
    let mut pictures = Vec::new();
    for (class, name) in classes.iter().enumerate().filter(|(_, name)| found.contains(name)) {
        let is_picture = |path: &PathBuf| {
            let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
            extension.is_some_and(|e| ["png", "jpg", "jpeg"].contains(&e.as_str()))
        };
        let files = entries(&folder.join(name))?.into_iter().filter(is_picture);
        pictures.extend(files.map(|path| (path, class as u16)));
    }
    if pictures.is_empty() {
        return Err(wrong(folder, "holds no pictures", "PNG or JPEG files in the folders of classes"));
    }
    let mut part = Part::default();
    for at in shuffled(pictures.len(), ORDER_SEED, "folders") {
        let (path, class) = &pictures[at as usize];
        read(path, options, size, &mut part.pixels)?;
        part.classes.push(*class);
    }
    Ok(part)
}

/// Appends the pixels of a picture, channel by channel.
fn read(
    path: &Path,
    options: &Options,
    size: &mut Option<[u32; 2]>,
    to: &mut Vec<u8>,
) -> Result<(), OptionError> {
    let mut picture: DynamicImage = image::open(path)
        .map_err(|e| wrong(path, &format!("cannot be read: {e}"), "a picture in PNG or JPEG"))?;
    if let Some([width, height]) = options.resize {
        picture = picture.resize_exact(width, height, FilterType::Triangle);
    }
    let (own, [width, height]) =
        ([picture.width(), picture.height()], *size.get_or_insert([picture.width(), picture.height()]));
    if own != [width, height] {
        let message = format!("`{}` has {}x{} pixels", path.display(), own[0], own[1]);
        let allowed = format!("{width}x{height} as others, or the option resize");
        return Err(file_error(message, allowed));
    }
    if options.grey {
        to.extend(picture.into_luma8().into_raw());
    } else {
        let pixels = picture.into_rgb8().into_raw();
        (0..3).for_each(|channel| to.extend(pixels.iter().skip(channel).step_by(3)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::DataContext;
    use super::*;
    use crate::batch::Batch;
    use crate::kernels::Isa;
    use hcddl_core::domain::Choice;
    use serde_json::{Value, json};

    /// A picture of one colour.
    fn picture(path: &Path, [width, height]: [u32; 2], colour: [u8; 3]) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::from_pixel(width, height, image::Rgb(colour)).save(path).unwrap();
    }

    fn build(row: &Row<BuildData>, make: impl Fn(&Path), options: Value) -> Result<DataSet, OptionError> {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        let options = options.as_object().unwrap().clone();
        let choice = Choice { name: row.name.into(), options, positional: vec![] };
        (row.build)(&choice, &(), &DataContext { data_dir: Some(dir.path().to_owned()), seed: 0 })
    }

    fn right(set: &Path) {
        picture(&set.join("train/cat/1.png"), [3, 2], [10, 20, 30]);
        picture(&set.join("train/dog/1.png"), [3, 2], [11, 21, 31]);
        picture(&set.join("train/dog/2.jpg"), [3, 2], [200, 200, 200]);
        picture(&set.join("test/dog/1.png"), [3, 2], [12, 22, 32]);
        std::fs::write(set.join("train/dog/readme.txt"), "no picture").unwrap();
    }

    fn any(make: impl Fn(&Path), options: Value) -> Result<DataSet, OptionError> {
        let mut options = options;
        options["directory"] = json!("set");
        build(&row(), |dir| make(&dir.join("set")), options)
    }

    #[test]
    fn folders_are_classes_and_pixels_lie_by_channel() {
        let set = any(right, json!({})).unwrap();
        assert_eq!(set.shape, DataShape::images(3, 2, 3, 2));
        let mut classes = set.train.classes().unwrap().to_vec();
        classes.sort_unstable();
        assert_eq!((classes, set.test.classes().unwrap()), (vec![0, 1, 1], &[1][..]));
        let mut batch = Batch::default();
        set.test.gather(Isa::best(), [0usize].into_iter(), &mut batch);
        let expected = [12.0, 22.0, 32.0].map(|v: f32| [v / 255.0; 6]).concat();
        assert_eq!((batch.x, set.validation.is_none()), (expected, true));
    }

    #[test]
    fn pictures_are_resized_and_made_grey_and_valid_is_for_validation() {
        let make = |set: &Path| {
            right(set);
            picture(&set.join("train/cat/9.png"), [9, 9], [0, 0, 0]);
            picture(&set.join("valid/cat/1.png"), [5, 5], [255, 255, 255]);
        };
        let set = any(make, json!({"resize": [4, 1], "grey": true})).unwrap();
        assert_eq!((set.shape, set.train.len()), (DataShape::images(1, 1, 4, 2), 4));
        let mut batch = Batch::default();
        set.validation.unwrap().gather(Isa::best(), [0usize].into_iter(), &mut batch);
        assert_eq!(batch, Batch::of_classes(vec![1.0; 4], vec![0]));
    }

    #[test]
    fn cinic_is_found_as_it_is_unpacked() {
        let make = |dir: &Path| {
            for part in ["train", "valid", "test"] {
                let folder = dir.join("cinic10").join(part);
                picture(&folder.join("airplane/cifar10-train-1.png"), [32, 32], [1, 2, 3]);
                picture(&folder.join("truck/n1.png"), [32, 32], [4, 5, 6]);
            }
        };
        let set = build(&cinic10(), make, json!({})).unwrap();
        assert_eq!((set.shape, set.train.len()), (DataShape::images(3, 32, 32, 2), 2));
        assert_eq!(set.validation.unwrap().len(), 2);
        let error = build(&cinic10(), |_| {}, json!({})).unwrap_err().to_string();
        assert!(error.contains("CINIC-10") && error.contains("hcddl data fetch cinic10"), "{error}");
    }

    #[test]
    fn says_what_is_wrong() {
        let with = |path: &str, bytes: &[u8]| {
            let make = |set: &Path| {
                right(set);
                std::fs::create_dir_all(set.join(path).parent().unwrap()).unwrap();
                std::fs::write(set.join(path), bytes).unwrap();
            };
            any(make, json!({})).unwrap_err().to_string()
        };
        let error = with("train/cat/2.png", b"\x89PNG\r\n\x1a\n");
        assert!(error.contains("2.png` cannot be read"), "{error}");
        let error = with("test/bird/readme.txt", b"");
        assert!(error.contains("has the class `bird`; allowed: cat, dog"), "{error}");
        let odd = |set: &Path| {
            right(set);
            picture(&set.join("train/cat/9.png"), [9, 9], [0, 0, 0]);
        };
        let error = any(odd, json!({})).unwrap_err().to_string();
        assert!(error.contains("pixels; allowed:") && error.contains("or the option resize"), "{error}");
        let empty = |set: &Path| {
            right(set);
            std::fs::remove_file(set.join("test/dog/1.png")).unwrap();
        };
        assert!(any(empty, json!({})).unwrap_err().message.contains("holds no pictures"));
        let bare = |set: &Path| std::fs::create_dir_all(set.join("train")).unwrap();
        assert!(any(bare, json!({})).unwrap_err().message.contains("holds 0 folders"));
        assert_eq!(any(right, json!({"resize": [0, 3]})).unwrap_err().key, "resize");
        assert_eq!(build(&row(), |_| {}, json!({"directory": "none"})).unwrap_err().key, "directory");
        assert_eq!(build(&row(), |_| {}, json!({})).unwrap_err().message, "missing field `directory`");
    }
}
