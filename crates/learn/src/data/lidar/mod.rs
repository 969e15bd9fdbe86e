//! DiNNO's density problem (J. Yu, J. Vincent, M. Schwager, DiNNO: Distributed Neural Network Optimization for
//! Multi-Robot Collaborative Learning, 2022): robots drive through a building and learn, from lidar scans, where
//! walls are. A sample is a place (x, y), in pixels from the middle of the plan, and its density.

mod scan;
mod spline;

use super::files::{directory, entries, first_of, open, wrong};
use super::{BuildData, DataContext, DataSet, Features, Labels, Order, Owners, Samples};
use crate::model::{DataShape, Input, Output};
use hcddl_core::domain::{OptionError, Row, Stream};
use scan::{Lidar, Place, WALL};
use serde::Deserialize;
use spline::{POINTS_MIN, Surface, interpolate};
use std::path::{Path, PathBuf};

const FOLDER: &str = "dinno_floorplan";
/// Most samples in memory; 16 bytes each.
const SAMPLES_MAX: usize = 200_000_000;

/// Its row.
pub fn row() -> Row<BuildData> {
    Row {
        name: "lidar",
        summary: "lidar scans of robots that drive through a floor plan: place to density; PNG and waypoints (.npy)",
        example: "{name: lidar, image: floor_img_32.png, paths: tight_paths, online: true, window: 800, \
                  beams: 20, beam_samples: 25, beam_length: 0.2, collision_samples: 50, fine_samples: 3, \
                  sample_power: 1.0, border: 30, spline_resolution: 30, round_density: true, \
                  validation_scans: 500}",
        positional: &[],
        build: |choice, context| load(&choice.options()?, context),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// The floor plan, a PNG in the folder `dinno_floorplan`: free is black, walls are white.
    image: PathBuf,
    /// Folder in it with a file of waypoints for each robot: n x 2 numbers from -1 to 1.
    paths: PathBuf,
    /// Robots see the scans of a window of their trajectory, which moves on by one scan each epoch.
    online: bool,
    /// Scans in that window.
    window: usize,
    /// Beams of a scan.
    beams: usize,
    /// Samples along each beam.
    beam_samples: usize,
    /// Length of a beam, as a share of the plan's longer side.
    beam_length: f64,
    /// Points along a beam that are looked at for a wall.
    collision_samples: usize,
    /// Points then looked at between the last free one and the wall.
    fine_samples: usize,
    /// Samples lie at t^power of the way to the wall.
    sample_power: f64,
    /// Pixels around the plan that are made walls.
    border: usize,
    /// Scans between two waypoints.
    spline_resolution: usize,
    /// Densities are rounded to 0 or 1.
    round_density: bool,
    /// Scans at random free places that make the test set.
    validation_scans: usize,
}

/// As in the configuration of the paper's experiment.
impl Default for Options {
    fn default() -> Self {
        Self {
            image: "floor_img_32.png".into(),
            paths: "tight_paths".into(),
            online: true,
            window: 800,
            beams: 20,
            beam_samples: 25,
            beam_length: 0.2,
            collision_samples: 50,
            fine_samples: 3,
            sample_power: 1.0,
            border: 30,
            spline_resolution: 30,
            round_density: true,
            validation_scans: 500,
        }
    }
}

impl Options {
    fn check(&self) -> Result<(), OptionError> {
        for (key, value, least) in [
            ("window", self.window, 1),
            ("beams", self.beams, 1),
            ("beam_samples", self.beam_samples, 1),
            ("collision_samples", self.collision_samples, 2),
            ("fine_samples", self.fine_samples, 1),
            ("spline_resolution", self.spline_resolution, 1),
            ("validation_scans", self.validation_scans, 1),
        ] {
            let allowed = format!("{least} to 1000000");
            OptionError::check((least..=1_000_000).contains(&value), key, value, &allowed)?;
        }
        let length = self.beam_length;
        OptionError::check(length > 0.0 && length <= 1.0, "beam_length", length, "above 0, up to 1")?;
        let power = self.sample_power;
        OptionError::check(power > 0.0 && power <= 100.0, "sample_power", power, "above 0, up to 100")
    }
}

fn load(options: &Options, context: &DataContext) -> Result<DataSet, OptionError> {
    options.check()?;
    let folder = directory("lidar", context)?.join(FOLDER);
    let image = first_of("lidar", vec![folder.join(&options.image)], Path::is_file, "file")?;
    let paths = first_of("lidar", vec![folder.join(&options.paths)], Path::is_dir, "folder")?;
    let lidar = lidar(options, &image)?;
    let mut files = entries(&paths)?;
    files.retain(|path| path.extension().is_some_and(|e| e == "npy"));
    if files.is_empty() {
        return Err(wrong(&paths, "holds no waypoints", "a .npy file for each robot"));
    }
    let scan = options.beams * options.beam_samples;
    let mut train = Scans::default();
    let mut owners = Owners::default();
    for (robot, path) in files.iter().enumerate() {
        let trajectory = trajectory(path, options.spline_resolution, &lidar)?;
        if (owners.of.len() / scan + trajectory.len()).saturating_mul(scan) > SAMPLES_MAX {
            let message = format!("{scan} samples of each scan do not fit into memory");
            return Err(OptionError::new("beam_samples", message, format!("at most {SAMPLES_MAX} in all")));
        }
        for place in trajectory {
            if !train.add(&lidar, place) {
                let message = format!("leads into a wall at {:.1}, {:.1}", place[0], place[1]);
                return Err(wrong(path, &message, "a path through free space of this plan"));
            }
        }
        owners.of.resize(train.densities.len(), robot as u32);
        owners.names.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    }
    let test = random_scans(&lidar, options.validation_scans, &image, context.seed)?;
    let shape = DataShape {
        input: Input::Values { channels: 1, height: 1, width: 2 },
        sequence: false,
        output: Output::Probabilities(1),
    };
    let window = Order::Windows { len: options.window * scan, step: scan };
    let order = if options.online { window } else { Order::Shuffled };
    Ok(DataSet { order, ..DataSet::new(shape, train.samples().owned_by(owners), test.samples()) })
}

fn lidar(options: &Options, path: &Path) -> Result<Lidar, OptionError> {
    let image = image::open(path).map_err(|e| wrong(path, &format!("cannot be read: {e}"), "a PNG"))?;
    let image = image.into_luma8();
    let (width, height) = (image.width() as usize, image.height() as usize);
    let shorter = width.min(height);
    if shorter < POINTS_MIN {
        return Err(wrong(path, &format!("has {width}x{height} pixels"), "4x4 or more"));
    }
    let allowed = format!("less than half of the shorter side, {shorter} pixels");
    OptionError::check(2 * options.border < shorter, "border", options.border, &allowed)?;
    let mut plan: Vec<f64> = image.into_raw().into_iter().map(|pixel| f64::from(pixel) / 255.0).collect();
    for (i, density) in plan.iter_mut().enumerate() {
        let (x, y) = (i % width, i / width);
        if x.min(y).min(width - 1 - x).min(height - 1 - y) < options.border {
            *density = 1.0;
        }
    }
    Ok(Lidar {
        plan: Surface::new(&plan, width),
        beams: options.beams,
        length: options.beam_length * width.max(height) as f64,
        samples: options.beam_samples,
        coarse: options.collision_samples,
        fine: options.fine_samples,
        power: options.sample_power,
        round: options.round_density,
    })
}

/// Where a robot scans: on the cubic spline through its waypoints, `resolution` times for each but the first.
fn trajectory(path: &Path, resolution: usize, lidar: &Lidar) -> Result<Vec<Place>, OptionError> {
    let bad = |message: String| wrong(path, &message, "a NumPy array of n x 2 numbers (f8), n at least 4");
    let file = npyz::NpyFile::new(open(path)?).map_err(|e| bad(format!("cannot be read: {e}")))?;
    let shape = file.shape().to_vec();
    let (order, many) = (file.order(), POINTS_MIN as u64..100_000);
    if shape.len() != 2 || shape[1] != 2 || !many.contains(&shape[0]) || order != npyz::Order::C {
        return Err(bad(format!("holds an array of shape {shape:?}")));
    }
    let values: Vec<f64> = file.into_vec().map_err(|e| bad(format!("cannot be read: {e}")))?;
    if let Some(value) = values.iter().find(|value| !(-1.0..=1.0).contains(*value)) {
        return Err(bad(format!("holds {value}, which lies outside of the plan")));
    }
    let count = resolution * (shape[0] as usize - 1);
    let along = |axis: usize, len: usize| {
        let points: Vec<f64> = values.iter().skip(axis).step_by(2).copied().collect();
        interpolate(&points, count).into_iter().map(move |v| v * (len as f64 * 0.5))
    };
    Ok(along(0, lidar.plan.width).zip(along(1, lidar.plan.height)).map(|(x, y)| [x, y]).collect())
}

/// Scans from the centres of random free pixels.
fn random_scans(lidar: &Lidar, count: usize, image: &Path, seed: u64) -> Result<Scans, OptionError> {
    let mut stream = Stream::new(seed, "lidar", 0, 0);
    let mut scans = Scans::default();
    let mut found = 0;
    for _ in 0..1000 * count {
        let (x, y) = (stream.below(lidar.plan.width as u64), stream.below(lidar.plan.height as u64));
        let place = lidar.pixel(x as usize, y as usize);
        if lidar.density(place) < WALL {
            found += usize::from(scans.add(lidar, place));
        }
        if found == count {
            return Ok(scans);
        }
    }
    Err(wrong(image, "has too little free space", "black where robots can be"))
}

/// Places and densities that were seen.
#[derive(Default)]
struct Scans {
    places: Vec<f32>,
    densities: Vec<f32>,
}

impl Scans {
    fn add(&mut self, lidar: &Lidar, from: Place) -> bool {
        lidar.scan(from, |place, density| {
            self.places.extend(place.map(|v| v as f32));
            self.densities.push(density as f32);
        })
    }

    fn samples(mut self) -> Samples {
        self.places.shrink_to_fit();
        self.densities.shrink_to_fit();
        Samples::new(Features::Floats(self.places), Labels::Values { values: self.densities, len: 1 }, 2)
    }
}

#[cfg(test)]
mod tests;
