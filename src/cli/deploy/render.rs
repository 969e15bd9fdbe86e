//! `hcddl deploy render`: the same nodes for those whose sites already have an orchestrator.

use super::args::TargetArgs;
use super::supplies;
use super::target::{Target, address};
use crate::cli::{Ending, Usage, output};
use clap::{Args, ValueEnum};
use hcddl_deploy::deploy::controller::{Parcel, Probe, random_hex};
use hcddl_deploy::deploy::placement;
use hcddl_plan::registry::Registry;
use hcddl_sim::record::rundir::file_name;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where program and bundle are expected on a device.
const HOME: &str = "/opt/hcddl";

#[derive(Debug, Args)]
pub struct RenderArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// For whom
    #[arg(long = "target", value_enum)]
    form: Form,
    /// Where to write; must be empty or new
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A unit for each node
    Systemd,
    /// A compose file with a service for each node
    Compose,
    /// A playbook that copies the bundles and starts the nodes
    Ansible,
}

pub fn execute(args: &RenderArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let target = Target::load(&args.target, registry)?;
    let name = file_name(&target.session.plan.name);
    let run = format!("{name}-{}", random_hex(3)?);
    let addresses: Vec<_> = target.hosts.iter().map(|host| address(host, &Probe::default())).collect();
    let deployment =
        placement::deployment(&run, &target.session.plan, &target.seats, &target.hosts, &addresses);
    let parcel = supplies::parcel(&target, deployment, false, None)?;
    let occupied = fs::read_dir(&args.out).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(
            Usage(format!("`{}` is not empty; name a new directory with --out", args.out.display())).into()
        );
    }
    for host in &target.hosts {
        bundle(&args.out.join("bundles").join(&host.name), &parcel, &host.name)?;
    }
    for (path, text) in files(args.form, &parcel) {
        write(&args.out.join(path), text.as_bytes())?;
    }
    output::result(&format!("wrote {}\n{}\n", args.out.display(), next(args.form, &args.out)))?;
    Ok(Ending::Done)
}

fn next(form: Form, out: &Path) -> String {
    let out = out.display();
    match form {
        Form::Systemd => format!(
            "next, on each host: the program as {HOME}/hcddl, {out}/bundles/<host>/ as {HOME}/run/, {out}/systemd/<host>/* in \
             /etc/systemd/system/, then `systemctl daemon-reload && systemctl start 'hcddl-*'`"
        ),
        Form::Compose => format!(
            "next: an image `hcddl` with the program in its PATH, then on each host `docker compose -f \
             {out}/compose/<host>.yml up`"
        ),
        Form::Ansible => format!(
            "next: `ansible-playbook -i INVENTORY {out}/playbook.yml -e program=PATH`, with PATH a static hcddl for the devices"
        ),
    }
}

/// Files of the run for one host; all for their owner alone.
fn bundle(dir: &Path, parcel: &Parcel, host: &str) -> anyhow::Result<()> {
    for (path, bytes) in &parcel.common {
        write(&dir.join(path), bytes)?;
    }
    for (node, own) in parcel.deployment.nodes.iter().zip(&parcel.nodes).filter(|(node, _)| node.host == host)
    {
        for (path, bytes) in &own.files {
            write(&dir.join(path), bytes)?;
        }
        if let Some((_, bytes)) = &own.data {
            write(&dir.join(format!("data/{}.bin", node.name)), bytes)?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(bytes)?)
}

/// What the orchestrator reads.
fn files(form: Form, parcel: &Parcel) -> Vec<(String, String)> {
    let nodes = &parcel.deployment.nodes;
    match form {
        Form::Systemd => {
            let unit = |node: &hcddl_deploy::deploy::Placed| {
                let path = format!("systemd/{}/hcddl-{}.service", node.host, node.name);
                (path, unit(&parcel.deployment.run, &node.name))
            };
            nodes.iter().map(unit).collect()
        }
        Form::Compose => {
            let mut hosts: Vec<&str> = nodes.iter().map(|node| node.host.as_str()).collect();
            hosts.dedup();
            hosts.sort_unstable();
            hosts.dedup();
            hosts.into_iter().map(|host| (format!("compose/{host}.yml"), compose(parcel, host))).collect()
        }
        Form::Ansible => vec![("playbook.yml".to_owned(), playbook(parcel))],
    }
}

fn unit(run: &str, node: &str) -> String {
    format!(
        "[Unit]\nDescription=hcddl {run}: {node}\nAfter=network-online.target\nWants=network-online.target\n\n\
         [Service]\nExecStart={HOME}/hcddl node {HOME}/run {node}\nRestart=on-failure\nRestartSec=2\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

/// Nodes listen at addresses of the host, so they use its network.
fn compose(parcel: &Parcel, host: &str) -> String {
    let mut text = format!("# {} on {host}\nservices:\n", parcel.deployment.run);
    for node in parcel.deployment.nodes.iter().filter(|node| node.host == host) {
        let name = &node.name;
        let _ = write!(
            text,
            "  {name}:\n    image: hcddl\n    command: [\"hcddl\", \"node\", \"/run-dir\", \"{name}\"]\n    \
             network_mode: host\n    restart: on-failure\n    volumes:\n      - \"../bundles/{host}:/run-dir\"\n"
        );
    }
    text
}

fn playbook(parcel: &Parcel) -> String {
    let mut text = format!(
        "# {}\n# ansible-playbook -i INVENTORY playbook.yml -e program=PATH\n",
        parcel.deployment.run
    );
    let mut hosts: Vec<&str> = parcel.deployment.nodes.iter().map(|node| node.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    for host in hosts {
        let nodes = parcel.deployment.nodes.iter().filter(|node| node.host == host);
        let nodes: Vec<&str> = nodes.map(|node| node.name.as_str()).collect();
        let _ = write!(
            text,
            "- hosts: \"{host}\"\n  gather_facts: false\n  tasks:\n    \
             - ansible.builtin.file: {{path: .hcddl-site, state: directory, mode: \"0700\"}}\n    \
             - ansible.builtin.copy: {{src: \"{{{{ program }}}}\", dest: .hcddl-site/hcddl, mode: \"0700\"}}\n    \
             - ansible.builtin.copy: {{src: \"bundles/{host}/\", dest: .hcddl-site/run/, mode: \"0600\", \
             directory_mode: \"0700\"}}\n    \
             - ansible.builtin.shell: >-\n        cd .hcddl-site && mkdir -p run/nodes/{{{{ item }}}} &&\n        \
             setsid ./hcddl node \"$PWD/run\" {{{{ item }}}} </dev/null >run/nodes/{{{{ item }}}}/log.txt 2>&1 &\n      \
             loop: [{}]\n",
            nodes.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_deploy::deploy::{Deployment, Placed};
    use hcddl_plan::fixture;

    fn parcel() -> Parcel {
        let plan = fixture::tree(2, 2);
        let placed = |(i, node): (usize, &hcddl_plan::plan::NodePlan)| Placed {
            name: node.name.clone(),
            host: format!("pi{}", i / 2),
            address: "10.0.0.1".to_owned(),
            bind: "10.0.0.1".to_owned(),
            port: 7700,
        };
        let deployment = Deployment {
            run: "x-1".to_owned(),
            version: "1".to_owned(),
            nodes: plan.nodes.iter().enumerate().map(placed).collect(),
            settings: plan.deploy.settings.clone(),
        };
        let nodes = vec![Default::default(); deployment.nodes.len()];
        Parcel { deployment, common: Vec::new(), nodes, attached: false, node_program: None }
    }

    #[test]
    fn every_node_is_started_once_by_each_form() {
        let parcel = parcel();
        for form in [Form::Systemd, Form::Compose, Form::Ansible] {
            let files = files(form, &parcel);
            let all: String = files.iter().map(|(_, text)| text.as_str()).collect();
            for node in &parcel.deployment.nodes {
                let starts = match form {
                    Form::Systemd => {
                        all.matches(&format!("hcddl node /opt/hcddl/run {}\n", node.name)).count()
                    }
                    Form::Compose => all.matches(&format!("\"/run-dir\", \"{}\"]", node.name)).count(),
                    Form::Ansible => {
                        let is = |word: &&str| node.name == **word;
                        let loops = all.lines().filter_map(|line| line.trim().strip_prefix("loop: ["));
                        loops.flat_map(|list| list.trim_end_matches(']').split(", ")).filter(is).count()
                    }
                };
                assert_eq!(starts, 1, "{form:?} {}", node.name);
            }
            if form != Form::Systemd {
                for (path, text) in &files {
                    hcddl_core::yaml::parse(text).unwrap_or_else(|error| panic!("{path}: {error:?}"));
                }
            }
        }
    }
}
