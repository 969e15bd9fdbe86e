//! A sequence of layers over one flat parameter vector.

use crate::domain::work::Cost;
use crate::domain::{OptionError, Stream};
use crate::learn::kernels::Isa;
use crate::learn::kernels::loss::{BatchLoss, softmax_cross_entropy};
use crate::learn::layer::{
    Activation, AvgPool2d, Backward, Conv2d, Layer, Linear, MaxPool2d, Pass, PoolShape,
};
use serde::{Deserialize, Serialize};

/// What the samples of a data set look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataShape {
    /// Channels of an image; 1 for plain features.
    pub channels: usize,
    /// Height of an image; 1 for plain features.
    pub height: usize,
    /// Width of an image, or the number of features.
    pub width: usize,
    /// Classes of the labels.
    pub classes: usize,
}

impl DataShape {
    /// Values of one sample.
    #[must_use]
    pub fn features(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// How parameters are drawn; element by element in flat order from the stream "init" of each tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Uniform within sqrt(6 / (fan in + fan out)), zero bias (Glorot and Bengio, 2010; Keras' default).
    GlorotUniform,
    /// Uniform within 1 / sqrt(fan in), bias too (PyTorch's default for linear and convolution layers).
    Torch,
}

#[derive(Debug)]
struct Place {
    layer: Box<dyn Layer>,
    /// Name of the layer: its kind and a number, counted per kind from 1.
    name: String,
    /// Where its parameters start, and how many there are.
    offset: usize,
    len: usize,
}

/// A model: layers in order, ending in one logit for each class, under softmax cross-entropy.
#[derive(Debug)]
pub struct Network {
    places: Vec<Place>,
    shape: DataShape,
    params_len: usize,
    init: Init,
}

/// Memory that a thread reuses from step to step; it grows to what its largest network and batch need.
#[derive(Debug)]
pub struct Workspace {
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Outputs of all layers, one after another.
    outputs: Vec<f32>,
    /// Gradients with respect to a layer's output and input, in turns.
    deltas: [Vec<f32>; 2],
    scratch: Vec<f32>,
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new(Isa::best())
    }
}

impl Workspace {
    /// An empty one.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self { isa, outputs: Vec::new(), deltas: [Vec::new(), Vec::new()], scratch: Vec::new() }
    }

    fn reserve(&mut self, network: &Network, batch: usize, backward: bool) {
        let outputs: usize = network.layers().map(Layer::output_len).sum();
        let widest = network.layers().map(Layer::output_len).max().unwrap_or(0);
        let scratch = network.layers().map(Layer::scratch_len).max().unwrap_or(0);
        grow(&mut self.outputs, outputs * batch);
        grow(&mut self.scratch, scratch);
        if backward {
            self.deltas.iter_mut().for_each(|delta| grow(delta, widest * batch));
        }
    }
}

/// Makes a buffer at least this long.
pub(crate) fn grow(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}

impl Network {
    /// Number of parameters.
    #[must_use]
    pub fn params_len(&self) -> usize {
        self.params_len
    }

    /// What its samples look like.
    #[must_use]
    pub fn shape(&self) -> DataShape {
        self.shape
    }

    /// The layers in order.
    pub fn layers(&self) -> impl Iterator<Item = &dyn Layer> {
        self.places.iter().map(|place| place.layer.as_ref())
    }

    /// Names and shapes of the parameter tensors, in flat order: `conv1.weight`, `conv1.bias`, ...
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let named = |p: &Place| {
            let tensors = p.layer.tensors().into_iter();
            tensors.map(|t| (format!("{}.{}", p.name, t.name), t.shape)).collect::<Vec<_>>()
        };
        self.places.iter().flat_map(named).collect()
    }

    /// Initial parameters from a seed.
    #[must_use]
    pub fn init(&self, seed: u64) -> Vec<f32> {
        let mut params = Vec::with_capacity(self.params_len);
        for (index, tensor) in self.layers().flat_map(Layer::tensors).enumerate() {
            let mut stream = Stream::new(seed, "init", index as u64, 0);
            let bound = match self.init {
                Init::GlorotUniform if tensor.name == "bias" => 0.0,
                Init::GlorotUniform => (6.0 / (tensor.fan_in + tensor.fan_out) as f64).sqrt(),
                Init::Torch => 1.0 / (tensor.fan_in as f64).sqrt(),
            };
            let draw = |_| if bound > 0.0 { ((2.0 * stream.uniform() - 1.0) * bound) as f32 } else { 0.0 };
            params.extend((0..tensor.len()).map(draw));
        }
        params
    }

    /// Counted cost with batches of this size.
    #[must_use]
    pub fn cost(&self, batch: usize) -> Cost {
        let values: usize = self.layers().map(|l| l.input_len() + l.output_len()).sum();
        Cost {
            forward_flops: self.layers().map(Layer::forward_flops).sum(),
            activation_bytes: 4.0 * values as f64,
            params: self.params_len,
            batch,
        }
    }

    /// Forward pass and loss of a batch: `x` holds `labels.len()` samples.
    ///
    /// # Panics
    /// If a slice has the wrong length or a label is out of range.
    pub fn evaluate(&self, work: &mut Workspace, params: &[f32], x: &[f32], labels: &[u32]) -> BatchLoss {
        work.reserve(self, labels.len(), false);
        self.forward(work, params, x, labels, 1.0)
    }

    /// Mean loss of a batch and its gradient, which overwrites `gradient`.
    ///
    /// # Panics
    /// If a slice has the wrong length, a label is out of range or the batch is empty.
    pub fn gradient(
        &self,
        work: &mut Workspace,
        params: &[f32],
        x: &[f32],
        labels: &[u32],
        gradient: &mut [f32],
    ) -> f64 {
        let batch = labels.len();
        assert!(batch > 0 && gradient.len() == self.params_len, "a gradient needs samples and its length");
        work.reserve(self, batch, true);
        let loss = self.forward(work, params, x, labels, 1.0 / batch as f32);
        let pass = Pass { isa: work.isa, batch };
        let mut end: usize = self.layers().map(|l| l.output_len() * batch).sum();
        let [dy, dx] = &mut work.deltas;
        let last = self.shape.classes * batch;
        dy[..last].copy_from_slice(&work.outputs[end - last..end]);
        for (i, place) in self.places.iter().enumerate().rev() {
            let (inputs, outputs) = (place.layer.input_len() * batch, place.layer.output_len() * batch);
            let start = end - outputs;
            let io = Backward {
                x: if i == 0 { x } else { &work.outputs[start - inputs..start] },
                y: &work.outputs[start..end],
                dy: &mut dy[..outputs],
                dx: (i > 0).then(|| &mut dx[..inputs]),
            };
            let own = place.offset..place.offset + place.len;
            place.layer.backward(pass, &params[own.clone()], io, &mut gradient[own], &mut work.scratch);
            std::mem::swap(dy, dx);
            end = start;
        }
        loss.sum / batch as f64
    }

    /// Runs the layers; the logits at the end of `work.outputs` become the gradient of `scale` x loss.
    fn forward(
        &self,
        work: &mut Workspace,
        params: &[f32],
        x: &[f32],
        labels: &[u32],
        scale: f32,
    ) -> BatchLoss {
        let batch = labels.len();
        assert_eq!(params.len(), self.params_len, "parameters of another model");
        assert_eq!(x.len(), batch * self.shape.features(), "samples of another shape");
        let pass = Pass { isa: work.isa, batch };
        let (mut start, mut previous) = (0, 0);
        for (i, place) in self.places.iter().enumerate() {
            let (before, rest) = work.outputs.split_at_mut(start);
            let y = &mut rest[..place.layer.output_len() * batch];
            let input = if i == 0 { x } else { &before[previous..] };
            let own = &params[place.offset..place.offset + place.len];
            place.layer.forward(pass, own, input, y, &mut work.scratch);
            previous = start;
            start += y.len();
        }
        softmax_cross_entropy(work.isa, &mut work.outputs[previous..start], labels, self.shape.classes, scale)
    }
}

/// Puts layers one after another, each fitted to the output of the one before.
#[derive(Debug)]
pub struct NetworkBuilder {
    data: DataShape,
    /// Shape of the last output.
    channels: usize,
    height: usize,
    width: usize,
    layers: Vec<Box<dyn Layer>>,
}

impl NetworkBuilder {
    /// Starts with the samples.
    #[must_use]
    pub fn new(data: &DataShape) -> Self {
        let DataShape { channels, height, width, .. } = *data;
        Self { data: *data, channels, height, width, layers: Vec::new() }
    }

    fn fits(&self, what: &str, side: usize) -> Result<(), OptionError> {
        if side == 0 || side > self.height || side > self.width {
            let message = format!(
                "a {what} of {side}x{side} does not fit its input of {}x{} pixels (samples: {}x{})",
                self.height, self.width, self.data.height, self.data.width
            );
            return Err(OptionError::new("", message, "a model for smaller images, such as mlp or softmax"));
        }
        Ok(())
    }

    /// Adds a convolution.
    ///
    /// # Errors
    /// When the kernel is larger than its input.
    pub fn conv2d(
        mut self,
        filters: usize,
        kernel: usize,
        activation: Activation,
    ) -> Result<Self, OptionError> {
        self.fits("convolution kernel", kernel)?;
        let Self { channels, height, width, .. } = self;
        let layer = Conv2d { channels, height, width, filters, kernel, activation };
        (self.channels, (self.height, self.width)) = (filters, layer.output_size());
        self.layers.push(Box::new(layer));
        Ok(self)
    }

    fn pool(&mut self, size: usize) -> Result<PoolShape, OptionError> {
        self.fits("pooling window", size)?;
        let Self { channels, height, width, .. } = *self;
        (self.height, self.width) = (height / size, width / size);
        Ok(PoolShape { channels, height, width, size })
    }

    /// Adds average pooling.
    ///
    /// # Errors
    /// When the window is larger than its input.
    pub fn avg_pool(mut self, size: usize) -> Result<Self, OptionError> {
        let layer = AvgPool2d(self.pool(size)?);
        self.layers.push(Box::new(layer));
        Ok(self)
    }

    /// Adds maximum pooling.
    ///
    /// # Errors
    /// When the window is larger than its input.
    pub fn max_pool(mut self, size: usize) -> Result<Self, OptionError> {
        let layer = MaxPool2d(self.pool(size)?);
        self.layers.push(Box::new(layer));
        Ok(self)
    }

    /// Adds a fully connected layer over everything that comes out.
    #[must_use]
    pub fn linear(mut self, outputs: usize, activation: Activation) -> Self {
        let inputs = self.channels * self.height * self.width;
        (self.channels, self.height, self.width) = (1, 1, outputs);
        self.layers.push(Box::new(Linear { inputs, outputs, activation }));
        self
    }

    /// Ends with a logit for each class.
    #[must_use]
    pub fn classifier(self, init: Init) -> Network {
        let shape = self.data;
        let layers = self.linear(shape.classes, Activation::Identity).layers;
        let mut counts = std::collections::BTreeMap::new();
        let mut params_len = 0;
        let places = layers.into_iter().map(|layer| {
            let number = counts.entry(layer.kind()).and_modify(|n| *n += 1).or_insert(1);
            let len = layer.tensors().iter().map(crate::learn::layer::Tensor::len).sum();
            let place = Place { name: format!("{}{number}", layer.kind()), offset: params_len, len, layer };
            params_len += len;
            place
        });
        Network { places: places.collect(), shape, params_len, init }
    }
}
