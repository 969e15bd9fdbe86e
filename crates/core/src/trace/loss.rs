//! How messages get lost: each by itself, or in bursts.

use crate::device::{SlowPhase, SlowPhases};
use crate::domain::units::Duration;
use crate::domain::{Build, OptionError, Pluggable, Row, Span, Stream, Table, Time, options};
use serde::{Deserialize, Serialize};

/// How messages get lost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Loss {
    /// Each by itself, with this probability.
    Independent(f64),
    /// In bursts.
    Bursts(Bursts),
}

/// Two states that last for times of exponential length, good first, each with a loss of its own: in continuous time what
/// Gilbert (Capacity of a Burst-Noise Channel, 1960) and Elliott (Estimates of Error Rates for Codes on Burst-Noise
/// Channels, 1963) have in steps of a symbol, so that it does not matter how many messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bursts {
    /// How long a good state lasts in the mean.
    pub good: Span,
    /// How long a bad state lasts in the mean.
    pub bad: Span,
    /// The probability that a message gets lost in a good state.
    pub loss_good: f64,
    /// The same in a bad state.
    pub loss_bad: f64,
}

impl Loss {
    /// The probability in the long run.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match self {
            Loss::Independent(loss) => *loss,
            Loss::Bursts(Bursts { good, bad, loss_good, loss_bad }) => {
                let (good, bad) = (good.seconds(), bad.seconds());
                (loss_good * good + loss_bad * bad) / (good + bad)
            }
        }
    }
}

impl Bursts {
    /// The states that this stream gives.
    #[must_use]
    pub fn states(&self, stream: Stream) -> SlowPhases {
        // Only which state it is in is asked for.
        let phase = SlowPhase { factor: 2.0, normal_mean: self.good, slow_mean: self.bad };
        SlowPhases::new(phase, stream)
    }

    /// The probability that a message that is sent at `now` gets lost.
    pub fn at(&self, states: &mut SlowPhases, now: Time) -> f64 {
        if states.factor(now) == 1.0 { self.loss_good } else { self.loss_bad }
    }
}

/// Makes one from its options.
pub type BuildLoss = Build<Loss>;

/// A number alone is a probability.
impl Pluggable for Loss {
    type Build = BuildLoss;
    const KIND: &'static str = "loss";
    const LIST: &'static str = "losses";
    const UNNAMED: Option<&'static str> = Some("independent");
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Independent {
    /// The probability, from 0 to 1.
    p: f64,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct GilbertElliott {
    /// How long a good state lasts in the mean, a duration.
    good: Duration,
    /// How long a bad state lasts in the mean, a duration.
    bad: Duration,
    /// The probability that a message gets lost in a good state, from 0 to 1.
    #[serde(default)]
    loss_good: f64,
    /// The same in a bad state.
    #[serde(default = "certain")]
    loss_bad: f64,
}

fn certain() -> f64 {
    1.0
}

fn probability(key: &str, value: f64) -> Result<(), OptionError> {
    OptionError::check((0.0..=1.0).contains(&value), key, value, "0 to 1")
}

/// All ways in which messages get lost.
#[must_use]
pub fn table() -> Table<BuildLoss> {
    let independent: BuildLoss = |choice, _| {
        let Independent { p } = choice.options()?;
        probability("p", p)?;
        Ok(Loss::Independent(p))
    };
    let gilbert_elliott: BuildLoss = |choice, _| {
        let GilbertElliott { good, bad, loss_good, loss_bad } = choice.options()?;
        for (key, value) in [("good", good), ("bad", bad)] {
            OptionError::check(value.0.0 > 0, key, value, "more than 0")?;
        }
        probability("loss_good", loss_good)?;
        probability("loss_bad", loss_bad)?;
        Ok(Loss::Bursts(Bursts { good: good.0, bad: bad.0, loss_good, loss_bad }))
    };
    Table::new::<Loss>(vec![
        Row {
            name: "independent",
            summary: "each message by itself",
            example: "{name: independent, p: 0.1}",
            positional: &["p"],
            options: options::<Independent>,
            build: independent,
        },
        Row {
            name: "gilbert_elliott",
            summary: "in bursts: each link has good and bad times of exponential length",
            example: "{name: gilbert_elliott, good: 10s, bad: 1s, loss_good: 0.0, loss_bad: 1.0}",
            positional: &["good", "bad", "loss_good", "loss_bad"],
            options: options::<GilbertElliott>,
            build: gilbert_elliott,
        },
    ])
}
