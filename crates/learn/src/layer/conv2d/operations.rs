//! What a convolution counts of a gradient step.

use super::{Conv2d, K_BLOCK, Strips};
use crate::layer::{Layer, count, share};
use hcddl_core::domain::operation::{Kind, Operation};

impl Conv2d {
    /// The operation that makes the columns of samples side by side, or that adds them back.
    fn columns_operation(&self, samples: usize, back: bool, times: usize) -> Operation {
        let (window, strips) = (self.window(), self.has_strips(samples) && !back);
        let (rows, places) = window.places();
        let (run, runs) = match strips {
            true => (places, self.channels * Strips::new(window).len() / places),
            false => (places * samples, self.channels * self.kernel * self.kernel * rows),
        };
        // Of windows apart, runs are the samples of one pixel.
        let apart = self.stride > 1;
        let (run, runs) = if apart && samples > 1 { (samples, runs * places) } else { (run, runs) };
        let kind = match (back, apart && samples == 1) {
            (false, false) => Kind::Unfold,
            (false, true) => Kind::UnfoldStrided,
            (true, false) => Kind::Fold,
            (true, true) => Kind::FoldStrided,
        };
        count::rows(Operation::new(kind, [run, runs], times))
    }

    /// What a step does with so many samples side by side, `times` times.
    fn together_operations(&self, samples: usize, times: usize, first: bool, all: &mut Vec<Operation>) {
        let (depth, per_group, n) = (self.depth(), self.filters / self.groups, samples * self.pixels());
        let (calls, weights) = (self.groups * times, self.filters * depth);
        let transpose = |rows, columns| Operation::new(Kind::Transpose, [rows, columns], times);
        let side_by_side = samples > 1;
        let (values_in, values_out) =
            (times * samples * self.input_len(), times * samples * self.output_len());
        let columns = |all: &mut Vec<Operation>, again: bool| {
            // The image comes from the layer before, or from a step ago.
            let from = |op: Operation| if again { op.far(values_in) } else { op.near(values_in) };
            if side_by_side {
                all.push(from(transpose(samples, self.input_len())));
            }
            if !self.is_pointwise() {
                let operation = self.columns_operation(samples, false, times);
                all.push(if side_by_side { operation } else { from(operation) });
            }
        };
        columns(all, false);
        if self.bias {
            all.push(Operation::new(Kind::Fill, [n], self.filters * times));
        }
        let strips = self.has_strips(samples);
        let rows = |product: Operation| Operation { shared: product.flops() >= share::WORTH, ..product };
        let kind = if strips { Kind::ProductStrips } else { Kind::Product };
        all.push(rows(count::product(kind, [per_group, n, depth], calls)).far(weights).near(values_out));
        count::activation(self.activation, self.filters * n, times, all);
        if side_by_side {
            all.push(transpose(self.output_len(), samples));
            all.push(transpose(samples, self.output_len()));
        }
        columns(all, true);
        let kind = match (self.is_small(samples), strips) {
            (true, true) => Kind::ProductDotStrips,
            (true, false) => Kind::ProductDot,
            (false, _) => Kind::ProductRight,
        };
        all.push(rows(count::product(kind, [per_group, depth, n], calls)).far(weights).near(values_out));
        if self.bias {
            all.push(Operation::new(Kind::Sum, [n], self.filters * times));
        }
        if first {
            return;
        }
        all.push(rows(count::product(Kind::ProductLeft, [depth, n, per_group], calls)).far(weights));
        if !self.is_pointwise() {
            all.push(self.columns_operation(samples, true, times).near(values_in));
        }
        if side_by_side {
            all.push(transpose(self.input_len(), samples));
        }
    }

    /// All that a step over so many rows does.
    pub(super) fn count(&self, rows: usize, first: bool, all: &mut Vec<Operation>) {
        count::activation_backward(self.activation, rows * self.output_len(), all);
        if self.is_depthwise() {
            let size = [self.output_size().1, self.filters * rows.div_ceil(16), self.kernel * self.kernel];
            let (values_in, values_out) = (rows * self.input_len(), rows * self.output_len());
            let forward = Operation::new(Kind::Depthwise, size, 1).near(values_in + values_out);
            all.push(count::rows(forward));
            count::activation(self.activation, rows * self.output_len(), 1, all);
            let backward = Operation::new(Kind::DepthwiseBackward, size, 1);
            return all.push(count::rows(backward.far(values_in).near(values_in + values_out)));
        }
        // Where rows start in strips, for each of both passes.
        all.push(Operation::new(Kind::Fill, [K_BLOCK], 2));
        let samples = self.together(rows);
        for (samples, times) in [(samples, rows / samples), (rows % samples, 1)] {
            if samples * times > 0 {
                self.together_operations(samples, times, first, all);
            }
        }
    }
}
