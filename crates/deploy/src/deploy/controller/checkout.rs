//! Which state of the user's own repository a run was made from.

use std::io;
use std::path::Path;
use std::process::Command;

/// Name of the file in a run directory.
pub const FILE: &str = "checkout.txt";

/// Writes commit, changed files and changes of the repository around `near`, if it is in one and git is here.
///
/// # Errors
/// When the file cannot be written.
pub fn record(near: &Path, run: &Path) -> io::Result<()> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(near).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return Ok(()) };
    let changed = git(&["status", "--short"]).unwrap_or_default();
    let changes = git(&["diff", "HEAD"]).unwrap_or_default();
    hcddl_files::atomic::replace(&run.join(FILE), format!("commit {commit}{changed}\n{changes}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commit_and_local_changes_are_kept_where_there_are_any() {
        let dir = tempfile::tempdir().unwrap();
        let (repository, run) = (dir.path().join("repository"), dir.path().join("run"));
        std::fs::create_dir_all(&repository).unwrap();
        std::fs::create_dir_all(&run).unwrap();
        record(&repository, &run).unwrap();
        assert!(!run.join(FILE).exists(), "outside of a repository");
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
            let done = Command::new("git").arg("-C").arg(&repository).args(identity).args(arguments).output();
            assert!(done.unwrap().status.success(), "git {arguments:?}");
        };
        git(&["init", "--quiet"]);
        std::fs::write(repository.join("a.yml"), "rounds: 1\n").unwrap();
        git(&["add", "a.yml"]);
        git(&["commit", "--quiet", "--message", "one"]);
        std::fs::write(repository.join("a.yml"), "rounds: 2\n").unwrap();
        record(&repository, &run).unwrap();
        let text = std::fs::read_to_string(run.join(FILE)).unwrap();
        assert!(
            text.starts_with("commit ") && text.contains(" M a.yml") && text.contains("+rounds: 2"),
            "{text}"
        );
    }
}
