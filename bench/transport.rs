//! Tensors between two processes on this machine, against a plain TCP copy in the same run:
//! `cargo bench --bench transport`. Options, after `--`: `--rounds N` (7).
//!
//! A round sends one tensor by TCP, by links in the clear and by links with TLS; the figures are medians of the rounds.
//! The plain copy is measured twice: into one buffer, and into a new one each time as the links do (a new tensor
//! must lie somewhere, and the kernel clears its pages). CPU is that of both processes.

use hcddl::domain::{Data, Head, Kind, Message, NodeId, Params, Version};
use hcddl::transport::wire::Limits;
use hcddl::transport::{Authority, Identity, Input, Links, LinksConfig, Neighbour, Stamp};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ELEMENTS_MAX: usize = 26_214_400;
const MIB: f64 = 1_048_576.0;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if arguments.first().is_some_and(|first| first == "receive") {
        return runtime.block_on(receive());
    }
    let rounds = match arguments.iter().position(|a| a == "--rounds") {
        Some(at) => arguments.get(at + 1).ok_or("--rounds needs a number")?.parse()?,
        None => 7,
    };
    println!("| MiB | road | MiB/s | of TCP | of TCP into new memory | CPU ms per MiB |");
    println!("|---|---|---|---|---|---|");
    for mib in [25, 100] {
        runtime.block_on(throughput(mib, rounds))?;
    }
    for tls in [false, true] {
        runtime.block_on(latency(tls))?;
        runtime.block_on(memory(tls))?;
    }
    Ok(())
}

fn config(me: u32, identity: Option<Identity>) -> LinksConfig {
    let run = if identity.is_some() { "bench-tls" } else { "bench" };
    LinksConfig {
        run: run.to_owned(),
        me: NodeId(me),
        names: vec!["receiver".to_owned(), "sender".to_owned()],
        listen: None,
        neighbours: Vec::new(),
        identity,
        secret: "bench".to_owned(),
        life: 0,
        heartbeat: Duration::from_secs(1),
        detection: Duration::from_secs(60),
        start_timeout: Duration::from_secs(60),
        handshake_timeout: Duration::from_secs(10),
        limits: Limits::for_model(ELEMENTS_MAX),
    }
}

// ---- the receiving process -------------------------------------------------------------------------------------

/// Reads its identity from standard input, says where it listens, answers until standard input ends.
async fn receive() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let [authority, certificate, key]: [String; 3] = serde_json::from_str(&line)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut addresses = vec![listener.local_addr()?];
    std::thread::spawn(move || plain_receiver(&listener));
    for identity in [None, Some(Identity { authority, certificate, key })] {
        let (sender, inputs) = unbounded_channel();
        let neighbours = vec![Neighbour { node: NodeId(1), dial: None }];
        let listen = Some(([127, 0, 0, 1], 0).into());
        let links = Links::start(LinksConfig { listen, neighbours, ..config(0, identity) }, sender).await?;
        addresses.push(links.listening().ok_or("listens")?);
        tokio::spawn(answer(links, inputs));
    }
    println!("{}", serde_json::to_string(&addresses)?);
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    println!("{}", peak_rss_mib("self"));
    Ok(())
}

async fn answer(links: Links, mut inputs: UnboundedReceiver<Input>) {
    let mut ordinal = 0;
    while let Some(input) = inputs.recv().await {
        match input {
            Input::Received { from, message, .. } => {
                ordinal += 1;
                let head = Head { version: message.head.version, ..Head::default() };
                links.send(from, Stamp { life: 0, ordinal }, Message::control(Kind::new("got"), head));
            }
            Input::Notice { from, bytes } => links.notice(from, bytes),
            other => panic!("{other:?}"),
        }
    }
}

/// For each size and whether a new buffer is wanted: reads so many bytes and answers one.
fn plain_receiver(listener: &TcpListener) {
    let (mut tcp, _) = listener.accept().expect("a sender");
    tcp.set_nodelay(true).expect("nodelay");
    let mut kept = vec![0; 4 * ELEMENTS_MAX];
    let mut order = [0; 9];
    while tcp.read_exact(&mut order).is_ok() {
        let size = u64::from_le_bytes(order[..8].try_into().expect("8 bytes")) as usize;
        let mut new = if order[8] == 1 { vec![0; size] } else { Vec::new() };
        let buffer = if order[8] == 1 { &mut new[..] } else { &mut kept[..size] };
        tcp.read_exact(buffer).expect("all bytes");
        tcp.write_all(&[1]).expect("an answer");
    }
}

// ---- the sending process ---------------------------------------------------------------------------------------

struct Receiver {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    plain: TcpStream,
    addresses: Vec<SocketAddr>,
    identity: Identity,
}

impl Receiver {
    fn start() -> Result<Self> {
        let authority = Authority::new("bench-tls")?;
        let theirs = authority.issue("receiver")?;
        let mut process = Command::new(std::env::current_exe()?)
            .arg("receive")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = process.stdin.take().ok_or("stdin")?;
        let mut stdout = BufReader::new(process.stdout.take().ok_or("stdout")?);
        writeln!(stdin, "{}", serde_json::to_string(&[theirs.authority, theirs.certificate, theirs.key])?)?;
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let addresses: Vec<SocketAddr> = serde_json::from_str(&line)?;
        let plain = TcpStream::connect(addresses[0])?;
        plain.set_nodelay(true)?;
        Ok(Self { process, stdin, stdout, plain, addresses, identity: authority.issue("sender")? })
    }

    async fn links(&self, tls: bool) -> Result<Road> {
        let identity = tls.then(|| self.identity.clone());
        let (sender, inputs) = unbounded_channel();
        let dial = Some(self.addresses[1 + usize::from(tls)].to_string());
        let neighbours = vec![Neighbour { node: NodeId(0), dial }];
        let links = Links::start(LinksConfig { neighbours, ..config(1, identity) }, sender).await?;
        let mut road = Road { links, inputs, ordinal: 0 };
        road.send(&Params::new(vec![0.0]));
        road.answered().await?;
        Ok(road)
    }

    fn copy(&mut self, bytes: &[u8], new: bool) -> Result<()> {
        self.plain.write_all(&(bytes.len() as u64).to_le_bytes())?;
        self.plain.write_all(&[u8::from(new)])?;
        self.plain.write_all(bytes)?;
        Ok(self.plain.read_exact(&mut [0])?)
    }

    /// CPU time of both processes.
    fn cpu(&self) -> Duration {
        cpu_of("self") + cpu_of(&self.process.id().to_string())
    }

    /// Ends it; its peak of resident memory, in MiB.
    fn end(mut self) -> Result<f64> {
        writeln!(self.stdin)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        self.process.wait()?;
        Ok(line.trim().parse()?)
    }
}

struct Road {
    links: Links,
    inputs: UnboundedReceiver<Input>,
    ordinal: u64,
}

impl Road {
    fn send(&mut self, params: &Params) {
        self.ordinal += 1;
        let head = Head { version: Version(self.ordinal), ..Head::default() };
        let message = Message::with(Kind::new("update"), head, "model", Data::Dense(params.clone()));
        self.links.send(NodeId(0), Stamp { life: 0, ordinal: self.ordinal }, message);
    }

    async fn answered(&mut self) -> Result<()> {
        match self.inputs.recv().await {
            Some(Input::Received { .. }) => Ok(()),
            other => Err(format!("{other:?} instead of an answer").into()),
        }
    }
}

async fn throughput(mib: usize, rounds: usize) -> Result<()> {
    let mut receiver = Receiver::start()?;
    let mut roads = [receiver.links(false).await?, receiver.links(true).await?];
    let params = Params::new((0..mib * 262_144).map(|i| i as f32).collect());
    let bytes: Vec<u8> = params.values().ok_or("values")?.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut costs: [Vec<(f64, f64)>; 4] = Default::default();
    for round in 0..=rounds {
        for (which, costs) in costs.iter_mut().enumerate() {
            let (start, cpu) = (Instant::now(), receiver.cpu());
            match which {
                0 | 1 => receiver.copy(&bytes, which == 1)?,
                _ => {
                    roads[which - 2].send(&params);
                    roads[which - 2].answered().await?;
                }
            }
            // The first round warms up.
            if round > 0 {
                costs.push((start.elapsed().as_secs_f64(), (receiver.cpu() - cpu).as_secs_f64()));
            }
        }
    }
    let wall = costs.each_ref().map(|c| median(c.iter().map(|c| c.0).collect()));
    let names = ["plain TCP", "plain TCP into new memory", "links, tls off", "links, tls on"];
    for (i, name) in names.iter().enumerate() {
        // The kernel counts CPU in hundredths of a second: a mean is finer than a median.
        let cpu = costs[i].iter().map(|c| c.1).sum::<f64>() / rounds as f64;
        let (rate, of, of_new) = (mib as f64 / wall[i], wall[0] / wall[i], wall[1] / wall[i]);
        println!("| {mib} | {name} | {rate:.0} | {of:.2} | {of_new:.2} | {:.2} |", cpu * 1e3 / mib as f64);
    }
    receiver.end()?;
    Ok(())
}

/// Round trips of a notice, which goes the way of a heartbeat, while 100 MiB tensors are pushed.
async fn latency(tls: bool) -> Result<()> {
    let receiver = Receiver::start()?;
    let mut road = receiver.links(tls).await?;
    let params = Params::new(vec![1.0; ELEMENTS_MAX]);
    let mut quiet = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        road.links.notice(NodeId(0), b"ping".to_vec());
        match road.inputs.recv().await {
            Some(Input::Notice { .. }) => quiet.push(start.elapsed().as_secs_f64() * 1e3),
            other => return Err(format!("{other:?} instead of a notice").into()),
        }
    }
    let (mut busy, mut open) = (Vec::new(), 0);
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        // Always one more than is on its way.
        while open < 2 {
            road.send(&params);
            open += 1;
        }
        let start = Instant::now();
        road.links.notice(NodeId(0), b"ping".to_vec());
        loop {
            match road.inputs.recv().await {
                Some(Input::Notice { .. }) => break busy.push(start.elapsed().as_secs_f64() * 1e3),
                Some(Input::Received { .. }) => open -= 1,
                other => return Err(format!("{other:?} instead of an answer").into()),
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let most = busy.iter().copied().fold(0.0, f64::max);
    let mut sorted = busy.clone();
    sorted.sort_by(f64::total_cmp);
    println!(
        "tls {tls}: round trip of a heartbeat, ms: quiet {:.2}; behind pushes of 100 MiB median {:.2}, 99 % {:.2}, \
         worst {most:.2} ({} of them)",
        median(quiet),
        median(busy),
        sorted[sorted.len() * 99 / 100],
        sorted.len()
    );
    receiver.end()?;
    Ok(())
}

/// Peak memory of the receiver for 3 tensors of 100 MiB that come one after the other.
async fn memory(tls: bool) -> Result<()> {
    let receiver = Receiver::start()?;
    let mut road = receiver.links(tls).await?;
    let before = peak_rss_mib(&receiver.process.id().to_string());
    let params = Params::new(vec![1.0; ELEMENTS_MAX]);
    let sender_before = peak_rss_mib("self");
    for _ in 0..3 {
        road.send(&params);
    }
    for _ in 0..3 {
        road.answered().await?;
    }
    let sender = peak_rss_mib("self") - sender_before;
    let peak = receiver.end()?;
    println!(
        "tls {tls}: 3 tensors of {:.0} MiB: receiver's peak {:.0} MiB above its {before:.0}, sender's {sender:.0} MiB \
         above the tensor",
        4.0 * ELEMENTS_MAX as f64 / MIB,
        peak - before
    );
    Ok(())
}

// ---- what processes cost ---------------------------------------------------------------------------------------

/// CPU time of a process so far, in ticks of 10 ms.
fn cpu_of(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The largest resident memory of a process so far, in MiB.
fn peak_rss_mib(process: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
