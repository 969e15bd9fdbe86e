//! How concurrent transfers share rates, as a scenario names it.

use super::Contention;
use crate::domain::{Build, NoOptions, OptionError, Pluggable, Row, Table, options};
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

/// All ways to share rates.
#[must_use]
pub fn table() -> Table<BuildContention> {
    let row = |name, summary, example, build| {
        let options = options::<NoOptions>;
        Row { name, summary, example, positional: &[], options, build }
    };
    let fair_share = Row {
        name: "fair_share",
        summary: "all share, as TCP does",
        example: "{name: fair_share, unfairness: 0.0}",
        positional: &["unfairness"],
        options: options::<FairShare>,
        build: (|choice, _| {
            let FairShare { unfairness } = choice.options()?;
            OptionError::check((0.0..=3.0).contains(&unfairness), "unfairness", unfairness, "0 to 3")?;
            Ok(Contention::FairShare { unfairness })
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
        fair_share,
        row("fifo", "one after the other", "{name: fifo}", fifo),
        row("none", "transfers do not disturb each other", "{name: none}", none),
    ])
}
