//! Layers fitted to the input that a network in the making has for them.

use super::{Input, NetworkBuilder};
use crate::layer::{
    Activation, AvgPool2d, BatchNorm, Conv2d, Embedding, GlobalAvgPool, GroupNorm, Gru, LayerNorm, Linear,
    Lstm, MaxPool2d, PoolShape, Statistics,
};
use hcddl_core::domain::OptionError;
use serde::Deserialize;

/// A kind of recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Gated recurrent units (Cho et al., 2014).
    Gru,
    /// Long short-term memory (Hochreiter and Schmidhuber, 1997).
    Lstm,
}

impl NetworkBuilder {
    /// Whether windows fit.
    fn fits(&self, what: &str, side: usize, stride: usize, padding: usize) -> Result<(), OptionError> {
        let (_, height, width) = self.image()?;
        if side == 0 || side > height + 2 * padding || side > width + 2 * padding {
            let samples = match self.data().input {
                Input::Values { height, width, .. } => format!(" (samples: {height}x{width})"),
                Input::Token { .. } => String::new(),
            };
            let allowed = "a smaller one, padding, or a model for smaller images, such as mlp or softmax";
            let message = format!(
                "a {what} of {side}x{side} does not fit its input of {height}x{width} pixels{samples}"
            );
            return Err(OptionError::new("", message, allowed));
        }
        if stride == 0 {
            return Err(OptionError::new("stride", format!("the stride of a {what} is 0"), "1 or more"));
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
            return Err(OptionError::new("groups", message, "a divisor of both"));
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
            return Err(OptionError::new("padding", message, "at most half of the window"));
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

    /// Adds the mean of each channel.
    ///
    /// # Errors
    /// When its input is a token.
    pub fn global_avg_pool(self) -> Result<Self, OptionError> {
        let (channels, height, width) = self.image()?;
        Ok(self.layer(GlobalAvgPool { channels, pixels: height * width }, Input::flat(channels)))
    }

    /// Adds a fully connected layer over everything that comes out.
    ///
    /// # Errors
    /// When its input is a token.
    pub fn linear(self, outputs: usize, activation: Activation) -> Result<Self, OptionError> {
        let inputs = self.len()?;
        Ok(self.layer(Linear { inputs, outputs, activation }, Input::flat(outputs)))
    }

    /// Adds a row of weights for each token.
    ///
    /// # Errors
    /// When its input is not a token, or the vocabulary lacks the padding token.
    pub fn embedding(self, width: usize, padding: Option<usize>) -> Result<Self, OptionError> {
        let Input::Token { vocabulary } = self.now() else {
            let message = format!("an embedding reads tokens, its input is {}", self.now());
            return Err(OptionError::new("", message, "data of tokens, and an embedding as the first layer"));
        };
        if let Some(token) = padding {
            OptionError::check(token < vocabulary, "padding", token, &format!("a token below {vocabulary}"))?;
        }
        Ok(self.layer(Embedding { vocabulary, width, padding }, Input::flat(width)))
    }

    /// Adds batch normalisation of channels.
    ///
    /// # Errors
    /// When its input is a token.
    pub fn batch_norm(self, statistics: Statistics) -> Result<Self, OptionError> {
        let ((channels, height, width), now) = (self.image()?, self.now());
        let activation = Activation::Identity;
        Ok(self.layer(BatchNorm { channels, pixels: height * width, statistics, activation }, now))
    }

    /// Adds group normalisation of channels.
    ///
    /// # Errors
    /// When its input is a token, or the groups do not divide the channels.
    pub fn group_norm(self, groups: usize) -> Result<Self, OptionError> {
        let ((channels, height, width), now) = (self.image()?, self.now());
        if groups == 0 || channels % groups != 0 {
            let message = format!("{groups} groups do not divide {channels} channels");
            return Err(OptionError::new("groups", message, "a divisor of the channels"));
        }
        let activation = Activation::Identity;
        Ok(self.layer(GroupNorm { channels, pixels: height * width, groups, activation }, now))
    }

    /// Adds normalisation of whole rows.
    ///
    /// # Errors
    /// When its input is a token.
    pub fn layer_norm(self) -> Result<Self, OptionError> {
        self.elementwise(|len| LayerNorm { len })
    }

    /// Adds recurrent layers over the steps of sequences, with dropout between them.
    ///
    /// # Errors
    /// When its input is a token, or not a sequence.
    pub fn recurrent(
        self,
        cell: Cell,
        hidden: usize,
        layers: usize,
        dropout: f32,
    ) -> Result<Self, OptionError> {
        let inputs = self.len()?;
        if !self.is_sequence() {
            let message = "its input has no time steps";
            return Err(OptionError::new("", message, "data of sequences, and no `last_step` before"));
        }
        let output = Input::flat(hidden);
        Ok(match cell {
            Cell::Gru => self.layer(Gru { inputs, hidden, layers, dropout }, output),
            Cell::Lstm => self.layer(Lstm { inputs, hidden, layers, dropout }, output),
        })
    }
}
