//! Commands on a host: through the system's SSH, or on this machine.

mod local;
mod ssh;
mod transfer;

pub use transfer::{Archive, sha256};

use super::inventory::Host;
use super::join::Joined;
use openssh::Session;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Why a host did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// There is no connection.
    #[error("`{host}` cannot be reached: {problem}")]
    Unreachable {
        /// Name of the host.
        host: String,
        /// What SSH said, and the next step.
        problem: String,
    },
    /// A command failed.
    #[error("`{host}`: cannot {doing}: {problem}")]
    Failed {
        /// Name of the host.
        host: String,
        /// What was tried.
        doing: String,
        /// What the command said.
        problem: String,
    },
}

/// Bytes that a command may say: none of ours says much, and a host is not trusted with our memory.
const OUTPUT_MAX: usize = 64 << 20;

/// A way to a host.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Name of the host.
    pub name: String,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Local,
    Ssh(Arc<ssh::Line>),
    Joined(Joined),
}

/// A command that runs, its streams at hand. It ends when this is dropped (through SSH: when its input ends).
pub struct Process {
    /// Its standard input; dropping it is the end of the file.
    pub stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// Its standard output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Its standard error.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    child: Running,
}

enum Running {
    Local(tokio::process::Child),
    Ssh(openssh::Child<Arc<Session>>),
    Joined(tokio::sync::oneshot::Receiver<Result<Option<i32>, String>>),
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Output {
    /// Exit code; `None` for a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error as text, without white space at its ends.
    pub stderr: String,
}

impl Remote {
    /// Connects to a host. `control` is a directory for SSH's sockets; it must outlive the connection.
    ///
    /// # Errors
    /// [`RemoteError::Unreachable`] with what SSH says.
    pub async fn connect(host: &Host, timeout: Duration, control: &Path) -> Result<Self, RemoteError> {
        let way = if host.local {
            Way::Local
        } else {
            let line = ssh::Line::open(host, timeout, control).await;
            Way::Ssh(Arc::new(
                line.map_err(|problem| RemoteError::Unreachable { host: host.name.clone(), problem })?,
            ))
        };
        Ok(Self { name: host.name.clone(), way })
    }

    /// A device that has come by itself.
    #[must_use]
    pub fn joined(host: &Host, device: Joined) -> Self {
        Self { name: host.name.clone(), way: Way::Joined(device) }
    }

    /// Whether commands run on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self.way, Way::Local)
    }

    /// Whether it is a device that has come by itself.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        matches!(self.way, Way::Joined(_))
    }

    /// Starts a script of the POSIX shell.
    ///
    /// # Errors
    /// [`RemoteError::Failed`] when not even the shell starts.
    pub async fn start(&self, doing: &str, script: &str) -> Result<Process, RemoteError> {
        let started = match &self.way {
            Way::Local => local::start(script),
            Way::Ssh(line) => line.start(script).await,
            Way::Joined(device) => device.start(script).await.map(|script| Process {
                stdin: Some(Box::new(script.stdin)),
                stdout: Box::new(script.stdout),
                stderr: Box::new(script.stderr),
                child: Running::Joined(script.exit),
            }),
        };
        started.map_err(|problem| self.failed(doing, problem))
    }

    /// Runs a script of the POSIX shell to its end. Secrets belong into `stdin`: a script shows in lists of processes.
    ///
    /// # Errors
    /// [`RemoteError::Failed`] when the shell does not start or the connection breaks; a code that is not 0 is not an error.
    pub async fn run(&self, doing: &str, script: &str, stdin: &[u8]) -> Result<Output, RemoteError> {
        let mut process = self.start(doing, script).await?;
        let mut input = process.stdin.take().expect("a new process has an input");
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let feed = async {
            // A command that has read enough closes its input; its code tells whether that was well.
            let _ = input.write_all(stdin).await;
            let _ = input.shutdown().await;
            drop(input);
            Ok(())
        };
        let bounded = |count: usize| match count > OUTPUT_MAX {
            true => Err(std::io::Error::other(format!("it said more than {OUTPUT_MAX} bytes"))),
            false => Ok(()),
        };
        let max = OUTPUT_MAX as u64 + 1;
        let read_out = async { bounded((&mut process.stdout).take(max).read_to_end(&mut stdout).await?) };
        let read_err = async { bounded((&mut process.stderr).take(max).read_to_end(&mut stderr).await?) };
        tokio::try_join!(feed, read_out, read_err)
            .map_err(|error: std::io::Error| self.failed(doing, error.to_string()))?;
        let code = process.wait().await.map_err(|problem| {
            let said = String::from_utf8_lossy(&stderr);
            self.failed(doing, if said.trim().is_empty() { problem } else { said.trim().to_owned() })
        })?;
        Ok(Output { code, stdout, stderr: String::from_utf8_lossy(&stderr).trim().to_owned() })
    }

    /// Runs a script that must end with code 0; what it prints.
    ///
    /// # Errors
    /// As [`Remote::run`], and with what it said when it ended with another code.
    pub async fn must(&self, doing: &str, script: &str, stdin: &[u8]) -> Result<Vec<u8>, RemoteError> {
        let output = self.run(doing, script, stdin).await?;
        match output.code {
            Some(0) => Ok(output.stdout),
            code => {
                let ended = code.map_or("by a signal".to_owned(), |code| format!("with code {code}"));
                let said = if output.stderr.is_empty() { format!("it ended {ended}") } else { output.stderr };
                Err(self.failed(doing, said))
            }
        }
    }

    /// An error of this host.
    #[must_use]
    pub fn failed(&self, doing: &str, problem: String) -> RemoteError {
        RemoteError::Failed { host: self.name.clone(), doing: doing.to_owned(), problem }
    }

    /// Ends the connection.
    pub async fn close(self) {
        if let Way::Ssh(line) = self.way
            && let Ok(line) = Arc::try_unwrap(line)
        {
            line.close().await;
        }
    }
}

impl Process {
    /// Waits for its end; its exit code.
    ///
    /// # Errors
    /// What SSH says when the connection broke.
    pub async fn wait(self) -> Result<Option<i32>, String> {
        drop(self.stdin);
        match self.child {
            Running::Local(mut child) => {
                child.wait().await.map(|s| s.code()).map_err(|error| error.to_string())
            }
            Running::Ssh(child) => match child.wait().await {
                Ok(status) => Ok(status.code()),
                Err(openssh::Error::RemoteProcessTerminated) => Err("the connection broke".to_owned()),
                Err(error) => Err(ssh::explain(&error)),
            },
            Running::Joined(exit) => exit.await.unwrap_or_else(|_| Err("the connection broke".to_owned())),
        }
    }
}

/// A word for the shell that stands for this text.
#[must_use]
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn here() -> Remote {
        Remote::connect(&Host::here(), Duration::from_secs(1), Path::new("")).await.unwrap()
    }

    #[tokio::test]
    async fn scripts_get_their_input_and_tell_their_code() {
        let here = here().await;
        let output = here.run("echo", "cat; echo no >&2; exit 7", b"yes").await.unwrap();
        assert_eq!(
            (output.code, output.stdout.as_slice(), output.stderr.as_str()),
            (Some(7), &b"yes"[..], "no")
        );
        let error = here.must("try", "echo because >&2; exit 1", b"").await.unwrap_err().to_string();
        assert_eq!(error, "`localhost`: cannot try: because");
        // More than a pipe holds, in both directions, and an input that nobody reads.
        let much = vec![b'x'; 1 << 20];
        assert_eq!(here.must("copy", "cat", &much).await.unwrap().len(), much.len());
        assert_eq!(here.must("ignore", "true", &much).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn quoted_words_arrive_whole() {
        for text in ["plain/1.x", "a b", "it's", "$HOME `x` \"y\"", "", "~/x"] {
            let script = format!("printf %s {}", quote(text));
            assert_eq!(here().await.must("print", &script, b"").await.unwrap(), text.as_bytes());
        }
    }
}
