//! Models, one file each. Initial values: see [`Init`].

mod builder;
mod cnn;
mod init;
mod lenet;
mod mlp;
mod network;
mod shape;
mod softmax;

pub use builder::NetworkBuilder;
pub use init::Init;
pub use network::{Network, Workspace};
pub use shape::{DataShape, Input, Output};

use crate::domain::{Choice, OptionError, Table};

/// Makes a model for samples of a shape.
pub type BuildModel = fn(&Choice, &DataShape) -> Result<Network, OptionError>;

/// All models.
#[must_use]
pub fn table() -> Table<BuildModel> {
    Table::new("model", vec![softmax::row(), mlp::row(), lenet::row(), cnn::row()])
}
