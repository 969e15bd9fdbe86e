//! From joules to grams of CO2.

use super::figure::Quantity;

/// How much CO2 a kilowatt-hour costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Carbon {
    /// Where, or that the user said so.
    pub place: String,
    /// Grams of CO2 equivalent for each kilowatt-hour.
    pub grams_per_kwh: f64,
}

/// Means of 2023 (Ember and Our World in Data; Statista).
const PLACES: &[(&str, f64)] = &[
    ("world", 481.0),
    ("india", 713.0),
    ("china", 582.0),
    ("germany", 381.0),
    ("france", 56.0),
    ("norway", 30.0),
];

const JOULES_PER_KWH: f64 = 3.6e6;

impl Carbon {
    /// A place of the table, or grams for each kilowatt-hour.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((place, grams_per_kwh)) =
            PLACES.iter().find(|(place, _)| place.eq_ignore_ascii_case(text))
        {
            return Ok(Self { place: (*place).to_owned(), grams_per_kwh: *grams_per_kwh });
        }
        match text.parse::<f64>() {
            Ok(grams) if grams.is_finite() && grams >= 0.0 => {
                Ok(Self { place: "as given".to_owned(), grams_per_kwh: grams })
            }
            _ => {
                let places: Vec<&str> = PLACES.iter().map(|(place, _)| *place).collect();
                Err(format!("`{text}` is neither a number of grams per kWh nor one of {}", places.join(", ")))
            }
        }
    }

    /// Grams for so many joules.
    #[must_use]
    pub fn grams(&self, joules: f64) -> f64 {
        joules / JOULES_PER_KWH * self.grams_per_kwh
    }

    /// Grams for so many joules, in words.
    #[must_use]
    pub fn text(&self, joules: f64) -> String {
        Quantity::Grams.text(self.grams(joules))
    }

    /// What was assumed, as a sentence.
    #[must_use]
    pub fn assumption(&self) -> String {
        format!(
            "Carbon: {} g CO2 per kWh ({}, --carbon), power usage effectiveness 1, without what was emitted to make \
             the devices.",
            self.grams_per_kwh, self.place
        )
    }
}

impl Default for Carbon {
    fn default() -> Self {
        Self { place: PLACES[0].0.to_owned(), grams_per_kwh: PLACES[0].1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_pis_for_an_hour() {
        // 51 Wh: 25 g with the world's mix, 1.5 g in Norway.
        let joules = 8.0 * 6.4 * 3600.0;
        assert!((Carbon::default().grams(joules) - 24.6).abs() < 0.1);
        assert!((Carbon::parse("Norway").unwrap().grams(joules) - 1.54).abs() < 0.01);
        assert_eq!(Carbon::parse("100").unwrap().grams_per_kwh, 100.0);
        assert!(Carbon::parse("atlantis").unwrap_err().contains("one of world, india"));
        assert!(Carbon::parse("-1").is_err() && Carbon::parse("NaN").is_err());
    }
}
