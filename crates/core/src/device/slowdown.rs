//! Static differences between devices of the same kind: a factor on each one's compute time.

use crate::domain::table::{Row, Table};
use crate::domain::{Choice, OptionError, Stream, math};
use serde::Deserialize;

/// Draws a factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slowdown {
    /// Always 1.
    None,
    /// Uniform in [min, max].
    Uniform {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// exp(sigma z): median 1.
    Lognormal {
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// `factor` with probability `share`, else 1.
    Some {
        /// Probability.
        share: f64,
        /// How many times as long.
        factor: f64,
    },
}

/// Makes one from its options.
pub type BuildSlowdown = fn(&Choice) -> Result<Slowdown, OptionError>;

impl Slowdown {
    /// A factor.
    #[must_use]
    pub fn draw(self, stream: &mut Stream) -> f64 {
        match self {
            Slowdown::None => 1.0,
            Slowdown::Uniform { min, max } => min + (max - min) * stream.uniform(),
            Slowdown::Lognormal { sigma } => math::exp(sigma * stream.normal()),
            Slowdown::Some { share, factor } if stream.uniform() < share => factor,
            Slowdown::Some { .. } => 1.0,
        }
    }
}

/// All ways in which devices differ.
#[must_use]
pub fn table() -> Table<BuildSlowdown> {
    let row = |name, summary, example, positional, build: BuildSlowdown| Row {
        name,
        summary,
        example,
        positional,
        build,
    };
    Table::new(
        "heterogeneity",
        vec![
            row("none", "all are equal", "{name: none}", &[], |_| Ok(Slowdown::None)),
            row(
                "uniform",
                "between min and max",
                "{name: uniform, min: 1, max: 3}",
                &["min", "max"],
                uniform,
            ),
            row("lognormal", "median 1", "{name: lognormal, sigma: 0.5}", &["sigma"], lognormal),
            row(
                "some",
                "a share is slower",
                "{name: some, share: 0.1, factor: 5}",
                &["share", "factor"],
                some,
            ),
        ],
    )
}

fn uniform(choice: &Choice) -> Result<Slowdown, OptionError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {
        min: f64,
        max: f64,
    }
    let Options { min, max } = choice.options()?;
    if min > 0.0 && max >= min && max.is_finite() {
        return Ok(Slowdown::Uniform { min, max });
    }
    Err(OptionError::new("", format!("uniform({min}, {max})"), "0 < min <= max"))
}

fn lognormal(choice: &Choice) -> Result<Slowdown, OptionError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {
        sigma: f64,
    }
    let Options { sigma } = choice.options()?;
    if (0.0..=5.0).contains(&sigma) {
        return Ok(Slowdown::Lognormal { sigma });
    }
    Err(OptionError::new("sigma", format!("`{sigma}` is out of bounds"), "0 to 5"))
}

fn some(choice: &Choice) -> Result<Slowdown, OptionError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {
        share: f64,
        factor: f64,
    }
    let Options { share, factor } = choice.options()?;
    if !(0.0..=1.0).contains(&share) {
        return Err(OptionError::new("share", format!("`{share}` is out of bounds"), "0 to 1"));
    }
    if !(factor > 0.0 && factor.is_finite()) {
        return Err(OptionError::new("factor", format!("`{factor}` is out of bounds"), "above 0"));
    }
    Ok(Slowdown::Some { share, factor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_build_and_draws_are_positive() {
        for row in table().rows() {
            let example = crate::yaml::parse(row.example).unwrap().value;
            let slowdown = (row.build)(&Choice::from_value(&example).unwrap()).unwrap();
            let mut stream = Stream::new(1, "test", 0, 0);
            let draws: Vec<f64> = (0..200).map(|_| slowdown.draw(&mut stream)).collect();
            assert!(draws.iter().all(|draw| *draw > 0.0), "{}", row.name);
            assert_eq!(draws.iter().any(|draw| *draw != 1.0), row.name != "none", "{}", row.name);
        }
    }
}
