//! Names of nodes. They become names of files, of certificates and words on command lines, so they are checked once,
//! where they are read, and have a type of their own from there on.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

/// Bytes of a name at most: a DNS label (RFC 1035, section 2.3.4), and so a file name and a certificate's name.
pub const NAME_MAX: usize = 63;

/// What a name may be, for messages.
pub const ALLOWED: &str = "1 to 63 of the characters a-z, A-Z, 0-9, `.`, `_` and `-`, the first one a letter, a digit \
                           or `_`";

/// The name of a node: 1 to [`NAME_MAX`] ASCII letters, digits, `.`, `_` or `-`, not first a dot or a dash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct NodeName(String);

/// A text that is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a name of a node, found `{}`; allowed: {ALLOWED}", shown(.0))]
pub struct NameError(pub String);

impl NodeName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] for any other text.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        if is_name(&text) { Ok(Self(text)) } else { Err(NameError(text)) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is a name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=NAME_MAX).contains(&text.len()) && !text.starts_with(['.', '-']) && text.bytes().all(allowed)
}

/// Two names that would be one file where letters' case does not count (macOS, Windows): their places, the earlier first.
#[must_use]
pub fn folded_twins<'a>(names: impl Iterator<Item = &'a str>) -> Option<(usize, usize)> {
    let mut seen = BTreeMap::new();
    names
        .enumerate()
        .find_map(|(i, name)| seen.insert(name.to_ascii_lowercase(), i).map(|earlier| (earlier, i)))
}

/// A name as messages show it: its start, with everything escaped that a terminal would obey.
fn shown(text: &str) -> String {
    let mut start: String = text.escape_debug().take(NAME_MAX).collect();
    if start.len() < text.len() {
        start.push_str("...");
    }
    start
}

impl Deref for NodeName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for NodeName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl AsRef<str> for NodeName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<std::path::Path> for NodeName {
    fn as_ref(&self) -> &std::path::Path {
        self.0.as_ref()
    }
}

impl PartialEq<str> for NodeName {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for NodeName {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_as_files_and_as_words() {
        for name in ["a", "worker1", "_x", "pi-3.lan", "0", "A_b.c-d", &"n".repeat(63)] {
            assert!(NodeName::new(name).is_ok(), "{name}");
        }
        for text in [
            "",
            ".",
            "..",
            "../x",
            ".hidden",
            "-x",
            "--help",
            "c/d",
            "c\\d",
            "a b",
            "a\nb",
            "a\u{1b}[31m",
            "ä",
            "a:b",
            "a%b",
            "a\0b",
            "$(id)",
            "*",
            &"n".repeat(64),
        ] {
            let error = NodeName::new(text).unwrap_err().to_string();
            assert!(error.contains("allowed: 1 to 63"), "{error}");
            assert!(!error.contains(['\u{1b}', '\n', '\0']), "{error:?}");
        }
        assert!(serde_json::from_str::<NodeName>("\"../x\"").is_err());
    }

    #[test]
    fn case_alone_does_not_tell_files_apart() {
        assert_eq!(folded_twins(["a", "b", "A"].into_iter()), Some((0, 2)));
        assert_eq!(folded_twins(["a", "b"].into_iter()), None);
    }
}
