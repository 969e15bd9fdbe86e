//! Quantities as users write them: `20ms`, `50mbit`, `1.5GB`. A number without a unit is refused, except 0.

use super::{OptionError, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A length of time: `20ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub Span);

/// A data rate in bytes per second: `50mbit` (bits), `6MB/s` (bytes).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(pub f64);

/// An amount of data: `1.5GB` (powers of 1000), `4MiB` (powers of 1024).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const TIMES: &[(&str, f64)] =
    &[("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)];
const RATES: &[(&str, f64)] = &[
    ("bit", 0.125),
    ("kbit", 125.0),
    ("mbit", 125e3),
    ("gbit", 125e6),
    ("B/s", 1.0),
    ("kB/s", 1e3),
    ("MB/s", 1e6),
    ("GB/s", 1e9),
];
const SIZES: &[(&str, f64)] = &[
    ("B", 1.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
];

/// Splits `20ms` into 20 and the factor of `ms`.
fn parse(text: &str, what: &str, units: &[(&str, f64)], example: &str) -> Result<f64, OptionError> {
    let trimmed = text.trim();
    let names = || units.iter().map(|u| u.0).collect::<Vec<_>>().join(", ");
    let split =
        trimmed.find(|c: char| c.is_ascii_alphabetic() && c != 'e' || c == '/').unwrap_or(trimmed.len());
    let split = if trimmed.parse::<f64>().is_ok() { trimmed.len() } else { split };
    let (number, unit) = (trimmed[..split].trim(), trimmed[split..].trim());
    let Ok(value) = number.parse::<f64>() else {
        return Err(OptionError::new(
            "",
            format!("`{text}` is not a {what}"),
            format!("a number and a unit, as in `{example}`; units: {}", names()),
        ));
    };
    if !value.is_finite() || value < 0.0 {
        return Err(OptionError::new(
            "",
            format!("the {what} `{text}` is negative or not finite"),
            format!("zero or more, as in `{example}`"),
        ));
    }
    if unit.is_empty() {
        return if value == 0.0 {
            Ok(0.0)
        } else {
            Err(OptionError::new(
                "",
                format!("the {what} `{text}` has no unit"),
                format!("one of {}; for example `{example}`", names()),
            ))
        };
    }
    match units.iter().find(|u| u.0 == unit) {
        Some((_, factor)) => Ok(value * factor),
        None => Err(OptionError::new("", format!("unknown unit `{unit}` in the {what} `{text}`"), names())),
    }
}

impl std::str::FromStr for Duration {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        parse(text, "duration", TIMES, "20ms").map(|seconds| Duration(Span::from_seconds(seconds)))
    }
}

impl std::str::FromStr for Rate {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        parse(text, "rate", RATES, "50mbit").map(Rate)
    }
}

impl std::str::FromStr for Bytes {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        parse(text, "size", SIZES, "1.5GB").map(|bytes| Bytes((bytes + 0.5) as u64))
    }
}

/// The shortest exact form: `20ms`, not `0.02s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0.0;
        let exact = [
            ("h", 3_600_000_000_000),
            ("min", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
        ];
        match exact.iter().find(|(_, unit)| ns >= *unit && ns.is_multiple_of((*unit / 1000).max(1))) {
            Some((name, unit)) => write!(f, "{}{name}", ns as f64 / *unit as f64),
            None => write!(f, "{ns}ns"),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0 * 8.0;
        match bits {
            b if b >= 1e9 => write!(f, "{}gbit", b / 1e9),
            b if b >= 1e6 => write!(f, "{}mbit", b / 1e6),
            b if b >= 1e3 => write!(f, "{}kbit", b / 1e3),
            b => write!(f, "{b}bit"),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1_000_000_000 => write!(f, "{}GB", n as f64 / 1e9),
            n if n >= 1_000_000 => write!(f, "{}MB", n as f64 / 1e6),
            n if n >= 1_000 => write!(f, "{}kB", n as f64 / 1e3),
            n => write!(f, "{n}B"),
        }
    }
}

macro_rules! as_text {
    ($type:ident, $what:literal, $example:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a ", $what, " with its unit, as in `", $example, "`"))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<$type, E> {
                        value.to_string().parse().map_err(E::custom)
                    }
                    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<$type, E> {
                        value.to_string().parse().map_err(E::custom)
                    }
                    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<$type, E> {
                        value.to_string().parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($type))
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["string", "number"], "examples": [$example] })
            }
        }
    };
}

as_text!(Duration, "duration", "20ms");
as_text!(Rate, "rate", "50mbit");
as_text!(Bytes, "size", "1.5GB");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_shows() {
        for text in ["20ms", "1.5s", "250us", "3ns", "2h", "90min"] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.to_string().parse::<Duration>().unwrap(), duration, "{text} as {duration}");
        }
        assert_eq!("50mbit".parse::<Rate>().unwrap(), Rate(6.25e6));
        assert_eq!("6MB/s".parse::<Rate>().unwrap(), Rate(6e6));
        assert_eq!("1.5GB".parse::<Bytes>().unwrap(), Bytes(1_500_000_000));
        assert_eq!("4MiB".parse::<Bytes>().unwrap(), Bytes(4_194_304));
        assert_eq!("0".parse::<Duration>().unwrap(), Duration(Span::ZERO));
        assert_eq!("1e-3s".parse::<Duration>().unwrap(), Duration(Span::from_millis(1)));
    }

    #[test]
    fn refuses_what_has_no_meaning() {
        for (text, part) in [
            ("20", "no unit"),
            ("-5ms", "negative"),
            ("5 parsec", "unknown unit"),
            ("fast", "not a duration"),
            ("", "not a"),
        ] {
            let error = text.parse::<Duration>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!("50".parse::<Rate>().is_err());
    }
}
