//! Options of `hcddl deploy`.

use crate::cli::{ScenarioArgs, Usage, output};
use clap::Args;
use hcddl_core::domain::units::Duration;
use hcddl_deploy::deploy::controller::binary::{Binaries, architecture};
use hcddl_deploy::deploy::inventory::{Format, Host, Inventory};
use hcddl_deploy::deploy::join::{Desk, Joined, Token};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Which scenario on which hosts.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    pub file: Option<PathBuf>,
    /// Ansible inventory (INI or YAML), or names: pi1,pi2,
    #[arg(short, long, value_name = "INVENTORY")]
    inventory: Option<PathBuf>,
    /// Output of `ansible-inventory --list`, instead of -i
    #[arg(long, value_name = "FILE", conflicts_with = "inventory")]
    inventory_json: Option<PathBuf>,
    /// Every node as a process of this machine, instead of -i
    #[arg(long, conflicts_with_all = ["inventory", "inventory_json", "group", "limit"])]
    pub local: bool,
    /// Wait here for devices that come by themselves (`hcddl node --join`), instead of -i
    #[arg(long, value_name = "ADDRESS:PORT", requires = "token",
          conflicts_with_all = ["inventory", "inventory_json", "local", "group", "limit"])]
    pub join: Option<SocketAddr>,
    /// The controller's token (`hcddl deploy token`)
    #[arg(long, value_name = "FILE", requires = "join")]
    pub token: Option<PathBuf>,
    /// Devices to wait for [default: one for each node]
    #[arg(long, value_name = "N", requires = "join", value_parser = clap::value_parser!(u16).range(1..))]
    pub devices: Option<u16>,
    /// How long to wait for them
    #[arg(long, value_name = "DURATION", requires = "join", default_value = "10min")]
    pub patience: Duration,
    /// The devices that have come.
    #[arg(skip)]
    pub joined: Vec<Joined>,
    /// Group of hosts to use [default: pool if there is one, else all]
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Use only these hosts: names and groups, separated by commas; ! in front leaves out
    #[arg(short, long, value_name = "HOSTS")]
    limit: Option<String>,
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    #[command(flatten)]
    pub reach: ReachArgs,
    /// A program for devices of another architecture; repeatable
    #[arg(long = "binary", value_name = "ARCH=PATH")]
    binaries: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How hosts are talked to.
#[derive(Clone, Debug, Args)]
pub struct ReachArgs {
    /// Hosts to talk to at a time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub forks: u16,
    /// How long to wait for a connection
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    timeout: Duration,
}

impl ReachArgs {
    /// How long to wait for a connection; SSH counts whole seconds.
    pub fn timeout(&self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.timeout.0.0).max(std::time::Duration::from_secs(1))
    }
}

impl TargetArgs {
    /// With `--join`: waits for as many devices as there are nodes; the desk must stay open.
    pub async fn wait_for_devices(&mut self, nodes: usize) -> anyhow::Result<Option<Desk>> {
        let (Some(address), Some(token)) = (self.join, &self.token) else { return Ok(None) };
        let identity = Token::read(token, "controller")?.identity();
        let desk = Desk::open(address, &identity).await;
        let desk = desk.map_err(|error| Usage(format!("--join {address}: cannot listen: {error}")))?;
        let count = self.devices.map_or(nodes, usize::from);
        output::note(
            "waiting",
            &format!("for {count} devices: hcddl node --join {address} --token device.token"),
        );
        self.joined = desk.wait(count, std::time::Duration::from_nanos(self.patience.0.0)).await;
        let names: Vec<&str> = self.joined.iter().map(|device| device.name.as_str()).collect();
        if names.len() < count {
            let there = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            anyhow::bail!(
                "{} of {count} devices have come in time: {there}; --patience waits longer",
                names.len()
            );
        }
        output::note("joined", &names.join(", "));
        Ok(Some(desk))
    }

    /// The scenario file.
    pub fn file(&self) -> anyhow::Result<&PathBuf> {
        Ok(self.file.as_ref().ok_or_else(|| Usage("name a scenario file".to_owned()))?)
    }

    /// The hosts to use, in order, with what they came from and what the user should know.
    pub fn pool(&self) -> anyhow::Result<(String, Vec<Host>, Vec<String>)> {
        if self.local {
            return Ok(("--local".to_owned(), vec![Host::here()], Vec::new()));
        }
        if let Some(address) = self.join {
            if self.joined.is_empty() {
                let text = "devices of --join come to `hcddl deploy run` alone";
                return Err(Usage(text.to_owned()).into());
            }
            let host = |device: &Joined| Host {
                name: device.name.clone(),
                reached_at: Some(device.address.to_string()),
                ..Host::default()
            };
            return Ok((format!("--join {address}"), self.joined.iter().map(host).collect(), Vec::new()));
        }
        let inventory = match (&self.inventory, &self.inventory_json) {
            (Some(path), _) => Inventory::load(path, None)?,
            (None, Some(path)) => Inventory::load(path, Some(Format::Json))?,
            (None, None) => {
                let text = "which hosts? `-i INVENTORY` names a file with a host on each line, `--local` runs every \
                            node on this machine";
                return Err(Usage(text.to_owned()).into());
            }
        };
        let pool = inventory.pool(self.group.as_deref(), self.limit.as_deref())?;
        Ok((inventory.file, pool, inventory.warnings))
    }

    /// The programs that there are for devices.
    pub fn binaries(&self) -> anyhow::Result<Binaries> {
        let mut binaries = Binaries {
            own: std::env::current_exe()?,
            cache: std::env::var_os("HOME")
                .filter(|home| !home.is_empty())
                .map(|home| PathBuf::from(home).join(".hcddl/bin")),
            ..Binaries::default()
        };
        for given in &self.binaries {
            let Some((arch, path)) = given.split_once('=') else {
                let text = format!("--binary {given}: write ARCH=PATH, as in aarch64=target/release/hcddl");
                return Err(Usage(text).into());
            };
            if !std::path::Path::new(path).is_file() {
                return Err(Usage(format!("--binary {given}: there is no file `{path}`")).into());
            }
            binaries.given.insert(architecture(arch).to_owned(), PathBuf::from(path));
        }
        Ok(binaries)
    }
}

/// A run that was started before.
#[derive(Clone, Debug, Args)]
pub struct KnownArgs {
    /// Its local directory, or its name below runs/
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    #[command(flatten)]
    pub reach: ReachArgs,
    /// End the controller that is at work in the run directory, and go on here
    #[arg(long)]
    pub take_over: bool,
}

impl KnownArgs {
    /// Its local directory.
    pub fn dir(&self) -> anyhow::Result<PathBuf> {
        super::known::find(&self.run)
    }
}
