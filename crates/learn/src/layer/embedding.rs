//! Embedding: a row of weights for each token.

use super::{Backward, Forward, Layer, Pass, Role, Tensor};
use hcddl_core::domain::operation::{Kind, Operation};

/// `y = W[x]`. x is a token's id as a number (exact below 2^24). Parameter: W `[vocabulary, width]`. The padding
/// token's row has no gradient.
///
/// Both passes panic if an id is not a whole number below `vocabulary`; data sets check theirs.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// Number of tokens.
    pub vocabulary: usize,
    /// Values of a token's row.
    pub width: usize,
    /// The token that stands for nothing.
    pub padding: Option<usize>,
}

impl Embedding {
    /// The token of an id.
    fn token(&self, id: f32) -> usize {
        let token = id as usize;
        assert!(
            token < self.vocabulary && token as f32 == id,
            "token id {id} is not one of the {} of the embedding",
            self.vocabulary
        );
        token
    }
}

impl Layer for Embedding {
    fn kind(&self) -> &'static str {
        "embedding"
    }

    fn input_len(&self) -> usize {
        1
    }

    fn output_len(&self) -> usize {
        self.width
    }

    fn tensors(&self) -> Vec<Tensor> {
        let role = Role::Embedding { padding: self.padding };
        let shape = vec![self.vocabulary, self.width];
        vec![Tensor::new("weight", shape, role).fans(self.vocabulary, self.width)]
    }

    fn forward_flops(&self) -> f64 {
        self.width as f64
    }

    fn rows_apart(&self) -> bool {
        true
    }

    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        let (size, weights) = ([self.width, pass.rows()], self.vocabulary * self.width);
        all.push(Operation::new(Kind::Embedding, size, 1));
        all.push(Operation::new(Kind::Fill, [weights], 1).far(weights));
        all.push(Operation::new(Kind::Embedding, size, 1));
    }

    fn forward(&self, _pass: Pass, params: &[f32], io: Forward<'_>) {
        for (id, y) in io.x.iter().zip(io.y.chunks_exact_mut(self.width)) {
            y.copy_from_slice(&params[self.token(*id) * self.width..][..self.width]);
        }
    }

    fn backward(&self, _pass: Pass, _params: &[f32], io: Backward<'_>) {
        io.gradient.fill(0.0);
        for (id, dy) in io.x.iter().zip(io.dy.chunks_exact(self.width)) {
            let token = self.token(*id);
            if Some(token) != self.padding {
                let row = &mut io.gradient[token * self.width..][..self.width];
                row.iter_mut().zip(dy).for_each(|(sum, d)| *sum += d);
            }
        }
        if let Some(dx) = io.dx {
            dx.fill(0.0);
        }
    }
}
