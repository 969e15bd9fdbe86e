//! The controller's end: devices come, and scripts go to them.

use super::frame::{Frame, hear, say};
use crate::transport::Identity;
use crate::transport::door::{Connection, Door};
use hcddl_core::domain::name::is_name;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Bytes of a stream in one frame, and in each pipe.
const CHUNK: usize = 64 << 10;
/// How long a device may take to come back for its next script.
const RETURN: Duration = Duration::from_secs(30);
/// Devices that are remembered. All have the same token, so one may give any number of names.
const DEVICES_MAX: usize = 4096;
/// Connections of one device that wait.
const STANDBY_MAX: usize = 8;
/// Between two signs of life to a device that waits.
const ALIVE: Duration = Duration::from_secs(5);

/// Listens for devices until it is dropped.
pub struct Desk {
    devices: Arc<Devices>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Devices {
    known: Mutex<BTreeMap<String, Device>>,
    changed: Notify,
}

struct Device {
    address: IpAddr,
    /// Connections that wait for a script.
    standby: VecDeque<Box<dyn Connection>>,
}

impl std::fmt::Debug for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Devices").finish_non_exhaustive()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A device that has joined.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The name that it gave.
    pub name: String,
    /// Where it came from.
    pub address: IpAddr,
    devices: Arc<Devices>,
}

/// A script that runs on a device.
pub struct Script {
    /// Its standard input.
    pub stdin: DuplexStream,
    /// Its standard output.
    pub stdout: DuplexStream,
    /// Its standard error.
    pub stderr: DuplexStream,
    /// Its exit code, in the end.
    pub exit: oneshot::Receiver<Result<Option<i32>, String>>,
}

impl Desk {
    /// Opens the desk.
    ///
    /// # Errors
    /// When the address is taken or the identity unusable.
    pub async fn open(address: SocketAddr, identity: &Identity) -> io::Result<Self> {
        let door = Arc::new(Door::open(address, identity).await?);
        let devices = Arc::new(Devices::default());
        let welcoming = {
            let devices = Arc::clone(&devices);
            tokio::spawn(async move {
                loop {
                    let caller = door.accept().await;
                    let (door, devices) = (Arc::clone(&door), Arc::clone(&devices));
                    tokio::spawn(async move {
                        let address = caller.address;
                        if let Some(connection) = door.prove(caller).await
                            && let Err((kind, why)) = welcome(&devices, connection, address).await
                            && let Some(more) = door.line(address, kind)
                        {
                            tracing::warn!("the device at {address} was sent away: {why}{more}");
                        }
                    });
                }
            })
        };
        let breathing = tokio::spawn(breathe(Arc::clone(&devices)));
        Ok(Self { devices, tasks: vec![welcoming, breathing] })
    }

    /// Waits until `count` devices are there, or `patience` is over; those that are, by name.
    pub async fn wait(&self, count: usize, patience: Duration) -> Vec<Joined> {
        let deadline = Instant::now() + patience;
        loop {
            let changed = self.devices.changed.notified();
            let there = self.there();
            if there.len() >= count {
                return there;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return self.there();
            }
        }
    }

    fn there(&self) -> Vec<Joined> {
        let known = self.devices.known();
        let joined = known.iter().map(|(name, device)| Joined {
            name: name.clone(),
            address: device.address,
            devices: Arc::clone(&self.devices),
        });
        joined.collect()
    }
}

impl Devices {
    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Device>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, name: &str) -> Option<Box<dyn Connection>> {
        self.known().get_mut(name)?.standby.pop_front()
    }

    fn put(&self, name: &str, connection: Box<dyn Connection>) {
        if let Some(device) = self.known().get_mut(name) {
            // A device calls anew only when its connection was used or broke: the oldest is the least likely to live.
            if device.standby.len() >= STANDBY_MAX {
                device.standby.pop_front();
            }
            device.standby.push_back(connection);
        }
        self.changed.notify_waiters();
    }
}

/// A device says its name and waits; or why it is sent away: a kind of reason, and the words.
async fn welcome(
    devices: &Devices,
    mut connection: Box<dyn Connection>,
    address: SocketAddr,
) -> Result<(), (&'static str, String)> {
    let name = match tokio::time::timeout(RETURN, hear(&mut connection)).await {
        Ok(Ok(Frame::Hello(name))) if is_name(&name) => name,
        _ => return Err(("no name", "it gave no name of letters, digits, dots and dashes".to_owned())),
    };
    {
        let mut known = devices.known();
        if known.len() >= DEVICES_MAX && !known.contains_key(&name) {
            return Err(("too many", format!("{DEVICES_MAX} devices have joined already")));
        }
        let device = known
            .entry(name.clone())
            .or_insert_with(|| Device { address: address.ip(), standby: VecDeque::new() });
        if device.address != address.ip() {
            let why = format!("a second device calls itself `{name}`; give it another --name");
            return Err(("second", why));
        }
    }
    devices.put(&name, connection);
    Ok(())
}

/// Tells devices that wait that somebody is there, and drops those that are gone.
async fn breathe(devices: Arc<Devices>) {
    loop {
        tokio::time::sleep(ALIVE).await;
        let names: Vec<String> = devices.known().keys().cloned().collect();
        for name in names {
            if let Some(mut connection) = devices.take(&name)
                && say(&mut connection, &Frame::Alive).await.is_ok()
            {
                devices.put(&name, connection);
            }
        }
    }
}

impl Joined {
    /// Starts a script of the POSIX shell on the device.
    ///
    /// # Errors
    /// When the device does not come for it in time.
    pub async fn start(&self, script: &str) -> Result<Script, String> {
        let deadline = Instant::now() + RETURN;
        let mut connection = loop {
            let changed = self.devices.changed.notified();
            match self.devices.take(&self.name) {
                // A connection that broke while it waited shows it now.
                Some(mut connection) => {
                    if say(&mut connection, &Frame::Run(script.to_owned())).await.is_ok() {
                        break connection;
                    }
                }
                None => {
                    if tokio::time::timeout_at(deadline, changed).await.is_err() {
                        return Err(format!("the device has not come back for {RETURN:?}"));
                    }
                }
            }
        };
        let (stdin, input) = duplex(CHUNK);
        let (stdout, output) = duplex(CHUNK);
        let (stderr, error) = duplex(CHUNK);
        let (ended, exit) = oneshot::channel();
        connection.flush().await.map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            // Nobody may be waiting for the end any more.
            let _ = ended.send(bridge(connection, input, output, error).await);
        });
        Ok(Script { stdin, stdout, stderr, exit })
    }
}

async fn bridge(
    connection: Box<dyn Connection>,
    mut input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    error: impl AsyncWrite + Unpin,
) -> Result<Option<i32>, String> {
    let (mut reader, mut writer) = split(connection);
    let feed = async {
        let mut buffer = vec![0; CHUNK];
        loop {
            let bytes = input.read(&mut buffer).await.unwrap_or(0);
            if say(&mut writer, &Frame::Input(buffer[..bytes].to_vec())).await.is_err() || bytes == 0 {
                // From here on only the answer matters.
                return std::future::pending::<()>().await;
            }
        }
    };
    let listen = async {
        let (mut output, mut error) = (Some(output), Some(error));
        loop {
            match hear(&mut reader).await {
                Ok(Frame::Output(bytes)) => pass(&mut output, &bytes).await,
                Ok(Frame::Error(bytes)) => pass(&mut error, &bytes).await,
                Ok(Frame::Exit(code)) => return Ok(code),
                Ok(Frame::Failed(why)) => return Err(why),
                Ok(_) => {}
                Err(_) => return Err("the connection broke".to_owned()),
            }
        }
    };
    tokio::select! {
        ended = listen => ended,
        () = feed => unreachable!("feeding never ends"),
    }
}

/// Passes bytes on; nothing, or nobody who listens, ends the stream.
async fn pass(to: &mut Option<impl AsyncWrite + Unpin>, bytes: &[u8]) {
    if let Some(open) = to
        && (bytes.is_empty() || open.write_all(bytes).await.is_err())
    {
        *to = None;
    }
}
