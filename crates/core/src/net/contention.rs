//! How concurrent transfers share rates, as a scenario names it.

use super::{Contention, TcpSettings};
use crate::domain::units::{Bytes, Duration};
use crate::domain::{Build, NoOptions, OptionError, Pluggable, Row, Span, Table, options};
use serde::Deserialize;

/// Makes one from its options.
pub type BuildContention = Build<Contention>;

impl Pluggable for Contention {
    type Build = BuildContention;
    const KIND: &'static str = "contention";
    const LIST: &'static str = "contentions";
}

#[derive(Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FairShare {
    /// Standard deviation of the logarithm of a transfer's weight, from 0 (all alike) to 3.
    unfairness: f64,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Tcp {
    /// What the queue of each line holds: as many bytes as pass in this time, a duration. What comes to a full queue is
    /// lost and sent again.
    queue: Duration,
    /// Bytes that pass at once when a line has been idle, as shapers with a token bucket let them (`tbf`); 0 for none.
    burst: Bytes,
}

impl Default for Tcp {
    fn default() -> Self {
        let TcpSettings { queue, burst } = TcpSettings::default();
        Self { queue: Duration(queue), burst: Bytes(burst) }
    }
}

/// All ways to share rates.
#[must_use]
pub fn table() -> Table<BuildContention> {
    let row = |name, summary, example, build| {
        let options = options::<NoOptions>;
        Row { name, summary, example, positional: &[], options, build }
    };
    let fair_share = Row {
        name: "fair_share",
        summary: "all share alike at each moment, as a fluid",
        example: "{name: fair_share, unfairness: 0.0}",
        positional: &["unfairness"],
        options: options::<FairShare>,
        build: (|choice, _| {
            let FairShare { unfairness } = choice.options()?;
            OptionError::check((0.0..=3.0).contains(&unfairness), "unfairness", unfairness, "0 to 3")?;
            Ok(Contention::FairShare { unfairness })
        }) as BuildContention,
    };
    let tcp = Row {
        name: "tcp",
        summary: "queues, and windows of TCP that are kept between messages",
        example: "{name: tcp, queue: 300ms, burst: 0B}",
        positional: &["queue"],
        options: options::<Tcp>,
        build: (|choice, _| {
            let Tcp { queue, burst } = choice.options()?;
            let allowed = "more than 0, up to 60s";
            let fits = queue.0 > Span::ZERO && queue.0 <= Span::from_millis(60_000);
            OptionError::check(fits, "queue", queue, allowed)?;
            Ok(Contention::Tcp(TcpSettings { queue: queue.0, burst: burst.0 }))
        }) as BuildContention,
    };
    let fifo: BuildContention = |choice, _| {
        let NoOptions {} = choice.options()?;
        Ok(Contention::Fifo)
    };
    let none: BuildContention = |choice, _| {
        let NoOptions {} = choice.options()?;
        Ok(Contention::None)
    };
    Table::new::<Contention>(vec![
        tcp,
        fair_share,
        row("fifo", "one after the other", "{name: fifo}", fifo),
        row("none", "transfers do not disturb each other", "{name: none}", none),
    ])
}
