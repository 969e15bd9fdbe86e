//! A layer, or a whole model, written in candle.

use crate::layer::{Backward, Forward, Layer, Pass, Tensor};
use candle_core::{Device, Result, Shape, Tensor as Candle, Var};
use hcddl_core::domain::OptionError;
use std::fmt;
use std::sync::Arc;

/// What a user writes: the output `[rows, ..]` from the parameters, in order, and the input `[rows, ..input]`.
pub type CandleForward = dyn Fn(&[Candle], &Candle) -> Result<Candle> + Send + Sync;

/// A function over candle tensors as a layer. Its backward pass runs the forward pass again, under autograd, so it
/// keeps nothing between the two.
#[derive(Clone)]
pub struct CandleLayer {
    kind: &'static str,
    input: Vec<usize>,
    output_len: usize,
    tensors: Vec<Tensor>,
    forward_flops: f64,
    forward: Arc<CandleForward>,
}

impl fmt::Debug for CandleLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, input, output_len, tensors, .. } = self;
        write!(f, "CandleLayer {{ {kind}: {input:?} -> {output_len}, {} tensors }}", tensors.len())
    }
}

impl CandleLayer {
    /// A layer for rows of the shape `input`. It is tried once, on a row of zeros, which also counts its outputs.
    /// Its cost is taken to be 2 operations for each parameter; see [`CandleLayer::with_flops`].
    ///
    /// # Errors
    /// What candle says, when the function does not fit its tensors or input.
    pub fn new(
        kind: &'static str,
        input: Vec<usize>,
        tensors: Vec<Tensor>,
        forward: impl Fn(&[Candle], &Candle) -> Result<Candle> + Send + Sync + 'static,
    ) -> std::result::Result<Self, OptionError> {
        let forward_flops = 2.0 * tensors.iter().map(Tensor::len).sum::<usize>() as f64;
        let mut layer =
            Self { kind, input, output_len: 0, tensors, forward_flops, forward: Arc::new(forward) };
        let params = vec![0.0; layer.tensors.iter().map(Tensor::len).sum()];
        let tried = layer.run(1, &params, &vec![0.0; layer.input_len()]);
        layer.output_len = tried.map(|y| y.elem_count()).map_err(|error| {
            OptionError::new(
                "",
                format!("the candle model `{kind}` fails on one row: {error}"),
                "a model that fits",
            )
        })?;
        Ok(layer)
    }

    /// With this counted cost of one row's forward pass.
    #[must_use]
    pub fn with_flops(self, forward_flops: f64) -> Self {
        Self { forward_flops, ..self }
    }

    fn input_of(&self, rows: usize, x: &[f32]) -> Result<Candle> {
        let shape: Vec<usize> = std::iter::once(rows).chain(self.input.iter().copied()).collect();
        Candle::from_slice(x, Shape::from(shape), &Device::Cpu)
    }

    fn params_of(&self, params: &[f32]) -> Result<Vec<Candle>> {
        let mut rest = params;
        let tensors = self.tensors.iter().map(|tensor| {
            let (values, after) = rest.split_at(tensor.len());
            rest = after;
            Candle::from_slice(values, Shape::from(tensor.shape.clone()), &Device::Cpu)
        });
        tensors.collect()
    }

    fn run(&self, rows: usize, params: &[f32], x: &[f32]) -> Result<Candle> {
        (self.forward)(&self.params_of(params)?, &self.input_of(rows, x)?)
    }

    fn gradients(&self, rows: usize, params: &[f32], io: Backward<'_>) -> Result<()> {
        let vars = self.params_of(params)?.iter().map(Var::from_tensor).collect::<Result<Vec<_>>>()?;
        let x = Var::from_tensor(&self.input_of(rows, io.x)?)?;
        let inputs: Vec<Candle> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let y = (self.forward)(&inputs, x.as_tensor())?;
        let dy = Candle::from_slice(io.dy, y.shape(), &Device::Cpu)?;
        let gradients = (y * dy)?.sum_all()?.backward()?;
        let write = |var: &Var, to: &mut [f32]| -> Result<()> {
            match gradients.get(var.as_tensor()) {
                Some(gradient) => to.copy_from_slice(&gradient.flatten_all()?.to_vec1::<f32>()?),
                None => to.fill(0.0),
            }
            Ok(())
        };
        let mut rest = io.gradient;
        for (var, tensor) in vars.iter().zip(&self.tensors) {
            let (own, after) = rest.split_at_mut(tensor.len());
            write(var, own)?;
            rest = after;
        }
        io.dx.map_or(Ok(()), |dx| write(&x, dx))
    }
}

impl Layer for CandleLayer {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    fn output_len(&self) -> usize {
        self.output_len
    }

    fn tensors(&self) -> Vec<Tensor> {
        self.tensors.clone()
    }

    fn forward_flops(&self) -> f64 {
        self.forward_flops
    }

    /// # Panics
    /// When candle fails on a batch although it did not on one row.
    fn forward(&self, pass: Pass, params: &[f32], io: Forward<'_>) {
        let y = self.run(pass.rows(), params, io.x).and_then(|y| y.flatten_all()?.to_vec1::<f32>());
        io.y.copy_from_slice(&y.unwrap_or_else(|error| panic!("the candle model `{}`: {error}", self.kind)));
    }

    /// # Panics
    /// When candle has no gradient for an operation of the model.
    fn backward(&self, pass: Pass, params: &[f32], io: Backward<'_>) {
        let result = self.gradients(pass.rows(), params, io);
        result.unwrap_or_else(|error| panic!("the gradient of the candle model `{}`: {error}", self.kind));
    }
}
