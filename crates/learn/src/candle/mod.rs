//! candle in both directions: [`CandleLayer`], a layer or a whole model written in candle, which the engine then
//! treats like any other (flat parameters, losses, local optimisers, simulation); and [`LayerOp`], a layer of ours
//! as an operation of candle's autograd, with its own backward pass and our kernels.
//!
//! A model written in candle gives the same bits for the same machine and candle, whatever the threads of the
//! simulator; across machines only our own layers do, because candle's matrix product does not split k. Use
//! [`LayerOp`] for the products where that matters.

mod layer;
mod op;

pub use layer::CandleLayer;
pub use op::LayerOp;

#[cfg(test)]
mod tests;
