//! Tokens: what a device or a controller shows, as one file each.

use crate::transport::Identity;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Certificate of the authority, own certificate and key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Token {
    /// Whose it is: `controller` or `device`.
    pub of: String,
    authority: String,
    certificate: String,
    key: String,
}

impl Token {
    fn new(of: &str, identity: Identity) -> Self {
        let Identity { authority, certificate, key } = identity;
        Self { of: of.to_owned(), authority, certificate, key }
    }

    /// Reads a token of the controller or of devices.
    ///
    /// # Errors
    /// When the file is missing, is not a token, or is that of the other end.
    pub fn read(path: &Path, of: &str) -> anyhow::Result<Self> {
        let next = "`hcddl deploy token DIR` makes a pair";
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the token `{}`; {next}", path.display()))?;
        let token: Self = serde_json::from_str(&text)
            .with_context(|| format!("`{}` is not a token; {next}", path.display()))?;
        anyhow::ensure!(
            token.of == of,
            "`{}` is the token of a {}, not of a {of}; take the other file of the pair",
            path.display(),
            token.of
        );
        Ok(token)
    }

    /// What it proves.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let Self { authority, certificate, key, .. } = self.clone();
        Identity { authority, certificate, key }
    }
}

/// Writes a new pair into a directory: `controller.token` and `device.token`, readable by their owner alone.
///
/// # Errors
/// When files cannot be written, or are there already.
pub fn write_tokens(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
    let (controller, device) = crate::transport::door::identities()?;
    for (of, identity) in [("controller", controller), ("device", device)] {
        let path = dir.join(format!("{of}.token"));
        anyhow::ensure!(!path.exists(), "`{}` is there already; devices may be using it", path.display());
        let context = || format!("cannot write `{}`", path.display());
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(context)?;
        let text = serde_json::to_string(&Token::new(of, identity))?;
        std::fs::write(&path, text + "\n").with_context(context)?;
    }
    Ok(())
}
