//! Doors of the fuzz targets to what is private here.

use super::Token;
use futures_util::FutureExt;

/// Frames between desk and device.
pub fn frames(mut bytes: &[u8]) {
    while let Some(Ok(frame)) = super::frame::hear(&mut bytes).now_or_never() {
        let mut said = Vec::new();
        let _ = super::frame::say(&mut said, &frame).now_or_never();
    }
}

/// A token.
pub fn token(bytes: &[u8]) {
    if let Ok(token) = serde_json::from_slice::<Token>(bytes) {
        crate::transport::fuzzing::identity(&token.identity());
    }
}
