//! f32 kernels with the same bits on every machine.
//!
//! What makes that so: every sum has a fixed order that no tile, thread or instruction set changes;
//! a multiply-add is always fused (one rounding); exp, ln, tanh, sin and cos are our own, made of +, -, *, / and
//! fused multiply-adds, all of which IEEE 754 rounds the same everywhere.

pub mod dropout;
pub mod elementwise;
pub mod gates;
pub mod gemm;
mod gemm_dot;
mod isa;
mod lanes;
pub mod loss;
pub mod math;
pub mod norm;
pub mod pool;
mod reduce;
pub mod softmax;
mod transpose;

pub use gemm::{View, gemm};
pub use gemm_dot::gemm_dot;
pub use isa::Isa;
pub(crate) use isa::multiversion;
pub use transpose::{transpose, transpose_strided};
