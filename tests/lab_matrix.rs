//! The fault matrix: whoever is hit by whatever in whichever topology, a deployed run ends with its configured commits or
//! with a reason, nothing is doubled, and it is executed again to the bit. A few cells by default; all of them with
//! `HCDDL_MATRIX=full cargo test --release --test lab_matrix -- --nocapture`, or those whose line contains a text with
//! `HCDDL_MATRIX=TEXT`. A row a cell is printed, and written to `HCDDL_MATRIX_CSV` if that names a file.

#[path = "lab/hosts.rs"]
mod hosts;
#[path = "lab/runs.rs"]
mod runs;

use hosts::Lab;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Silence after which nodes count as lost.
const DETECTION: Duration = Duration::from_secs(3);
/// A fault that is noticed by nobody, and one that is. After a cut TCP waits as long again before it tries once more.
const SHORT: Duration = Duration::from_millis(1000);
const LONG: Duration = Duration::from_secs(6);
/// A cell that takes longer than this hangs.
const END: Duration = Duration::from_secs(150);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Worker,
    LocalServer,
    Root,
    Controller,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Kill,
    /// Stopped for longer than the detection, then continued.
    Stop,
    PowerCut,
    ShortCut,
    LongCut,
    FullDisk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    FlatAsync,
    TreeSync,
    TreeAsync,
    TreeNoWait,
    Ring,
    Gossip,
}

impl Shape {
    const ALL: [Self; 6] =
        [Self::FlatAsync, Self::TreeSync, Self::TreeAsync, Self::TreeNoWait, Self::Ring, Self::Gossip];

    fn is_tree(self) -> bool {
        matches!(self, Self::TreeSync | Self::TreeAsync | Self::TreeNoWait)
    }

    fn is_peers(self) -> bool {
        matches!(self, Self::Ring | Self::Gossip)
    }

    fn rounds(self) -> u64 {
        match self {
            Self::FlatAsync => 900,
            Self::TreeSync => 300,
            Self::TreeAsync | Self::TreeNoWait => 700,
            Self::Ring | Self::Gossip => 300,
        }
    }

    fn scenario(self) -> String {
        let tree = "topology: {name: tree, servers: [{workers: 2}, {workers: 1}]}\n";
        let head = match self {
            Self::FlatAsync => "topology: flat(3)\ntiers: {global: {policy: async}}\n".to_owned(),
            Self::TreeSync => format!("{tree}tiers: {{global: {{policy: sync}}, local: {{policy: sync}}}}\n"),
            Self::TreeAsync => {
                format!("{tree}tiers: {{global: {{policy: fedasync}}, local: {{policy: async}}}}\n")
            }
            Self::TreeNoWait => format!(
                "{tree}tiers: {{global: {{policy: fedasync}}, local: {{policy: async, uplink: {{push: every(2), \
                 send: delta, wait: false}}}}}}\n"
            ),
            Self::Ring => "topology: ring(3)\npeers: {algorithm: ring_all_reduce}\n".to_owned(),
            Self::Gossip => "topology: complete(4)\npeers: {algorithm: d_psgd}\n".to_owned(),
        };
        format!(
            "name: matrix\n{head}model: softmax\ntraining: {{rounds: {}, batch: 8, local: {{steps: 1}}}}\n\
             devices: {{workers: {{name: fixed, step_time: 20ms}}, servers: instant}}\n\
             deploy: {{detection: {}s, heartbeat: 300ms, paced: true, checkpoint_every: 5, lease: 20s}}\n",
            self.rounds(),
            DETECTION.as_secs()
        )
    }

    /// Node and host of somebody; the controller has none.
    fn node(self, who: Who) -> (&'static str, &'static str) {
        match who {
            Who::Root if self.is_peers() => ("peer1", "h1"),
            Who::Root | Who::Controller => ("global", "h1"),
            Who::LocalServer => ("local1", "h2"),
            Who::Worker if self.is_peers() => ("peer3", "h3"),
            Who::Worker => ("worker2", if self.is_tree() { "h4" } else { "h3" }),
        }
    }

    /// Who is waited for: the node whose commits are the run's.
    fn top(self) -> (&'static str, &'static str) {
        if self.is_peers() { ("peer1", "h1") } else { ("global", "h1") }
    }
}

/// One cell.
#[derive(Clone, Copy, Debug)]
struct Cell {
    who: Who,
    what: What,
    shape: Shape,
}

/// Every cell that has a meaning: local servers are in trees alone; peers have no root of their own kind (peer1 takes
/// its place); the controller needs no cable and no disk of a host while a run is under way, and its machine is not a
/// host of the lab.
fn cells() -> Vec<Cell> {
    use What::{FullDisk, Kill, LongCut, PowerCut, ShortCut, Stop};
    let mut cells = Vec::new();
    for shape in Shape::ALL {
        for who in [Who::Worker, Who::LocalServer, Who::Root, Who::Controller] {
            for what in [Kill, Stop, PowerCut, ShortCut, LongCut, FullDisk] {
                let meant = match who {
                    Who::LocalServer => shape.is_tree(),
                    Who::Controller => matches!(what, Kill | Stop),
                    Who::Worker | Who::Root => true,
                };
                if meant {
                    cells.push(Cell { who, what, shape });
                }
            }
        }
    }
    cells
}

/// What became of a run.
struct Verdict {
    /// `commits`, or the reason in the program's words.
    end: String,
    /// Times it had to be resumed.
    resumed: u32,
    /// From the end of the fault to the next commit to which the hit node or its cluster contributed.
    recovery_s: Option<f64>,
    replayed: bool,
    problem: Option<String>,
}

struct Site<'a> {
    lab: &'a Lab,
    cell: Cell,
}

impl Site<'_> {
    fn start(&self, arguments: &[&str]) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.file("controller.txt")).unwrap();
        self.lab.program(arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.lab.work.path().join(name)
    }

    fn said(&self) -> String {
        fs::read_to_string(self.file("controller.txt")).unwrap_or_default()
    }

    fn wait(&self, controller: &mut Child, deadline: Instant) -> Option<bool> {
        while Instant::now() < deadline {
            if let Some(status) = controller.try_wait().unwrap() {
                return Some(status.success());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    }

    /// The controller's own process below `ip netns exec`.
    fn signal_controller(&self, signal: &str) {
        self.lab.shell("pkill", &[signal, "-f", "hcddl deploy matrix.yml"]);
    }

    fn strike(&self) {
        let Cell { who, what, shape } = self.cell;
        let (node, host) = shape.node(who);
        let lab = |arguments: &[&str]| self.lab.lab(arguments);
        match (who, what) {
            (Who::Controller, What::Kill) => self.signal_controller("-KILL"),
            (Who::Controller, _) => {
                self.signal_controller("-STOP");
                std::thread::sleep(LONG);
                self.signal_controller("-CONT");
            }
            (_, What::Kill) => self.lab.signal(host, node, "-KILL"),
            (_, What::Stop) => {
                self.lab.signal(host, node, "-STOP");
                std::thread::sleep(LONG);
                self.lab.signal(host, node, "-CONT");
            }
            (_, What::PowerCut) => {
                lab(&["crash", host]);
                std::thread::sleep(SHORT);
                lab(&["boot", host]);
            }
            (_, What::ShortCut | What::LongCut) => {
                lab(&["isolate", host]);
                std::thread::sleep(if what == What::ShortCut { SHORT } else { LONG });
                lab(&["heal"]);
            }
            (_, What::FullDisk) => {
                let fill = "dd if=/dev/zero of=/home/pi/.hcddl/fill bs=64k 2>/dev/null; true";
                lab(&["exec", host, "sh", "-c", fill]);
                std::thread::sleep(LONG);
                lab(&["exec", host, "rm", "-f", "/home/pi/.hcddl/fill"]);
            }
        }
    }

    /// Runs the cell.
    fn judge(&self) -> Verdict {
        let Cell { who, what, shape } = self.cell;
        let ((top, top_host), (node, host)) = (shape.top(), shape.node(who));
        let mut verdict =
            Verdict { end: String::new(), resumed: 0, recovery_s: None, replayed: false, problem: None };
        self.lab.write("matrix.yml", &shape.scenario());
        let _ = fs::remove_dir_all(self.file("run"));
        let _ = fs::remove_file(self.file("controller.txt"));
        if what == What::FullDisk {
            let disk = "mkdir -p /home/pi/.hcddl && mount -t tmpfs -o size=400m,uid=4000,gid=4000 tmpfs /home/pi/.hcddl";
            self.lab.lab(&["exec", host, "sh", "-c", disk]);
        }
        let begun = Instant::now();
        let deadline = begun + END;
        let inventory = self.lab.inventory();
        let mut controller = self.start(&["deploy", "matrix.yml", "-i", &inventory, "--out", "run"]);
        while self.lab.progress(top_host, top, "commits") < shape.rounds() / 10 {
            if Instant::now() > deadline {
                let _ = controller.kill().and_then(|()| controller.wait());
                verdict.problem = Some(format!("it never got under way: {}", self.said()));
                return verdict;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.strike();
        let struck = self.lab.progress(top_host, top, "now") as f64 / 1e9;
        let good = loop {
            match self.wait(&mut controller, deadline) {
                None => {
                    let _ = controller.kill().and_then(|()| controller.wait());
                    let logs = self.lab.node_logs();
                    verdict.problem = Some(format!("it does not end: {}{logs}", last_lines(&self.said())));
                    let _ = self.lab.program(&["deploy", "clean", "run"]).output();
                    return verdict;
                }
                Some(true) => break true,
                // What a user does who reads the advice, or finds the controller gone.
                Some(false)
                    if verdict.resumed < 3
                        && (who == Who::Controller || self.said().contains("--resume")) =>
                {
                    if self.lab.summary("run", "commits") == shape.rounds() {
                        break false;
                    }
                    verdict.resumed += 1;
                    controller = self.start(&["deploy", "run", "--resume", "run"]);
                }
                Some(false) => break false,
            }
        };
        self.read(&mut verdict, good, node, top, struck);
        for host in ["h1", "h2", "h3", "h4", "h5", "h6"] {
            let _ = self
                .lab
                .script()
                .args(["exec", host, "sh", "-c", "umount /home/pi/.hcddl 2>/dev/null"])
                .output();
        }
        verdict
    }

    /// Reads what was fetched.
    fn read(&self, verdict: &mut Verdict, good: bool, node: &str, top: &str, struck: f64) {
        let (commits, reason) = (self.lab.summary("run", "commits"), self.lab.summary("run", "reason"));
        let stalled = reason.get("Stalled").or_else(|| reason.get("Failed")).and_then(|why| why.as_str());
        verdict.end = match (stalled, commits.as_u64()) {
            (Some(why), _) => why.to_owned(),
            (None, Some(commits)) if commits == self.cell.shape.rounds() => "all commits".to_owned(),
            (None, commits) => format!("{commits:?} commits"),
        };
        let complete = verdict.end == "all commits";
        if !complete && stalled.is_none() {
            verdict.problem = Some(format!("neither its commits nor a reason: {}", last_lines(&self.said())));
        } else if complete && !good && !self.said().contains("left no result") {
            verdict.problem = Some(format!("all commits, but no success: {}", last_lines(&self.said())));
        }
        let table = fs::read_to_string(self.file("run/commits.csv")).unwrap_or_default();
        let names = match node {
            "local1" => vec!["local1"],
            "worker2" if self.cell.shape.is_tree() => vec!["local1"],
            other => vec![other],
        };
        if verdict.problem.is_none() {
            verdict.problem = doubled(&table);
        }
        verdict.recovery_s = table.lines().skip(1).find_map(|row| {
            let fields: Vec<&str> = row.split(',').collect();
            let (who, at) = (*fields.first()?, fields.get(2)?.parse::<f64>().ok()?);
            let by_it = fields.get(3)?.split(';').any(|name| names.contains(&name));
            (who == top && at > struck && (by_it || top == node)).then_some(at - struck)
        });
        let output = self.lab.program(&["replay", "run"]).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        verdict.replayed = output.status.success() && said.contains("have the digests of the run");
        if !verdict.replayed && verdict.problem.is_none() {
            verdict.problem = Some(format!("replay: {}", last_lines(&said)));
        }
    }
}

/// The first row of commits.csv in which something counts twice: a worker or a peer contributes twice to a commit, or
/// twice what it made of one version. (A local server's pushes may stem from one version of its parent.) A version that
/// does not follow the last one begins another life of its node, which may do again what a former one has lost.
fn doubled(table: &str) -> Option<String> {
    let mut lives = BTreeMap::new();
    for row in table.lines().skip(1) {
        let fields: Vec<&str> = row.split(',').collect();
        let [node, version, _, contributors, bases, ..] = fields[..] else {
            return Some(format!("a row of commits.csv is cut: {row}"));
        };
        let Ok(version) = version.parse() else { return Some(format!("no version: {row}")) };
        let (last, seen) = lives.entry(node).or_insert((0u64, BTreeSet::new()));
        if version <= *last {
            seen.clear();
        }
        *last = version;
        let parts = contributors.split(';').zip(bases.split(';'));
        for (who, base) in parts.filter(|(who, _)| who.starts_with("worker") || who.starts_with("peer")) {
            if !seen.insert((who, base)) {
                return Some(format!("{who} counts twice with version {base}: {row}"));
            }
        }
    }
    None
}

#[test]
fn what_is_doubled_is_found() {
    let head = "node,version,virtual_time_s,contributors,base_versions,staleness,bytes\n";
    let found = |rows: &str| doubled(&format!("{head}{rows}"));
    assert_eq!(found("global,1,0.1,worker1;worker2,0;0,,\nglobal,2,0.2,worker1,1,,\n"), None);
    assert_eq!(found("local1,1,0.1,worker1,0,,\nlocal2,1,0.2,worker1,0,,\n"), None);
    // Another life from the checkpoint of version 0.
    assert_eq!(found("global,1,0.1,worker1,0,,\nglobal,1,0.2,worker1,0,,\n"), None);
    assert_eq!(found("global,1,0.1,local1,0,,\nglobal,2,0.2,local1,0,,\n"), None);
    assert!(found("global,1,0.1,worker1,0,,\nglobal,2,0.2,worker1,0,,\n").unwrap().contains("worker1"));
    assert!(found("peer1,1,0.1,peer1;peer2;peer2,0;0;0,,\n").unwrap().contains("peer2"));
    assert!(found("global,1\n").unwrap().contains("cut"));
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(6)..].join(" / ")
}

#[test]
fn whoever_is_hit_by_whatever_a_run_ends_as_it_should() {
    let wanted = std::env::var("HCDDL_MATRIX").unwrap_or_default();
    let few = |cell: &Cell| {
        matches!(
            (cell.who, cell.what, cell.shape),
            (Who::Root, What::Kill, Shape::TreeNoWait)
                | (Who::LocalServer, What::LongCut, Shape::TreeAsync)
                | (Who::Worker, What::Kill, Shape::FlatAsync)
        )
    };
    let chosen = cells().into_iter().filter(|cell| match wanted.as_str() {
        "" => few(cell),
        "full" => true,
        text => format!("{cell:?}").contains(text),
    });
    let mut csv = "topology,who,fault,end,resumed,recovery_s,replayed,problem\n".to_owned();
    let mut failed = Vec::new();
    for cell in chosen {
        let hosts = if cell.shape.is_tree() { 6 } else { 4 };
        let Some(lab) = Lab::up(hosts) else { return };
        let verdict = Site { lab: &lab, cell }.judge();
        let Verdict { end, resumed, recovery_s, replayed, problem } = verdict;
        let recovery = recovery_s.map_or("-".to_owned(), |seconds| format!("{seconds:.1}"));
        let row = format!(
            "{:?},{:?},{:?},{:?},{resumed},{recovery},{replayed},{:?}",
            cell.shape,
            cell.who,
            cell.what,
            end,
            problem.clone().unwrap_or_default()
        );
        eprintln!("{row}");
        let _ = writeln!(csv, "{row}");
        if let Ok(path) = std::env::var("HCDDL_MATRIX_CSV") {
            fs::write(path, &csv).unwrap();
        }
        failed.extend(problem.map(|problem| format!("{cell:?}: {problem}")));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
