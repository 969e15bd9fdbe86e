//! What a trace says, column by column: recorded or generated.

use crate::scenario::file::{TraceFile, TraceRecordFile};
use crate::scenario::resolve::Resolver;
use hcddl_core::domain::Span;
use hcddl_core::error::UserError;
use hcddl_core::trace::{Availability, Bandwidth, Recorded};
use std::sync::Arc;

const ONE_OF: &str = "csv, records, rate, up, down, available";

/// What a trace says, column by column.
#[derive(Default)]
pub(super) struct Columns {
    pub rate: Option<Rates>,
    pub up: Option<Rates>,
    pub down: Option<Rates>,
    pub latency: Option<Recorded<Span>>,
    pub available: Option<States>,
}

impl Columns {
    /// After how long the records begin again.
    pub(super) fn period(&self) -> Option<Span> {
        let of_rates = |rates: &Option<Rates>| match rates {
            Some(Rates::Recorded(records)) => records.period(),
            _ => None,
        };
        let states = match &self.available {
            Some(States::Recorded(records)) => records.period(),
            _ => None,
        };
        let rates = [&self.rate, &self.up, &self.down].into_iter().find_map(of_rates);
        rates.or(states).or_else(|| self.latency.as_ref()?.period())
    }
}

/// Rates over time.
pub(super) enum Rates {
    Recorded(Recorded<f64>),
    Generated(Arc<dyn Bandwidth>),
}

/// Availability over time.
pub(super) enum States {
    Recorded(Recorded<bool>),
    Generated(Arc<dyn Availability>),
}

impl Rates {
    /// Of a node at which so much of the records has passed at the start.
    pub fn after(&self, passed: Span) -> Arc<dyn Bandwidth> {
        match self {
            Rates::Recorded(records) => Arc::new(records.from_within(passed)),
            Rates::Generated(generated) => Arc::clone(generated),
        }
    }
}

impl States {
    pub fn after(&self, passed: Span) -> Arc<dyn Availability> {
        match self {
            States::Recorded(records) => Arc::new(records.from_within(passed)),
            States::Generated(generated) => Arc::clone(generated),
        }
    }
}

/// What a trace says.
pub(super) fn columns(cx: &Resolver<'_>, file: &TraceFile, path: &str) -> Result<Columns, UserError> {
    let key = |name: &str| format!("{path}.{name}");
    if let Some(csv) = &file.csv {
        let message = format!("the records in `{csv}` have not been read");
        return Err(cx.source.error(&key("csv"), message, "`csv` in a scenario file, or `records`", ""));
    }
    if file.records.is_empty() {
        for (name, set) in [("repeat", file.repeat), ("random_start", file.random_start)] {
            if set {
                let message = "there are no records that it could be about";
                return Err(cx.source.error(&key(name), message, "with `csv` or `records`", "leave it out"));
            }
        }
    } else if file.random_start && !file.repeat {
        let message = "records that do not repeat have one beginning";
        return Err(cx.source.error(&key("random_start"), message, "with `repeat: true`", ""));
    }
    let mut columns = recorded(cx, file, path)?;
    let mut twice = None;
    for (name, pick, column) in [
        ("rate", &file.rate, &mut columns.rate),
        ("up", &file.up, &mut columns.up),
        ("down", &file.down, &mut columns.down),
    ] {
        let Some(pick) = pick else { continue };
        twice = column.is_some().then_some(name).or(twice);
        *column = Some(Rates::Generated(cx.build(pick, &key(name))?.0));
    }
    if let Some(pick) = &file.available {
        twice = columns.available.is_some().then_some("available").or(twice);
        columns.available = Some(States::Generated(cx.build(pick, &key("available"))?.0));
    }
    if let Some(name) = twice {
        let message = format!("`{name}` is both recorded and generated");
        return Err(cx.source.error(&key(name), message, "one of the two", "leave one out"));
    }
    let Columns { rate, up, down, latency, available } = &columns;
    if rate.is_some() && (up.is_some() || down.is_some()) {
        let message = "`rate` is of both directions, and one of them has a rate of its own";
        return Err(cx.source.error(path, message, "`rate`, or `up` and `down`", "leave one out"));
    }
    let nothing = [rate, up, down].iter().all(|rates| rates.is_none());
    if nothing && latency.is_none() && available.is_none() {
        return Err(cx.source.error(path, "nothing changes over time", ONE_OF, "add one of them"));
    }
    Ok(columns)
}

/// The columns of the records.
fn recorded(cx: &Resolver<'_>, file: &TraceFile, path: &str) -> Result<Columns, UserError> {
    let at = |i: usize| file.records[i].at.0;
    let column = |name: &str, has: &dyn Fn(&TraceRecordFile) -> bool| -> Result<bool, UserError> {
        let count = file.records.iter().filter(|record| has(record)).count();
        if count > 0 && count < file.records.len() {
            let i = file.records.iter().position(|record| !has(record)).unwrap_or_default();
            let message = format!("no `{name}` here, though other records of this trace have one");
            let next = "say it in each, or write two traces";
            return Err(cx.source.error(&format!("{path}.records.{i}"), message, "", next));
        }
        Ok(count > 0)
    };
    let fail = |error| cx.source.option_error(path, error);
    let rates = |name: &str, of: fn(&TraceRecordFile) -> Option<f64>| -> Result<Option<Rates>, UserError> {
        if !column(name, &|record| of(record).is_some())? {
            return Ok(None);
        }
        let values = file.records.iter().enumerate().filter_map(|(i, record)| Some((at(i), of(record)?)));
        let records = Recorded::new(values.collect(), file.repeat).map_err(fail)?;
        if records.values().all(|rate| rate == 0.0) {
            let message = format!("`{name}` is 0 all the time");
            return Err(cx.source.error(path, message, "a rate above 0 in at least one record", ""));
        }
        Ok(Some(Rates::Recorded(records)))
    };
    let mut columns = Columns {
        rate: rates("rate", |record| record.rate.map(|rate| rate.0))?,
        up: rates("up", |record| record.up.map(|rate| rate.0))?,
        down: rates("down", |record| record.down.map(|rate| rate.0))?,
        ..Columns::default()
    };
    if column("latency", &|record| record.latency.is_some())? {
        let each = file.records.iter().enumerate();
        let values = each.filter_map(|(i, record)| Some((at(i), record.latency?.0)));
        columns.latency = Some(Recorded::new(values.collect(), file.repeat).map_err(fail)?);
    }
    if column("available", &|record| record.available.is_some())? {
        let values =
            file.records.iter().enumerate().filter_map(|(i, record)| Some((at(i), record.available?)));
        let records = Recorded::new(values.collect(), file.repeat).map_err(fail)?;
        columns.available = Some(States::Recorded(records));
    }
    Ok(columns)
}
