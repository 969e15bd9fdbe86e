//! What layers count of a gradient step: small makers of [`Operation`]s that several of them need.

use super::{Activation, share};
use hcddl_core::domain::operation::{Kind, Operation};

/// Columns of a product in whole vectors, which is how it is computed.
fn whole_vectors(n: usize) -> usize {
    if n > 16 { n.next_multiple_of(16) } else { n }
}

/// `times` products m x k by k x n, which a large step shares out if each is worth it.
pub(super) fn product(kind: Kind, [m, n, k]: [usize; 3], times: usize) -> Operation {
    let shared = 2.0 * (m * n * k) as f64 >= share::WORTH;
    let n = if matches!(kind, Kind::ProductDot | Kind::ProductDotStrips) { n } else { whole_vectors(n) };
    Operation { shared, ..Operation::new(kind, [m, n, k], times) }
}

/// An operation whose `times` calls are rows that a large step shares out if all together are worth it.
pub(super) fn rows(operation: Operation) -> Operation {
    Operation { shared: operation.flops() >= share::WORTH, ..operation }
}

/// An activation in place: `times` calls over so many values; nothing of the identity.
pub(super) fn activation(activation: Activation, values: usize, times: usize, all: &mut Vec<Operation>) {
    let kind = match activation {
        Activation::Identity => return,
        Activation::Relu => Kind::Relu,
        Activation::Tanh => Kind::Tanh,
        Activation::Sigmoid => Kind::Sigmoid,
    };
    let operation = Operation::new(kind, [values], times);
    all.push(rows(if times > 1 { operation.near(2 * values * times) } else { operation }));
}

/// Its backward pass over all values at once, which reads outputs of the forward pass.
pub(super) fn activation_backward(activation: Activation, values: usize, all: &mut Vec<Operation>) {
    let kind = match activation {
        Activation::Identity => return,
        Activation::Relu => Kind::ReluBackward,
        Activation::Tanh | Activation::Sigmoid => Kind::TanhBackward,
    };
    all.push(rows(Operation::new(kind, [values], 1).far(values)));
}
