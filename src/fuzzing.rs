//! Every reader of bytes from outside as a function of bytes, for the targets in `fuzz/`: devices, strangers, and files
//! that were given to us. Each must end soon, without a panic, without much memory. Behind the feature `fuzzing`.

pub use hcddl_deploy::deploy::join::fuzzing::{frames as join, token};
pub use hcddl_deploy::transport::fuzzing::{bulk, control, frame, hello};

use hcddl_core::domain::{Choice, Table};
use hcddl_deploy::deploy::agent::AgentStatus;
use hcddl_deploy::deploy::inventory::{Format, Inventory};
use hcddl_deploy::deploy::{Deployment, NodeProgress};
use hcddl_plan::registry::Registry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::default);

/// A part of the input as a choice among `count`, and the rest.
fn pick(bytes: &[u8], count: u8) -> Option<(u8, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    Some((first % count, rest))
}

/// A file of this process with these bytes, in memory where the system has such a place.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = base.join(format!("hcddl-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for files");
        folder
    });
    let path = FOLDER.join(name);
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// The payload of an update, by every codec.
pub fn codec(bytes: &[u8]) {
    static CODECS: LazyLock<Vec<Arc<dyn hcddl_core::compress::Codec>>> = LazyLock::new(|| {
        let of = |row: &hcddl_core::domain::Row<hcddl_core::compress::BuildCodec>| {
            hcddl_core::compress::codec(&Choice::named(row.name)).expect("a codec with its defaults")
        };
        rows(&hcddl_core::compress::table(), of)
    });
    let Some((len, rest)) = pick(bytes, 64) else { return };
    let mut out = vec![0.0; usize::from(len)];
    for codec in CODECS.iter() {
        let _ = codec.decode(rest, &mut out);
    }
}

fn rows<Build, T>(table: &Table<Build>, of: impl Fn(&hcddl_core::domain::Row<Build>) -> T) -> Vec<T> {
    table.rows().iter().map(of).collect()
}

/// Checkpoints of simulations and of deployed nodes, with and without their heads.
pub fn checkpoint(bytes: &[u8]) {
    use hcddl_sim::record::checkpoint::decode;
    use hcddl_sim::sim::checkpoint::Checkpoint;
    let Some((kind, rest)) = pick(bytes, 3) else { return };
    match kind {
        0 => drop(decode::<Checkpoint>(PathBuf::new(), rest)),
        1 => drop(hcddl_files::bytes::from_bytes::<Checkpoint>(rest, rest.len() as u64)),
        _ => hcddl_deploy::deploy::node::read_checkpoint(rest),
    }
}

/// The log of a node's inputs.
pub fn order(bytes: &[u8]) {
    if let Ok((_, entries)) = hcddl_sim::record::order::parse(Path::new("order.log"), bytes) {
        for entry in &entries {
            assert_eq!(hcddl_sim::record::order::Entry::decode(&entry.encode()).as_ref(), Some(entry));
        }
    }
}

/// Inventories of every format.
pub fn inventory(bytes: &[u8]) {
    let Some((kind, rest)) = pick(bytes, 3) else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let format = [Format::Ini, Format::Yaml, Format::Json][usize::from(kind)];
    if let Ok(inventory) = Inventory::parse("inventory", text, format) {
        let _ = inventory.pool(None, Some("a*b*,!c*"));
    }
}

/// YAML, as every file of ours is read.
pub fn yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(document) = hcddl_core::yaml::parse(text) {
        let _ = hcddl_core::yaml::block::block(&document.value);
    }
}

/// A scenario, or an older `config.yml`, to its plan.
pub fn scenario(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(written) = hcddl_plan::scenario::parse("scenario.yml", text, &[]) {
        let _ = hcddl_plan::scenario::resolve(&written, &REGISTRY);
    }
}

/// A study with its scenario written out.
pub fn study(bytes: &[u8]) {
    if std::str::from_utf8(bytes).is_err() {
        return;
    }
    if let Ok(written) = hcddl_sim::study::file::read(&file("study.yml", bytes), &[]) {
        let _ = hcddl_sim::study::axis::axes(&written.source, &written.file, &written.sets);
    }
}

/// Decided delays, for a small scenario.
pub fn schedule(bytes: &[u8]) {
    const SCENARIO: &str = "topology: flat(2)\nmodel: softmax\nnetwork: {lan: {latency: 10ms}}\n";
    static WRITTEN: LazyLock<hcddl_plan::scenario::Written> =
        LazyLock::new(|| hcddl_plan::scenario::parse("s.yml", SCENARIO, &[]).expect("a scenario"));
    if std::str::from_utf8(bytes).is_err() {
        return;
    }
    let mut written = WRITTEN.clone();
    if hcddl_plan::scenario::load::load_schedule(&mut written, &file("schedule.yml", bytes)).is_ok() {
        let _ = hcddl_plan::scenario::resolve(&written, &REGISTRY);
    }
}

/// Measured latencies and a trace, as files that a scenario names.
pub fn latencies(bytes: &[u8]) {
    let Some((kind, rest)) = pick(bytes, 2) else { return };
    file("latencies.csv", rest);
    let name = ["empirical", "trace"][usize::from(kind)];
    let text = if kind == 0 {
        "network: {lan: {latency: {name: empirical, csv: latencies.csv}}}"
    } else {
        "injections: [{where: all, add: {name: trace, csv: latencies.csv}}]"
    };
    let scenario = format!("topology: flat(1)\nmodel: softmax\n{text}\n");
    let path = file(&format!("{name}.yml"), scenario.as_bytes());
    if let Ok(written) = hcddl_plan::scenario::load::load(&path, &[]) {
        let _ = hcddl_plan::scenario::resolve(&written, &REGISTRY);
    }
}

/// What a host tells of itself and of its nodes.
pub fn status(bytes: &[u8]) {
    let _ = serde_json::from_slice::<AgentStatus>(bytes);
    let _ = serde_json::from_slice::<NodeProgress>(bytes);
    let _ = serde_json::from_slice::<Deployment>(bytes);
    let _ = serde_json::from_slice::<hcddl_deploy::deploy::result::NodeResult>(bytes);
}

/// The files of a run directory as `report` reads them: one of them is the input.
pub fn run_directory(bytes: &[u8]) {
    let Some((kind, rest)) = pick(bytes, 4) else { return };
    if kind == 0 {
        if let Ok(text) = std::str::from_utf8(rest) {
            let _ = hcddl_report::read::timeline::Timeline::parse(text);
        }
        return;
    }
    let (mut summary, mut metrics, mut commits): (&[u8], &[u8], &[u8]) = (b"{}", b"", b"");
    *[&mut summary, &mut metrics, &mut commits][usize::from(kind) - 1] = rest;
    file("plan.yml", b"name: x");
    file("metrics.csv", metrics);
    file("commits.csv", commits);
    let path = file("summary.json", summary);
    if let Ok(run) = hcddl_report::read::Run::read(path.parent().expect("a folder")) {
        let _ = run.curve("time_s", "accuracy");
    }
}

/// A data set of a user: CSV, NumPy, CoNLL-U, LEAF, text, IDX, pictures.
pub fn data(bytes: &[u8]) {
    use serde_json::json;
    let Some((kind, rest)) = pick(bytes, 8) else { return };
    let folder = file("data", b"").with_file_name("sets");
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    };
    let choice = match kind {
        0 => {
            put("set.csv", rest);
            json!({"name": "csv", "train": "set.csv", "test_rows": 1, "label": "class"})
        }
        1 => {
            put("set.npz", rest);
            json!({"name": "npz", "file": "set.npz", "x_test": "x_train", "y_test": "y_train"})
        }
        2 => {
            put("set.conllu", rest);
            json!({"name": "conllu", "train": "set.conllu", "test": "set.conllu"})
        }
        3 => {
            put("leaf/data/train/all.json", rest);
            put("leaf/data/test/all.json", rest);
            put("leaf/train/all.json", rest);
            put("leaf/test/all.json", rest);
            json!({"name": "leaf", "directory": "leaf", "kind": "values"})
        }
        4 => {
            put("play.txt", rest);
            json!({"name": "text", "file": "play.txt", "window": 4, "stride": 2})
        }
        5 => {
            let (images, labels) = rest.split_at(rest.len() * 3 / 4);
            for set in ["train", "t10k"] {
                put(&format!("mnist/{set}-images-idx3-ubyte"), images);
                put(&format!("mnist/{set}-labels-idx1-ubyte"), labels);
            }
            json!({"name": "mnist"})
        }
        kind => {
            let ending = if kind == 6 { "png" } else { "jpg" };
            for set in ["train", "test"] {
                put(&format!("pictures{kind}/{set}/a/1.{ending}"), rest);
            }
            json!({"name": "folders", "directory": format!("pictures{kind}"), "resize": [4, 4]})
        }
    };
    let context = hcddl_learn::data::DataContext { data_dir: Some(folder), ..Default::default() };
    let table = hcddl_learn::data::table();
    let choice = Choice::from_value(&choice).expect("a choice");
    let (row, choice) = table.resolve(&choice).expect("a row");
    let _ = (row.build)(&choice, &context);
}

/// Archives as they are downloaded.
pub fn archive(bytes: &[u8]) {
    let Some((kind, rest)) = pick(bytes, 3) else { return };
    crate::fetch::unpack_bytes(rest, kind, &file("archive", b"").with_file_name("unpacked"));
}

/// Initial weights.
pub fn safetensors(bytes: &[u8]) {
    let tensors = [("a".to_owned(), vec![2, 2]), ("b".to_owned(), vec![3])];
    let _ = hcddl_learn::safetensors::from_bytes(bytes, &tensors);
}

/// The samples that are pushed to a device.
pub fn portion(bytes: &[u8]) {
    let _ = hcddl_learn::portion::Portion::from_bytes(bytes);
}
