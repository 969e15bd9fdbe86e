//! Lists of devices in CSV or JSON, as FedScale has them.

use super::table::{Lines, Problem, rate_unit, unit_of, with_unit};
use hcddl_core::domain::units::{Duration, Rate};
use serde_json::{Map, Value};

/// What a column is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column<'a> {
    Id,
    /// Of one sample, in this unit.
    Compute(&'a str),
    Gflops,
    /// The key that it becomes, and the unit.
    Rate(&'static str, &'a str),
}

const ALLOWED: &str =
    "`device_id`, `compute_ms`, `gflops`, `bandwidth_kbps`, `rate_mbit`, `up_mbit`, `down_mbit`";

/// Devices as a scenario may write them.
///
/// # Errors
/// The line and what is wrong with it; of JSON, which device.
pub(super) fn read(text: &str) -> Result<Vec<Value>, Problem> {
    let devices = match text.trim_start().starts_with(['{', '[']) {
        true => json(text)?,
        false => csv(text)?,
    };
    if devices.is_empty() {
        return Err((1, "a list without devices".to_owned()));
    }
    Ok(devices)
}

fn csv(text: &str) -> Result<Vec<Value>, Problem> {
    let lines = Lines::of(text)?;
    let Some(heading) = &lines.heading else {
        return Err((
            1,
            format!("expected a heading such as `device_id,compute_ms,bandwidth_kbps`; columns: {ALLOWED}"),
        ));
    };
    let at = |problem| (lines.heading_line, problem);
    let columns = heading.iter().map(|name| column(name).map_err(at)).collect::<Result<Vec<_>, _>>()?;
    let row = |(line, fields): (usize, Vec<&str>)| {
        if fields.len() != columns.len() {
            return Err((line, format!("{} values for {} columns", fields.len(), columns.len())));
        }
        let mut device = Map::new();
        for ((column, name), field) in columns.iter().zip(heading).zip(fields) {
            if field.is_empty() {
                return Err((line, format!("no value for the column `{name}`")));
            }
            let (key, value) =
                cell(*column, field).map_err(|problem| (line, format!("`{name}`: {problem}")))?;
            if device.insert(key.to_owned(), value).is_some() {
                return Err((lines.heading_line, format!("`{name}` says what another column says")));
            }
        }
        Ok(device.into())
    };
    lines.rows().map(row).collect()
}

fn json(text: &str) -> Result<Vec<Value>, Problem> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| (error.line(), format!("is not JSON: {error}")))?;
    let named = match value {
        Value::Array(list) => {
            list.into_iter().enumerate().map(|(i, device)| (i.to_string(), device)).collect()
        }
        Value::Object(map) => map.into_iter().collect::<Vec<_>>(),
        _ => return Err((1, "expected a list of devices, or a map of them".to_owned())),
    };
    let device = |(name, device): (String, Value)| {
        // Where JSON has no lines, the device's name or number must do.
        let at = |problem: String| (1, format!("device `{}`: {problem}", name.escape_debug()));
        let Value::Object(map) = device else { return Err(at("expected a map".to_owned())) };
        let mut found = Map::from_iter([("id".to_owned(), Value::from(name.clone()))]);
        for (key, value) in map {
            let field = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let column = column(&key).map_err(at)?;
            let (to, value) = cell(column, &field).map_err(|problem| at(format!("`{key}`: {problem}")))?;
            if found.insert(to.to_owned(), value).is_some() && to != "id" {
                return Err(at(format!("`{key}` says what another key says")));
            }
        }
        Ok(found.into())
    };
    named.into_iter().map(device).collect()
}

fn column(name: &str) -> Result<Column<'_>, String> {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "device_id" | "id" | "device" | "client_id" | "name" => return Ok(Column::Id),
        "gflops" | "compute_gflops" | "speed_gflops" | "gflop_s" => return Ok(Column::Gflops),
        // As FedScale's files have them.
        "computation" | "ms_per_sample" => return Ok(Column::Compute("ms")),
        "communication" => return Ok(Column::Rate("rate", "kbit")),
        _ => {}
    }
    let unknown = || format!("unknown column `{}`; allowed: {ALLOWED}", name.escape_debug());
    let (stem, unit) = unit_of(name).unwrap_or((name, ""));
    let key = match stem.to_ascii_lowercase().as_str() {
        "compute" | "computation" => {
            if format!("1{unit}").parse::<Duration>().is_err() {
                return Err(format!(
                    "`{name}` needs a unit of time; for example `compute_ms`, of one sample"
                ));
            }
            return Ok(Column::Compute(unit));
        }
        "bandwidth" | "rate" | "communication" | "bw" => "rate",
        "up" | "uplink" | "upload" => "up",
        "down" | "downlink" | "download" => "down",
        _ => return Err(unknown()),
    };
    let unit = rate_unit(unit);
    if format!("1{unit}").parse::<Rate>().is_err() {
        return Err(format!("`{name}` needs a unit of rates; for example `bandwidth_kbps`"));
    }
    Ok(Column::Rate(key, unit))
}

fn cell(column: Column<'_>, field: &str) -> Result<(&'static str, Value), String> {
    let more = |value: f64| {
        let ok = value > 0.0 && value.is_finite();
        if ok { Ok(Value::from(value)) } else { Err(format!("`{field}`; expected more than 0")) }
    };
    match column {
        Column::Id => Ok(("id", field.into())),
        Column::Gflops => {
            let value = field
                .parse::<f64>()
                .map_err(|_| format!("expected a number, found `{}`", field.escape_debug()))?;
            Ok(("gflops", more(value)?))
        }
        Column::Compute(unit) => {
            let time: Duration = with_unit(field, unit).parse().map_err(|error| format!("{error}"))?;
            Ok(("compute_ms", more(time.0.seconds() * 1e3)?))
        }
        Column::Rate(key, unit) => {
            let rate: Rate = with_unit(field, unit).parse().map_err(|error| format!("{error}"))?;
            more(rate.0)?;
            Ok((key, rate.to_string().into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_read() {
        let expected = json!([
            {"id": "p1", "compute_ms": 52.5, "rate": "5mbit"},
            {"id": "p2", "compute_ms": 20.0, "rate": "800kbit"}
        ]);
        for text in [
            "device_id,compute_ms,bandwidth_kbps\np1,52.5,5000\np2,20,800\n",
            "id;computation;communication\np1;52.5;5000\np2;20;800\n",
            r#"{"p1": {"computation": 52.5, "communication": 5000}, "p2": {"computation": 20, "communication": 800}}"#,
            r#"[{"id": "p1", "compute_ms": 52.5, "rate_mbit": 5}, {"id": "p2", "compute_us": 20000, "rate": "800kbit"}]"#,
        ] {
            match read(text) {
                Ok(devices) => assert_eq!(Value::from(devices), expected, "{text}"),
                Err(problem) => assert!(text.contains("\"rate\""), "{text}: {problem:?}"),
            }
        }
        let both = read("gflops,up_mbit,down_mbit\n3.5,1,20\n").unwrap();
        assert_eq!(Value::from(both), json!([{"gflops": 3.5, "up": "1mbit", "down": "20mbit"}]));
    }

    #[test]
    fn mistakes_have_their_lines() {
        for (text, line, part) in [
            ("p1,52\n", 1, "expected a heading"),
            ("id,colour\np1,red\n", 1, "unknown column `colour`"),
            ("id,compute\np1,3\n", 1, "`compute` needs a unit of time"),
            ("id,bandwidth_furlong\np1,3\n", 1, "needs a unit of rates"),
            ("id,compute_ms\np1,3\np2,-3\n", 3, "negative"),
            ("id,compute_ms\np1,3\np2,0\n", 3, "expected more than 0"),
            ("id,gflops\np1,3\np2,\n", 3, "no value for the column `gflops`"),
            ("id,gflops\np1,3\np2\n", 3, "1 values for 2 columns"),
            ("id,gflops\np1,fast\n", 2, "expected a number"),
            ("rate_mbit,bandwidth_kbps\n1,2\n", 1, "says what another column says"),
            ("id,gflops\n", 1, "a list without devices"),
            ("{\"p1\": 3}", 1, "device `p1`: expected a map"),
            ("[{\"speed\": 3}]", 1, "device `0`: unknown column `speed`"),
            ("[1,\n2", 2, "is not JSON"),
        ] {
            let (at, problem) = read(text).unwrap_err();
            assert!(at == line && problem.contains(part), "{text}: {at}: {problem}");
        }
    }
}
