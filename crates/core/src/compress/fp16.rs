//! IEEE 754 half precision: 5 bits of exponent, 10 of fraction.

use super::half::Half;
use super::{BuildCodec, Codec, NoOptions};
use crate::domain::{Choice, OptionError, Row};
use std::sync::Arc;

/// The row of the table.
pub(super) fn row() -> Row<BuildCodec> {
    Row {
        name: "fp16",
        summary: "half precision: 2 bytes for each value, about 3 digits, at most 65504",
        example: "{name: fp16}",
        positional: &[],
        build,
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn Codec>, OptionError> {
    let NoOptions {} = choice.options()?;
    Ok(Arc::new(Half { name: "fp16", encoded, decoded }))
}

/// The nearest half, ties to even; too large (infinity too) becomes the largest finite one, NaN stays NaN.
fn encoded(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    sign | match magnitude {
        0x7f80_0001.. => 0x7e00,
        // 65504 and all above.
        0x477f_e000.. => 0x7bff,
        // From 2^-14: move the exponent's bias from 127 to 15, then drop 13 bits of the fraction.
        0x3880_0000.. => {
            let moved = magnitude - (112 << 23);
            ((moved + 0xfff + ((moved >> 13) & 1)) >> 13) as u16
        }
        // Below: a multiple of 2^-24.
        _ => (f32::from_bits(magnitude) * 16_777_216.0).round_ties_even() as u16,
    }
}

fn decoded(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(half >> 10) & 0x1f, u32::from(half & 0x3ff));
    let magnitude = match exponent {
        0 => (fraction as f32 / 16_777_216.0).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives() {
        for half in 0..=u16::MAX {
            let value = decoded(half);
            if value.is_finite() {
                assert_eq!(encoded(value), half, "{value}");
            }
        }
    }

    /// The next half above is the bit pattern plus one; in the middle the even one wins.
    #[test]
    fn rounds_to_the_nearest_and_ties_to_even() {
        for half in 0..0x7bffu16 {
            let (low, high) = (decoded(half), decoded(half + 1));
            let middle = (low + high) / 2.0;
            assert_eq!(encoded(middle), half + (half & 1), "{middle}");
            assert_eq!(encoded(middle.next_down()), half);
            assert_eq!(encoded(-middle.next_up()), 0x8000 | (half + 1));
        }
    }

    #[test]
    fn saturates_and_keeps_nan() {
        for (value, expected) in
            [(65504.0, 65504.0), (65519.0, 65504.0), (1e30, 65504.0), (f32::INFINITY, 65504.0)]
        {
            assert_eq!(decoded(encoded(value)), expected);
            assert_eq!(decoded(encoded(-value)), -expected);
        }
        assert_eq!(decoded(encoded(2e-8)), 0.0);
        assert!(decoded(encoded(f32::NAN)).is_nan());
    }
}
