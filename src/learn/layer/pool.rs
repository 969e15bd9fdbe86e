//! Average and maximum pooling over windows that do not overlap.

use super::{Backward, Forward, Layer, Pass};

/// Images [channels, height, width] and square windows; rows and columns that fill no window are ignored.
#[derive(Clone, Copy, Debug)]
pub struct PoolShape {
    /// Channels.
    pub channels: usize,
    /// Height that goes in.
    pub height: usize,
    /// Width that goes in.
    pub width: usize,
    /// Side of a window, and the step to the next.
    pub size: usize,
}

impl PoolShape {
    fn input_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn output_len(&self) -> usize {
        self.channels * (self.height / self.size) * (self.width / self.size)
    }

    /// Calls `f(output, upper left input, itself)` for each window of one sample, in order. The common size is
    /// compiled on its own.
    #[inline(always)]
    fn windows(&self, f: impl FnMut(usize, usize, &Self)) {
        match self.size {
            2 => Self { size: 2, ..*self }.windows_of_size(f),
            _ => self.windows_of_size(f),
        }
    }

    #[inline(always)]
    fn windows_of_size(&self, mut f: impl FnMut(usize, usize, &Self)) {
        let mut output = 0;
        for channel in 0..self.channels {
            for row in 0..self.height / self.size {
                let start = (channel * self.height + row * self.size) * self.width;
                for column in 0..self.width / self.size {
                    f(output, start + column * self.size, self);
                    output += 1;
                }
            }
        }
    }

    /// The inputs of a window, by rows.
    #[inline(always)]
    fn window(&self, corner: usize) -> impl Iterator<Item = usize> + use<> {
        let (size, width) = (self.size, self.width);
        (0..size).flat_map(move |dy| (0..size).map(move |dx| corner + dy * width + dx))
    }
}

/// The mean of each window.
#[derive(Clone, Debug)]
pub struct AvgPool2d(pub PoolShape);

impl Layer for AvgPool2d {
    fn kind(&self) -> &'static str {
        "avg_pool"
    }

    fn input_len(&self) -> usize {
        self.0.input_len()
    }

    fn output_len(&self) -> usize {
        self.0.output_len()
    }

    fn forward_flops(&self) -> f64 {
        (self.0.output_len() * self.0.size * self.0.size) as f64
    }

    fn forward(&self, _pass: Pass, _params: &[f32], io: Forward<'_>) {
        let Forward { x, y, .. } = io;
        let share = 1.0 / (self.0.size * self.0.size) as f32;
        for (x, y) in x.chunks_exact(self.0.input_len()).zip(y.chunks_exact_mut(self.0.output_len())) {
            self.0.windows(|output, corner, shape| {
                y[output] = share * shape.window(corner).fold(0.0, |sum, i| sum + x[i]);
            });
        }
    }

    fn backward(&self, _: Pass, _params: &[f32], io: Backward<'_>) {
        let Some(dx) = io.dx else { return };
        let share = 1.0 / (self.0.size * self.0.size) as f32;
        dx.fill(0.0);
        for (dy, dx) in io.dy.chunks_exact(self.0.output_len()).zip(dx.chunks_exact_mut(self.0.input_len())) {
            self.0.windows(|output, corner, shape| {
                for i in shape.window(corner) {
                    dx[i] = share * dy[output];
                }
            });
        }
    }
}

/// The largest value of each window; the gradient goes to the first of equals.
#[derive(Clone, Debug)]
pub struct MaxPool2d(pub PoolShape);

impl Layer for MaxPool2d {
    fn kind(&self) -> &'static str {
        "max_pool"
    }

    fn input_len(&self) -> usize {
        self.0.input_len()
    }

    fn output_len(&self) -> usize {
        self.0.output_len()
    }

    fn forward_flops(&self) -> f64 {
        (self.0.output_len() * self.0.size * self.0.size) as f64
    }

    fn forward(&self, _pass: Pass, _params: &[f32], io: Forward<'_>) {
        let Forward { x, y, .. } = io;
        for (x, y) in x.chunks_exact(self.0.input_len()).zip(y.chunks_exact_mut(self.0.output_len())) {
            self.0.windows(|output, corner, shape| {
                // A NaN wins, so that it reaches the loss.
                let larger = |best: f32, v: f32| if v > best || v.is_nan() { v } else { best };
                y[output] = shape.window(corner).fold(f32::NEG_INFINITY, |best, i| larger(best, x[i]));
            });
        }
    }

    fn backward(&self, _: Pass, _params: &[f32], io: Backward<'_>) {
        let Some(dx) = io.dx else { return };
        dx.fill(0.0);
        let (inputs, outputs) = (self.0.input_len(), self.0.output_len());
        let samples = io.x.chunks_exact(inputs).zip(io.y.chunks_exact(outputs));
        let gradients = io.dy.chunks_exact(outputs).zip(dx.chunks_exact_mut(inputs));
        for ((x, y), (dy, dx)) in samples.zip(gradients) {
            self.0.windows(|output, corner, shape| {
                if let Some(i) = shape.window(corner).find(|i| x[*i] == y[output]) {
                    dx[i] = dy[output];
                }
            });
        }
    }
}
