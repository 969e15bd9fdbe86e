//! Who comes to a node's ports without a certificate of the run.

use super::slow;
use hcddl::deploy::Deployment;
use std::fs;
use std::process::Child;
use std::time::Duration;

/// The ports on which a process listens, from its open files and the kernel's tables.
fn listening(pid: u32) -> Vec<u16> {
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut ports = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // Local address, state (0A: listening), inode.
            if fields[3] == "0A" && sockets.iter().any(|inode| inode == fields[9]) {
                let (_, port) = fields[1].rsplit_once(':').unwrap();
                ports.push(u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    ports
}

/// What a stranger who speaks no TLS hears; an alert, which is what TLS answers with, is left out.
fn overheard(port: u16, words: &[u8]) -> Vec<u8> {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return Vec::new() };
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // It may be sent away before it has said anything.
    let _ = stream.write_all(words);
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    let alert = heard.len() == 7 && heard[0] == 0x15;
    if alert { Vec::new() } else { heard }
}

/// Invariant: a process listens where its children dial it and nowhere else; whoever comes without a certificate gets
/// nothing, fills no log, and is not noticed by the run.
#[test]
fn strangers_on_the_same_machine_get_nothing_from_any_port() {
    let tiers = "tiers: {local: {policy: async}, global: {policy: async}}";
    let run = slow(tiers, "{name: tree, fanout: [2, 2]}", 400);
    let children: Vec<(&str, Child)> =
        run.plan.nodes.iter().map(|node| (node.name.as_str(), run.start(&node.name))).collect();
    run.reach("global", 5);
    let deployment: Deployment =
        serde_json::from_str(&fs::read_to_string(run.dir.path().join("deployment.json")).unwrap()).unwrap();
    // The greeting of ractor_cluster: 8 bytes of length, then the name of a node.
    let greeting = [&[0, 0, 0, 0, 0, 0, 0, 7][..], &[0x0a, 5, 0x0a, 3, 0x0a, 1, b'x']].concat();
    for (name, child) in &children {
        let placed = deployment.nodes.iter().find(|node| node.name == *name).unwrap();
        let is_server = !name.starts_with("worker");
        let ports = listening(child.id());
        assert_eq!(ports, if is_server { vec![placed.port] } else { vec![] }, "{name}");
        for port in ports {
            for words in [&greeting[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 64]] {
                assert_eq!(overheard(port, words), b"", "{name} answers a stranger on {port}");
            }
        }
    }
    // Many of them, some of whom say nothing.
    let root = deployment.nodes.iter().find(|node| node.name == "global").unwrap().port;
    let before = fs::metadata(run.dir.path().join("global.txt")).unwrap().len();
    let mut silent = Vec::new();
    for turn in 0..3000 {
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", root)) else { continue };
        let _ = std::io::Write::write_all(&mut stream, &[0x55; 32]);
        if turn % 40 == 0 {
            silent.extend(std::net::TcpStream::connect(("127.0.0.1", root)));
        }
    }
    run.wait(children.into_iter().map(|(_, child)| child).collect());
    let written = fs::metadata(run.dir.path().join("global.txt")).unwrap().len() - before;
    assert!(written < 20_000, "3000 strangers cost {written} bytes of log\n{}", run.logs());
    assert_eq!(run.gather().summary.commits, 400);
}
