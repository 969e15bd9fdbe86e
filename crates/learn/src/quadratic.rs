//! A learner with an exact optimum, for tests of policies without a network.
//!
//! Function i is f_i(x) = 1/2 sum_d a_id (x_d - b_id)^2; the objective is the mean of all f_i, whose minimum
//! is x_d = sum_i a_id b_id / sum_i a_id.

use super::kernels::Isa;
use super::local::{Buffers, LocalRule, Site, StepLoss, run};
use super::{Cost, EvalPart, GoOn, Learner, Split};
use hcddl_core::domain::work::{Train, Trained};
use hcddl_core::domain::{NodeId, Stream};

/// Diagonal quadratic functions, one for each shard; a batch is one look at the function.
#[derive(Clone, Debug)]
pub struct Quadratic {
    /// The functions, in order of the shards.
    pub functions: Vec<Function>,
    /// Which function a node holds, in order of the nodes.
    pub shards: Vec<Option<u32>>,
    /// What a node does with its gradients.
    pub rule: LocalRule,
    /// Standard deviation of the noise on every element of a gradient; 0 for exact gradients.
    pub noise: f64,
    /// Names the stream of the noise.
    pub seed: u64,
    /// Batches that count as an epoch.
    pub batches_per_epoch: u64,
}

/// f(x) = 1/2 sum_d a_d (x_d - b_d)^2.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Curvatures, above 0.
    pub a: Vec<f32>,
    /// The minimum.
    pub b: Vec<f32>,
}

impl Function {
    /// Its value.
    #[must_use]
    pub fn value(&self, x: &[f32]) -> f64 {
        let term =
            |((x, a), b): ((&f32, &f32), &f32)| f64::from(*a) * (f64::from(*x) - f64::from(*b)).powi(2);
        0.5 * x.iter().zip(&self.a).zip(&self.b).map(term).sum::<f64>()
    }
}

impl Quadratic {
    /// Random functions of `dim` parameters: curvatures uniform in [0.5, 1.5), minima standard normal times
    /// `heterogeneity` around one common standard normal point. Plain SGD with learning rate 0.1, no noise.
    #[must_use]
    pub fn random(dim: usize, shards: Vec<Option<u32>>, heterogeneity: f64, seed: u64) -> Self {
        let mut common = Stream::new(seed, "quadratic", 0, 0);
        let centre: Vec<f64> = (0..dim).map(|_| common.normal()).collect();
        let count = shards.iter().flatten().max().map_or(0, |most| u64::from(*most) + 1);
        let function = |i: u64| {
            let mut stream = Stream::new(seed, "quadratic", 1, i);
            let a = (0..dim).map(|_| (0.5 + stream.uniform()) as f32).collect();
            let b = centre.iter().map(|c| (c + heterogeneity * stream.normal()) as f32).collect();
            Function { a, b }
        };
        let functions = (0..count).map(function).collect();
        Self { functions, shards, rule: LocalRule::sgd(0.1), noise: 0.0, seed, batches_per_epoch: 1 }
    }

    /// Where the mean of all functions is least.
    #[must_use]
    pub fn optimum(&self) -> Vec<f32> {
        (0..self.params_len())
            .map(|d| {
                let weighted: f64 =
                    self.functions.iter().map(|f| f64::from(f.a[d]) * f64::from(f.b[d])).sum();
                (weighted / self.functions.iter().map(|f| f64::from(f.a[d])).sum::<f64>()) as f32
            })
            .collect()
    }

    /// The mean of all functions.
    #[must_use]
    pub fn objective(&self, x: &[f32]) -> f64 {
        self.functions.iter().map(|f| f.value(x)).sum::<f64>() / self.functions.len() as f64
    }

    fn shard(&self, node: NodeId) -> Option<(u32, &Function)> {
        let shard = self.shards.get(node.index()).copied().flatten()?;
        self.functions.get(shard as usize).map(|f| (shard, f))
    }
}

impl Learner for Quadratic {
    fn params_len(&self) -> usize {
        self.functions.first().map_or(0, |f| f.a.len())
    }

    fn init(&self, seed: u64) -> Vec<f32> {
        let mut stream = Stream::new(seed, "init", 0, 0);
        (0..self.params_len()).map(|_| stream.normal() as f32).collect()
    }

    fn train(&self, node: NodeId, job: &Train) -> Result<Trained, String> {
        self.train_while(node, job, &|| true)
    }

    fn train_while(&self, node: NodeId, job: &Train, go_on: GoOn<'_>) -> Result<Trained, String> {
        let Some((shard, function)) = self.shard(node) else {
            return Err(format!("{node} holds no function"));
        };
        let site = Site {
            isa: Isa::best(),
            params_len: self.params_len(),
            statistics: &[],
            epoch: self.batches_per_epoch.max(1),
        };
        run(site, job, &self.rule, &mut Buffers::default(), go_on, |at, cursor, out| {
            let mut stream = Stream::new(self.seed, "gradient noise", u64::from(shard), cursor);
            for (((out, x), a), b) in out.iter_mut().zip(at).zip(&function.a).zip(&function.b) {
                *out = a * (x - b);
                if self.noise > 0.0 {
                    *out += (self.noise * stream.normal()) as f32;
                }
            }
            Ok(StepLoss { loss: function.value(at), samples: 1 })
        })
    }

    fn evaluate(&self, model: &[f32], split: Split, _part: usize) -> EvalPart {
        match split {
            Split::Test | Split::Validation => {
                let loss_sum = self.functions.iter().map(|f| f.value(model)).sum();
                EvalPart { loss_sum, correct: 0.0, count: self.functions.len() as u64 }
            }
            Split::Shard(node) => self.shard(node).map_or_else(EvalPart::default, |(_, f)| EvalPart {
                loss_sum: f.value(model),
                correct: 0.0,
                count: 1,
            }),
        }
    }

    fn eval_parts(&self, _split: Split) -> usize {
        1
    }

    fn shard_len(&self, node: NodeId) -> usize {
        usize::from(self.shard(node).is_some())
    }

    fn batches_per_epoch(&self, _node: NodeId) -> u64 {
        self.batches_per_epoch.max(1)
    }

    fn cost(&self) -> Cost {
        let params = self.params_len();
        Cost { forward_flops: 4.0 * params as f64, activation_bytes: 4.0 * params as f64, params, batch: 1 }
    }

    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        vec![("x".to_owned(), vec![self.params_len()])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_core::domain::Params;
    use hcddl_core::domain::work::UpdateKind;

    fn job(model: &[f32], steps: u64, output: UpdateKind) -> Train {
        Train { model: Params::new(model.to_vec()), opt: None, cursor: 0, steps, output, lr_scale: 1.0 }
    }

    #[test]
    fn the_mean_gradient_vanishes_at_the_optimum_and_descent_finds_it() {
        let learner = Quadratic::random(5, vec![None, Some(0), Some(1), Some(2)], 1.0, 3);
        let gradient = |at: &[f32]| {
            let mut sum = vec![0.0; 5];
            for node in 1..4 {
                let trained = learner.train(NodeId(node), &job(at, 1, UpdateKind::Gradient)).unwrap();
                sum.iter_mut().zip(trained.tensor.values().unwrap()).for_each(|(s, g)| *s += g / 3.0);
            }
            sum
        };
        assert!(gradient(&learner.optimum()).iter().all(|g| g.abs() < 1e-6));
        let mut x = learner.init(1);
        for _ in 0..200 {
            let g = gradient(&x);
            x.iter_mut().zip(g).for_each(|(x, g)| *x -= 0.5 * g);
        }
        assert!(x.iter().zip(learner.optimum()).all(|(x, o)| (x - o).abs() < 1e-5));
        assert!(learner.objective(&x) <= learner.objective(&learner.init(1)));
    }

    #[test]
    fn noise_is_a_function_of_shard_and_cursor() {
        let learner = Quadratic { noise: 1.0, ..Quadratic::random(3, vec![Some(0), Some(1)], 0.0, 3) };
        let train = |node: u32, cursor: u64| {
            let job = Train { cursor, ..job(&[0.0; 3], 1, UpdateKind::Gradient) };
            learner.train(NodeId(node), &job).unwrap().tensor
        };
        assert_eq!(train(0, 4), train(0, 4));
        assert_ne!(train(0, 4), train(0, 5));
        assert_ne!(train(0, 4), train(1, 4));
        assert!(learner.train(NodeId(2), &job(&[0.0; 3], 1, UpdateKind::Delta)).is_err());
    }
}
