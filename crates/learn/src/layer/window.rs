//! Square windows that slide over an image with a frame around it: the geometry of convolution and pooling.

use std::ops::Range;

/// Windows of `size` x `size` at every `stride`-th place of an image with `padding` more pixels on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) size: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Window {
    /// Windows from top to bottom and from left to right: floor((side + 2 padding - size) / stride) + 1.
    pub(super) fn places(&self) -> (usize, usize) {
        let places = |side: usize| self.strides(side + 2 * self.padding + self.stride - self.size);
        (places(self.height), places(self.width))
    }

    /// `pixels` / stride, rounded down. Divisions are slow; the common strides need none.
    fn strides(&self, pixels: usize) -> usize {
        match self.stride {
            1 => pixels,
            2 => pixels / 2,
            stride => pixels / stride,
        }
    }

    /// Along one axis, the windows (of `places`) whose pixel number `tap` lies inside of the image.
    pub(super) fn inside(&self, tap: usize, side: usize, places: usize) -> Range<usize> {
        let up = |pixels: usize| self.strides(pixels + self.stride - 1);
        let end = up((side + self.padding).saturating_sub(tap)).min(places);
        up(self.padding.saturating_sub(tap)).min(end)..end
    }

    /// Along one axis, the pixels of window number `place` that lie inside of the image.
    pub(super) fn pixels(&self, place: usize, side: usize) -> Range<usize> {
        let start = place * self.stride;
        start.saturating_sub(self.padding)..(start + self.size).saturating_sub(self.padding).min(side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_and_windows_name_the_same_pixels() {
        for (height, width, size, stride, padding) in [
            (5, 7, 3, 1, 0),
            (6, 5, 3, 2, 1),
            (1, 1, 3, 1, 1),
            (2, 9, 5, 3, 4),
            (32, 32, 11, 4, 5),
            (4, 4, 2, 3, 0),
        ] {
            let window = Window { height, width, size, stride, padding };
            let (rows, columns) = window.places();
            let mut by_taps = vec![];
            for (ky, kx) in (0..size).flat_map(|ky| (0..size).map(move |kx| (ky, kx))) {
                for row in window.inside(ky, height, rows) {
                    for column in window.inside(kx, width, columns) {
                        let (y, x) = (row * stride + ky - padding, column * stride + kx - padding);
                        by_taps.push((row * columns + column, y * width + x));
                    }
                }
            }
            let mut by_windows = vec![];
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                for y in window.pixels(row, height) {
                    let place = row * columns + column;
                    by_windows.extend(window.pixels(column, width).map(|x| (place, y * width + x)));
                }
            }
            by_taps.sort_unstable();
            assert_eq!(by_taps, by_windows, "{window:?}");
        }
    }

    #[test]
    fn the_number_of_windows_is_pytorchs() {
        let places =
            |height, width, size, stride, padding| Window { height, width, size, stride, padding }.places();
        assert_eq!(places(32, 32, 11, 4, 5), (8, 8));
        assert_eq!(places(24, 23, 7, 2, 3), (12, 12));
        assert_eq!(places(12, 12, 3, 2, 1), (6, 6));
        assert_eq!(places(5, 7, 2, 2, 0), (2, 3));
    }
}
