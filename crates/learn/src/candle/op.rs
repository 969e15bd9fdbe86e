//! A layer of ours as an operation of candle's autograd.

use crate::kernels::Isa;
use crate::layer::{Backward, Forward, Layer, Pass};
use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor, bail};
use std::sync::Arc;

/// A layer over rows: `y = op(x, params)` with x `[rows, input_len]` and all parameters in one flat tensor, both
/// f32 and contiguous. Evaluates in the manner of training (a batch's own statistics) when `training` is set.
#[derive(Clone, Debug)]
pub struct LayerOp {
    layer: Arc<dyn Layer>,
    isa: Isa,
    training: Option<u64>,
}

impl LayerOp {
    /// The operation of a layer whose rows are samples. `training` is the key of its random numbers.
    #[must_use]
    pub fn new(layer: impl Layer, training: Option<u64>) -> Self {
        Self { layer: Arc::new(layer), isa: Isa::best(), training }
    }

    /// Applies it.
    ///
    /// # Errors
    /// When shapes or types do not fit.
    pub fn apply(&self, x: &Tensor, params: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op2(&params.contiguous()?, self.clone())
    }

    fn pass(&self, x: &[f32]) -> Pass {
        let batch = x.len() / self.layer.input_len();
        Pass { isa: self.isa, batch, steps: 1, threads: 1, training: self.training }
    }

    /// Output and what is kept of it.
    fn forward(&self, x: &[f32], params: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let pass = self.pass(x);
        let mut y = vec![0.0; self.layer.output_len() * pass.batch];
        let mut kept = vec![0.0; self.layer.kept_len(pass)];
        let mut scratch = vec![0.0; self.layer.scratch_len(pass)];
        let io = Forward { x, y: &mut y, kept: &mut kept, scratch: &mut scratch };
        self.layer.forward(pass, params, io);
        (y, kept)
    }

    fn check(&self, x: &[f32], params: &[f32]) -> Result<()> {
        let wanted: usize = self.layer.tensors().iter().map(crate::layer::Tensor::len).sum();
        if !x.len().is_multiple_of(self.layer.input_len()) || params.len() != wanted {
            let (kind, inputs) = (self.layer.kind(), self.layer.input_len());
            bail!(
                "{kind} takes rows of {inputs} values and {wanted} parameters, not {} and {}",
                x.len(),
                params.len()
            )
        }
        Ok(())
    }
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage.as_slice::<f32>(), layout.contiguous_offsets()) {
        (Ok(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("a layer takes contiguous f32"),
    }
}

impl CustomOp2 for LayerOp {
    fn name(&self) -> &'static str {
        self.layer.kind()
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        p: &CpuStorage,
        lp: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, params) = (contiguous(x, lx)?, contiguous(p, lp)?);
        self.check(x, params)?;
        let (y, _) = self.forward(x, params);
        let rows = x.len() / self.layer.input_len();
        Ok((CpuStorage::F32(y), Shape::from((rows, self.layer.output_len()))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        params: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let (x_values, params_values, mut dy) = (values(x)?, values(params)?, values(dy)?);
        let pass = self.pass(&x_values);
        let (_, mut kept) = self.forward(&x_values, &params_values);
        let (mut dx, mut gradient) = (vec![0.0; x_values.len()], vec![0.0; params_values.len()]);
        let io = Backward {
            x: &x_values,
            y: &values(y)?,
            dy: &mut dy,
            dx: Some(&mut dx),
            kept: &mut kept,
            gradient: &mut gradient,
            scratch: &mut vec![0.0; self.layer.scratch_len(pass)],
        };
        self.layer.backward(pass, &params_values, io);
        let tensor = |values: Vec<f32>, like: &Tensor| Tensor::from_vec(values, like.shape(), &Device::Cpu);
        Ok((Some(tensor(dx, x)?), Some(tensor(gradient, params)?)))
    }
}
