//! Time of calls on a machine that others use too.

use crate::kernels::{Isa, View, gemm};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Shortest time of a sample.
const SAMPLE: Duration = Duration::from_micros(300);
/// Samples of a call, at least, unless they take very long.
const SAMPLES: usize = 5;

/// Measures calls, each sample between two looks at how fast the machine is just now: a matrix product whose time is
/// known. What others take away (a sibling of the core, a neighbour of a virtual machine, heat) is divided out, so that
/// times of short and of long calls, and of now and of later, can be compared and added. What that leaves of a disturbance
/// of memory, the median over samples does not.
#[derive(Debug)]
pub struct Timer {
    isa: Isa,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    /// Seconds of the product at its fastest.
    best: f64,
    slowness: Vec<f64>,
}

/// Side of the matrices that are looked at: 48 KiB, 20 us at 20 Gflop/s.
const SIDE: usize = 64;

impl Timer {
    /// Looks at the machine for a third of a second.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        let matrix = || vec![0.5f32; SIDE * SIDE];
        let mut timer =
            Self { isa, a: matrix(), b: matrix(), c: matrix(), best: f64::INFINITY, slowness: Vec::new() };
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(300) {
            timer.best = timer.best.min(timer.look(Duration::from_micros(50)));
        }
        timer
    }

    /// Seconds of the product, the mean over at least this time.
    fn look(&mut self, time: Duration) -> f64 {
        let (begin, mut count) = (Instant::now(), 0);
        loop {
            let (a, b) = (View::rows(black_box(&self.a), SIDE), View::rows(black_box(&self.b), SIDE));
            gemm(self.isa, SIDE, SIDE, SIDE, a, b, black_box(&mut self.c), false);
            count += 1;
            let elapsed = begin.elapsed();
            if elapsed >= time {
                return elapsed.as_secs_f64() / f64::from(count);
            }
        }
    }

    /// How many times as long as at its best everything has taken so far, in the mean.
    #[must_use]
    pub fn slowness(&self) -> f64 {
        self.slowness.iter().sum::<f64>() / self.slowness.len().max(1) as f64
    }

    /// Seconds of a call when the machine is at its best: the median of samples over so much time.
    pub fn seconds(&mut self, mut call: impl FnMut(), time: Duration) -> f64 {
        call();
        let begin = Instant::now();
        call();
        let once = begin.elapsed().max(Duration::from_nanos(10));
        let calls = (SAMPLE.as_secs_f64() / once.as_secs_f64()).ceil().clamp(1.0, 1e5) as u32;
        // A twentieth of the time before, and after.
        let look = (once * calls / 20).clamp(Duration::from_micros(30), Duration::from_millis(4));
        let (mut samples, begin) = (Vec::new(), Instant::now());
        let mut before = self.look(look);
        while samples.len() < 3
            || samples.len() < SAMPLES && begin.elapsed() < 8 * time
            || begin.elapsed() < time
        {
            let start = Instant::now();
            for _ in 0..calls {
                call();
            }
            let seconds = start.elapsed().as_secs_f64() / f64::from(calls);
            let after = self.look(look);
            let slowness = (before + after) / (2.0 * self.best);
            samples.push(seconds / slowness);
            self.slowness.push(slowness);
            before = after;
        }
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    }
}
