//! Doing the work: the real computation behind a job. A pure function of the job and the run's learner and
//! codecs, so it may run on any thread at any time.

use hcddl_core::compress::{Codec, apart};
use hcddl_core::domain::{Coded, Data, NodeId, OptionError, Params, Seeds, Stream};
use hcddl_core::node::work::{Outcome, Trained, Work};
use hcddl_core::policy::fold;
use hcddl_learn::{GoOn, Learner};
use hcddl_plan::plan::Plan;
use hcddl_plan::registry::Registry;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// What jobs need besides their own description.
#[derive(Clone)]
pub struct Tools {
    pub learner: Arc<dyn Learner>,
    pub codecs: Arc<Vec<Arc<dyn Codec>>>,
    /// Where the model's running statistics lie.
    pub statistics: Arc<[Range<usize>]>,
    pub seeds: Seeds,
    pub timing_only: bool,
}

impl Tools {
    /// The tools of a plan.
    ///
    /// # Errors
    /// When a codec of the plan cannot be built (a checked plan always can).
    pub fn new(plan: &Plan, registry: &Registry, learner: Arc<dyn Learner>) -> Result<Self, OptionError> {
        let codec = |choice| registry.codecs.resolve(choice).and_then(|(row, choice)| (row.build)(&choice));
        let codecs: Result<Vec<_>, OptionError> = plan.codecs.iter().map(codec).collect();
        let statistics = learner.statistics();
        let codecs: Vec<_> = codecs?.into_iter().map(|codec| apart(codec, &statistics)).collect();
        Ok(Self {
            learner,
            statistics: statistics.into(),
            codecs: Arc::new(codecs),
            seeds: plan.seeds,
            timing_only: plan.timing_only,
        })
    }

    /// Computes a job's result.
    pub fn execute(&self, node: NodeId, work: Work) -> Outcome {
        self.execute_while(node, work, &|| true)
    }

    /// As [`Tools::execute`]; training ends after the current step when `go_on` says no, with the steps done so
    /// far, which are those of a job with fewer steps.
    pub fn execute_while(&self, node: NodeId, work: Work, go_on: GoOn<'_>) -> Outcome {
        match work {
            Work::Train(job) if job.model.len() != self.learner.params_len() => Outcome::Failed(format!(
                "its server sent a model of {} values, expected {}",
                job.model.len(),
                self.learner.params_len()
            )),
            Work::Train(job) if self.timing_only || job.model.values().is_none() => {
                let batch = self.learner.cost().batch.min(self.learner.shard_len(node)) as u64;
                Outcome::Trained(Trained {
                    tensor: Params::absent(self.learner.params_len()),
                    opt: None,
                    steps: job.steps,
                    samples: job.steps * batch,
                    loss: f32::NAN,
                    forward_passes: job.steps * batch,
                    skipped: None,
                })
            }
            Work::Train(job) => match self.learner.train_while(node, &job, go_on) {
                Ok(trained) => Outcome::Trained(trained),
                Err(why) => Outcome::Failed(why),
            },
            Work::Fold(job) => Outcome::Folded(Box::new(fold::run(*job, &self.statistics))),
            Work::Encode { tensor, residual, codec, counter } => {
                self.encode(node, &tensor, residual, &self.codecs[usize::from(codec)], counter)
            }
            Work::Decode { data, codec } => {
                let len = self.learner.params_len();
                Outcome::Decoded(decode(data, self.codecs[usize::from(codec)].as_ref(), len))
            }
        }
    }

    fn encode(
        &self,
        node: NodeId,
        tensor: &Params,
        residual: Option<Params>,
        codec: &Arc<dyn Codec>,
        counter: u64,
    ) -> Outcome {
        let len = tensor.len();
        let mut left = codec
            .keeps_residual()
            .then(|| residual.and_then(Params::into_values).unwrap_or_else(|| vec![0.0; len]));
        let payload = tensor.values().map(|values| {
            let mut stream = Stream::new(self.seeds.data, "codec", u64::from(node.0), counter);
            Arc::new(codec.encode(values, left.as_deref_mut(), &mut stream))
        });
        let coded = Coded { codec: Cow::Borrowed(codec.name()), len, bytes: codec.bytes(len), payload };
        let residual =
            left.map(|l| if tensor.values().is_some() { Params::new(l) } else { Params::absent(len) });
        Outcome::Encoded { data: Data::Coded(coded), residual }
    }
}

/// The tensor of `len` values that was coded. What cannot be decoded, or has another length, comes out without values:
/// who gets it refuses it by its length, and says from whom it came.
fn decode(data: Data, codec: &dyn Codec, len: usize) -> Params {
    let coded = match data {
        Data::Dense(params) => return params,
        Data::Coded(coded) => coded,
    };
    if coded.len != len {
        return Params::absent(coded.len);
    }
    let Some(payload) = coded.payload else { return Params::absent(len) };
    let mut values = vec![0.0; len];
    match codec.decode(&payload, &mut values) {
        Ok(()) => Params::new(values),
        Err(why) => {
            tracing::warn!("a tensor coded by {} cannot be decoded: {why}", coded.codec);
            Params::absent(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_decoded_has_no_values() {
        for row in hcddl_core::compress::table().rows() {
            let codec = (row.build)(&hcddl_core::domain::Choice::named(row.name)).unwrap();
            let coded = |len, bytes: &[u8]| {
                let payload = Some(Arc::new(bytes.to_vec()));
                Data::Coded(Coded { codec: row.name.into(), len, bytes: bytes.len() as u64, payload })
            };
            let good = codec.encode(&[1.0; 40], None, &mut Stream::new(1, "codec", 0, 0));
            assert_eq!(decode(coded(40, &good), codec.as_ref(), 40).len(), 40, "{}", row.name);
            assert_eq!(decode(coded(40, &good[..3]), codec.as_ref(), 40).len(), 0, "{}", row.name);
            // A length that a stranger claims takes no memory.
            let claimed = decode(coded(usize::MAX, &good), codec.as_ref(), 40);
            assert_eq!((claimed.len(), claimed.values()), (usize::MAX, None), "{}", row.name);
        }
    }
}
