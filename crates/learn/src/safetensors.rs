//! The flat vector as named tensors in a safetensors file, which Python's `safetensors` reads too.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::path::Path;

/// Names and shapes of the tensors in flat order, as [`super::Learner::tensors`] gives them.
pub type Tensors = [(String, Vec<usize>)];

fn len(tensors: &Tensors) -> usize {
    tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

/// The bytes of a file.
///
/// # Errors
/// When there are more or fewer values than the tensors hold.
pub fn to_bytes(tensors: &Tensors, values: &[f32]) -> Result<Vec<u8>, String> {
    if values.len() != len(tensors) {
        return Err(format!("{} values for tensors of {}", values.len(), len(tensors)));
    }
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut rest = bytes.as_slice();
    let mut views = Vec::with_capacity(tensors.len());
    for (name, shape) in tensors {
        let (own, after) = rest.split_at(4 * shape.iter().product::<usize>());
        rest = after;
        let view = TensorView::new(Dtype::F32, shape.clone(), own).map_err(|e| e.to_string())?;
        views.push((name.as_str(), view));
    }
    safetensors::serialize(views, None).map_err(|e| e.to_string())
}

/// The values in a file's bytes, in the flat order of `tensors`.
///
/// # Errors
/// Bytes that are not such a file; a tensor that is missing, of another shape or not f32.
pub fn from_bytes(bytes: &[u8], tensors: &Tensors) -> Result<Vec<f32>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("not a safetensors file: {e}"))?;
    let mut values = Vec::with_capacity(len(tensors));
    for (name, shape) in tensors {
        let Ok(tensor) = file.tensor(name) else {
            return Err(format!("no tensor `{name}`; it holds {}", file.names().join(", ")));
        };
        if tensor.shape() != shape || tensor.dtype() != Dtype::F32 {
            let (found, dtype) = (tensor.shape(), tensor.dtype());
            return Err(format!("tensor `{name}` is {dtype:?} {found:?}, the model needs F32 {shape:?}"));
        }
        let words = tensor.data().chunks_exact(4);
        values.extend(words.map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]])));
    }
    Ok(values)
}

/// Writes a file.
///
/// # Errors
/// As [`to_bytes`], or the file cannot be written.
pub fn save(path: &Path, tensors: &Tensors, values: &[f32]) -> Result<(), String> {
    let bytes = to_bytes(tensors, values)?;
    hcddl_files::atomic::replace(path, &bytes)
        .map_err(|e| format!("`{}` cannot be written: {e}", path.display()))
}

/// Reads a file.
///
/// # Errors
/// As [`from_bytes`], or the file cannot be read.
pub fn load(path: &Path, tensors: &Tensors) -> Result<Vec<f32>, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("`{}` cannot be read: {e}", path.display()))?;
    from_bytes(&bytes, tensors).map_err(|message| format!("`{}`: {message}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tensors() -> Vec<(String, Vec<usize>)> {
        vec![("b.weight".to_owned(), vec![2, 3]), ("a.bias".to_owned(), vec![3])]
    }

    #[test]
    fn what_was_saved_is_loaded_in_flat_order() {
        let values: Vec<f32> = (0..9).map(|i| i as f32 * 0.5).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        save(&path, &tensors(), &values).unwrap();
        assert_eq!(load(&path, &tensors()), Ok(values));
    }

    #[test]
    fn another_model_is_refused_by_name() {
        let bytes = to_bytes(&tensors(), &[0.0; 9]).unwrap();
        let mut other = tensors();
        other[1].1 = vec![4];
        assert!(from_bytes(&bytes, &other).unwrap_err().contains("`a.bias` is F32 [3]"));
        other[1].0 = "c".to_owned();
        assert!(from_bytes(&bytes, &other).unwrap_err().contains("no tensor `c`"));
        assert!(to_bytes(&tensors(), &[0.0; 8]).is_err());
        assert!(load(Path::new("/nowhere"), &tensors()).unwrap_err().contains("cannot be read"));
    }

    proptest! {
        #[test]
        fn reading_never_panics(cut in 0usize..200, noise in prop::collection::vec((0usize..200, any::<u8>()), 0..5)) {
            let mut bytes = to_bytes(&tensors(), &[1.0; 9]).unwrap();
            for (at, byte) in noise {
                if let Some(b) = bytes.get_mut(at) {
                    *b = byte;
                }
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _ = from_bytes(&bytes, &tensors());
        }
    }
}
