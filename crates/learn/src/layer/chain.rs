//! Layers one after another; itself a layer.

use super::{Backward, Forward, Layer, Pass, Tensor, share};
use hcddl_core::domain::operation::{Kind, Operation};
use hcddl_core::domain::rng::derived;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// Layers in order, each fitted to the output of the one before; at least one.
///
/// Kept from the forward to the backward pass: for each layer its output (the last one's is the chain's own)
/// and what it keeps itself, in order. Working memory: two gradients of the widest output between two layers,
/// and what the layers need.
#[derive(Debug)]
pub struct Chain {
    places: Vec<Place>,
    params_len: usize,
}

#[derive(Debug)]
struct Place {
    layer: Box<dyn Layer>,
    /// Its kind and a number, counted per kind from 1.
    name: String,
    /// Its own part of the parameters.
    params: Range<usize>,
}

impl Chain {
    /// Puts layers one after another.
    ///
    /// # Panics
    /// If there are none, or neighbours do not fit.
    #[must_use]
    pub fn new(layers: Vec<Box<dyn Layer>>) -> Self {
        assert!(!layers.is_empty(), "a chain has at least one layer");
        let fits = |pair: &[Box<dyn Layer>]| pair[0].output_len() == pair[1].input_len();
        assert!(layers.windows(2).all(fits), "the layers of a chain do not fit: {layers:?}");
        let mut counts = BTreeMap::new();
        let mut params_len = 0;
        let places = layers.into_iter().map(|layer| {
            let number = counts.entry(layer.kind()).and_modify(|n| *n += 1).or_insert(1);
            let name = format!("{}{number}", layer.kind());
            let start = params_len;
            params_len += layer.tensors().iter().map(Tensor::len).sum::<usize>();
            Place { name, params: start..params_len, layer }
        });
        Self { places: places.collect(), params_len }
    }

    /// The layers in order.
    pub fn layers(&self) -> impl Iterator<Item = &dyn Layer> {
        self.places.iter().map(|place| place.layer.as_ref())
    }

    /// Number of parameters.
    #[must_use]
    pub fn params_len(&self) -> usize {
        self.params_len
    }

    /// Calls `f` with each layer, what it sees, and whether it is the last.
    fn walk(&self, mut pass: Pass, mut f: impl FnMut(&dyn Layer, Pass, bool)) -> Pass {
        for (i, place) in self.places.iter().enumerate() {
            f(place.layer.as_ref(), pass, i + 1 == self.places.len());
            pass = place.layer.after(pass);
        }
        pass
    }

    /// Values of the widest output between two layers.
    fn widest(&self, pass: Pass) -> usize {
        let mut widest = 0;
        self.walk(pass, |layer, pass, last| {
            if !last {
                widest = widest.max(layer.output_len() * layer.after(pass).rows());
            }
        });
        widest
    }

    /// The backward pass of the layers from `index` on; the gradient with respect to their input ends up in
    /// `dx` (if this is the first layer) or in `deltas[index % 2]`.
    fn back(&self, index: usize, pass: Pass, params: &[f32], io: Back<'_>, deltas: &mut Deltas<'_>) {
        let Place { layer, params: own, .. } = &self.places[index];
        let Back { x, y, dy, mut dx, kept, gradient } = io;
        let after = layer.after(pass);
        let (kept, rest) = kept.split_at_mut(layer.kept_len(own_pass(pass, index)));
        let (gradient, gradients_after) = gradient.split_at_mut(own.len());
        let inputs = layer.input_len() * pass.rows();
        if index + 1 == self.places.len() {
            let dx = if index == 0 { dx } else { Some(&mut deltas.gradients[index % 2][..inputs]) };
            let io = Backward { x, y, dy, dx, kept, gradient, scratch: deltas.scratch };
            return share::backward(layer.as_ref(), own_pass(pass, index), &params[own.clone()], io);
        }
        let outputs = layer.output_len() * after.rows();
        let (own_y, rest) = rest.split_at_mut(outputs);
        let next = Back { x: own_y, y, dy, dx: None, kept: rest, gradient: gradients_after };
        self.back(index + 1, after, params, next, deltas);
        let [even, odd] = &mut deltas.gradients;
        let (own_dx, own_dy) = if index.is_multiple_of(2) { (even, odd) } else { (odd, even) };
        let dx = if index == 0 { dx.take() } else { Some(&mut own_dx[..inputs]) };
        let dy = &mut own_dy[..outputs];
        let io = Backward { x, y: own_y, dy, dx, kept, gradient, scratch: deltas.scratch };
        share::backward(layer.as_ref(), own_pass(pass, index), &params[own.clone()], io);
    }
}

/// What [`Chain::back`] reads and writes, as in [`Backward`].
struct Back<'a> {
    x: &'a [f32],
    y: &'a [f32],
    dy: &'a mut [f32],
    dx: Option<&'a mut [f32]>,
    kept: &'a mut [f32],
    gradient: &'a mut [f32],
}

/// Working memory of a backward pass.
struct Deltas<'a> {
    /// Gradients with respect to the inputs of layers with an even and an odd number.
    gradients: [&'a mut [f32]; 2],
    scratch: &'a mut [f32],
}

/// The same pass with random numbers of its own for this layer.
fn own_pass(pass: Pass, index: usize) -> Pass {
    Pass { training: pass.training.map(|key| derived(key, index as u64)), ..pass }
}

impl Layer for Chain {
    fn kind(&self) -> &'static str {
        "chain"
    }

    fn input_len(&self) -> usize {
        self.places[0].layer.input_len()
    }

    fn output_len(&self) -> usize {
        self.places[self.places.len() - 1].layer.output_len()
    }

    fn batch_min(&self) -> usize {
        self.places.iter().map(|place| place.layer.batch_min()).max().unwrap_or(1)
    }

    fn tensors(&self) -> Vec<Tensor> {
        let named = |place: &Place| {
            let tensors = place.layer.tensors().into_iter();
            let name = |t: Tensor| Tensor { name: Cow::Owned(format!("{}.{}", place.name, t.name)), ..t };
            tensors.map(name).collect::<Vec<_>>()
        };
        self.places.iter().flat_map(named).collect()
    }

    fn after(&self, pass: Pass) -> Pass {
        self.walk(pass, |_, _, _| {})
    }

    fn kept_len(&self, pass: Pass) -> usize {
        let mut len = 0;
        self.walk(pass, |layer, pass, last| {
            let outputs = if last { 0 } else { layer.output_len() * layer.after(pass).rows() };
            len += layer.kept_len(pass) + outputs;
        });
        len
    }

    fn scratch_len(&self, pass: Pass) -> usize {
        let mut inner = 0;
        self.walk(pass, |layer, pass, _| inner = inner.max(share::scratch_len(layer, pass)));
        2 * self.widest(pass) + inner
    }

    fn forward_flops(&self) -> f64 {
        self.layers().map(Layer::forward_flops).sum()
    }

    fn operations(&self, pass: Pass, first: bool, all: &mut Vec<Operation>) {
        all.push(Operation::new(Kind::Call, [2 * self.places.len()], 1));
        let mut first = first;
        self.walk(pass, |layer, pass, _| {
            layer.operations(pass, first, all);
            first = false;
        });
    }

    fn moved_values(&self) -> usize {
        self.layers().map(Layer::moved_values).sum()
    }

    fn forward(&self, mut pass: Pass, params: &[f32], io: Forward<'_>) {
        let Forward { mut x, y, kept: mut rest, scratch } = io;
        for (i, place) in self.places[..self.places.len() - 1].iter().enumerate() {
            let after = place.layer.after(pass);
            let (kept, more) = rest.split_at_mut(place.layer.kept_len(pass));
            let (own, more) = more.split_at_mut(place.layer.output_len() * after.rows());
            let io = Forward { x, y: own, kept, scratch };
            share::forward(place.layer.as_ref(), own_pass(pass, i), &params[place.params.clone()], io);
            (x, rest, pass) = (own, more, after);
        }
        let last = &self.places[self.places.len() - 1];
        let pass = own_pass(pass, self.places.len() - 1);
        let io = Forward { x, y, kept: rest, scratch };
        share::forward(last.layer.as_ref(), pass, &params[last.params.clone()], io);
    }

    fn backward(&self, pass: Pass, params: &[f32], io: Backward<'_>) {
        let Backward { x, y, dy, dx, kept, gradient, scratch } = io;
        let widest = self.widest(pass);
        let (even, scratch) = scratch.split_at_mut(widest);
        let (odd, scratch) = scratch.split_at_mut(widest);
        let mut deltas = Deltas { gradients: [even, odd], scratch };
        self.back(0, pass, params, Back { x, y, dy, dx, kept, gradient }, &mut deltas);
    }
}
