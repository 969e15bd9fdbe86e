//! Figures of a server or a peer for Prometheus, in its text format, version 0.0.4, at `/metrics`.
//!
//! Read only and without authentication, as usual for exporters: it tells numbers, no models and no data, and listens
//! only when the scenario asks for it.

use crate::deploy::deployment::NodeProgress;
use crate::transport::gate::Gate;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longest head of a request, in bytes.
const HEAD_MAX: usize = 8 << 10;
/// Requests that are answered at a time, and how many of them from one address.
const CALLERS: (usize, usize) = (16, 8);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers whoever asks.
pub(super) struct Exporter {
    page: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Exporter {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let page = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&page);
        let task = tokio::spawn(async move {
            let gate = Gate::new(CALLERS.0, CALLERS.1);
            loop {
                match listener.accept().await {
                    Ok((stream, address)) => {
                        let Some(pass) = gate.enter(address.ip()) else { continue };
                        let shown = Arc::clone(&shown);
                        tokio::spawn(async move {
                            let _ = tokio::time::timeout(PATIENCE, answer(stream, &shown)).await;
                            drop(pass);
                        });
                    }
                    Err(error) => {
                        gate.cannot_accept(&error);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
        Ok(Self { page, task })
    }

    /// What it answers from now on.
    pub fn show(&self, run: &str, node: &str, progress: &NodeProgress) {
        *self.page.lock().expect("nobody panics with it") = page(run, node, progress);
    }
}

async fn answer(mut stream: TcpStream, page: &Mutex<String>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_MAX {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = if head.starts_with(b"GET /metrics ") || head.starts_with(b"GET /metrics?") {
        ("200 OK", page.lock().expect("nobody panics with it").clone())
    } else {
        ("404 Not Found", "the figures are at /metrics\n".to_owned())
    };
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn page(run: &str, node: &str, progress: &NodeProgress) -> String {
    let seconds = progress.now as f64 / 1e9;
    let figures = [
        ("clock_seconds", "gauge", "Time since the node started.", Some(seconds)),
        (
            "commits_total",
            "counter",
            "Commits of the server, or rounds of the peer.",
            Some(progress.commits as f64),
        ),
        ("restarts_total", "counter", "Starts of the node after the first.", Some(f64::from(progress.life))),
        ("sent_bytes_total", "counter", "Bytes sent to neighbours.", Some(progress.bytes_sent as f64)),
        (
            "received_bytes_total",
            "counter",
            "Bytes received from neighbours.",
            Some(progress.bytes_received as f64),
        ),
        ("lost_neighbours", "gauge", "Neighbours that are lost now.", Some(progress.lost.len() as f64)),
        ("staleness_mean", "gauge", "Mean staleness of committed updates, in versions.", progress.staleness),
        ("accuracy", "gauge", "Test accuracy of the last evaluation, from 0 to 1.", progress.accuracy),
        ("loss", "gauge", "Test loss of the last evaluation.", progress.loss),
    ];
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels = format!("run=\"{}\",node=\"{}\"", escape(run), escape(node));
    let mut page = String::new();
    for (name, kind, help, value) in figures {
        if let Some(value) = value {
            let _ = writeln!(
                page,
                "# HELP hcddl_{name} {help}\n# TYPE hcddl_{name} {kind}\nhcddl_{name}{{{labels}}} {value}"
            );
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_asks_is_answered_and_whoever_stalls_holds_up_nobody() {
        let address = SocketAddr::from(([127, 0, 0, 1], crate::transport::free_ports(1).unwrap()[0]));
        let exporter = Exporter::start(address).await.unwrap();
        let progress = NodeProgress { commits: 7, accuracy: Some(0.5), ..NodeProgress::default() };
        exporter.show("a \"run\"", "global", &progress);
        let ask = async |request: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let page = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        assert!(page.contains("\nhcddl_commits_total{run=\"a \\\"run\\\"\",node=\"global\"} 7\n"), "{page}");
        assert!(page.contains("} 0.5\n") && !page.contains("hcddl_loss"), "{page}");
        assert!(ask("GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404"));
        assert_eq!(ask("GET /met").await, "", "half a request has no answer");
        // Those who say nothing have places of their own, and no more than that.
        let mut silent = Vec::new();
        for _ in 0..CALLERS.1 - 1 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(ask("GET /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 200"));
        for _ in 0..100 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut last = silent.pop().unwrap();
        assert!(matches!(last.read(&mut [0]).await, Ok(0) | Err(_)), "it is sent away at once");
    }
}
