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
    } else if let Some(conv) = layer.downcast_ref::<Conv2d>() {
        // The backward pass of its own strides fails where windows leave a rest on one side only.
        let mut y = x.conv2d(&vars[0], conv.padding, 1, 1, conv.groups)?;
        let (rows, columns) = conv.output_size();
        for (dim, places) in [(2, rows), (3, columns)] {
            if conv.stride > 1 {
                y = y.index_select(&every(conv.stride, 0, places, &y)?, dim)?;
            }
        }
        if conv.bias {
            y = y.broadcast_add(&vars[1].reshape((1, conv.filters, 1, 1))?)?;
        }
        activate(conv.activation, &y)
    } else if let Some(AvgPool2d(shape)) = layer.downcast_ref() {
        windows(shape, x, 0.0)?.mean(0)
    } else if let Some(MaxPool2d(shape)) = layer.downcast_ref() {
        windows(shape, x, f64::NEG_INFINITY)?.max(0)
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

/// The indexes start, start + stride, ...
fn every(stride: usize, start: usize, count: usize, like: &Tensor) -> Result<Tensor> {
    Tensor::from_iter((0..count).map(|i| (start + i * stride) as u32), like.device())
}

/// [pixels of a window, batch, channels, rows, columns]; `outside` lies around the image.
fn windows(shape: &PoolShape, x: &Tensor, outside: f64) -> Result<Tensor> {
    let (size, stride, padding) = (shape.size, shape.stride, shape.padding);
    let mut x = x.clone();
    for dim in [2, 3] {
        if padding > 0 {
            let mut frame = x.dims().to_vec();
            frame[dim] = padding;
            let frame = Tensor::full(outside, frame, x.device())?.to_dtype(x.dtype())?;
            x = Tensor::cat(&[&frame, &x, &frame], dim)?;
        }
    }
    let (rows, columns) = shape.output_size();
    let mut taps = Vec::with_capacity(size * size);
    for ky in 0..size {
        for kx in 0..size {
            taps.push(
                x.index_select(&every(stride, ky, rows, &x)?, 2)?
                    .index_select(&every(stride, kx, columns, &x)?, 3)?,
            );
        }
    }
    Tensor::stack(&taps, 0)
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
