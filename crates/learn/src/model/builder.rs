//! Puts layers one after another, each fitted to the output of the one before (see also `fitted`).

use super::layers::BuildLayer;
use super::{DataShape, Init, Input, ModelContext, Network, Output};
use crate::kernels::Isa;
use crate::layer::{
    Activate, Activation, BatchNorm, Chain, Conv2d, GroupNorm, Layer, Linear, LogSoftmax, Pass, Residual,
};
use crate::loss::Loss;
use hcddl_core::domain::{OptionError, Table};
use std::any::Any;
use std::sync::Arc;

/// Sequences of two steps, to see whether a layer drops one.
const PROBE: Pass = Pass { isa: Isa::Portable, batch: 1, steps: 2, threads: 1, training: None };

/// A network in the making.
#[derive(Debug)]
pub struct NetworkBuilder {
    data: DataShape,
    /// Shape of the last output.
    now: Input,
    /// Whether rows are still the time steps of sequences.
    sequence: bool,
    layers: Vec<Box<dyn Layer>>,
    /// The layers that can be named.
    table: Arc<Table<BuildLayer>>,
}

impl NetworkBuilder {
    /// Starts with the samples.
    #[must_use]
    pub fn new(data: &DataShape) -> Self {
        Self::within(&ModelContext::new(*data))
    }

    /// Starts with the samples; layers can be named as the context knows them.
    #[must_use]
    pub fn within(context: &ModelContext) -> Self {
        let ModelContext { shape: data, layers: table } = context.clone();
        Self { data, now: data.input, sequence: data.sequence, layers: Vec::new(), table }
    }

    /// The layers that can be named.
    #[must_use]
    pub fn table(&self) -> Arc<Table<BuildLayer>> {
        Arc::clone(&self.table)
    }

    /// Starts anew at the last output: the body or the shortcut of a residual block.
    #[must_use]
    pub fn branch(&self) -> Self {
        Self { layers: Vec::new(), table: self.table(), ..*self }
    }

    /// What the samples look like.
    #[must_use]
    pub fn data(&self) -> &DataShape {
        &self.data
    }

    /// Shape of the last output.
    #[must_use]
    pub fn now(&self) -> Input {
        self.now
    }

    /// Whether rows are the time steps of sequences.
    #[must_use]
    pub fn is_sequence(&self) -> bool {
        self.sequence
    }

    /// Adds a layer whose output has this shape.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer, output: Input) -> Self {
        self.sequence &= layer.after(PROBE).steps == PROBE.steps;
        self.layers.push(Box::new(layer));
        self.now = output;
        self
    }

    /// Adds a layer that works on each value and is told their number.
    ///
    /// # Errors
    /// When its input is a token.
    pub fn elementwise<L: Layer>(self, layer: impl FnOnce(usize) -> L) -> Result<Self, OptionError> {
        let (len, now) = (self.len()?, self.now);
        Ok(self.layer(layer(len), now))
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
                format!("its input is tokens (of {vocabulary})"),
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

    /// Adds an activation, fused into the layer before it where that has none yet.
    ///
    /// # Errors
    /// When its input is a token.
    pub fn activation(mut self, activation: Activation) -> Result<Self, OptionError> {
        if let Some(own) = self.layers.last_mut().and_then(|layer| own_activation(layer.as_mut()))
            && *own == Activation::Identity
        {
            *own = activation;
            return Ok(self);
        }
        self.elementwise(|len| Activate { len, activation })
    }

    /// Makes one row of all that comes out, in the order in which it lies in memory.
    ///
    /// # Errors
    /// When its input is a token.
    pub fn flatten(mut self) -> Result<Self, OptionError> {
        self.now = Input::flat(self.len()?);
        Ok(self)
    }

    /// Adds activation(body + shortcut); both are [branches](Self::branch) from here, and no shortcut stands for
    /// the input itself. `zero_start` as in [`Residual`].
    ///
    /// # Errors
    /// When the body is empty, or the two give outputs of different shapes.
    pub fn residual(
        self,
        body: Self,
        shortcut: Option<Self>,
        activation: Activation,
        zero_start: bool,
    ) -> Result<Self, OptionError> {
        if body.layers.is_empty() {
            return Err(OptionError::new("layers", "a residual block without layers", "one layer or more"));
        }
        let shortcut = shortcut.filter(|shortcut| !shortcut.layers.is_empty());
        let beside = shortcut.as_ref().unwrap_or(&self);
        let (output, sequence) = (body.now, body.sequence);
        if (beside.now, beside.sequence) != (output, sequence) {
            let message = format!("the layers give {output}, the shortcut gives {}", beside.now);
            let allowed = "equal shapes, as with `shortcut: [conv2d(filters, 1, stride)]`";
            return Err(OptionError::new("shortcut", message, allowed));
        }
        let shortcut = shortcut.map(|shortcut| Chain::new(shortcut.layers));
        let mut block = Residual::new(Chain::new(body.layers), shortcut, activation);
        block.zero_start = zero_start;
        Ok(self.layer(block, output))
    }

    /// Ends with one linear layer for the data's outputs, under the loss that fits them.
    ///
    /// # Errors
    /// When its input is a token, or there is an output for each time step and one wanted for each sample, or the
    /// other way round.
    pub fn head(self, init: Init) -> Result<Network, OptionError> {
        let activation = match self.data.output {
            Output::Probabilities(_) => Activation::Sigmoid,
            Output::Classes(_) | Output::Tags(_) | Output::Numbers(_) => Activation::Identity,
        };
        let outputs = self.data.output_len();
        self.linear(outputs, activation)?.finish(None, init)
    }

    /// Ends here: the last output is compared with the data's, by default under the loss that fits them.
    ///
    /// # Errors
    /// When the last output has another length than the data's, is one for each time step where one is wanted
    /// for each sample or the other way round, or the loss does not fit.
    pub fn finish(self, loss: Option<Loss>, init: Init) -> Result<Network, OptionError> {
        let wanted = self.data.output;
        let len = self.len()?;
        if self.layers.is_empty() || len != self.data.output_len() {
            let message = format!("the last output is {}, the data's is {wanted}", self.now);
            return Err(OptionError::new("", message, "`linear(classes)` near the end, which fits the data"));
        }
        let per_step = match wanted {
            Output::Classes(_) => false,
            Output::Tags(_) => true,
            Output::Probabilities(_) | Output::Numbers(_) => self.data.sequence,
        };
        if self.sequence && !per_step {
            let message = format!("an output for each time step, where the data has {wanted}");
            return Err(OptionError::new("", message, "`last_step` before the last layer, or another model"));
        }
        if per_step && !self.sequence {
            let message = format!("one output for each sample, where the data has {wanted}");
            return Err(OptionError::new("", message, "a model of sequences without `last_step`"));
        }
        let loss = self.loss(loss)?;
        Ok(self.network(loss, init))
    }

    /// Ends here, under this loss.
    ///
    /// # Panics
    /// If the last output has another length than the data's outputs.
    #[must_use]
    pub fn network(self, loss: Loss, init: Init) -> Network {
        Network::new(self.layers, self.data, loss, init)
    }

    /// The loss, checked against the data's outputs and the last layer.
    fn loss(&self, wanted: Option<Loss>) -> Result<Loss, OptionError> {
        let last: Option<&dyn Any> = self.layers.last().map(|layer| layer.as_ref() as &dyn Any);
        let is_log = last.is_some_and(|layer| layer.is::<LogSoftmax>());
        let classes = matches!(self.data.output, Output::Classes(_) | Output::Tags(_));
        let fitting = match self.data.output {
            Output::Classes(_) | Output::Tags(_) if is_log => Loss::Nll,
            Output::Classes(_) | Output::Tags(_) => Loss::CrossEntropy,
            Output::Probabilities(_) => Loss::BinaryCrossEntropy,
            Output::Numbers(_) => Loss::MeanSquared,
        };
        let loss = wanted.unwrap_or(fitting);
        if loss.wants_classes() != classes {
            let message = format!("{loss} does not fit data with {}", self.data.output);
            return Err(OptionError::new("loss", message, fitting.to_string()));
        }
        if (loss == Loss::Nll) != is_log && classes {
            let message = format!(
                "{loss} {} a `log_softmax` as the last layer",
                if is_log { "after" } else { "needs" }
            );
            return Err(OptionError::new("loss", message, "nll after `log_softmax`, else cross_entropy"));
        }
        if loss == Loss::BinaryCrossEntropy && !self.ends_in_sigmoid() {
            let message = format!("{loss} needs outputs from 0 to 1");
            return Err(OptionError::new("loss", message, "a sigmoid at the end, or mean_squared"));
        }
        Ok(loss)
    }

    fn ends_in_sigmoid(&self) -> bool {
        let last: Option<&dyn Any> = self.layers.last().map(|layer| layer.as_ref() as &dyn Any);
        let of = |layer: &dyn Any| match (layer.downcast_ref(), layer.downcast_ref()) {
            (Some(Linear { activation, .. }), _) | (_, Some(Activate { activation, .. })) => {
                Some(*activation)
            }
            _ => None,
        };
        last.and_then(of) == Some(Activation::Sigmoid)
    }
}

/// The activation of a layer that has one of its own.
fn own_activation(layer: &mut dyn Layer) -> Option<&mut Activation> {
    let layer: &mut dyn Any = layer;
    if layer.is::<Linear>() {
        return layer.downcast_mut().map(|layer: &mut Linear| &mut layer.activation);
    }
    if layer.is::<Conv2d>() {
        return layer.downcast_mut().map(|layer: &mut Conv2d| &mut layer.activation);
    }
    if layer.is::<BatchNorm>() {
        return layer.downcast_mut().map(|layer: &mut BatchNorm| &mut layer.activation);
    }
    if layer.is::<GroupNorm>() {
        return layer.downcast_mut().map(|layer: &mut GroupNorm| &mut layer.activation);
    }
    layer.downcast_mut().map(|layer: &mut Residual| &mut layer.activation)
}
