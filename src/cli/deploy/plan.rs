//! `hcddl deploy plan`: what a run would do, without talking to any host.

use super::args::TargetArgs;
use super::target::Target;
use crate::cli::{Ending, output};
use hcddl_plan::plan::Role;
use hcddl_plan::registry::Registry;
use serde_json::{Value, json};

pub fn execute(args: &TargetArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let target = Target::load(args, registry)?;
    let rows = rows(&target)?;
    let pushed = pushed(&target);
    if args.json {
        let deploy = json!({"nodes": rows, "pushed": pushed});
        output::result(&format!("{deploy:#}\n"))?;
        return Ok(Ending::Done);
    }
    let keys = ["host", "node", "role", "parent", "address", "samples"];
    let cell = |row: &Value, key: &str| match &row[key] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let width = |key: &str| rows.iter().map(|row| cell(row, key).len()).max().unwrap_or(0).max(key.len());
    let widths = keys.map(width);
    let line = |cells: Vec<String>| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(keys.map(str::to_owned).to_vec());
    text.extend(rows.iter().map(|row| line(keys.map(|key| cell(row, key)).to_vec())));
    text += "\npushed to each host:\n";
    text.extend(pushed.iter().map(|what| format!("  {what}\n")));
    output::result(&text)?;
    Ok(Ending::Done)
}

fn rows(target: &Target<'_>) -> anyhow::Result<Vec<Value>> {
    let plan = &target.session.plan;
    // Private data is on the devices alone; how much is not known here.
    let holdings = match plan.deploy.settings.data_on_device {
        Some(_) => None,
        None => Some(target.session.holdings()?),
    };
    let row = |(node, seat): (&hcddl_plan::plan::NodePlan, &hcddl_deploy::deploy::placement::Seat)| {
        let role = match node.role {
            Role::Server(_) if node.parent.is_none() => "global server",
            Role::Server(_) => "local server",
            Role::Worker => "worker",
            Role::Peer => "peer",
        };
        let host = &target.hosts[seat.host];
        let at =
            if host.local { "127.0.0.1" } else { host.reached_at.as_deref().unwrap_or(host.destination()) };
        let shard = node.shard.zip(holdings.as_ref());
        json!({
            "host": host.name, "node": node.name, "role": role,
            "parent": node.parent.map(|parent| &plan.nodes[parent.0 as usize].name),
            "address": if at.contains(':') { format!("[{at}]:{}", seat.port) } else { format!("{at}:{}", seat.port) },
            "samples": shard.map(|(shard, holdings)| holdings.shards[shard as usize].len()),
        })
    };
    Ok(plan.nodes.iter().zip(&target.seats).map(row).collect())
}

fn pushed(target: &Target<'_>) -> Vec<String> {
    let deploy = &target.session.plan.deploy.settings;
    let mut pushed = vec![
        "the program for its architecture, unless it is there already".to_owned(),
        "deployment.json, scenario.yml, a secret of this run".to_owned(),
    ];
    if deploy.tls {
        pushed.push("certificates of its nodes, made for this run".to_owned());
    }
    pushed.push(match &deploy.data_on_device {
        Some(dir) => format!("no data: it is read from `{}` on the device", dir.display()),
        None => "the samples of its nodes, unless they are there already".to_owned(),
    });
    pushed
}
