//! The program for each device: nothing is ever compiled there.

use super::Probe;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Architectures with the names that `uname -m` has for them, and the target of a static build.
const ARCHITECTURES: &[(&str, &[&str], &str)] = &[
    ("x86_64", &["x86_64", "amd64"], "x86_64-unknown-linux-musl"),
    ("aarch64", &["aarch64", "arm64"], "aarch64-unknown-linux-musl"),
    ("armv7", &["armv7", "armv7l", "armv8l"], "armv7-unknown-linux-musleabihf"),
    ("armv6", &["armv6", "armv6l"], "arm-unknown-linux-musleabihf"),
    ("i686", &["i686", "i586", "i386"], "i686-unknown-linux-musl"),
    ("riscv64", &["riscv64"], "riscv64gc-unknown-linux-musl"),
];

/// Which programs there are.
#[derive(Clone, Debug, Default)]
pub struct Binaries {
    /// `--binary ARCH=PATH`, by the names of [`architecture`].
    pub given: BTreeMap<String, PathBuf>,
    /// This program.
    pub own: PathBuf,
    /// Where others are looked for, as `<arch>/hcddl`: `~/.hcddl/bin`.
    pub cache: Option<PathBuf>,
}

/// Our name of an architecture.
#[must_use]
pub fn architecture(machine: &str) -> &str {
    let row = ARCHITECTURES.iter().find(|(_, names, _)| names.contains(&machine));
    row.map_or(machine, |(name, _, _)| name)
}

impl Binaries {
    /// The program for a host: the given one, this one if it fits, the cached one.
    ///
    /// # Errors
    /// A message with the commands that build it.
    pub fn choose(&self, host: &str, probe: &Probe) -> Result<PathBuf, String> {
        if probe.system != "Linux" {
            return Err(format!("`{host}` runs {}; devices need Linux", probe.system));
        }
        let arch = architecture(&probe.machine);
        if let Some(path) = self.given.get(arch) {
            return Ok(path.clone());
        }
        if cfg!(target_os = "linux") && arch == architecture(std::env::consts::ARCH) {
            return Ok(self.own.clone());
        }
        let cached = self.cache.as_ref().map(|cache| cache.join(arch).join("hcddl"));
        if let Some(path) = cached.as_ref().filter(|path| path.is_file()) {
            return Ok(path.clone());
        }
        let looked = cached.map_or(String::new(), |path| format!(" (none in `{}` either)", path.display()));
        Err(format!(
            "`{host}` is {}, and this program is {}{looked}; {}",
            probe.machine,
            std::env::consts::ARCH,
            build_step(&probe.machine)
        ))
    }
}

/// The commands that build a static program for an architecture, as a next step.
#[must_use]
pub fn build_step(machine: &str) -> String {
    let arch = architecture(machine);
    let Some((_, _, target)) = ARCHITECTURES.iter().find(|(name, _, _)| *name == arch) else {
        return format!("build hcddl for {machine} and name it: --binary {machine}=PATH");
    };
    format!(
        "build it (once: `cargo install cargo-zigbuild && rustup target add {target}`, and zig from \
         https://ziglang.org/download): `cargo zigbuild --release --target {target}`, then add `--binary \
         {arch}=target/{target}/release/hcddl`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(machine: &str) -> Probe {
        Probe { system: "Linux".to_owned(), machine: machine.to_owned(), ..Probe::default() }
    }

    #[test]
    fn the_given_program_then_this_one_then_the_cached_one() {
        let cache = tempfile::tempdir().unwrap();
        let own = PathBuf::from("/own");
        let mut binaries =
            Binaries { own: own.clone(), cache: Some(cache.path().to_owned()), ..Binaries::default() };
        assert_eq!(binaries.choose("pi", &probe(std::env::consts::ARCH)).unwrap(), own);
        let error = binaries.choose("pi", &probe("armv7l")).unwrap_err();
        assert!(
            error.contains("cargo zigbuild --release --target armv7-unknown-linux-musleabihf"),
            "{error}"
        );
        assert!(error.contains("--binary armv7=target/"), "{error}");
        let cached = cache.path().join("armv7/hcddl");
        std::fs::create_dir_all(cached.parent().unwrap()).unwrap();
        std::fs::write(&cached, "").unwrap();
        assert_eq!(binaries.choose("pi", &probe("armv7l")).unwrap(), cached);
        binaries.given.insert("armv7".to_owned(), PathBuf::from("/given"));
        assert_eq!(binaries.choose("pi", &probe("armv7l")).unwrap(), PathBuf::from("/given"));
        let error = binaries.choose("vax", &probe("vax")).unwrap_err();
        assert!(error.contains("--binary vax=PATH"), "{error}");
        let mac = Probe { system: "Darwin".to_owned(), ..probe("arm64") };
        assert!(binaries.choose("mac", &mac).unwrap_err().contains("need Linux"));
    }
}
