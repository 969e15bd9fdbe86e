//! A lidar that looks around in a floor plan (DiNNO's Lidar2D).

use super::spline::Surface;
use hcddl_core::domain::math;
use std::f64::consts::PI;

/// A density from here on is a wall.
pub(super) const WALL: f64 = 0.5;

/// The scanner and the plan that it scans.
#[derive(Debug)]
pub(super) struct Lidar {
    /// Densities, from 0 (free) to 1 (wall).
    pub(super) plan: Surface,
    /// Beams of a scan, evenly around.
    pub(super) beams: usize,
    /// Length of a beam, in pixels.
    pub(super) length: f64,
    /// Samples along each beam.
    pub(super) samples: usize,
    /// Points along a beam that are looked at for a wall.
    pub(super) coarse: usize,
    /// Points looked at between the last free one and the wall.
    pub(super) fine: usize,
    /// Samples lie at t^power of the way to the wall, t evenly spaced.
    pub(super) power: f64,
    /// Densities are rounded to 0 or 1.
    pub(super) round: bool,
}

/// A place, in pixels from the middle of the plan.
pub(super) type Place = [f64; 2];

impl Lidar {
    /// Density at a place: the bicubic spline through the pixels, whose centres are spread from -1/2 to 1/2 of the
    /// plan's width and height.
    pub(super) fn density(&self, place: Place) -> f64 {
        let index = |at: f64, len: usize| (at / len as f64 + 0.5) * (len - 1) as f64;
        self.plan.at(index(place[0], self.plan.width), index(place[1], self.plan.height))
    }

    /// Place of a pixel's centre.
    pub(super) fn pixel(&self, x: usize, y: usize) -> Place {
        let place = |i: usize, len: usize| len as f64 * (i as f64 / (len - 1) as f64 - 0.5);
        [place(x, self.plan.width), place(y, self.plan.height)]
    }

    /// Scans from a place: calls `sample` with each place and its density, beam after beam. False when the place
    /// itself lies in a wall.
    #[must_use]
    pub(super) fn scan(&self, from: Place, mut sample: impl FnMut(Place, f64)) -> bool {
        if self.density(from) >= WALL {
            return false;
        }
        for beam in 0..self.beams {
            let angle = 2.0 * PI * beam as f64 / self.beams as f64 - PI;
            let whole = [self.length * math::cos(angle), self.length * math::sin(angle)];
            let hit = self.hit(from, whole);
            for i in 0..self.samples {
                let t = share(i, self.samples);
                let place = match hit {
                    Some(wall) => {
                        along(from, [wall[0] - from[0], wall[1] - from[1]], math::pow(t, self.power))
                    }
                    None => along(from, whole, t),
                };
                // The spline may swing a little beyond what it passes through.
                let density = self.density(place).clamp(0.0, 1.0);
                sample(place, if self.round { density.round_ties_even() } else { density });
            }
        }
        true
    }

    /// Where a beam meets a wall.
    fn hit(&self, from: Place, beam: Place) -> Option<Place> {
        let coarse = |i: usize| along(from, beam, share(i, self.coarse));
        let first = (1..self.coarse).find(|i| self.density(coarse(*i)) >= WALL)?;
        let (free, wall) = (coarse(first - 1), coarse(first));
        let step = [wall[0] - free[0], wall[1] - free[1]];
        let fine = (0..self.fine).map(|i| along(free, step, share(i, self.fine)));
        Some(fine.into_iter().find(|place| self.density(*place) >= WALL).unwrap_or(wall))
    }
}

/// i of `count` evenly spaced numbers from 0 to 1.
fn share(i: usize, count: usize) -> f64 {
    i as f64 / (count - 1).max(1) as f64
}

fn along(from: Place, step: Place, t: f64) -> Place {
    [from[0] + t * step[0], from[1] + t * step[1]]
}
