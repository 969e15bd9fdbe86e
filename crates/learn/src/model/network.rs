//! A model: a chain of layers over one flat parameter vector, under a loss.

use super::{DataShape, Init};
use crate::batch::Batch;
use crate::kernels::Isa;
use crate::kernels::loss::BatchLoss;
use crate::layer::{Backward, Chain, Forward, Layer, Pass, Role, Tensor};
use crate::local::Statistic;
use crate::loss::Loss;
use hcddl_core::domain::operation::{Kind, Operation, Operations};
use hcddl_core::domain::work::Cost;

/// A model: layers in order, ending in the outputs that its loss compares with the targets.
#[derive(Debug)]
pub struct Network {
    chain: Chain,
    shape: DataShape,
    loss: Loss,
    init: Init,
    statistics: Vec<Statistic>,
}

/// Memory that a thread reuses from step to step; it grows to what its largest network and batch need.
#[derive(Debug)]
pub struct Workspace {
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Threads that a step may use, of the rayon pool that it is called on; at least 1. No bits depend on it.
    pub threads: usize,
    outputs: Vec<f32>,
    /// Gradient with respect to the outputs.
    delta: Vec<f32>,
    kept: Vec<f32>,
    scratch: Vec<f32>,
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new(Isa::best())
    }
}

impl Workspace {
    /// An empty one, for steps on one thread.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        let (outputs, delta, kept, scratch) = Default::default();
        Self { isa, threads: 1, outputs, delta, kept, scratch }
    }
}

/// The first `len` values of a buffer, which is made longer if it must.
fn first(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

fn pass(work: &Workspace, batch: &Batch, training: Option<u64>) -> Pass {
    let Workspace { isa, threads, .. } = *work;
    Pass { isa, batch: batch.samples, steps: batch.steps, threads, training }
}

impl Network {
    /// Layers under a loss.
    ///
    /// # Panics
    /// If the layers do not fit the samples.
    #[must_use]
    pub fn new(layers: Vec<Box<dyn Layer>>, shape: DataShape, loss: Loss, init: Init) -> Self {
        let chain = Chain::new(layers);
        assert_eq!(chain.input_len(), shape.row_len(), "a network for other samples");
        assert_eq!(chain.output_len(), shape.output_len(), "a network for other targets");
        let mut offset = 0;
        let mut statistics = Vec::new();
        for tensor in chain.tensors() {
            let range = offset..offset + tensor.len();
            offset = range.end;
            if let Role::Statistic { momentum, .. } = tensor.role {
                statistics.push(Statistic { range, momentum });
            }
        }
        Self { chain, shape, loss, init, statistics }
    }

    /// Number of parameters.
    #[must_use]
    pub fn params_len(&self) -> usize {
        self.chain.params_len()
    }

    /// What its samples look like.
    #[must_use]
    pub fn shape(&self) -> DataShape {
        self.shape
    }

    /// What it is trained for.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// The layers in order.
    pub fn layers(&self) -> impl Iterator<Item = &dyn Layer> {
        self.chain.layers()
    }

    /// Where running statistics lie.
    #[must_use]
    pub fn statistics(&self) -> &[Statistic] {
        &self.statistics
    }

    /// The parameter tensors, in flat order.
    #[must_use]
    pub fn parameters(&self) -> Vec<Tensor> {
        self.chain.tensors()
    }

    /// Names and shapes of the parameter tensors, in flat order: `conv1.weight`, `conv1.bias`, ...
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        self.chain.tensors().into_iter().map(|t| (t.name.into_owned(), t.shape)).collect()
    }

    /// Initial parameters from a seed.
    #[must_use]
    pub fn init(&self, seed: u64) -> Vec<f32> {
        let mut params = Vec::with_capacity(self.params_len());
        for (index, tensor) in self.chain.tensors().iter().enumerate() {
            self.init.fill(tensor, seed, index as u64, &mut params);
        }
        params
    }

    /// Counted cost of a sample of `steps` time steps (1 unless samples are sequences), in batches of this size.
    #[must_use]
    pub fn cost(&self, batch: usize, steps: f64) -> Cost {
        let mut pass = Pass { isa: Isa::Portable, batch: 1, steps: 2, threads: 1, training: None };
        let (mut flops, mut values) = (0.0, 0.0);
        for layer in self.layers() {
            // A layer that drops steps makes one row of them for those after it.
            let rows = if pass.steps > 1 { steps } else { 1.0 };
            flops += rows * layer.forward_flops();
            values += rows * layer.moved_values() as f64;
            pass = layer.after(pass);
        }
        Cost { forward_flops: flops, activation_bytes: 4.0 * values, params: self.params_len(), batch }
    }

    /// What the forward and backward pass over a batch do, each sample of so many time steps.
    #[must_use]
    pub fn operations(&self, batch: usize, steps: usize) -> Operations {
        let pass = Pass { isa: Isa::Portable, batch, steps: steps.max(1), threads: 1, training: Some(0) };
        let mut step = Vec::new();
        self.chain.operations(pass, true, &mut step);
        let (rows, width) = (self.chain.after(pass).rows(), self.chain.output_len());
        step.push(Operation::new(Kind::Copy, [rows * width], 1));
        step.push(Operation::new(Kind::Loss, [width, rows], 1));
        let values = 2 * self.params_len()
            + pass.rows() * self.shape.row_len()
            + self.chain.kept_len(pass)
            + self.chain.scratch_len(pass)
            + 2 * rows * width;
        Operations { step, job: Vec::new(), working_set: 4.0 * values as f64 }
    }

    /// Forward pass and loss of a batch.
    ///
    /// # Panics
    /// If a slice has the wrong length or a label is out of range.
    pub fn evaluate(&self, work: &mut Workspace, params: &[f32], batch: &Batch) -> BatchLoss {
        let pass = pass(work, batch, None);
        self.forward(work, pass, params, batch)
    }

    /// Loss of a batch and the gradient of its mean, which overwrites `gradient`. `key` names the batch's random
    /// numbers (dropout).
    ///
    /// # Panics
    /// If a slice has the wrong length, a label is out of range or the batch is empty.
    pub fn gradient(
        &self,
        work: &mut Workspace,
        params: &[f32],
        batch: &Batch,
        key: u64,
        gradient: &mut [f32],
    ) -> BatchLoss {
        assert!(batch.samples > 0, "a gradient needs samples");
        assert_eq!(gradient.len(), self.params_len(), "a gradient is as long as the parameters");
        let pass = pass(work, batch, Some(key));
        let loss = self.forward(work, pass, params, batch);
        let outputs = self.chain.output_len() * self.chain.after(pass).rows();
        let io = Backward {
            x: &batch.x,
            y: &work.outputs[..outputs],
            dy: &mut work.delta[..outputs],
            dx: None,
            kept: first(&mut work.kept, self.chain.kept_len(pass)),
            gradient,
            scratch: first(&mut work.scratch, self.chain.scratch_len(pass)),
        };
        self.chain.backward(pass, params, io);
        loss
    }

    /// The outputs `[rows, output_len]` of the last batch that went through a workspace, and their rows.
    #[must_use]
    pub fn outputs<'a>(&self, work: &'a Workspace, rows: usize) -> &'a [f32] {
        &work.outputs[..rows * self.chain.output_len()]
    }

    /// Runs the layers and the loss, which leaves the gradient of its mean in `work.delta`.
    fn forward(&self, work: &mut Workspace, pass: Pass, params: &[f32], batch: &Batch) -> BatchLoss {
        assert_eq!(params.len(), self.params_len(), "parameters of another model");
        assert_eq!(batch.x.len(), batch.rows() * self.shape.row_len(), "samples of another shape");
        let width = self.chain.output_len();
        let outputs = first(&mut work.outputs, width * self.chain.after(pass).rows());
        let io = Forward {
            x: &batch.x,
            y: outputs,
            kept: first(&mut work.kept, self.chain.kept_len(pass)),
            scratch: first(&mut work.scratch, self.chain.scratch_len(pass)),
        };
        self.chain.forward(pass, params, io);
        let delta = first(&mut work.delta, outputs.len());
        self.loss.apply(pass.isa, outputs, &batch.targets, width, delta)
    }
}
