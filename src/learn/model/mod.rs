//! Models, one file each. Initial values: see [`Init`].

mod cnn;
mod lenet;
mod mlp;
mod network;
mod softmax;

pub use network::{DataShape, Init, Network, NetworkBuilder, Workspace};

use crate::domain::{Choice, OptionError, Table};

/// Makes a model for samples of a shape.
pub type BuildModel = fn(&Choice, &DataShape) -> Result<Network, OptionError>;

/// All models.
#[must_use]
pub fn table() -> Table<BuildModel> {
    Table::new("model", vec![softmax::row(), mlp::row(), lenet::row(), cnn::row()])
}
