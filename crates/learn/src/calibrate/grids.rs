//! Sizes at which each kind of kernel is measured.

use hcddl_core::domain::operation::Kind;

/// Lengths of vectors.
const VALUES: &[u32] =
    &[1, 8, 16, 32, 64, 128, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];
const M: &[u32] = &[1, 2, 4, 8, 12, 16, 32, 64, 128, 256, 1024];
const N: &[u32] = &[1, 10, 16, 32, 64, 128, 256, 1024];
/// Rows of 256 values and of multiples of that are where caches collide, so that others next to them are measured as well.
const K: &[u32] = &[1, 4, 8, 16, 32, 64, 120, 128, 136, 248, 256, 264, 504, 512, 520, 1016, 1024, 1032, 4096];
const RUNS: &[u32] = &[1, 4, 32, 256, 2048, 16_384];

/// The measured sizes of each of the first sides of a kind.
pub(super) fn axes(kind: Kind) -> Vec<&'static [u32]> {
    match kind {
        Kind::Product | Kind::ProductLeft | Kind::ProductRight => vec![M, N, K],
        Kind::ProductStrips => vec![
            &[1, 2, 3, 4, 6, 8, 12, 16, 32, 64],
            &[16, 32, 64, 128, 256, 576, 1024],
            &[4, 9, 16, 27, 64, 150, 288, 512],
        ],
        Kind::ProductDot | Kind::ProductDotStrips => vec![
            &[1, 2, 3, 4, 6, 8, 16, 32, 64],
            &[1, 4, 9, 16, 27, 64, 150, 288, 576],
            &[1, 16, 36, 64, 144, 256, 576, 1024, 4096],
        ],
        Kind::Unfold | Kind::UnfoldStrided | Kind::Fold | Kind::FoldStrided => {
            vec![&[1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 512], &[8, 64, 512, 4096, 32_768]]
        }
        Kind::Transpose => {
            vec![&[1, 2, 4, 8, 16, 32, 64, 128, 512, 4096], &[1, 2, 4, 8, 16, 32, 64, 128, 512, 4096]]
        }
        Kind::Copy => vec![&[1, 4, 16, 64, 256, 1024, 4096, 65_536, 1_048_576, 4_194_304], &[1, 8, 64, 512]],
        Kind::FillRows | Kind::SumRows | Kind::LayerNorm | Kind::LayerNormBackward => {
            vec![&[1, 4, 10, 16, 32, 64, 128, 256, 1024, 4096], &[1, 4, 8, 32, 128, 1024, 4096]]
        }
        Kind::BatchNorm | Kind::BatchNormBackward => {
            vec![&[1, 4, 16, 36, 64, 144, 256, 1024], &[1, 2, 4, 8, 16, 32, 64, 128]]
        }
        Kind::GroupNorm | Kind::GroupNormBackward => {
            vec![&[1, 4, 9, 16, 36, 64, 144, 256, 576, 1024], &[1, 2, 8, 16, 32, 64], &[2, 64, 512]]
        }
        Kind::Pool | Kind::PoolBackward | Kind::MeanPool | Kind::MeanPoolBackward => {
            vec![&[2, 4, 6, 8, 12, 16, 24, 28, 32, 64], &[1, 16, 256, 2048]]
        }
        Kind::PoolWide | Kind::PoolWideBackward => vec![&[4, 9, 16, 25], &[16, 256, 4096, 65_536]],
        Kind::Depthwise | Kind::DepthwiseBackward => vec![&[1, 2, 4, 8, 16, 32], &[4, 64, 512]],
        Kind::LstmGates | Kind::LstmGatesBackward | Kind::GruGates | Kind::GruGatesBackward => {
            vec![&[4, 16, 32, 64, 128, 256, 512, 1024]]
        }
        Kind::Embedding => vec![&[1, 4, 8, 32, 128, 512], RUNS],
        Kind::Loss => vec![&[1, 2, 10, 18, 32, 62, 100, 256, 1024], &[1, 8, 32, 128, 1024]],
        Kind::Call => vec![&[1]],
        _ => vec![VALUES],
    }
}

/// The sides that are no axes, while measuring.
pub(super) fn rest(kind: Kind) -> [u32; 3] {
    match kind {
        Kind::BatchNorm | Kind::BatchNormBackward => [1, 1, 16],
        Kind::Depthwise | Kind::DepthwiseBackward => [1, 1, 9],
        _ => [1; 3],
    }
}
