//! The layers of the library: a module uses those that stand before it in the list here, and no other. Tests count as
//! well, so that any part can be taken out together with its tests.

use std::fs;
use std::path::{Path, PathBuf};

/// From what knows nothing of the others to what knows all of them.
const LAYERS: [&str; 33] = [
    // The vocabulary, and help with files and texts.
    "domain",
    "error",
    "files",
    "yaml",
    "stats",
    // What can be chosen by name, each a table.
    "compress",
    "net",
    "topology",
    "device",
    "inject",
    "policy",
    // Nodes, and what they train.
    "node",
    "peer",
    "learn",
    // What is to be done, and what is measured of it.
    "plan",
    "measure",
    "registry",
    "factory",
    "scenario",
    "laws",
    // Who carries nodes, and what is kept of a run.
    "run",
    "record",
    "sim",
    "simulate",
    "study",
    "explore",
    "transport",
    "deploy",
    "replay",
    "storm",
    "report",
    "fetch",
    "cli",
];

/// Under no rule: the crate itself, the program, the fuzz targets' entrances.
const OUTSIDE: [&str; 3] = ["lib", "main", "fuzzing"];

fn sources(dir: &Path, all: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

/// The modules of the crate that a line names.
fn named(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        names.push(&rest[..end]);
    }
    names
}

/// Uses of a layer from below it, as lines for people.
fn upward(file: &str, text: &str) -> Vec<String> {
    let module = file.split(['/', '.']).next().unwrap();
    let place = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let Some(own) = place(module) else {
        let known = OUTSIDE.contains(&module);
        return if known { Vec::new() } else { vec![format!("{file}: `{module}` is in no layer")] };
    };
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(|(i, line)| named(line).into_iter().map(move |name| (i + 1, name)))
        .filter(|(_, name)| place(name).is_some_and(|place| place > own))
        .map(|(i, name)| {
            format!("{file}:{i}: `{module}` uses `{name}`, which stands after it in the list of layers")
        })
        .collect()
}

#[test]
fn no_module_uses_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    sources(&root, &mut all);
    assert!(all.len() > 300, "{} files", all.len());
    let mut wrong = Vec::new();
    for path in &all {
        let file = path.strip_prefix(&root).unwrap().display().to_string();
        wrong.extend(upward(&file, &fs::read_to_string(path).unwrap()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for layer in LAYERS {
        let there = root.join(layer).is_dir() || root.join(format!("{layer}.rs")).is_file();
        assert!(there, "no module `{layer}`: take it off the list");
    }
}

#[test]
fn what_points_upwards_is_found() {
    assert_eq!(upward("node/mod.rs", "use crate::domain::Time;\nuse crate::policy::{fold};").len(), 0);
    assert_eq!(
        upward("node/mod.rs", "// crate::sim\nlet x = crate::sim::run(crate::peer::a());"),
        [
            "node/mod.rs:2: `node` uses `sim`, which stands after it in the list of layers",
            "node/mod.rs:2: `node` uses `peer`, which stands after it in the list of layers"
        ]
    );
    assert_eq!(upward("new.rs", ""), ["new.rs: `new` is in no layer"]);
}
