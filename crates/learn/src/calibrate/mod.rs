//! Efficiencies of our kernels on this machine, measured: the table that devices' times are predicted from.
//!
//! Each kind of kernel is called over a grid of sizes with its data at hand, as often as a sample of tens of
//! microseconds needs, for a few milliseconds; all of them take less than a minute on a PC.

mod calls;
pub mod check;
mod grids;

use crate::kernels::{Isa, elementwise};
use hcddl_core::device::efficiency::{Efficiency, Grid};
use hcddl_core::domain::operation::Kind;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Floating-point operations per second of the fastest matrix product, on one thread.
    pub flops_per_second: f64,
    /// Bytes per second of reading and writing a set too large for any cache, on one thread.
    pub memory_bytes_per_second: f64,
    /// Efficiencies relative to these.
    pub efficiency: Efficiency,
}

/// Shortest time of a sample.
const SAMPLE: Duration = Duration::from_micros(40);
/// Samples of a point, at least.
const SAMPLES: usize = 5;
/// Time of a point, unless the samples take longer.
const POINT: Duration = Duration::from_millis(4);
/// Operations from which on a point is not measured but takes the efficiency of its smaller neighbour.
const LARGEST: f64 = 6e7;
/// Samples that took so many times the median were interrupted, and do not count.
const INTERRUPTED: f64 = 2.5;

/// Seconds of a call: the mean over samples of several calls, those left out that were interrupted.
///
/// Not the shortest: on a machine that others use too, short calls now and then have it to themselves, long ones never
/// do, so that the shortest times of short calls do not add up to those of long ones. Means do.
pub fn typical(mut call: impl FnMut(), time: Duration) -> f64 {
    call();
    let begin = Instant::now();
    call();
    let once = begin.elapsed().max(Duration::from_nanos(10));
    let calls = (SAMPLE.as_secs_f64() / once.as_secs_f64()).ceil().clamp(1.0, 1e5) as u32;
    let (mut samples, begin) = (Vec::new(), Instant::now());
    while samples.len() < SAMPLES || begin.elapsed() < time {
        let start = Instant::now();
        for _ in 0..calls {
            call();
        }
        samples.push(start.elapsed().as_secs_f64() / f64::from(calls));
    }
    samples.sort_by(f64::total_cmp);
    let longest = INTERRUPTED * samples[samples.len() / 2];
    let counted = samples.partition_point(|sample| *sample <= longest);
    samples[..counted].iter().sum::<f64>() / counted as f64
}

/// Measures; `each` hears what is about to be measured.
pub fn measure(mut each: impl FnMut(Kind)) -> Found {
    let isa = Isa::best();
    let mut seconds = BTreeMap::new();
    for kind in Kind::ALL {
        each(kind);
        seconds.insert(kind, of_kind(isa, kind));
    }
    let best = |(kind, (grid, flops)): (&Kind, &(Grid, f64))| {
        if *kind == Kind::Product {
            *flops * grid.efficiency.iter().copied().fold(0.0, f64::max)
        } else {
            0.0
        }
    };
    let flops_per_second = seconds.iter().map(best).fold(0.0, f64::max);
    let reach = reach(isa);
    let memory_bytes_per_second = reach.last().map_or(1.0, |last| last.1);
    let kinds = seconds.into_iter().map(|(kind, (grid, _))| {
        let efficiency = grid.efficiency.iter().map(|rate| rounded(rate / flops_per_second)).collect();
        (kind, Grid { efficiency, ..grid })
    });
    let reach = reach.iter().map(|(bytes, rate)| (*bytes, rounded(rate / memory_bytes_per_second)));
    let efficiency = Efficiency { kinds: kinds.collect(), reach: reach.collect() };
    Found { flops_per_second, memory_bytes_per_second, efficiency }
}

/// Three digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().expect("a number that was just written")
}

/// Rates of a kind over its grid, in operations per second, and 1.
fn of_kind(isa: Isa, kind: Kind) -> (Grid, f64) {
    let axes: Vec<Vec<u32>> = grids::axes(kind).iter().map(|axis| axis.to_vec()).collect();
    let points: usize = axes.iter().map(Vec::len).product();
    let mut efficiency: Vec<f64> = Vec::with_capacity(points);
    for point in 0..points {
        let (mut size, mut rest, mut stride, mut before) = (grids::rest(kind), point, 1, None);
        for (side, axis) in axes.iter().enumerate().rev() {
            let at = rest % axis.len();
            size[side] = axis[at];
            // The neighbour with one side smaller that is the largest share of the size.
            if at > 0 && before.is_none_or(|(_, other)| axis[at] > other) {
                before = Some((point - stride, axis[at]));
            }
            (rest, stride) = (rest / axis.len(), stride * axis.len());
        }
        let flops = kind.flops(size);
        let rate = match before {
            Some((neighbour, _)) if flops > LARGEST => efficiency[neighbour],
            _ => flops / typical(calls::of(isa, kind, size.map(|side| side as usize)), POINT),
        };
        efficiency.push(rate);
    }
    (Grid { axes, efficiency }, 1.0)
}

/// Bytes of a set, and bytes per second of adding one half of it to the other again and again.
fn reach(isa: Isa) -> Vec<(f64, f64)> {
    let sizes = (15..=28).map(|power| 1usize << power);
    let of = |bytes: usize| {
        let (x, mut y) = (vec![1f32; bytes / 8], vec![1f32; bytes / 8]);
        let call = || elementwise::add_scaled(isa, black_box(&mut y), 1e-9, black_box(&x));
        // Half is read, half is read and written.
        let moved = 1.5 * bytes as f64;
        (bytes as f64, moved / typical(call, Duration::from_millis(30)))
    };
    sizes.map(of).collect()
}
