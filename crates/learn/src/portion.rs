//! The part of a data set that one device needs: the samples of its own shards, and the test and validation sets if
//! it evaluates. It travels to the device as one file, and training on it gives the same bits as training on the
//! whole: batches, orders and changes of images are named by shard and position, never by a sample's place in the
//! whole set.

use super::data::{DataSet, Samples};
use super::plan::LearningPlan;
use super::split::{Holdings, pipeline};
use super::tables::{LearnError, LearnTables};
use hcddl_core::domain::OptionError;
use hcddl_files::bytes;
use serde::{Deserialize, Serialize};

/// Version of the file; a reader refuses any other.
const PORTION_VERSION: u32 = 2;

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Portion {
    version: u32,
    data: DataSet,
    /// For each shard of the run its samples among `data.train`; none for the shards of others.
    shards: Vec<Vec<u32>>,
}

impl Portion {
    /// What a device with these shards needs.
    #[must_use]
    pub fn of(holdings: &Holdings, shards: &[u32], evaluates: bool) -> Self {
        let whole = &holdings.data;
        let mut wanted = Vec::new();
        let mut own = vec![Vec::new(); holdings.shards.len()];
        for shard in shards {
            let samples = &holdings.shards[*shard as usize];
            let first = wanted.len() as u32;
            own[*shard as usize] = (first..first + samples.len() as u32).collect();
            wanted.extend_from_slice(samples);
        }
        let for_evaluation =
            |samples: &Samples| if evaluates { samples.clone() } else { samples.select(&[]) };
        let data = DataSet {
            train: whole.train.select(&wanted),
            test: for_evaluation(&whole.test),
            validation: whole.validation.as_ref().map(for_evaluation),
            ..whole.clone_without_samples()
        };
        Self { version: PORTION_VERSION, data, shards: own }
    }

    /// The bytes of its file.
    ///
    /// # Errors
    /// [`bytes::BytesError`] never in practice: it is plain data.
    pub fn to_bytes(&self) -> Result<Vec<u8>, bytes::BytesError> {
        bytes::to_bytes(self)
    }

    /// Reads its file.
    ///
    /// # Errors
    /// A message that says what is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let portion: Self = bytes::from_bytes(bytes, bytes.len() as u64)
            .map_err(|error| format!("is not a data portion: {error}"))?;
        if portion.version != PORTION_VERSION {
            return Err(format!("has format {}, this program reads {PORTION_VERSION}", portion.version));
        }
        Ok(portion)
    }

    /// The holdings of a device, with the changes of images that the plan asks for.
    ///
    /// # Errors
    /// [`LearnError`] when the plan has another number of shards, or changes that do not suit the data.
    pub fn holdings(self, plan: &LearningPlan, tables: &LearnTables) -> Result<Holdings, LearnError> {
        let augment =
            pipeline(&plan.data, &self.data.shape, tables).map_err(|e| LearnError::at("data", e))?;
        if self.shards.len() != plan.shards {
            let message =
                format!("the data pushed has {} shards, the plan {}", self.shards.len(), plan.shards);
            return Err(LearnError::at("data", OptionError::new("", message, "data made for this scenario")));
        }
        Ok(Holdings { data: self.data, augment, shards: self.shards })
    }
}
