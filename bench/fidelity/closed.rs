//! `closed PREFIX MODE WORKERS BYTES STEP_MS SECONDS CONTROL`: a parameter server and its workers over the kernel's TCP.
//! Worker i lives in the namespace PREFIX-wi, the server in PREFIX-s (`lab.sh`). Each worker gets the model (BYTES), waits
//! STEP_MS as if it computed, and sends an update (BYTES); MODE is `async` (the server answers each update at once) or
//! `sync` (it waits for all). Prints one line: commits, ms per commit, mean, deviation and 99th percentile of staleness;
//! the first fifth of the commits is left out. Compiled with rustc alone, so it calls libc by hand.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

unsafe extern "C" {
    fn open(path: *const i8, flags: i32, ...) -> i32;
    fn setns(fd: i32, kind: i32) -> i32;
    fn close(fd: i32) -> i32;
    fn setsockopt(fd: i32, level: i32, name: i32, value: *const u8, length: u32) -> i32;
}

const CLONE_NEWNET: i32 = 0x4000_0000;
const IPPROTO_TCP: i32 = 6;
const TCP_CONGESTION: i32 = 13;
const ADDRESS: &str = "10.9.0.1:7000";

/// This thread goes on in another network namespace.
fn enter(namespace: &str) {
    let path = std::ffi::CString::new(format!("/run/netns/{namespace}")).expect("no zero byte");
    // SAFETY: the path ends with a zero byte and lives during the call.
    unsafe {
        let fd = open(path.as_ptr().cast(), 0);
        assert!(fd >= 0 && setns(fd, CLONE_NEWNET) == 0, "cannot enter {namespace}");
        close(fd);
    }
}

fn prepare(stream: &TcpStream, control: &str) {
    stream.set_nodelay(true).expect("a TCP socket");
    // SAFETY: the pointer and the length are those of the name.
    let set = unsafe {
        setsockopt(stream.as_raw_fd(), IPPROTO_TCP, TCP_CONGESTION, control.as_ptr(), control.len() as u32)
    };
    assert_eq!(set, 0, "the kernel has no {control}");
}

#[derive(Default)]
struct Server {
    version: u64,
    waiting: usize,
    round: u64,
    /// Moments in seconds and staleness.
    commits: Vec<(f64, u64)>,
}

/// What all threads of the server share.
struct Shared {
    workers: usize,
    sync: bool,
    began: Instant,
    server: Mutex<Server>,
    next_round: Condvar,
}

impl Shared {
    /// Takes an update of the model of version `seen`; returns the version to answer with.
    fn commit(&self, seen: u64) -> u64 {
        let mut server = self.server.lock().expect("no thread panics");
        let now = self.began.elapsed().as_secs_f64();
        if !self.sync {
            let stale = server.version - seen;
            server.commits.push((now, stale));
            server.version += 1;
            return server.version;
        }
        server.waiting += 1;
        if server.waiting == self.workers {
            server.waiting = 0;
            server.round += 1;
            server.commits.push((now, 0));
            self.next_round.notify_all();
        } else {
            let round = server.round;
            while server.round == round {
                server = self.next_round.wait(server).expect("no thread panics");
            }
        }
        0
    }
}

fn serve(mut stream: TcpStream, bytes: usize, shared: &Shared) {
    let mut buffer = vec![0u8; bytes];
    let mut seen = 0;
    while stream.write_all(&buffer).is_ok() && stream.read_exact(&mut buffer).is_ok() {
        seen = shared.commit(seen);
    }
}

fn work(mut stream: TcpStream, bytes: usize, step: Duration) {
    let mut buffer = vec![0u8; bytes];
    while stream.read_exact(&mut buffer).is_ok() {
        std::thread::sleep(step);
        if stream.write_all(&buffer).is_err() {
            return;
        }
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let number = |index: usize| words[index].parse::<f64>().expect("a number");
    let (prefix, workers, bytes) = (words[1].clone(), number(3) as usize, number(4) as usize);
    let (step, seconds, control) = (Duration::from_secs_f64(number(5) / 1e3), number(6), words[7].clone());
    let shared = Arc::new(Shared {
        workers,
        sync: words[2] == "sync",
        began: Instant::now(),
        server: Mutex::default(),
        next_round: Condvar::new(),
    });
    let (listens, listening) = mpsc::channel();
    let (at, name, by) = (Arc::clone(&shared), format!("{prefix}-s"), control.clone());
    std::thread::spawn(move || {
        enter(&name);
        let listener = TcpListener::bind(ADDRESS).expect("the port is free");
        listens.send(()).expect("main waits");
        let streams: Vec<TcpStream> = (0..workers).map(|_| listener.accept().expect("a worker").0).collect();
        for stream in streams {
            prepare(&stream, &by);
            let shared = Arc::clone(&at);
            std::thread::spawn(move || serve(stream, bytes, &shared));
        }
    });
    listening.recv().expect("the server listens");
    for worker in 0..workers {
        let (name, by) = (format!("{prefix}-w{worker}"), control.clone());
        std::thread::spawn(move || {
            enter(&name);
            let stream = TcpStream::connect(ADDRESS).expect("the server listens");
            prepare(&stream, &by);
            work(stream, bytes, step);
        });
    }
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let server = shared.server.lock().expect("no thread panics");
    let commits = &server.commits[server.commits.len() / 5..];
    assert!(commits.len() > 2, "only {} commits in {seconds} s", server.commits.len());
    let n = commits.len() as f64;
    let per_commit_ms = (commits[commits.len() - 1].0 - commits[0].0) / (n - 1.0) * 1e3;
    let mean = commits.iter().map(|commit| commit.1 as f64).sum::<f64>() / n;
    let deviation = (commits.iter().map(|commit| (commit.1 as f64 - mean).powi(2)).sum::<f64>() / n).sqrt();
    let mut stale: Vec<u64> = commits.iter().map(|commit| commit.1).collect();
    stale.sort_unstable();
    let p99 = stale[((n * 0.99) as usize).min(stale.len() - 1)];
    println!("{} {per_commit_ms:.2} {mean:.3} {deviation:.3} {p99}", commits.len());
    std::process::exit(0);
}
