//! What a host draws, from the sensors that its system shows in sysfs. The first of these that can be read is used, so
//! that nothing counts twice:
//!
//! | source | files | what it measures |
//! |---|---|---|
//! | `hwmon` | `class/hwmon/*/power*_input` (microwatts), or currents times voltages, of an ACPI power meter or an INA chip | the whole board |
//! | `battery` | `class/power_supply/*/power_now` (microwatts), or current times voltage, while it discharges | the whole machine |
//! | `rapl` | `class/powercap/intel-rapl:N/energy_uj`, counters of microjoules that wrap | processor packages only |
//!
//! Formats: the kernel's Documentation/hwmon/sysfs-interface, ABI/testing/sysfs-class-power and power/powercap. RAPL is
//! usually readable by root alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Chips of hwmon whose power is that of a board: the ACPI power meter, and the current monitors on boards.
const BOARD_CHIPS: [&str; 8] =
    ["power_meter", "ina209", "ina219", "ina220", "ina226", "ina230", "ina231", "ina3221"];

/// Where readings come from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// Files of one channel each: a power in microwatts, or a voltage in millivolts and a current in milliamperes.
    Hwmon(Vec<Vec<PathBuf>>),
    /// A directory of a battery.
    Battery(PathBuf),
    /// Directories of zones.
    Rapl(Vec<PathBuf>),
}

/// Adds up a host's energy.
#[derive(Debug)]
pub struct Power {
    source: Option<Source>,
    /// Joules since the first reading.
    joules: f64,
    /// Watts at the last reading.
    watts: Option<f64>,
    last: Option<Instant>,
    counters: BTreeMap<PathBuf, u64>,
}

/// A reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Name of the source.
    pub source: &'static str,
    /// Now, or on average since the last reading.
    pub watts: Option<f64>,
    /// Since the first reading.
    pub joules: f64,
}

impl Power {
    /// The sensors below a directory, usually `/sys`.
    #[must_use]
    pub fn find(sys: &Path) -> Self {
        let source = hwmon(sys).or_else(|| battery(sys)).or_else(|| rapl(sys));
        Self { source, joules: 0.0, watts: None, last: None, counters: BTreeMap::new() }
    }

    /// Reads the sensors; `None` where there are none.
    pub fn read(&mut self, now: Instant) -> Option<Reading> {
        let source = self.source.clone()?;
        let seconds = self.last.map(|last| now.saturating_duration_since(last).as_secs_f64());
        let (name, watts) = match &source {
            Source::Hwmon(files) => {
                ("hwmon", files.iter().filter_map(|files| channel(files)).max().map(watts))
            }
            Source::Battery(dir) => ("battery", discharging(dir)),
            Source::Rapl(zones) => {
                let moved = self.counted(zones);
                let added = moved as f64 / 1e6;
                if seconds.is_some() {
                    self.joules += added;
                }
                ("rapl", seconds.filter(|seconds| *seconds > 0.0).map(|seconds| added / seconds))
            }
        };
        if !matches!(source, Source::Rapl(_))
            && let (Some(before), Some(now), Some(seconds)) = (self.watts, watts, seconds)
        {
            // The trapezoid between two readings.
            self.joules += 0.5 * (before + now) * seconds;
        }
        self.watts = watts;
        self.last = Some(now);
        Some(Reading { source: name, watts, joules: self.joules })
    }

    /// Microjoules since the last reading of all zones.
    fn counted(&mut self, zones: &[PathBuf]) -> u64 {
        let mut moved = 0;
        for zone in zones {
            let Some(now) = number(&zone.join("energy_uj")) else { continue };
            if let Some(before) = self.counters.insert(zone.clone(), now) {
                let range = number(&zone.join("max_energy_range_uj")).unwrap_or(0);
                // A counter that is lower than before has wrapped.
                moved += if now >= before { now - before } else { (range + now).saturating_sub(before) };
            }
        }
        moved
    }
}

fn watts(micro: u64) -> f64 {
    micro as f64 / 1e6
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn word(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default().trim().to_owned()
}

/// What is in a directory of sysfs, in order.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.sort();
    all
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or("")
}

/// Powers of the first board sensor. Of several channels the largest is read: the supply, of which others are parts.
fn hwmon(sys: &Path) -> Option<Source> {
    let chips = entries(&sys.join("class/hwmon"));
    chips.iter().filter(|chip| BOARD_CHIPS.contains(&word(&chip.join("name")).as_str())).find_map(|chip| {
        let files = entries(chip);
        let is_power = |file: &&PathBuf| {
            let name = file_name(file);
            name.starts_with("power") && (name.ends_with("_input") || name.ends_with("_average"))
        };
        let powers = files.iter().filter(is_power).map(|file| vec![file.clone()]);
        // An INA3221 tells currents and voltages alone.
        let products = files.iter().filter_map(|file| {
            let number = file_name(file).strip_prefix("curr")?.strip_suffix("_input")?;
            Some(vec![chip.join(format!("in{number}_input")), file.clone()])
        });
        let channels: Vec<Vec<PathBuf>> =
            powers.chain(products).filter(|files| channel(files).is_some()).collect();
        (!channels.is_empty()).then_some(Source::Hwmon(channels))
    })
}

/// Microwatts of a channel; a millivolt times a milliampere is one.
fn channel(files: &[PathBuf]) -> Option<u64> {
    files.iter().try_fold(1u64, |product, file| product.checked_mul(number(file)?))
}

fn battery(sys: &Path) -> Option<Source> {
    let supplies = entries(&sys.join("class/power_supply"));
    let found =
        supplies.into_iter().find(|dir| word(&dir.join("type")) == "Battery" && discharging(dir).is_some());
    found.map(Source::Battery)
}

/// Watts of a battery that discharges: what it gives is what the machine takes.
fn discharging(dir: &Path) -> Option<f64> {
    if word(&dir.join("status")) != "Discharging" {
        return None;
    }
    let power = number(&dir.join("power_now")).map(watts);
    let product =
        || Some(watts(number(&dir.join("current_now"))?) * watts(number(&dir.join("voltage_now"))?));
    power.or_else(product)
}

/// The packages; a zone within a package (`intel-rapl:0:1`) is part of it, and `intel-rapl-mmio` shows them again.
fn rapl(sys: &Path) -> Option<Source> {
    let is_package = |zone: &Path| {
        let number = file_name(zone).strip_prefix("intel-rapl:");
        number.is_some_and(|number| number.parse::<u32>().is_ok())
            && word(&zone.join("name")).starts_with("package")
    };
    let zones: Vec<PathBuf> = entries(&sys.join("class/powercap"))
        .into_iter()
        .filter(|zone| is_package(zone) && number(&zone.join("energy_uj")).is_some())
        .collect();
    (!zones.is_empty()).then_some(Source::Rapl(zones))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn put(sys: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = sys.join("class").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn counters_of_packages_wrap_and_their_parts_count_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let zone = |energy: &str| {
            put(
                at,
                &[("powercap/intel-rapl:0/name", "package-0\n"), ("powercap/intel-rapl:0/energy_uj", energy)],
            );
        };
        zone("9000000\n");
        put(
            at,
            &[
                ("powercap/intel-rapl:0/max_energy_range_uj", "10000000"),
                ("powercap/intel-rapl:0:0/name", "core"),
            ],
        );
        put(at, &[("powercap/intel-rapl:0:0/energy_uj", "5"), ("powercap/intel-rapl:1/name", "psys")]);
        let (mut power, start) = (Power::find(at), Instant::now());
        assert_eq!(power.read(start), Some(Reading { source: "rapl", watts: None, joules: 0.0 }));
        zone("3000000");
        let reading = power.read(start + Duration::from_secs(2)).unwrap();
        assert_eq!(reading, Reading { source: "rapl", watts: Some(2.0), joules: 4.0 });
    }

    #[test]
    fn a_board_sensor_wins_and_its_largest_channel_is_the_supply() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        put(at, &[("hwmon/hwmon0/name", "amdgpu"), ("hwmon/hwmon0/power1_average", "99000000")]);
        put(at, &[("hwmon/hwmon1/name", "ina3221"), ("hwmon/hwmon1/power1_input", "1000000")]);
        put(at, &[("hwmon/hwmon1/power2_input", "4000000"), ("powercap/intel-rapl:0/energy_uj", "1")]);
        let (mut power, start) = (Power::find(at), Instant::now());
        assert_eq!(power.read(start).unwrap().watts, Some(4.0));
        put(at, &[("hwmon/hwmon1/power2_input", "6000000")]);
        let reading = power.read(start + Duration::from_secs(3)).unwrap();
        assert_eq!(reading, Reading { source: "hwmon", watts: Some(6.0), joules: 15.0 });
        let jetson = tempfile::tempdir().unwrap();
        let at = jetson.path();
        put(at, &[("hwmon/hwmon0/name", "ina3221"), ("hwmon/hwmon0/in1_input", "5000")]);
        put(at, &[("hwmon/hwmon0/curr1_input", "900"), ("hwmon/hwmon0/curr2_input", "100")]);
        assert_eq!(Power::find(at).read(start).unwrap().watts, Some(4.5));
    }

    #[test]
    fn a_battery_tells_while_it_discharges() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        put(at, &[("power_supply/BAT0/type", "Battery\n"), ("power_supply/BAT0/status", "Discharging\n")]);
        put(
            at,
            &[("power_supply/BAT0/current_now", "1500000"), ("power_supply/BAT0/voltage_now", "10000000")],
        );
        let mut power = Power::find(at);
        assert_eq!(power.read(Instant::now()).unwrap().watts, Some(15.0));
        put(at, &[("power_supply/BAT0/status", "Charging\n")]);
        assert_eq!(power.read(Instant::now()).unwrap().watts, None);
        assert_eq!(Power::find(&at.join("nothing")).read(Instant::now()), None);
    }
}
