//! The same network under candle's autograd: an independent second engine to check gradients against, and
//! the baseline of the bench. Never used for training.
//!
//! Left out of candle on purpose: its `max_pool2d` scales the gradient by 1/k^2, and its
//! `softmax_last_dim` and `LayerNorm` drop gradients; pooling is made of reductions here.

use super::batch::{Batch, Targets};
use super::layer::{Activation, AvgPool2d, Conv2d, Layer, Linear, MaxPool2d, PoolShape};
use super::model::{Input, Network};
use candle_core::{DType, Device, Result, Tensor, Var, bail};
use std::any::Any;

/// Mean loss of a batch, computed by candle in f64.
///
/// # Errors
/// Whatever candle refuses; a layer that has no counterpart here.
pub fn loss(network: &Network, params: &[f64], batch: &Batch) -> Result<f64> {
    evaluate(network, params, batch, DType::F64)?.0.to_scalar()
}

/// Mean loss of a batch and its gradient in flat order, computed by candle in `dtype` (f32 or f64).
///
/// # Errors
/// Whatever candle refuses; a layer that has no counterpart here.
pub fn gradient(network: &Network, params: &[f32], batch: &Batch, dtype: DType) -> Result<(f64, Vec<f64>)> {
    let params: Vec<f64> = params.iter().map(|p| f64::from(*p)).collect();
    let (loss, vars) = evaluate(network, &params, batch, dtype)?;
    let gradients = loss.backward()?;
    let mut flat = Vec::with_capacity(params.len());
    for var in &vars {
        let Some(gradient) = gradients.get(var.as_tensor()) else { bail!("a parameter has no gradient") };
        flat.extend(gradient.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?);
    }
    Ok((loss.to_dtype(DType::F64)?.to_scalar::<f64>()?, flat))
}

/// The mean loss as a tensor, and the parameters that it depends on.
fn evaluate(network: &Network, params: &[f64], batch: &Batch, dtype: DType) -> Result<(Tensor, Vec<Var>)> {
    let device = &Device::Cpu;
    let Input::Values { channels, height, width } = network.shape().input else {
        bail!("tokens have no reference")
    };
    let Targets::Classes(labels) = &batch.targets else { bail!("values have no reference") };
    let mut y = Tensor::from_slice(&batch.x, (batch.samples, channels, height, width), device)?;
    y = y.to_dtype(dtype)?;
    let mut vars = Vec::new();
    let mut rest = params;
    for layer in network.layers() {
        let first = vars.len();
        for tensor in layer.tensors() {
            let (values, after) = rest.split_at(tensor.len());
            rest = after;
            let values = Tensor::from_slice(values, tensor.shape, device)?.to_dtype(dtype)?;
            vars.push(Var::from_tensor(&values)?);
        }
        y = forward(layer, &vars[first..], &y)?;
    }
    let labels = Tensor::from_slice(labels.as_slice(), labels.len(), device)?;
    Ok((candle_nn::loss::cross_entropy(&y, &labels)?, vars))
}

fn forward(layer: &dyn Layer, vars: &[Var], x: &Tensor) -> Result<Tensor> {
    let layer: &dyn Any = layer;
    if let Some(Linear { activation, .. }) = layer.downcast_ref() {
        let y = x.flatten_from(1)?.matmul(&vars[0])?.broadcast_add(&vars[1])?;
        activate(*activation, &y)
    } else if let Some(Conv2d { activation, filters, .. }) = layer.downcast_ref() {
        let bias = vars[1].reshape((1, *filters, 1, 1))?;
        activate(*activation, &x.conv2d(&vars[0], 0, 1, 1, 1)?.broadcast_add(&bias)?)
    } else if let Some(AvgPool2d(shape)) = layer.downcast_ref() {
        windows(shape, x)?.mean(5)?.mean(3)
    } else if let Some(MaxPool2d(shape)) = layer.downcast_ref() {
        windows(shape, x)?.max(5)?.max(3)
    } else {
        bail!("{layer:?} has no reference")
    }
}

fn activate(activation: Activation, y: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::Identity => Ok(y.clone()),
        Activation::Relu => y.relu(),
        Activation::Tanh => y.tanh(),
        Activation::Sigmoid => candle_nn::ops::sigmoid(y),
    }
}

/// [batch, channels, rows, size, columns, size].
fn windows(shape: &PoolShape, x: &Tensor) -> Result<Tensor> {
    let PoolShape { channels, height, width, size } = *shape;
    let (rows, columns) = (height / size, width / size);
    let x = x.narrow(2, 0, rows * size)?.narrow(3, 0, columns * size)?.contiguous()?;
    x.reshape((x.dim(0)?, channels, rows, size, columns, size))
}

#[cfg(test)]
#[path = "gradient_tests.rs"]
mod tests;
