//! `hcddl deploy check`

use super::args::TargetArgs;
use super::target::{Target, address};
use crate::cli::{Ending, output};
use hcddl_deploy::deploy::controller::check::{Findings, Way, judge, ways};
use hcddl_deploy::deploy::controller::{Fleet, Probe};
use hcddl_plan::registry::Registry;
use serde_json::json;

pub async fn execute(args: &TargetArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let target = Target::load(args, registry)?;
    let binaries = args.binaries()?;
    let fleet = Fleet::connect(target.hosts.clone(), args.reach.timeout(), args.reach.forks.into()).await?;
    let probes = fleet.each(|_, remote| async move { Probe::of(&remote).await }).await;
    let mut found: Vec<Findings> = Vec::new();
    for (host, probe) in target.hosts.iter().zip(&probes) {
        found.push(match probe {
            Ok(probe) => judge(&host.name, probe, &binaries),
            Err(error) => Findings { problems: vec![error.to_string()], ..Findings::default() },
        });
    }
    let addresses: Vec<Option<String>> = target
        .hosts
        .iter()
        .zip(&probes)
        .map(|(host, probe)| probe.as_ref().ok().map(|probe| address(host, probe).reached_at))
        .collect();
    let tried = fleet
        .each(|host, remote| {
            let all = target.ways_from(host).into_iter().filter_map(|(to, port)| {
                let address = addresses[to].clone()?;
                Some(Way { to: target.hosts[to].name.clone(), address, port })
            });
            let all: Vec<Way> = all.collect();
            let idle = probes.iter().flatten().all(|probe| probe.holder.is_none());
            async move { Ok((all.len(), ways(&remote, &all, idle).await?)) }
        })
        .await;
    for (findings, tried) in found.iter_mut().zip(tried) {
        let Ok((count, problems)) = tried else { continue };
        if count > 0 && problems.is_empty() {
            findings.facts.push(format!("reaches {count} other node{}", if count == 1 { "" } else { "s" }));
        }
        findings.problems.extend(problems);
    }
    fleet.close().await;
    show(&target, &found, args.json)?;
    let good = found.iter().all(|findings| findings.problems.is_empty());
    Ok(if good { Ending::Done } else { Ending::Failed })
}

fn show(target: &Target<'_>, found: &[Findings], as_json: bool) -> anyhow::Result<()> {
    let rows = target.hosts.iter().zip(found).enumerate();
    if as_json {
        let rows = rows.map(|(index, (host, findings))| {
            json!({"host": host.name, "nodes": target.nodes_of(index), "ok": findings.problems.is_empty(),
                   "facts": findings.facts, "problems": findings.problems})
        });
        return output::result(&format!("{:#}\n", json!(rows.collect::<Vec<_>>())));
    }
    let width = target.hosts.iter().map(|host| host.name.len()).max().unwrap_or(0);
    let line = |(index, (host, findings)): (usize, (&hcddl_deploy::deploy::inventory::Host, &Findings))| {
        let verdict = if findings.problems.is_empty() { "ok   " } else { "FAIL " };
        let said = if findings.problems.is_empty() { &findings.facts } else { &findings.problems };
        let nodes = target.nodes_of(index).join(" ");
        format!("{verdict}{:width$}  {nodes}: {}\n", host.name, said.join("; "))
    };
    output::result(&rows.map(line).collect::<String>())
}
