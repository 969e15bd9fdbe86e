//! Images unfolded to the columns of a matrix, so that a convolution becomes a matrix product; and back.
//!
//! The pixels that one pixel of the window sees, over all places of the window, are a row of that matrix. Rows of
//! pixels of the window in one column of it overlap in memory if the image is unfolded along its width alone: these
//! are [`Strips`], a kernel's side times smaller than the matrix.

use super::window::Window;
use crate::kernels::multiversion;

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

/// An image unfolded along its width: for each channel and column of the window, the image's rows of pixels that this
/// column sees. Rows that are a stride apart are neighbours, so that those of all places are contiguous.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strips {
    window: Window,
    /// Rows of the image that are a stride apart.
    rows: usize,
    /// Classes of such rows.
    phases: usize,
}

impl Strips {
    pub(super) fn new(window: Window) -> Self {
        let (rows, _) = window.places();
        let phases = window.size.min(window.stride);
        Self { window, rows: rows + (window.size - 1) / window.stride, phases }
    }

    /// Values of one column of the window.
    fn strip(&self) -> usize {
        self.phases * self.rows * self.window.places().1
    }

    /// Values of a channel.
    pub(super) fn len(&self) -> usize {
        self.window.size * self.strip()
    }

    /// Where the rows of the matrix start, of as many channels as there are offsets for.
    pub(super) fn offsets(&self, offsets: &mut [u32]) {
        let Window { size, stride, .. } = self.window;
        let places = self.window.places().1;
        for (channel, offsets) in offsets.chunks_mut(size * size).enumerate() {
            for (tap, offset) in offsets.iter_mut().enumerate() {
                let (ky, kx) = (tap / size, tap % size);
                let row = ky % stride * self.rows + ky / stride;
                *offset = ((channel * size + kx) * self.strip() + row * places) as u32;
            }
        }
    }
}

multiversion! {
    /// The strips of all channels of an image.
    pub(super) fn unfold_strips(strips: Strips, image: &[f32], to: &mut [f32]) {
        let Strips { window, rows, .. } = strips;
        let (places, strip) = (window.places().1, strips.strip());
        let channels = image.chunks_exact(window.height * window.width).zip(to.chunks_exact_mut(strips.len()));
        for (image, to) in channels {
            for (kx, to) in to.chunks_exact_mut(strip).enumerate() {
                let run = window.inside(kx, window.width, places);
                let left = (run.start * window.stride + kx).saturating_sub(window.padding);
                if run.len() < places {
                    to.fill(0.0);
                }
                for (index, to) in to.chunks_exact_mut(places).enumerate() {
                    let line = (index % rows * window.stride + index / rows).wrapping_sub(window.padding);
                    if line >= window.height {
                        to.fill(0.0);
                        continue;
                    }
                    let (from, to) = (&image[line * window.width + left..], &mut to[run.clone()]);
                    if window.stride == 1 {
                        copy(from, to);
                    } else {
                        for (to, from) in to.iter_mut().zip(from.iter().step_by(window.stride)) {
                            *to = *from;
                        }
                    }
                }
            }
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;

    #[test]
    fn strips_hold_the_rows_of_the_matrix() {
        for (height, width, size, stride, padding) in [
            (12, 12, 5, 1, 0),
            (5, 7, 3, 1, 1),
            (9, 30, 5, 3, 4),
            (6, 5, 3, 2, 1),
            (4, 4, 2, 3, 0),
            (7, 6, 1, 2, 0),
            (1, 1, 3, 2, 1),
        ] {
            let window = Window { height, width, size, stride, padding };
            let ((rows, places), taps) = (window.places(), size * size);
            let image: Vec<f32> = (0..2 * height * width).map(|i| 1.0 + i as f32).collect();
            let strips = Strips::new(window);
            let mut offsets = vec![0; 2 * taps];
            strips.offsets(&mut offsets);
            for isa in Isa::available() {
                let mut columns = vec![-1.0; 2 * taps * rows * places];
                let mut unfolded = vec![-1.0; 2 * strips.len()];
                unfold(*isa, window, 1, &image, &mut columns);
                unfold_strips(*isa, strips, &image, &mut unfolded);
                for (row, offset) in columns.chunks(rows * places).zip(&offsets) {
                    assert_eq!(row, &unfolded[*offset as usize..][..rows * places], "{window:?}");
                }
            }
        }
    }
}
