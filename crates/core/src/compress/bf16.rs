//! bfloat16: the upper half of an f32, with its 8 bits of exponent and 7 of fraction.

use super::half::Half;
use super::{BuildCodec, Codec, NoOptions};
use crate::domain::{Choice, OptionError, Row};
use std::sync::Arc;

/// The row of the table.
pub(super) fn row() -> Row<BuildCodec> {
    Row {
        name: "bf16",
        summary: "the upper half of an f32: 2 bytes for each value, about 2 digits, the whole range",
        example: "{name: bf16}",
        positional: &[],
        build,
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn Codec>, OptionError> {
    let NoOptions {} = choice.options()?;
    Ok(Arc::new(Half { name: "bf16", encoded, decoded }))
}

/// The nearest bfloat16, ties to even; too large (infinity too) becomes the largest finite one, NaN stays NaN.
fn encoded(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    sign | match magnitude {
        0x7f80_0001.. => 0x7fc0,
        0x7f7f_0000.. => 0x7f7f,
        _ => ((magnitude + 0x7fff + ((magnitude >> 16) & 1)) >> 16) as u16,
    }
}

fn decoded(upper: u16) -> f32 {
    f32::from_bits(u32::from(upper) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bfloat16_survives() {
        for upper in 0..=u16::MAX {
            if decoded(upper).is_finite() {
                assert_eq!(encoded(decoded(upper)), upper);
            }
        }
    }

    #[test]
    fn rounds_to_the_nearest_and_ties_to_even() {
        for upper in 0..0x7f7fu16 {
            let middle = f32::from_bits(u32::from(upper) << 16 | 0x8000);
            assert_eq!(encoded(middle), upper + (upper & 1), "{middle}");
            assert_eq!(encoded(middle.next_down()), upper);
            assert_eq!(encoded(-middle.next_up()), 0x8000 | (upper + 1));
        }
        assert_eq!(encoded(f32::MAX), 0x7f7f);
        assert_eq!(encoded(f32::NEG_INFINITY), 0xff7f);
        assert!(decoded(encoded(f32::NAN)).is_nan());
    }
}
