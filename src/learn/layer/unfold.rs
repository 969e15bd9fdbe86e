//! Images unfolded to the columns of a matrix, so that a convolution becomes a matrix product; and back.

use super::window::Window;
use crate::learn::kernels::multiversion;

/// As many values as `to` holds. A run is often shorter than what a call of memcpy pays for.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    const STEP: usize = 8;
    let len = to.len();
    if !(STEP..8 * STEP).contains(&len) {
        return to.copy_from_slice(&from[..len]);
    }
    for start in (0..len - STEP).step_by(STEP).chain([len - STEP]) {
        to[start..start + STEP].copy_from_slice(&from[start..start + STEP]);
    }
}

multiversion! {
    /// For `samples` images side by side [channels, height, width, samples]: the columns [channels, pixel of the
    /// window, place of the window, samples]; zero outside of the image.
    pub(super) fn unfold(window: Window, samples: usize, images: &[f32], columns: &mut [f32]) {
        let ((rows, places), step) = (window.places(), window.stride * samples);
        let (plane, line) = (window.height * window.width * samples, window.width * samples);
        let (taps, len) = (window.size * window.size, rows * places * samples);
        for tap in 0..taps {
            let (ky, kx) = (tap / window.size, tap % window.size);
            let (lines, run) = (window.inside(ky, window.height, rows), window.inside(kx, window.width, places));
            let whole = lines.len() == rows && run.len() == places;
            let left = (run.start * window.stride + kx).saturating_sub(window.padding) * samples;
            for (image, to) in images.chunks_exact(plane).zip(columns[tap * len..].chunks_mut(taps * len)) {
                if !whole {
                    to[..len].fill(0.0);
                }
                if run.is_empty() {
                    continue;
                }
                for row in lines.clone() {
                    let from = &image[(row * window.stride + ky - window.padding) * line + left..];
                    let to = &mut to[(row * places + run.start) * samples..][..run.len() * samples];
                    if window.stride == 1 {
                        copy(from, to);
                    } else if samples == 1 {
                        for (to, from) in to.iter_mut().zip(from.iter().step_by(step)) {
                            *to = *from;
                        }
                    } else {
                        for (to, from) in to.chunks_exact_mut(samples).zip(from.chunks(step)) {
                            to.copy_from_slice(&from[..samples]);
                        }
                    }
                }
            }
        }
    }

    /// Adds columns back to where [`unfold`] takes them from, in order of the window's pixels.
    pub(super) fn fold(window: Window, samples: usize, columns: &[f32], images: &mut [f32]) {
        let ((rows, places), step) = (window.places(), window.stride * samples);
        let (plane, line) = (window.height * window.width * samples, window.width * samples);
        let (taps, len) = (window.size * window.size, rows * places * samples);
        images.fill(0.0);
        for tap in 0..taps {
            let (ky, kx) = (tap / window.size, tap % window.size);
            let (lines, run) = (window.inside(ky, window.height, rows), window.inside(kx, window.width, places));
            if run.is_empty() {
                continue;
            }
            let left = (run.start * window.stride + kx - window.padding) * samples;
            for (image, from) in images.chunks_exact_mut(plane).zip(columns[tap * len..].chunks(taps * len)) {
                for row in lines.clone() {
                    let to = &mut image[(row * window.stride + ky - window.padding) * line + left..];
                    let from = &from[(row * places + run.start) * samples..][..run.len() * samples];
                    if window.stride == 1 {
                        for (to, from) in to.iter_mut().zip(from) {
                            *to += from;
                        }
                    } else {
                        for (to, from) in to.chunks_mut(step).zip(from.chunks_exact(samples)) {
                            for (to, from) in to.iter_mut().zip(from) {
                                *to += from;
                            }
                        }
                    }
                }
            }
        }
    }
}
