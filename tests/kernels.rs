//! Every instruction set of this machine gives the same weights.

use hcddl::learn::kernels::Isa;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const SCENARIO: &str = "topology: flat(3)\nmodel: {name: cnn, filters: 4}\ndata: {name: digits, limit_train: 200}\n\
    training: {rounds: 4, batch: 20, clip_norm: 2, optimizer: {name: adam, weight_decay: 0.01}, \
    schedule: cosine(40)}\ntiers: {global: {policy: fedavg}}\n";

fn hcddl(folder: &Path, arguments: &[&str], environment: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hcddl"));
    command.args(arguments).current_dir(folder).env_remove("HCDDL_KERNELS").env_remove("HCDDL_LOG");
    if let Some(name) = environment {
        command.env("HCDDL_KERNELS", name);
    }
    command.output().expect("the program starts")
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file of the run")).expect("JSON")
}

#[test]
fn every_instruction_set_gives_the_same_weights() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    std::fs::write(folder.join("s.yml"), SCENARIO).unwrap();
    let mut digests = Vec::new();
    for isa in Isa::available() {
        let name = isa.name();
        // The option counts, not the environment; the environment alone counts too.
        for (out, option, environment) in [
            (format!("option-{name}"), Some(name), Some("portable")),
            (format!("environment-{name}"), None, Some(name)),
        ] {
            let mut arguments = vec!["sim", "s.yml", "--quiet", "--no-timeline", "--out", &out];
            arguments.extend(option.into_iter().flat_map(|name| ["--kernels", name]));
            let output = hcddl(folder, &arguments, environment);
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            let summary = read(&folder.join(&out).join("summary.json"));
            let repeat = read(&folder.join(&out).join("repeat.json"));
            assert_eq!((&summary["kernels"], &repeat["kernels"]), (&name.into(), &name.into()));
            assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("kernels          {name}")));
            digests.push((summary["weight_digest"].clone(), summary["trace_digest"].clone(), name));
        }
    }
    for (weights, trace, name) in &digests {
        assert_eq!((weights, trace), (&digests[0].0, &digests[0].1), "{name} against {}", digests[0].2);
    }
}

#[test]
fn unknown_kernels_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (option, environment, from) in
        [(Some("sse9"), None, "--kernels: "), (None, Some("sse9"), "HCDDL_KERNELS: ")]
    {
        let mut arguments = vec!["list"];
        arguments.extend(option.into_iter().flat_map(|name| ["--kernels", name]));
        let output = hcddl(folder.path(), &arguments, environment);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(&format!("{from}`sse9` names unknown kernels; allowed: portable")), "{text}");
    }
}
