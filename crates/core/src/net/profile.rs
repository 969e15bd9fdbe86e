//! Links by name: rate, latency and what else is typical of a kind of network.
//!
//! One row of `ROWS` each; every number can be overridden by an option. All numbers are (assumed): plausible
//! defaults, to be replaced by calibration. Two have a ground: .941 is the payload of a full Ethernet frame
//! (1448 of 1538 bytes on the wire), and 224 Mb/s is what owners of the Pi 3B+ report (some see over 300). The
//! latency of LANs and WiFi is a lognormal body with rare Pareto spikes on top; packets that WiFi or a mobile
//! network lose are resent below TCP and show as such spikes, so `loss` is zero everywhere.

use super::Distribution;
use super::latency::Latencies;
use crate::domain::units::Rate;
use crate::domain::{Choice, OptionError, Row, Table};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// A kind of link.
#[derive(Clone, Debug)]
pub struct LinkProfile {
    /// Nominal bytes per second away from the host; `efficiency` of them are payload.
    pub up_bytes_per_second: f64,
    /// Nominal bytes per second towards the host; `efficiency` of them are payload.
    pub down_bytes_per_second: f64,
    /// One-way latency of a message, without the time its bytes take.
    pub latency: Arc<dyn Distribution>,
    /// Probability that TCP loses a packet.
    pub loss: f64,
    /// Share of the nominal rate that carries payload.
    pub efficiency: f64,
    /// Whether sending and receiving share one constraint, as on WiFi.
    pub shared_medium: bool,
}

/// Makes a link profile from its options; latencies are named in them.
pub type BuildLinkProfile = fn(&Choice, &Latencies) -> Result<LinkProfile, OptionError>;

/// The numbers of a profile, as a scenario would write them.
struct Numbers {
    name: &'static str,
    summary: &'static str,
    example: &'static str,
    /// Empty for infinite.
    up: &'static str,
    down: &'static str,
    latency: &'static str,
    efficiency: f64,
    shared_medium: bool,
}

macro_rules! numbers {
    ($name:literal, $summary:literal, $up:literal, $down:literal, $latency:literal, $efficiency:literal, $shared:literal) => {
        Numbers {
            name: $name,
            summary: $summary,
            example: concat!(
                "{name: ",
                $name,
                ", up: ",
                $up,
                ", down: ",
                $down,
                ", latency: '",
                $latency,
                "', loss: 0, efficiency: ",
                $efficiency,
                ", shared_medium: ",
                $shared,
                "}"
            ),
            up: $up,
            down: $down,
            latency: $latency,
            efficiency: $efficiency,
            shared_medium: $shared,
        }
    };
}

/// name, summary, rate up, rate down, latency, efficiency, shared medium
#[rustfmt::skip]
const ROWS: &[Numbers] = &[
    Numbers {
        name: "ideal", summary: "no latency, infinite rate",
        example: "{name: ideal, latency: 0ms, loss: 0, efficiency: 1, shared_medium: false}",
        up: "", down: "", latency: "0ms", efficiency: 1.0, shared_medium: false,
    },
    numbers!("lan-gige", "gigabit Ethernet: Pi 4 and 5, PCs", "1gbit", "1gbit",
             "jittered(120us, lognormal(30us, 0.5))", 0.941, false),
    numbers!("lan-3b-plus", "Ethernet of the Pi 3B+, behind USB 2", "224mbit", "224mbit",
             "jittered(250us, lognormal(80us, 0.6))", 1.0, false),
    numbers!("lan-100", "100 Mb/s Ethernet", "100mbit", "100mbit",
             "jittered(200us, lognormal(50us, 0.5))", 0.941, false),
    numbers!("wifi5", "802.11ac with one antenna, a shared medium", "90mbit", "90mbit",
             "jittered(1.5ms, lognormal(1ms, 1), pareto(20ms, 1.5), 0.01)", 1.0, true),
    numbers!("wifi4", "802.11n at 2.4 GHz: Pi Zero 2 W, a shared medium", "40mbit", "40mbit",
             "jittered(2.5ms, lognormal(2ms, 1.1), pareto(30ms, 1.5), 0.02)", 1.0, true),
    numbers!("lte", "mobile, 4G", "8mbit", "20mbit",
             "jittered(0ms, gev(22ms, 6ms, 0.2), pareto(100ms, 1.5), 0.02)", 1.0, false),
    numbers!("5g-nsa", "mobile, 5G with a 4G core", "30mbit", "150mbit",
             "jittered(10ms, jittered(0ms, lognormal(2ms, 0.4), lognormal(6ms, 0.3), 0.3), pareto(50ms, 1.5), 0.01)",
             1.0, false),
    numbers!("wan-eu", "between sites within Europe", "200mbit", "200mbit",
             "jittered(15ms, shifted_exponential(0ms, 1ms), pareto(30ms, 1.5), 0.005)", 0.97, false),
];

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    up: Option<Rate>,
    down: Option<Rate>,
    latency: Option<Value>,
    loss: f64,
    efficiency: Option<f64>,
    shared_medium: Option<bool>,
}

/// Every link profile.
#[must_use]
pub fn table() -> Table<BuildLinkProfile> {
    let row = |n: &Numbers| Row {
        name: n.name,
        summary: n.summary,
        example: n.example,
        positional: &[],
        build: build as BuildLinkProfile,
    };
    Table::new("link profile", ROWS.iter().map(row).collect())
}

fn build(choice: &Choice, latencies: &Latencies) -> Result<LinkProfile, OptionError> {
    let numbers = ROWS.iter().find(|row| row.name == choice.name).expect("the table is made of these rows");
    let options: Options = choice.options()?;
    let rate = |key: &str, option: Option<Rate>, default: &str| -> Result<f64, OptionError> {
        let Rate(rate) = match option {
            Some(rate) => rate,
            None if default.is_empty() => Rate(f64::INFINITY),
            None => default.parse()?,
        };
        OptionError::check(rate > 0.0, key, Rate(rate), "more than zero")?;
        Ok(rate)
    };
    let efficiency = options.efficiency.unwrap_or(numbers.efficiency);
    OptionError::check(
        efficiency > 0.0 && efficiency <= 1.0,
        "efficiency",
        efficiency,
        "more than 0, up to 1",
    )?;
    OptionError::check(
        (0.0..1.0).contains(&options.loss),
        "loss",
        options.loss,
        "0 up to, but not including, 1",
    )?;
    let latency = options.latency.unwrap_or_else(|| numbers.latency.into());
    Ok(LinkProfile {
        up_bytes_per_second: rate("up", options.up, numbers.up)?,
        down_bytes_per_second: rate("down", options.down, numbers.down)?,
        latency: latencies.read(&latency).map_err(|error| error.below("latency"))?,
        loss: options.loss,
        efficiency,
        shared_medium: options.shared_medium.unwrap_or(numbers.shared_medium),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Span;
    use serde_json::json;

    fn profile(value: &Value) -> Result<LinkProfile, OptionError> {
        let table = table();
        let (row, choice) = table.resolve(&Choice::from_value(value)?)?;
        (row.build)(&choice, &Latencies::default()).map_err(|error| error.with_example(row.example))
    }

    #[test]
    fn every_example_shows_the_defaults() {
        for row in table().rows() {
            let default = profile(&json!(row.name)).unwrap();
            let shown = profile(&crate::yaml::flow(row.example)).unwrap();
            assert_eq!(format!("{shown:?}"), format!("{default:?}"), "{}", row.name);
        }
    }

    #[test]
    fn rates_and_latencies_are_as_documented() {
        let payload = |name: &str| {
            let p = profile(&json!(name)).unwrap();
            (p.up_bytes_per_second * p.efficiency * 8e-6, p.down_bytes_per_second * p.efficiency * 8e-6)
        };
        assert_eq!(payload("lan-gige"), (941.0, 941.0));
        assert_eq!(payload("lte"), (8.0, 20.0));
        assert_eq!(payload("ideal"), (f64::INFINITY, f64::INFINITY));
        assert_eq!(profile(&json!("ideal")).unwrap().latency.mean(), Some(Span::ZERO));
        let wifi = profile(&json!("wifi5")).unwrap();
        assert!(wifi.shared_medium);
        // 1.5 ms + 1 ms e^(1/2) + 1 % of 60 ms
        assert!((wifi.latency.mean().unwrap().seconds() * 1e3 - (1.5 + 1.648_721 + 0.6)).abs() < 1e-3);
    }

    #[test]
    fn options_override_and_are_checked() {
        let own =
            profile(&json!({"name": "lan-gige", "up": "10mbit", "latency": "3ms", "loss": 0.01})).unwrap();
        assert_eq!((own.up_bytes_per_second, own.down_bytes_per_second, own.loss), (1.25e6, 1.25e8, 0.01));
        assert_eq!(own.latency.mean(), Some(Span::from_millis(3)));
        for (value, part) in [
            (json!("wifi55"), "did you mean `wifi5`?"),
            (json!({"name": "lte", "up": "0mbit"}), "up: `0bit` is out of bounds"),
            (json!({"name": "lte", "loss": 1}), "loss: `1` is out of bounds"),
            (json!({"name": "lte", "efficiency": 0}), "efficiency: `0` is out of bounds"),
            (json!({"name": "lte", "latency": "gamma(5ms, 0)"}), "latency.shape: `0` is out of bounds"),
            (json!({"name": "lte", "rate": "5mbit"}), "unknown field `rate`"),
        ] {
            let error = profile(&value).unwrap_err().to_string();
            assert!(error.contains(part), "{value}: {error}");
        }
    }
}
