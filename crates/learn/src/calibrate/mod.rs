//! Efficiencies of our kernels on this machine, measured: the table that devices' times are predicted from.
//!
//! Whole steps of some networks tell what the sum of kernels leaves out (`context`). Each kind of kernel is called over a grid of sizes with its data at hand, as often as a sample of tens of
//! microseconds needs, for a few milliseconds; all of them take a minute and a half on a PC.

mod calls;
pub mod check;
mod context;
mod grids;
mod timer;

use crate::kernels::Isa;
use hcddl_core::device::Efficiency;
pub use hcddl_core::device::efficiency::Grid;
use hcddl_core::domain::operation::{Kind, Operations};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};
pub use timer::Timer;

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Floating-point operations per second of the fastest matrix product, on one thread.
    pub flops_per_second: f64,
    /// Bytes per second that one thread copies within a set too large for any cache.
    pub memory_bytes_per_second: f64,
    /// Efficiencies relative to these.
    pub efficiency: Efficiency,
}

impl Found {
    /// Seconds that a step takes on one thread.
    #[must_use]
    pub fn seconds(&self, all: &Operations) -> f64 {
        let Self { flops_per_second: flops, memory_bytes_per_second: memory, efficiency } = self;
        efficiency.seconds(&all.step, all.working_set, 1.0, *flops, *memory).on(1.0)
    }
}

/// How many times as many operations this machine does per second with so many threads as with one: matrix products, all
/// at once.
#[must_use]
pub fn speedup(threads: usize) -> f64 {
    let products = || {
        let mut call = calls::of(Isa::best(), Kind::Product, [64, 64, 64]);
        let (begin, mut count) = (Instant::now(), 0.0);
        while begin.elapsed() < Duration::from_millis(300) {
            call();
            count += 1.0;
        }
        count / begin.elapsed().as_secs_f64()
    };
    let alone = products();
    let together: f64 = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(products)).collect();
        all.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum()
    });
    (together / alone).clamp(1.0, threads as f64)
}

/// Time of a point, unless its samples take longer.
const POINT: Duration = Duration::from_millis(4);
/// Operations from which on a point is not measured but takes the efficiency of its smaller neighbour.
const LARGEST: f64 = 7e8;

/// Measures; `each` hears what is about to be measured.
pub fn measure(timer: &mut Timer, mut each: impl FnMut(Kind)) -> Found {
    let isa = Isa::best();
    let mut rates = BTreeMap::new();
    for kind in Kind::ALL {
        each(kind);
        rates.insert(kind, of_kind(timer, isa, kind));
    }
    let products = rates.get(&Kind::Product).map(|grid| grid.efficiency.iter().copied());
    let flops_per_second = products.into_iter().flatten().fold(0.0, f64::max);
    let reach = reach(timer);
    let memory_bytes_per_second = reach.last().map_or(1.0, |last| last.1);
    let kinds = rates.into_iter().map(|(kind, grid)| {
        let efficiency = grid.efficiency.iter().map(|rate| rounded(rate / flops_per_second)).collect();
        (kind, Grid { efficiency, ..grid })
    });
    let reach = reach.iter().map(|(bytes, rate)| (*bytes, rounded(rate / memory_bytes_per_second)));
    let reach: Vec<(f64, f64)> = reach.collect();
    // The largest set that is at least twice as fast as memory.
    let cache = reach.iter().rev().find(|(_, rate)| *rate >= 2.0).map_or(reach[0].0, |(bytes, _)| *bytes);
    let efficiency = Efficiency { kinds: kinds.collect(), reach, cache, context: [1.0; 2] };
    let mut found = Found { flops_per_second, memory_bytes_per_second, efficiency };
    found.efficiency.context = context::measured(timer, &found);
    found
}

/// Three digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().expect("a number that was just written")
}

/// Rates of a kind over its grid, in operations per second.
fn of_kind(timer: &mut Timer, isa: Isa, kind: Kind) -> Grid {
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
            _ => flops / timer.seconds(calls::of(isa, kind, size.map(|side| side as usize)), POINT),
        };
        efficiency.push(rate);
    }
    Grid { axes, efficiency }
}

/// Bytes of a set, and bytes per second that are copied from one half of it to the other again and again.
fn reach(timer: &mut Timer) -> Vec<(f64, f64)> {
    let sizes = (15..=28).map(|power| 1usize << power);
    let mut of = |bytes: usize| {
        let (x, mut y) = (vec![1f32; bytes / 8], vec![1f32; bytes / 8]);
        let call = || black_box(&mut y[..]).copy_from_slice(black_box(&x));
        (bytes as f64, bytes as f64 / 2.0 / timer.seconds(call, Duration::from_millis(30)))
    };
    sizes.map(&mut of).collect()
}
