//! Puts layers one after another, each fitted to the output of the one before.

use super::{DataShape, Init, Input, Network, Output};
use crate::domain::OptionError;
use crate::learn::layer::{Activation, AvgPool2d, Conv2d, Layer, Linear, MaxPool2d, PoolShape};
use crate::learn::loss::Loss;

/// A network in the making.
#[derive(Debug)]
pub struct NetworkBuilder {
    data: DataShape,
    /// Shape of the last output.
    pub(super) now: Input,
    pub(super) layers: Vec<Box<dyn Layer>>,
}

impl NetworkBuilder {
    /// Starts with the samples.
    #[must_use]
    pub fn new(data: &DataShape) -> Self {
        Self { data: *data, now: data.input, layers: Vec::new() }
    }

    /// Adds a layer whose output has this shape.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer, output: Input) -> Self {
        self.layers.push(Box::new(layer));
        self.now = output;
        self
    }

    /// Channels, height and width of the last output.
    ///
    /// # Errors
    /// When it is a token.
    pub fn image(&self) -> Result<(usize, usize, usize), OptionError> {
        match self.now {
            Input::Values { channels, height, width } => Ok((channels, height, width)),
            Input::Token { vocabulary } => Err(OptionError::new(
                "",
                format!("its input are tokens (of {vocabulary})"),
                "a model that begins with an embedding, or other data",
            )),
        }
    }

    /// Values of the last output.
    ///
    /// # Errors
    /// When it is a token.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> Result<usize, OptionError> {
        self.image().map(|(channels, height, width)| channels * height * width)
    }

    fn fits(&self, what: &str, side: usize, stride: usize, padding: usize) -> Result<(), OptionError> {
        let (_, height, width) = self.image()?;
        if side == 0 || side > height + 2 * padding || side > width + 2 * padding {
            let samples = match self.data.input {
                Input::Values { height, width, .. } => format!(" (samples: {height}x{width})"),
                Input::Token { .. } => String::new(),
            };
            let message = format!(
                "a {what} of {side}x{side} does not fit its input of {height}x{width} pixels{samples}"
            );
            return Err(OptionError::new("", message, "a model for smaller images, such as mlp or softmax"));
        }
        if stride == 0 {
            return Err(OptionError::new("", format!("the stride of a {what} is 0"), "1 or more"));
        }
        Ok(())
    }

    /// Adds a plain convolution.
    ///
    /// # Errors
    /// When the kernel is larger than its input.
    pub fn conv2d(self, filters: usize, kernel: usize, activation: Activation) -> Result<Self, OptionError> {
        self.conv2d_with(filters, kernel, |plain| Conv2d { activation, ..plain })
    }

    /// Adds a convolution that differs from the plain one: `|plain| Conv2d { stride: 2, padding: 1, ..plain }`.
    ///
    /// # Errors
    /// When the kernel is larger than its input with its padding, a stride is 0, or groups do not divide channels
    /// and filters.
    pub fn conv2d_with(
        self,
        filters: usize,
        kernel: usize,
        change: impl FnOnce(Conv2d) -> Conv2d,
    ) -> Result<Self, OptionError> {
        let layer = change(Conv2d::new(self.image()?, filters, kernel));
        self.fits("convolution kernel", layer.kernel, layer.stride, layer.padding)?;
        let Conv2d { channels, filters, groups, .. } = layer;
        if groups == 0 || channels % groups != 0 || filters % groups != 0 {
            let message = format!("{groups} groups do not divide {channels} channels and {filters} filters");
            return Err(OptionError::new("", message, "a divisor of both"));
        }
        let (height, width) = layer.output_size();
        Ok(self.layer(layer, Input::Values { channels: filters, height, width }))
    }

    fn pool(
        &self,
        size: usize,
        change: impl FnOnce(PoolShape) -> PoolShape,
    ) -> Result<(PoolShape, Input), OptionError> {
        let shape = change(PoolShape::new(self.image()?, size));
        if 2 * shape.padding > shape.size {
            let message = format!("a padding of {} around windows of {}", shape.padding, shape.size);
            return Err(OptionError::new("", message, "at most half of the window"));
        }
        self.fits("pooling window", shape.size, shape.stride, shape.padding)?;
        let (height, width) = shape.output_size();
        Ok((shape, Input::Values { channels: shape.channels, height, width }))
    }

    /// Adds average pooling over windows side by side.
    ///
    /// # Errors
    /// When the window is larger than its input.
    pub fn avg_pool(self, size: usize) -> Result<Self, OptionError> {
        self.avg_pool_with(size, |plain| plain)
    }

    /// Adds average pooling whose windows overlap or are padded: `|plain| PoolShape { stride: 1, ..plain }`.
    ///
    /// # Errors
    /// When the window is larger than its input with its padding, the padding larger than half of the window, or
    /// a stride is 0.
    pub fn avg_pool_with(
        self,
        size: usize,
        change: impl FnOnce(PoolShape) -> PoolShape,
    ) -> Result<Self, OptionError> {
        let (shape, output) = self.pool(size, change)?;
        Ok(self.layer(AvgPool2d(shape), output))
    }

    /// Adds maximum pooling over windows side by side.
    ///
    /// # Errors
    /// When the window is larger than its input.
    pub fn max_pool(self, size: usize) -> Result<Self, OptionError> {
        self.max_pool_with(size, |plain| plain)
    }

    /// Adds maximum pooling whose windows overlap or are padded, as [`Self::avg_pool_with`].
    ///
    /// # Errors
    /// As [`Self::avg_pool_with`].
    pub fn max_pool_with(
        self,
        size: usize,
        change: impl FnOnce(PoolShape) -> PoolShape,
    ) -> Result<Self, OptionError> {
        let (shape, output) = self.pool(size, change)?;
        Ok(self.layer(MaxPool2d(shape), output))
    }

    /// Adds a fully connected layer over everything that comes out.
    ///
    /// # Errors
    /// When its input is a token.
    pub fn linear(self, outputs: usize, activation: Activation) -> Result<Self, OptionError> {
        let inputs = self.len()?;
        let output = Input::Values { channels: 1, height: 1, width: outputs };
        Ok(self.layer(Linear { inputs, outputs, activation }, output))
    }

    /// Ends with one linear layer for the data's outputs, under the loss that fits them.
    ///
    /// # Errors
    /// When its input is a token.
    pub fn head(self, init: Init) -> Result<Network, OptionError> {
        let (activation, loss) = match self.data.output {
            Output::Classes(_) | Output::Tags(_) => (Activation::Identity, Loss::CrossEntropy),
            Output::Probabilities(_) => (Activation::Sigmoid, Loss::BinaryCrossEntropy),
            Output::Numbers(_) => (Activation::Identity, Loss::MeanSquared),
        };
        let outputs = self.data.output_len();
        Ok(self.linear(outputs, activation)?.network(loss, init))
    }

    /// Ends here: the last output is compared with the data's.
    ///
    /// # Panics
    /// If it has another length than the data's outputs.
    #[must_use]
    pub fn network(self, loss: Loss, init: Init) -> Network {
        Network::new(self.layers, self.data, loss, init)
    }
}
