//! Quantities as SimGrid writes them: `1Gf`, `125MBps`, `1Gbps`, `50us`. Where no unit is written it is flop/s, bytes per
//! second, or seconds.

const SPEEDS: &[(&str, f64)] =
    &[("f", 1.0), ("kf", 1e3), ("Mf", 1e6), ("Gf", 1e9), ("Tf", 1e12), ("Pf", 1e15), ("", 1.0)];
const BANDWIDTHS: &[(&str, f64)] = &[
    ("Bps", 1.0),
    ("kBps", 1e3),
    ("MBps", 1e6),
    ("GBps", 1e9),
    ("KiBps", 1024.0),
    ("MiBps", 1_048_576.0),
    ("GiBps", 1_073_741_824.0),
    ("bps", 0.125),
    ("kbps", 125.0),
    ("Mbps", 125e3),
    ("Gbps", 125e6),
    ("", 1.0),
];
const TIMES: &[(&str, f64)] =
    &[("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)];

/// Operations per second.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    positive(quantity(text, "speed", SPEEDS)?, text, "speed")
}

/// Bytes per second.
pub(super) fn bandwidth(text: &str) -> Result<f64, String> {
    positive(quantity(text, "bandwidth", BANDWIDTHS)?, text, "bandwidth")
}

/// Seconds.
pub(super) fn latency(text: &str) -> Result<f64, String> {
    quantity(text, "latency", TIMES)
}

fn positive(value: f64, text: &str, what: &str) -> Result<f64, String> {
    if value > 0.0 { Ok(value) } else { Err(format!("the {what} `{text}`; expected more than 0")) }
}

fn quantity(text: &str, what: &str, units: &[(&str, f64)]) -> Result<f64, String> {
    let text = text.trim();
    if text.contains(',') {
        return Err(format!("several values for the {what}, `{text}`; one is supported"));
    }
    let is_number = |c: char| c.is_ascii_digit() || "+-.".contains(c);
    let mut end = text.find(|c| !is_number(c)).unwrap_or(text.len());
    // 1e9, 1E-3
    if let Some(rest) = text[end..].strip_prefix(['e', 'E'])
        && rest.starts_with(|c: char| is_number(c))
    {
        end += 1 + rest.find(|c| !is_number(c)).unwrap_or(rest.len());
    }
    let (number, unit) = (&text[..end], text[end..].trim());
    let value = number.parse::<f64>().ok().filter(|value| value.is_finite());
    let value = value.ok_or_else(|| format!("`{text}` is no {what}; expected a number and a unit"))?;
    if value < 0.0 {
        return Err(format!("the {what} `{text}` is negative"));
    }
    match units.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => Ok(value * factor),
        None => {
            let names: Vec<&str> = units.iter().map(|unit| unit.0).filter(|name| !name.is_empty()).collect();
            Err(format!("unknown unit `{unit}` of the {what} `{text}`; allowed: {}", names.join(", ")))
        }
    }
}
