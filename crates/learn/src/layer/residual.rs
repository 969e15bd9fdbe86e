//! A block whose input is added to its output.

use super::{Activation, Backward, Chain, Forward, Layer, Pass, Role, Tensor, count};
use crate::kernels::elementwise;
use hcddl_core::domain::operation::{Kind, Operation};
use hcddl_core::domain::rng::derived;
use std::borrow::Cow;

/// y = activation(body(x) + shortcut(x)); without a shortcut x itself is added (He et al., Deep residual
/// learning for image recognition, 2016). Parameters: the body's, then the shortcut's.
///
/// Kept from the forward to the backward pass: the body's output and what it keeps, then the same of the
/// shortcut. Working memory: a second gradient with respect to the output and, with a shortcut, to the input.
#[derive(Debug)]
pub struct Residual {
    body: Chain,
    shortcut: Option<Chain>,
    /// What is applied to the sum.
    pub activation: Activation,
    /// Whether the last scale of the body starts at 0, so that the block starts as its shortcut (Goyal et al.,
    /// Accurate, large minibatch SGD, 2017).
    pub zero_start: bool,
}

impl Residual {
    /// A block.
    ///
    /// # Panics
    /// If body and shortcut have other inputs or outputs than each other.
    #[must_use]
    pub fn new(body: Chain, shortcut: Option<Chain>, activation: Activation) -> Self {
        let (inputs, outputs) = match &shortcut {
            Some(shortcut) => (shortcut.input_len(), shortcut.output_len()),
            None => (body.input_len(), body.input_len()),
        };
        assert_eq!((body.input_len(), body.output_len()), (inputs, outputs), "a shortcut of another shape");
        Self { body, shortcut, activation, zero_start: false }
    }

    /// The layers of the body, and of the shortcut unless it is x itself.
    #[must_use]
    pub fn parts(&self) -> (&Chain, Option<&Chain>) {
        (&self.body, self.shortcut.as_ref())
    }

    fn outputs(&self, pass: Pass) -> usize {
        self.output_len() * self.body.after(pass).rows()
    }

    fn inputs(&self, pass: Pass) -> usize {
        self.input_len() * pass.rows()
    }
}

/// The same pass with random numbers of its own for the body (0) or the shortcut (1).
fn own_pass(pass: Pass, part: u64) -> Pass {
    Pass { training: pass.training.map(|key| derived(key, part)), ..pass }
}

impl Layer for Residual {
    fn kind(&self) -> &'static str {
        "residual"
    }

    fn input_len(&self) -> usize {
        self.body.input_len()
    }

    fn output_len(&self) -> usize {
        self.body.output_len()
    }

    fn batch_min(&self) -> usize {
        self.shortcut.iter().chain([&self.body]).map(Chain::batch_min).max().unwrap_or(1)
    }

    fn tensors(&self) -> Vec<Tensor> {
        let named = |part: &str, chain: &Chain| -> Vec<Tensor> {
            let name = |t: Tensor| Tensor { name: Cow::Owned(format!("{part}.{}", t.name)), ..t };
            chain.tensors().into_iter().map(name).collect()
        };
        let mut tensors = named("body", &self.body);
        if self.zero_start
            && let Some(scale) = tensors.iter_mut().rfind(|t| t.role == Role::Scale)
        {
            scale.role = Role::Uniform(0.0);
        }
        tensors.extend(self.shortcut.iter().flat_map(|chain| named("shortcut", chain)));
        tensors
    }

    fn after(&self, pass: Pass) -> Pass {
        self.body.after(pass)
    }

    fn kept_len(&self, pass: Pass) -> usize {
        let of = |chain: &Chain| self.outputs(pass) + chain.kept_len(pass);
        of(&self.body) + self.shortcut.as_ref().map_or(0, of)
    }

    fn scratch_len(&self, pass: Pass) -> usize {
        let body = self.body.scratch_len(pass);
        let inner = match &self.shortcut {
            Some(shortcut) => body.max(self.inputs(pass) + shortcut.scratch_len(pass)),
            None => body,
        };
        self.outputs(pass) + inner
    }

    fn forward_flops(&self) -> f64 {
        let shortcut = self.shortcut.as_ref().map_or(0.0, Layer::forward_flops);
        let outputs = self.output_len() as f64;
        self.body.forward_flops() + shortcut + outputs * (1.0 + self.activation.flops())
    }

    fn operations(&self, pass: Pass, first: bool, all: &mut Vec<Operation>) {
        let (inputs, outputs) = (self.inputs(pass), self.outputs(pass));
        self.body.operations(pass, first, all);
        if let Some(shortcut) = &self.shortcut {
            shortcut.operations(pass, first, all);
        }
        // The sum, and a second gradient; then the gradients with respect to the input.
        all.push(Operation::new(Kind::Copy, [outputs], 2));
        all.push(Operation::new(Kind::Add, [outputs], 1));
        count::activation(self.activation, outputs, 1, all);
        count::activation_backward(self.activation, outputs, all);
        if !first {
            all.push(Operation::new(Kind::Add, [inputs], 1));
        }
    }

    fn moved_values(&self) -> usize {
        let shortcut = self.shortcut.as_ref().map_or(self.input_len(), Layer::moved_values);
        self.body.moved_values() + shortcut + self.output_len()
    }

    fn forward(&self, pass: Pass, params: &[f32], io: Forward<'_>) {
        let Forward { x, y, kept, scratch } = io;
        let (own, others) = params.split_at(self.body.params_len());
        let (body_y, kept) = kept.split_at_mut(self.outputs(pass));
        let (body_kept, kept) = kept.split_at_mut(self.body.kept_len(pass));
        self.body.forward(own_pass(pass, 0), own, Forward { x, y: body_y, kept: body_kept, scratch });
        match &self.shortcut {
            Some(shortcut) => {
                let (shortcut_y, kept) = kept.split_at_mut(self.outputs(pass));
                let io = Forward { x, y: shortcut_y, kept, scratch };
                shortcut.forward(own_pass(pass, 1), others, io);
                y.copy_from_slice(shortcut_y);
            }
            None => y.copy_from_slice(x),
        }
        elementwise::add_scaled(pass.isa, y, 1.0, body_y);
        self.activation.forward(pass.isa, y);
    }

    fn backward(&self, pass: Pass, params: &[f32], io: Backward<'_>) {
        let Backward { x, y, dy, mut dx, kept, gradient, scratch } = io;
        let (own, others) = params.split_at(self.body.params_len());
        let (own_gradient, other_gradient) = gradient.split_at_mut(own.len());
        let (body_y, kept) = kept.split_at_mut(self.outputs(pass));
        let (body_kept, kept) = kept.split_at_mut(self.body.kept_len(pass));
        self.activation.backward(pass.isa, dy, y);
        let (body_dy, scratch) = scratch.split_at_mut(dy.len());
        body_dy.copy_from_slice(dy);
        let io = Backward {
            x,
            y: body_y,
            dy: body_dy,
            dx: dx.as_deref_mut(),
            kept: body_kept,
            gradient: own_gradient,
            scratch,
        };
        self.body.backward(own_pass(pass, 0), own, io);
        let Some(shortcut) = &self.shortcut else {
            if let Some(dx) = dx {
                elementwise::add_scaled(pass.isa, dx, 1.0, dy);
            }
            return;
        };
        let (shortcut_y, kept) = kept.split_at_mut(self.outputs(pass));
        let (shortcut_dx, scratch) = scratch.split_at_mut(self.inputs(pass));
        let wanted = dx.is_some().then_some(&mut *shortcut_dx);
        let io = Backward { x, y: shortcut_y, dy, dx: wanted, kept, gradient: other_gradient, scratch };
        shortcut.backward(own_pass(pass, 1), others, io);
        if let Some(dx) = dx {
            elementwise::add_scaled(pass.isa, dx, 1.0, shortcut_dx);
        }
    }
}
