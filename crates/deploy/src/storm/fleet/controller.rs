//! A controller of the fleet: what it decides is what a real one does; connections and commands are modelled.

use super::host::Machine;
use super::world::{Event, LEASE, World};
use crate::deploy::agent::Order;
use crate::deploy::controller::course::{Course, End, Redial, Update, heard};
use crate::deploy::controller::fetch::Fetching;
use crate::deploy::controller::{Closing, Hold, HoldError};
use hcddl_core::domain::Span;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Between two lines of a supervisor, and two looks at what is known.
const LINE: Span = Span::from_millis(500);
/// An archive comes in so many pieces.
const PIECES: usize = 4;

/// What a controller is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Starts, follows and ends a run.
    Run,
    /// Fetches what there is.
    Fetch,
    /// Ends a run.
    End,
}

/// What a controller does next, on which host.
pub(super) enum Step {
    Start(usize),
    Connect(usize),
    Listen(usize),
    Renew(usize),
    Look,
    Stop(usize),
    Pack(usize),
    Piece(usize),
}

/// An archive on its way.
struct Transfer {
    fetching: Fetching,
    file: File,
    bytes: Vec<u8>,
    written: usize,
}

/// See the module.
pub(super) struct Controller {
    kind: Kind,
    _hold: Hold,
    course: Course,
    redials: Vec<Redial>,
    /// The supervisors that it is connected with, by their lives.
    links: Vec<Option<u32>>,
    to_start: usize,
    is_closing: bool,
    closing: Vec<Closing>,
    transfers: Vec<Option<Transfer>>,
    /// Hosts with which it is done, and whether that went well.
    done: Vec<Option<bool>>,
}

impl World<'_> {
    pub(super) fn begin(&mut self, id: u32, kind: Kind, take_over: bool) -> Result<(), String> {
        if take_over {
            self.controllers.clear();
        }
        let hold = match Hold::take(&self.local, false) {
            Ok(hold) => hold,
            Err(HoldError::Held(_)) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let hosts = self.hosts.len();
        let controller = Controller {
            kind,
            _hold: hold,
            course: Course::new(&self.record),
            redials: (0..hosts).map(|_| Redial::default()).collect(),
            links: vec![None; hosts],
            to_start: hosts,
            is_closing: false,
            closing: vec![Closing::default(); hosts],
            transfers: (0..hosts).map(|_| None).collect(),
            done: vec![None; hosts],
        };
        self.controllers.insert(id, controller);
        for host in 0..hosts {
            let step = match kind {
                Kind::Run => Step::Start(host),
                Kind::Fetch => Step::Pack(host),
                Kind::End => Step::Stop(host),
            };
            self.soon(id, step);
        }
        Ok(())
    }

    fn soon(&mut self, id: u32, step: Step) {
        let after = self.delay();
        self.push(after, Event::Step(id, step));
    }

    fn is_cut(&self, host: usize) -> bool {
        self.hosts[host].cut_until > self.now
    }

    fn of(&mut self, id: u32) -> &mut Controller {
        self.controllers.get_mut(&id).expect("a controller that is there")
    }

    pub(super) fn step(&mut self, id: u32, step: Step) -> Result<(), String> {
        let Some(controller) = self.controllers.get(&id) else { return Ok(()) };
        let follows = !controller.is_closing;
        match step {
            Step::Start(host) => self.start(id, host),
            Step::Connect(host) if follows => self.connect(id, host),
            Step::Listen(host) if follows => self.listen(id, host),
            Step::Renew(host) if follows => self.renew(id, host),
            Step::Look if follows => {
                self.push(LINE, Event::Step(id, Step::Look));
                self.look(id)
            }
            Step::Connect(_) | Step::Listen(_) | Step::Renew(_) | Step::Look => Ok(()),
            Step::Stop(host) => self.stop(id, host),
            Step::Pack(host) => self.pack(id, host),
            Step::Piece(host) => self.piece(id, host),
        }
    }

    fn start(&mut self, id: u32, host: usize) -> Result<(), String> {
        if self.is_cut(host) || !self.start_agent(host)? {
            self.controllers.remove(&id);
            return Ok(());
        }
        let controller = self.of(id);
        controller.to_start -= 1;
        if controller.to_start == 0 {
            (0..self.hosts.len()).for_each(|host| self.soon(id, Step::Connect(host)));
            self.soon(id, Step::Look);
        }
        Ok(())
    }

    fn connect(&mut self, id: u32, host: usize) -> Result<(), String> {
        let (is_cut, machine) = (self.is_cut(host), &self.hosts[host]);
        let (life, file) = (machine.agent.as_ref().map(|agent| agent.life), machine.file.clone());
        match life {
            _ if is_cut => self.lost(id, host),
            Some(_) => {
                self.of(id).links[host] = life;
                self.soon(id, Step::Listen(host));
                self.soon(id, Step::Renew(host));
                Ok(())
            }
            None if file.ended.is_some() => self.update(id, host, Update::Status(Box::new(file))),
            None => self.update(id, host, Update::Gone("its supervisor is gone".to_owned())),
        }
    }

    fn lost(&mut self, id: u32, host: usize) -> Result<(), String> {
        let controller = self.of(id);
        controller.links[host] = None;
        let pause = controller.redials[host].pause();
        self.push(pause, Event::Step(id, Step::Connect(host)));
        self.update(id, host, Update::Lost("the connection broke".to_owned()))
    }

    fn listen(&mut self, id: u32, host: usize) -> Result<(), String> {
        let Some(life) = self.of(id).links[host] else { return Ok(()) };
        let machine = &self.hosts[host];
        let line = match &machine.agent {
            Some(agent) if agent.life == life => agent.status.line(),
            // Its last word.
            None if machine.file.ended.is_some() => machine.file.line(),
            _ => return self.lost(id, host),
        };
        if self.is_cut(host) {
            return self.lost(id, host);
        }
        let Some(status) = heard(&self.record.hosts[host], &line) else {
            return Err(format!("a supervisor says what no controller understands: {line}"));
        };
        self.of(id).redials[host] = Redial::default();
        if status.ended.is_none() {
            self.push(LINE, Event::Step(id, Step::Listen(host)));
        }
        self.update(id, host, Update::Status(Box::new(status)))
    }

    fn renew(&mut self, id: u32, host: usize) -> Result<(), String> {
        let life = self.of(id).links[host];
        let is_there = self.hosts[host].agent.as_ref().is_some_and(|agent| Some(agent.life) == life);
        if self.is_cut(host) || !is_there {
            return Ok(());
        }
        self.push(Span(LEASE.0 / 4), Event::Step(id, Step::Renew(host)));
        self.order(host, Order::Renew)
    }

    fn update(&mut self, id: u32, host: usize, update: Update) -> Result<(), String> {
        self.of(id).course.take(host, update);
        self.look(id)
    }

    /// Whether the run is over, and what is to be done then.
    fn look(&mut self, id: u32) -> Result<(), String> {
        let now = self.now;
        match self.of(id).course.end(now, false) {
            None => Ok(()),
            Some(End::RootLost(_)) => {
                // The others wait for it; they need no controller for that.
                for host in 0..self.hosts.len() {
                    if !self.is_cut(host) {
                        self.order(host, Order::Detach)?;
                    }
                }
                self.controllers.remove(&id);
                Ok(())
            }
            Some(End::Finished | End::Interrupted) => {
                self.of(id).is_closing = true;
                (0..self.hosts.len()).for_each(|host| self.soon(id, Step::Stop(host)));
                Ok(())
            }
        }
    }

    fn stop(&mut self, id: u32, host: usize) -> Result<(), String> {
        if !self.is_cut(host) {
            if self.hosts[host].agent.is_some() {
                self.push(LINE, Event::Step(id, Step::Stop(host)));
                return self.order(host, Order::Stop);
            }
            self.kill_left(host);
            self.of(id).closing[host].is_stopped = true;
        }
        self.soon(id, Step::Pack(host));
        Ok(())
    }

    fn pack(&mut self, id: u32, host: usize) -> Result<(), String> {
        if self.is_cut(host) {
            return self.done_with(id, host, false);
        }
        let text = |error: std::io::Error| format!("an archive cannot be made: {error}");
        let fetching = match self.of(id).transfers[host].take() {
            Some(transfer) => transfer.fetching,
            None => Fetching::begin(&self.record.hosts[host], &self.local).map_err(text)?,
        };
        let Some(names) = fetching.wanted() else { return self.fetched(id, host) };
        let bytes = archive(&self.hosts[host], names).map_err(text)?;
        let file = File::create(fetching.archive()).map_err(text)?;
        self.of(id).transfers[host] = Some(Transfer { fetching, file, bytes, written: 0 });
        self.soon(id, Step::Piece(host));
        Ok(())
    }

    fn piece(&mut self, id: u32, host: usize) -> Result<(), String> {
        let is_cut = self.is_cut(host);
        let name = self.record.hosts[host].host.name.clone();
        let Some(transfer) = &mut self.of(id).transfers[host] else { return Ok(()) };
        if !is_cut {
            let end = transfer.bytes.len().min(transfer.written + transfer.bytes.len().div_ceil(PIECES));
            let written = transfer.file.write_all(&transfer.bytes[transfer.written..end]);
            written.map_err(|error| format!("an archive cannot be written: {error}"))?;
            transfer.written = end;
            if end < transfer.bytes.len() {
                self.soon(id, Step::Piece(host));
                return Ok(());
            }
        }
        let sent = transfer.fetching.sent(!is_cut);
        sent.map_err(|error| format!("what {name} sent cannot be taken: {error}"))?;
        if is_cut {
            return self.done_with(id, host, false);
        }
        self.soon(id, Step::Pack(host));
        Ok(())
    }

    /// All files of a host are here: they go from there, if this is the end of the run.
    fn fetched(&mut self, id: u32, host: usize) -> Result<(), String> {
        let controller = self.of(id);
        controller.closing[host].is_fetched = true;
        let may_clean = controller.closing[host].may_clean();
        if controller.kind == Kind::Fetch {
            return self.done_with(id, host, true);
        }
        if may_clean {
            let machine = &self.hosts[host];
            if machine.is_held() {
                return Err(format!("{} is cleaned while something runs there", machine.dir.display()));
            }
            all_is_here(&machine.dir.join("nodes"), &self.local.join("nodes"))?;
            // It may have been cleaned before.
            let _ = fs::remove_dir_all(&machine.dir);
            self.hosts[host].is_there = false;
        }
        self.done_with(id, host, may_clean)
    }

    fn done_with(&mut self, id: u32, host: usize, is_good: bool) -> Result<(), String> {
        let controller = self.of(id);
        controller.done[host] = Some(is_good);
        if controller.done.contains(&None) {
            return Ok(());
        }
        if controller.kind != Kind::Fetch {
            let is_clean = controller.done.iter().all(|done| *done == Some(true));
            self.record.cleaned |= is_clean;
            self.is_left = !is_clean;
        }
        self.controllers.remove(&id);
        Ok(())
    }
}

/// Those of `names` that are in the run's directory of a host, packed.
fn archive(machine: &Machine, names: &[&str]) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.mode(tar::HeaderMode::Deterministic);
    for name in names {
        let path = machine.dir.join(name);
        if path.is_dir() {
            tar.append_dir_all(name, &path)?;
        } else if path.is_file() {
            tar.append_path_with_name(&path, name)?;
        }
    }
    tar.into_inner()
}

/// # Errors
/// A file that was not fetched as it is.
fn all_is_here(there: &Path, here: &Path) -> Result<(), String> {
    // A host on which nothing ever began has no such directory.
    for entry in fs::read_dir(there).into_iter().flatten().flatten() {
        let (from, to) = (entry.path(), here.join(entry.file_name()));
        if from.is_dir() {
            all_is_here(&from, &to)?;
        } else if fs::read(&from).ok() != fs::read(&to).ok() {
            return Err(format!("`{}` is removed and was not fetched as it is", from.display()));
        }
    }
    Ok(())
}
