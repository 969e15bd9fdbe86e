//! The layers of the house. Between crates the compiler keeps them; inside a crate this test does: a module uses those
//! that stand before it in the list here, and no other. Tests count as well, so that any part can be taken out together
//! with its tests.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates, from what knows nothing of the others to what knows all of them, and the modules of each in the same
/// order.
const LAYERS: [(&str, &[&str]); 8] = [
    ("crates/files", &["atomic", "bytes"]),
    (
        "crates/core",
        &[
            // The vocabulary, and help with texts and numbers.
            "domain", "error", "yaml", "stats", //
            // What can be chosen by name, each a table.
            "compress", "net", "topology", "device", "trace", "inject", "policy", //
            // Nodes.
            "node", "peer",
        ],
    ),
    (
        "crates/learn",
        &[
            // Numbers, and what a layer, a rate and an optimiser do with them.
            "batch",
            "kernels",
            "loss",
            "layer",
            "schedule",
            "optimizer",
            "local", //
            // What can be chosen by name.
            "model",
            "candle",
            "augment",
            "data",
            "partition",
            "plan",
            "tables", //
            // Who holds what, and the engine over all of it.
            "shard",
            "split",
            "safetensors",
            "engine",
            "portion",
            "quadratic",
            "reference",
            // How fast they are here.
            "calibrate",
        ],
    ),
    ("crates/plan", &["plan", "measure", "registry", "factory", "fixture", "scenario", "laws"]),
    ("crates/sim", &["run", "record", "sim", "simulate", "study", "explore"]),
    (
        "crates/report",
        &[
            "figure", "carbon", "read", "sheet", "export", "terminal", "explain", "page", "validity", "run",
            "study", "compose", "compare", "holdings", "junit", "progress", "verdict",
        ],
    ),
    ("crates/deploy", &["transport", "deploy", "profile", "replay", "storm"]),
    (".", &["fetch", "cli"]),
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

/// The modules of its own crate that a line of a file names: by `crate::`, or by as many `super::` as lead there.
fn named<'a>(line: &'a str, file: &str) -> Vec<&'a str> {
    let word = |rest: &'a str| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    };
    let mut names: Vec<&str> = line.split("crate::").skip(1).map(word).collect();
    let depth = file.split('/').count() - usize::from(file.ends_with("/mod.rs"));
    let mut rest = line;
    while let Some(at) = rest.find("super::") {
        let chain = &rest[at..];
        let mut path = chain;
        let mut steps = 0;
        while let Some(further) = path.strip_prefix("super::") {
            (path, steps) = (further, steps + 1);
        }
        if steps == depth {
            names.push(word(path));
        }
        rest = path;
    }
    names
}

/// The module that a file of a crate belongs to: `engine_tests.rs` to `engine`.
fn module(file: &str) -> &str {
    let name = file.split(['/', '.']).next().unwrap();
    name.strip_suffix("_tests").unwrap_or(name)
}

/// Uses of a layer from below it, as lines for people.
fn upward(layers: &[&str], file: &str, text: &str) -> Vec<String> {
    let own = module(file);
    let place = |name: &str| layers.iter().position(|layer| *layer == name);
    let Some(own_place) = place(own) else {
        let known = OUTSIDE.contains(&own);
        return if known { Vec::new() } else { vec![format!("{file}: `{own}` is in no layer")] };
    };
    // Tests of a module may use what is tested with it; they stand under the same rule but for those of `optimizer`,
    // which run whole jobs and belong to `local`.
    let own_place = if file == "optimizer_tests.rs" { place("local").unwrap() } else { own_place };
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(|(i, line)| named(line, file).into_iter().map(move |name| (i + 1, name)))
        .filter(|(_, name)| place(name).is_some_and(|place| place > own_place))
        .map(|(i, name)| {
            format!("{file}:{i}: `{own}` uses `{name}`, which stands after it in the list of layers")
        })
        .collect()
}

#[test]
fn no_module_uses_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    let mut files = 0;
    for (member, layers) in LAYERS {
        let folder = root.join(member).join("src");
        let mut all = Vec::new();
        sources(&folder, &mut all);
        files += all.len();
        for path in &all {
            let file = path.strip_prefix(&folder).unwrap().display().to_string();
            let found = upward(layers, &file, &fs::read_to_string(path).unwrap());
            wrong.extend(found.into_iter().map(|line| format!("{member}: {line}")));
        }
        for layer in layers {
            let there = folder.join(layer).is_dir() || folder.join(format!("{layer}.rs")).is_file();
            assert!(there, "{member} has no module `{layer}`: take it off the list");
        }
    }
    assert!(files > 400, "{files} files");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every crate stands in the list, and depends on those before it alone.
#[test]
fn crates_stand_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names: Vec<&str> = LAYERS.iter().map(|(member, _)| member.trim_start_matches("crates/")).collect();
    for entry in fs::read_dir(root.join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let place = names.iter().position(|known| *known == name);
        let place = place.unwrap_or_else(|| panic!("crates/{name} is in no layer"));
        let manifest = fs::read_to_string(root.join("crates").join(&name).join("Cargo.toml")).unwrap();
        for line in manifest.lines().filter_map(|line| line.strip_prefix("hcddl-")) {
            let other = line.split(['.', ' ']).next().unwrap();
            let below = names[..place].contains(&other);
            assert!(below, "crates/{name} depends on `hcddl-{other}`, which stands after it");
        }
    }
}

/// The files of Rust that a page writes as code, with a folder.
fn files_named(page: &str) -> Vec<&str> {
    let is_file = |word: &&str| word.contains('/') && word.ends_with(".rs") && !word.contains(['*', ' ']);
    page.split('`').skip(1).step_by(2).filter(is_file).collect()
}

/// Whether a path is the end of a file's, or that with the name of its crate before it.
fn is_there(all: &[String], path: &str) -> bool {
    let in_crate = path.split_once('/').map(|(name, rest)| format!("crates/{name}/src/{rest}"));
    all.iter().any(|file| {
        file == path
            || file.ends_with(&format!("/{path}"))
            || in_crate.as_ref().is_some_and(|other| other == file)
    })
}

#[test]
fn pages_name_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "crates", "tests", "bench", "examples", "fuzz/targets"] {
        sources(&root.join(folder), &mut found);
    }
    let all: Vec<String> =
        found.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect();
    let mut wrong = Vec::new();
    for page in ["README.md", "ARCHITECTURE.md", "tests/README.md", "docs/security.md", "docs/deployment.md"]
    {
        let text = fs::read_to_string(root.join(page)).unwrap();
        let named = files_named(&text);
        assert!(page != "ARCHITECTURE.md" || named.len() > 60, "{} files", named.len());
        wrong.extend(
            named.iter().filter(|path| !is_there(&all, path)).map(|path| format!("{page}: `{path}`")),
        );
    }
    assert!(wrong.is_empty(), "no such file:\n{}", wrong.join("\n"));
    assert_eq!(files_named("`a.rs` `x/y.rs` `sim::run` x/z.rs"), ["x/y.rs"]);
    assert!(is_there(&all, "learn/engine.rs") && is_there(&all, "node/bond.rs"));
    assert!(!is_there(&all, "node/nothing.rs") && !is_there(&all, "ond.rs/x.rs"));
}

#[test]
fn what_points_upwards_is_found() {
    let layers = ["domain", "node", "peer", "sim"];
    assert_eq!(
        upward(&layers, "node/mod.rs", "use crate::domain::Time;\nuse crate::policy::{fold};").len(),
        0
    );
    assert_eq!(
        upward(&layers, "node/mod.rs", "// crate::sim\nlet x = crate::sim::run(super::peer::a());"),
        [
            "node/mod.rs:2: `node` uses `sim`, which stands after it in the list of layers",
            "node/mod.rs:2: `node` uses `peer`, which stands after it in the list of layers"
        ]
    );
    assert_eq!(
        upward(&layers, "node/a/b.rs", "use super::super::super::sim::x;\nuse super::sim::y;").len(),
        1
    );
    assert_eq!(upward(&layers, "new.rs", ""), ["new.rs: `new` is in no layer"]);
}
