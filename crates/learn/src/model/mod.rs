//! Models, one file each; [`layers`] are what a scenario's own model is made of. Initial values: see [`Init`].

mod alexnet;
mod blocks;
mod builder;
mod char_lstm;
mod cnn;
mod fitted;
mod fourier;
mod geomx_cnn;
mod gru_tagger;
pub mod init;
pub mod layers;
mod lenet;
mod linear;
mod mlp;
mod mobilenet;
mod network;
mod resnet18_gn;
mod resnet56;
mod sequential;
mod shape;
mod simple;
mod softmax;

pub use builder::NetworkBuilder;
pub use fitted::Cell;
pub use init::Init;
pub use network::{Network, Workspace};
pub use shape::{DataShape, Input, Output};

use hcddl_core::domain::{Choice, OptionError, Table};
use std::sync::Arc;

/// Makes a model for samples of a shape.
pub type BuildModel = fn(&Choice, &ModelContext) -> Result<Network, OptionError>;

/// What a model is made for, and of.
#[derive(Clone, Debug)]
pub struct ModelContext {
    /// What the samples look like.
    pub shape: DataShape,
    /// The layers that it can name.
    pub layers: Arc<Table<layers::BuildLayer>>,
}

impl ModelContext {
    /// For these samples, of the layers of [`layers::table`].
    #[must_use]
    pub fn new(shape: DataShape) -> Self {
        Self { shape, layers: Arc::new(layers::table()) }
    }
}

impl std::ops::Deref for ModelContext {
    type Target = DataShape;

    fn deref(&self) -> &DataShape {
        &self.shape
    }
}

/// All models.
#[must_use]
pub fn table() -> Table<BuildModel> {
    let rows = vec![
        sequential::row(),
        linear::row(),
        softmax::row(),
        mlp::row(),
        lenet::row(),
        cnn::row(),
        geomx_cnn::row(),
        simple::row(),
        alexnet::row(),
        resnet18_gn::row(),
        resnet56::row(),
        mobilenet::row(),
        gru_tagger::row(),
        char_lstm::row(),
        fourier::row(),
    ];
    Table::new("model", rows)
}

#[cfg(test)]
#[path = "gradient_tests.rs"]
pub(crate) mod gradient_tests;

#[cfg(test)]
#[path = "models_tests.rs"]
mod models_tests;
