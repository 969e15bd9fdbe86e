//! Deployed runs: every node a process of its own, over loopback. Synchronous ones give the weights of their
//! simulation; any one can be executed again from its logs.

use hcddl::Registry;
use hcddl::deploy::bundle::{self, BundleFile, Keys};
use hcddl::deploy::{Deployment, Placed, gather};
use hcddl::domain::NodeId;
use hcddl::measure::outcome::{Silent, SimOptions};
use hcddl::plan::Plan;
use hcddl::record::order::{Entry, What};
use hcddl::replay::again::{Again, Keep, again};
use hcddl::replay::{Logs, Until, replay};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

#[path = "deploy/hostile.rs"]
mod hostile;
#[path = "deploy/observed.rs"]
mod observed;
#[path = "deploy/strangers.rs"]
mod strangers;

/// A scenario with its plan and a directory in which its nodes run.
struct Run {
    dir: tempfile::TempDir,
    plan: Plan,
    learner: Arc<dyn hcddl::learn::Learner>,
    registry: Registry,
}

impl Run {
    fn new(text: &str) -> Self {
        Self::with(text, Registry::default())
    }

    fn with(text: &str, registry: Registry) -> Self {
        let written = hcddl::scenario::parse("scenario.yml", text, &[]).unwrap();
        let plan = hcddl::scenario::resolve(&written, &registry).unwrap();
        let holdings = written.holdings(&plan, &registry).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let deployment = deployment(&plan);
        let names: Vec<&str> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
        write(dir.path(), bundle::common(&deployment, text));
        let keys = Keys::new(&deployment.run).unwrap();
        write(dir.path(), keys.common());
        names.iter().for_each(|name| write(dir.path(), keys.of(name).unwrap()));
        for node in 0..plan.nodes.len() as u32 {
            write(dir.path(), vec![bundle::data(&plan, &holdings, NodeId(node)).unwrap()]);
        }
        let learner = written.learner(&plan, &registry).unwrap();
        Self { dir, plan, learner, registry }
    }

    fn start(&self, node: &str) -> Child {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join(format!("{node}.txt")));
        let mut command = match self.registry.around {
            None => Command::new(env!("CARGO_BIN_EXE_hcddl")),
            Some(_) => hostile::program(),
        };
        command
            .args(["-v", "node"])
            .arg(self.dir.path())
            .arg(node)
            .stdin(Stdio::null())
            .stderr(log.unwrap())
            .spawn()
            .unwrap()
    }

    fn start_all(&self) -> Vec<Child> {
        // The root last: the order of starting must not matter.
        self.plan.nodes.iter().rev().map(|node| self.start(&node.name)).collect()
    }

    fn logs(&self) -> String {
        let read = |node: &hcddl::plan::NodePlan| {
            let text =
                fs::read_to_string(self.dir.path().join(format!("{}.txt", node.name))).unwrap_or_default();
            let last: Vec<&str> = text.lines().rev().take(15).collect();
            format!("--- {}\n{}\n", node.name, last.into_iter().rev().collect::<Vec<_>>().join("\n"))
        };
        self.plan.nodes.iter().map(read).collect()
    }

    /// Waits for processes to end well.
    fn wait(&self, children: Vec<Child>) {
        let deadline = Instant::now() + Duration::from_secs(120);
        for mut child in children {
            loop {
                match child.try_wait().unwrap() {
                    Some(status) => {
                        assert!(status.success(), "{status}\n{}", self.logs());
                        break;
                    }
                    None if Instant::now() > deadline => {
                        child.kill().unwrap();
                        panic!("a node does not end\n{}", self.logs());
                    }
                    None => std::thread::sleep(Duration::from_millis(20)),
                }
            }
        }
    }

    fn gather(&self) -> gather::Gathered {
        let gathered = gather::gather(self.dir.path(), &self.plan, Some(self.learner.as_ref())).unwrap();
        assert!(gathered.nodes.iter().all(Option::is_some), "{:?}\n{}", gathered.warnings, self.logs());
        gathered
    }

    fn simulated(&self) -> hcddl::sim::RunResult {
        let interrupt = Arc::new(AtomicBool::new(false));
        let learner = Arc::clone(&self.learner);
        hcddl::sim::run(
            &self.plan,
            &self.registry,
            learner,
            &SimOptions::default(),
            &mut Silent,
            interrupt,
            None,
        )
        .unwrap()
    }

    /// Executes the run again; every commit must have its digest. Returns how many there were.
    fn replayed(&self) -> u64 {
        self.replayed_from(&Logs::read(self.dir.path(), &self.plan).unwrap())
    }

    fn replayed_from(&self, logs: &Logs) -> u64 {
        let replayed = replay(&self.plan, &self.registry, Arc::clone(&self.learner), logs, 0, None).unwrap();
        assert_eq!((&replayed.divergence, &replayed.cut[..]), (&None, &[][..]), "{}", self.logs());
        replayed.commits
    }
}

fn write(dir: &Path, files: Vec<BundleFile>) {
    for file in files {
        let path = dir.join(file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file.bytes).unwrap();
    }
}

fn deployment(plan: &Plan) -> Deployment {
    let free = hcddl::transport::free_ports(plan.nodes.len()).unwrap();
    let placed = |(node, port): (&hcddl::plan::NodePlan, &u16)| Placed {
        name: node.name.clone(),
        host: "localhost".to_owned(),
        address: "127.0.0.1".to_owned(),
        bind: "127.0.0.1".to_owned(),
        port: *port,
    };
    Deployment {
        run: format!("test-{}-{}", plan.name, free[0]),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        nodes: plan.nodes.iter().zip(&free).map(placed).collect(),
        settings: plan.deploy.settings.clone(),
    }
}

#[test]
fn synchronous_runs_have_the_weights_of_their_simulation() {
    let flat = "name: flat\ntopology: flat(3)\nmodel: {name: mlp, hidden: [16]}\ntraining: {rounds: 12, batch: 16}\n\
                tiers: {global: {policy: sync}}\nevaluation: {every: 4}\n";
    let tree = "name: tree\ntopology: {name: tree, fanout: [2, 2]}\nmodel: {name: mlp, hidden: [16]}\ntraining: {rounds: 10, batch: 16}\n\
                tiers: {global: {policy: sync}, local: {policy: sync}}\n";
    let averaging = "name: averaging\ntopology: flat(2)\nmodel: {name: mlp, hidden: [16]}\ndata: {name: digits, validation: 0.1}\n\
                     training: {rounds: 6, batch: 16, local: {epochs: 1}}\ntiers: {global: {policy: fedavg}}\n";
    for text in [flat, tree, averaging] {
        let run = Run::new(text);
        run.wait(run.start_all());
        let (deployed, simulated) = (run.gather().summary, run.simulated().summary);
        assert_eq!(deployed.weight_digest, simulated.weight_digest, "{text}\n{}", run.logs());
        assert_eq!((deployed.commits, deployed.accuracy), (simulated.commits, simulated.accuracy), "{text}");
        assert!(run.replayed() >= deployed.commits);
    }
}

#[test]
fn asynchronous_runs_are_executed_again_to_the_same_bits() {
    let flat = "name: async\ntopology: flat(3)\nmodel: {name: mlp, hidden: [16]}\ntraining: {rounds: 300, batch: 8}\n\
                tiers: {global: {policy: async}}\nevaluation: {every: 50}\n";
    let tree = "name: mixed\ntopology: {name: tree, fanout: [2, 2]}\nmodel: softmax\ntraining: {rounds: 60, batch: 8}\n\
                tiers: {global: {policy: async}, local: {policy: async}}\n";
    for text in [flat, tree] {
        let run = Run::new(text);
        run.wait(run.start_all());
        let deployed = run.gather().summary;
        assert!(run.replayed() >= deployed.commits, "{text}");
    }
}

/// The nodes delay what they receive, and hold back what they compute, as the scenario says; the weights of a
/// synchronous run stay those of its simulation, and the logs hold all that an execution again needs.
#[test]
fn injections_are_applied_by_the_nodes() {
    let text = |injections: &str, rounds: u64, policy: &str| {
        format!(
            "name: injected\ntopology: flat(2)\nmodel: {{name: mlp, hidden: [64]}}\n\
             training: {{rounds: {rounds}, batch: 32}}\ntiers: {{global: {{policy: {policy}}}}}\n\
             network: {{lan: {{latency: 0ms}}}}\ninjections: [{injections}]\n"
        )
    };
    let deployed = |text: &str| {
        let run = Run::new(text);
        run.wait(run.start_all());
        let summary = run.gather().summary;
        assert!(run.replayed() >= summary.commits, "{}", run.logs());
        (summary, run)
    };
    let (summary, run) = deployed(&text("{where: worker1, direction: up, add: 40ms}", 20, "sync"));
    assert_eq!(summary.weight_digest, run.simulated().summary.weight_digest, "{}", run.logs());
    assert!(summary.virtual_time_s >= 0.8, "20 rounds of 40 ms and more: {}", summary.virtual_time_s);
    // Messages that overtake each other in their latencies keep their lane's order.
    let (summary, _) =
        deployed(&text("{where: all, add: 'uniform(0ms, 10ms)', correlation: 0.5}", 60, "async"));
    assert!(summary.virtual_time_s >= 0.1, "{}", summary.virtual_time_s);
    let (summary, _) = deployed(&text("{where: worker2, slow_down: 5000}", 4, "sync"));
    assert!(
        summary.virtual_time_s >= 0.4,
        "4 jobs that take 5,000 times as long: {}",
        summary.virtual_time_s
    );
}

#[test]
fn peers_finish_together() {
    let text = "name: ring\ntopology: ring(4)\nmodel: softmax\ntraining: {rounds: 8, batch: 16}\n\
                peers: {algorithm: ring_all_reduce}\n";
    let run = Run::new(text);
    run.wait(run.start_all());
    assert_eq!(run.gather().summary.weight_digest, run.simulated().summary.weight_digest, "{}", run.logs());
    assert!(run.replayed() > 0);
}

/// A run that lasts a few seconds: every step takes 10 ms, losses are noticed after one second.
fn slow(policy: &str, topology: &str, rounds: u64) -> Run {
    Run::new(&format!(
        "name: slow\ntopology: {topology}\nmodel: softmax\ntraining: {{rounds: {rounds}, batch: 8}}\n{policy}\n\
         devices: {{workers: {{name: fixed, step_time: 10ms}}, servers: instant}}\n\
         deploy: {{detection: 1s, heartbeat: 200ms, paced: true, checkpoint_every: 5}}\n"
    ))
}

impl Run {
    /// Has the servers tell Prometheus their figures.
    fn ask_for_metrics(&mut self, port: u16) {
        let path = self.dir.path().join("deployment.json");
        let mut deployment: Deployment = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        deployment.settings.metrics_port = port;
        fs::write(path, serde_json::to_string(&deployment).unwrap()).unwrap();
    }

    /// Waits until a node has committed so many versions, or finished so many jobs.
    fn reach(&self, node: &str, commits: u64) {
        let path = self.dir.path().join("nodes").join(node).join("progress.json");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let progress: Option<hcddl::deploy::NodeProgress> = serde_json::from_str(&text).ok();
            if progress.is_some_and(|progress| progress.commits >= commits) {
                return;
            }
            assert!(Instant::now() < deadline, "{node} does not reach {commits}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills a node once another has reached so many commits, and starts it again after a while.
    fn strike(&self, node: &str, when: (&str, u64), pause: Duration) {
        let mut children: Vec<(String, Child)> =
            self.plan.nodes.iter().map(|node| (node.name.to_string(), self.start(&node.name))).collect();
        self.reach(when.0, when.1);
        let victim = children.iter_mut().find(|(name, _)| name == node).map(|(_, child)| child).unwrap();
        victim.kill().unwrap();
        victim.wait().unwrap();
        std::thread::sleep(pause);
        *victim = self.start(node);
        self.wait(children.into_iter().map(|(_, child)| child).collect());
    }
}

#[test]
fn servers_tell_their_figures() {
    use std::io::{Read, Write};
    let port = hcddl::transport::free_ports(1).unwrap()[0];
    let mut run = slow("tiers: {global: {policy: async}}", "flat(2)", 200);
    run.ask_for_metrics(port);
    let children = run.start_all();
    run.reach("global", 20);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let commits = page.lines().find(|line| line.starts_with("hcddl_commits_total{")).expect(&page);
    assert!(commits.rsplit(' ').next().unwrap().parse::<u64>().unwrap() >= 20, "{page}");
    assert!(page.contains("node=\"global\""), "{page}");
    run.wait(children);
}

#[test]
fn a_killed_worker_comes_back() {
    for pause in [0, 1500] {
        let run = slow("tiers: {global: {policy: async}}", "flat(3)", 400);
        run.strike("worker2", ("global", 60), Duration::from_millis(pause));
        let summary = run.gather().summary;
        assert_eq!((summary.commits, run.replayed()), (400, 400), "{}", run.logs());
    }
}

#[test]
fn a_killed_local_server_comes_back() {
    let tiers = "tiers: {local: {policy: async}, global: {policy: async}}";
    let run = slow(tiers, "{name: tree, fanout: [2, 2]}", 600);
    run.strike("local2", ("global", 40), Duration::from_millis(1500));
    assert_eq!(run.gather().summary.commits, 600);
    assert!(run.replayed() >= 600, "{}", run.logs());
}

#[test]
fn a_killed_root_goes_on_from_its_checkpoint() {
    for policy in ["async", "sync"] {
        let run = slow(&format!("tiers: {{global: {{policy: {policy}}}}}"), "flat(2)", 150);
        run.strike("global", ("global", 43), Duration::from_millis(300));
        let gathered = run.gather();
        assert_eq!(gathered.summary.commits, 150, "{}", run.logs());
        let lost =
            gathered.warnings.iter().find(|warning| warning.contains("was started again from version"));
        assert!(lost.is_some(), "{:?}", gathered.warnings);
        // Commits that were lost are in the log too.
        assert!(run.replayed() >= 150, "{}", run.logs());
    }
}

#[test]
fn a_process_that_dies_between_an_input_and_its_commit_can_be_replayed() {
    let run = slow("tiers: {global: {policy: async}}", "flat(2)", 40);
    run.wait(run.start_all());
    let mut logs = Logs::read(run.dir.path(), &run.plan).unwrap();
    let root = &mut logs.0[0];
    let last = root.iter().rposition(|entry| matches!(entry.what, What::Commit { .. })).unwrap();
    let now = root[last].now;
    root.truncate(last);
    root.push(Entry { now, what: What::Born { life: 1, checkpoint: None } });
    assert_eq!(run.replayed_from(&logs), 39, "{}", run.logs());
}

#[test]
fn the_loss_of_a_worker_for_good_ends_as_the_policy_says() {
    let run = slow("tiers: {global: {policy: async}}", "flat(3)", 300);
    let mut children: Vec<(String, Child)> =
        run.plan.nodes.iter().map(|node| (node.name.to_string(), run.start(&node.name))).collect();
    run.reach("global", 40);
    let (_, mut victim) = children.remove(3);
    victim.kill().unwrap();
    victim.wait().unwrap();
    run.wait(children.into_iter().map(|(_, child)| child).collect());
    let gathered = gather::gather(run.dir.path(), &run.plan, Some(run.learner.as_ref())).unwrap();
    assert_eq!(gathered.summary.commits, 300, "{}", run.logs());
    assert!(gathered.warnings.iter().any(|warning| warning.contains("worker3 left no result")));
    assert_eq!(run.replayed(), 300);
}

impl Run {
    /// Simulates the run, led by its logs.
    fn again(&self, keep: &Keep, changed: Option<&Plan>) -> Result<Again, hcddl::replay::ReplayError> {
        let logs = Logs::read(self.dir.path(), &self.plan).unwrap();
        let (options, interrupt) = (SimOptions::default(), Arc::new(AtomicBool::new(false)));
        let (registry, learner) = (&self.registry, &self.learner);
        again(&self.plan, changed, registry, learner, &logs, keep, &options, &mut Silent, &interrupt)
    }
}

/// What a real run did decides the order, and the models of the scenario the time, or the other way round.
#[test]
fn a_run_leads_a_simulation() {
    let text = "name: led\ntopology: flat(3)\nmodel: softmax\ntraining: {rounds: 60, batch: 8}\n\
                tiers: {global: {policy: async}}\nnetwork: {lan: {latency: 5ms, rate: 10mbit}}\n\
                devices: {workers: {name: fixed, step_time: 30ms}, servers: instant}\n";
    let run = Run::new(text);
    run.wait(run.start_all());
    let deployed = run.gather().summary;
    let order = Keep { order: true, ..Keep::default() };

    // The order of the run, so its weights; the times of the scenario, which are longer.
    let kept = run.again(&order, None).unwrap();
    assert_eq!(kept.result.summary.weight_digest, deployed.weight_digest, "{}", run.logs());
    assert_eq!((kept.kept.commits, kept.result.summary.commits), (60, 60));
    let seconds = kept.result.summary.virtual_time_s;
    assert!(seconds > 60.0 * 0.030 / 3.0, "three workers, 30 ms a step: {seconds} s");

    // Its durations; the order follows.
    let emergent = run.again(&Keep { durations: true, ..Keep::default() }, None).unwrap();
    assert_eq!(emergent.result.summary.commits, 60);
    let (led, real) = (emergent.result.summary.virtual_time_s, deployed.virtual_time_s);
    // On a busy machine the run took longer than its durations: processes waited for a core between them.
    assert!(led > 0.0 && led < 1.5 * real, "{led} s with the durations of a run of {real} s");

    // Its order until the root's 40th input, then another policy in another network.
    let until = Until { node: NodeId(0), inputs: 40 };
    let here = Keep { until: Some(until), ..order };
    let other = text.replace("async", "sync").replace("5ms", "50ms");
    let written = hcddl::scenario::parse("scenario.yml", &other, &[]).unwrap();
    let other = hcddl::scenario::resolve(&written, &run.registry).unwrap();
    let tried = run.again(&here, Some(&other)).unwrap();
    assert_eq!((tried.kept.inputs > 40, tried.result.summary.commits), (true, 60), "{:?}", tried.kept);
    assert!(tried.kept.commits > 5 && tried.kept.commits < 60, "{:?}", tried.kept);
    assert!(tried.result.summary.virtual_time_s > seconds, "rounds over slow links take longer");
    // The same again, to the bit; and without a change it goes on as the scenario says.
    let twice = run.again(&here, Some(&other)).unwrap();
    assert_eq!(twice.result.summary.trace_digest, tried.result.summary.trace_digest);
    assert_eq!(run.again(&here, None).unwrap().result.summary.commits, 60);

    // With its durations, whatever is new in the other plan acts on top of them; nothing is ignored.
    let timed = Keep { durations: true, ..here };
    let took = |text: &str| {
        let written = hcddl::scenario::parse("scenario.yml", text, &[]).unwrap();
        let plan = hcddl::scenario::resolve(&written, &run.registry).unwrap();
        run.again(&timed, Some(&plan)).unwrap().result.summary.virtual_time_s
    };
    let as_it_was = took(text);
    for (what, other) in [
        ("injected latency", text.to_owned() + "injections: [{where: all, add: 100ms}]\n"),
        ("an injected latency instead", text.to_owned() + "injections: [{where: all, replace: 150ms}]\n"),
        ("slow nodes", text.to_owned() + "injections: [{where: all, slow_down: 50}]\n"),
        ("delayed messages", text.to_owned() + "faults: {messages: [{delay: 100ms}]}\n"),
        ("another link", text.replace("5ms", "150ms")),
        ("lost messages", text.to_owned() + "faults: {messages: [{loss: 0.4}]}\n"),
    ] {
        let seconds = took(&other);
        assert!(seconds > 1.2 * as_it_was, "{what}: {seconds} s, without it {as_it_was} s");
    }

    let more = hcddl::scenario::parse("scenario.yml", &text.replace("flat(3)", "flat(4)"), &[]).unwrap();
    let more = hcddl::scenario::resolve(&more, &run.registry).unwrap();
    let refused = run.again(&here, Some(&more)).unwrap_err().to_string();
    assert!(refused.contains("nodes and their places"), "{refused}");
}

/// Two short runs on the devices tell the simulator what they are like.
#[test]
fn a_profile_is_measured_by_short_runs() {
    let dir = tempfile::tempdir().unwrap();
    let scenario = "name: small\ntopology: flat(2)\nmodel: softmax\ntraining: {rounds: 500, batch: 8}\n\
                    tiers: {global: {policy: async}}\n\
                    devices: {workers: {name: fixed, step_time: 10ms}, servers: instant}\ndeploy: {paced: true}\n";
    fs::write(dir.path().join("s.yml"), scenario).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hcddl"))
        .args(["profile", "s.yml", "--local", "--out", "out"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let (text, notes) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}{notes}");
    for part in ["certificate of a profile", "held out", "time per round", "utilisation, worker1 to global"] {
        assert!(notes.contains(part), "no `{part}`: {notes}");
    }
    let kept = fs::read_to_string(dir.path().join("out/profile.yml")).unwrap();
    assert_eq!(kept, text);
    assert!(dir.path().join("out/certificate.json").is_file());
    // What it prints is a part of a scenario.
    let fitted = format!("topology: flat(2)\nmodel: softmax\ntraining: {{rounds: 3}}\n{text}");
    let written = hcddl::scenario::parse("p.yml", &fitted, &[]).unwrap();
    let plan = hcddl::scenario::resolve(&written, &Registry::default()).unwrap();
    let worker = plan.nodes.iter().find(|node| node.name == "worker1").unwrap();
    let step = plan.hosts[worker.host.index()].device.step_time.as_ref().expect("a step time").mean();
    let step = step.expect("a mean").0;
    assert!((10_000_000..40_000_000).contains(&step), "{text}");
    fs::write(dir.path().join("p.yml"), fitted).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_hcddl"))
        .args(["check", "p.yml"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
