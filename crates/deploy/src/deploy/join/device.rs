//! The device's end: waits for scripts and runs them.

use super::frame::{Frame, hear, say};
use crate::transport::Identity;
use crate::transport::door::{self, Connection};
use std::io;
use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{Sender, channel};

/// First and longest pause between two calls.
const REDIAL: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// Silence of an idle controller after which the device calls anew.
const SILENCE: Duration = Duration::from_secs(30);
/// Between two looks at the interrupt flag.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Bytes of a stream in one frame.
const CHUNK: usize = 64 << 10;

/// Stays at the controller's disposal under this name until `interrupt`; what breaks is dialled again.
pub async fn serve(address: &str, identity: &Identity, name: &str, interrupt: Arc<AtomicBool>) {
    let mut pause = REDIAL.0;
    while !interrupt.load(Ordering::SeqCst) {
        match wait_for_script(address, identity, name, &interrupt).await {
            Ok(Some((script, connection))) => {
                pause = REDIAL.0;
                tokio::spawn(async move {
                    if let Err(error) = run(&script, connection).await {
                        tracing::warn!("a script of the controller was cut off: {error}");
                    }
                });
            }
            Ok(None) => return,
            Err(error) => {
                tracing::info!("no controller at {address}: {error}");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(REDIAL.1);
            }
        }
    }
}

/// Calls the controller and waits for a script; `None` when interrupted.
async fn wait_for_script(
    address: &str,
    identity: &Identity,
    name: &str,
    interrupt: &AtomicBool,
) -> io::Result<Option<(String, Box<dyn Connection>)>> {
    let mut connection = door::call(address, identity).await?;
    say(&mut connection, &Frame::Hello(name.to_owned())).await?;
    tracing::info!("at the disposal of {address} as `{name}`");
    loop {
        match next(&mut connection, interrupt).await? {
            Some(Frame::Run(script)) => return Ok(Some((script, connection))),
            Some(Frame::Alive) => {}
            Some(_) => return Err(io::ErrorKind::InvalidData.into()),
            None => return Ok(None),
        }
    }
}

/// The next frame, however slowly it comes; `None` when interrupted.
async fn next(connection: &mut Box<dyn Connection>, interrupt: &AtomicBool) -> io::Result<Option<Frame>> {
    // One future for the whole frame: a look at the flag must not lose a part of it.
    let mut hearing = pin!(hear(connection));
    let since = Instant::now();
    while since.elapsed() < SILENCE {
        match tokio::time::timeout(LOOK_EVERY, hearing.as_mut()).await {
            Ok(frame) => return frame.map(Some),
            Err(_) if interrupt.load(Ordering::SeqCst) => return Ok(None),
            Err(_) => {}
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Runs a script with its streams on the connection; ends it when the connection ends.
async fn run(script: &str, connection: Box<dyn Connection>) -> io::Result<()> {
    let (reader, mut writer) = split(connection);
    let started = Command::new("sh")
        .arg("-c")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    match started {
        Ok(child) => bridge(child, reader, writer).await,
        Err(error) => say(&mut writer, &Frame::Failed(format!("`sh`: {error}"))).await,
    }
}

async fn bridge(
    mut child: Child,
    mut reader: ReadHalf<Box<dyn Connection>>,
    mut writer: WriteHalf<Box<dyn Connection>>,
) -> io::Result<()> {
    let mut stdin = child.stdin.take();
    let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let (frames, mut queue) = channel::<Frame>(16);
    let output = tokio::spawn(forward(stdout, frames.clone(), Frame::Output));
    let error = tokio::spawn(forward(stderr, frames.clone(), Frame::Error));
    let write = async {
        while let Some(frame) = queue.recv().await {
            say(&mut writer, &frame).await?;
        }
        writer.shutdown().await
    };
    let read = async {
        loop {
            match hear(&mut reader).await {
                Ok(Frame::Input(bytes)) if bytes.is_empty() => stdin = None,
                Ok(Frame::Input(bytes)) => {
                    if let Some(open) = &mut stdin
                        && open.write_all(&bytes).await.is_err()
                    {
                        // The script has read enough.
                        stdin = None;
                    }
                }
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    };
    let end = async {
        let status = child.wait().await?;
        // Children of the script may hold its streams; what it said itself is there by now.
        let _ = tokio::time::timeout(Duration::from_secs(2), async { tokio::join!(output, error) }).await;
        let _ = frames.send(Frame::Exit(status.code())).await;
        drop(frames);
        io::Result::Ok(())
    };
    tokio::select! {
        // The controller is gone: the script ends with the connection.
        broken = read => Err(broken),
        done = async { tokio::join!(write, end) } => done.0.and(done.1),
    }
}

async fn forward(mut stream: impl AsyncRead + Unpin, to: Sender<Frame>, frame: fn(Vec<u8>) -> Frame) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(bytes @ 1..) = stream.read(&mut buffer).await {
        if to.send(frame(buffer[..bytes].to_vec())).await.is_err() {
            return;
        }
    }
    let _ = to.send(frame(Vec::new())).await;
}
