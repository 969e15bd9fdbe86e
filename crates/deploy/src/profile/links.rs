//! The section `network`: latency and rate of each link, and how unequal shares of concurrent transfers are.
//!
//! Latency is what small messages took on one clock, there and back: its mean is half of a round trip, whatever the
//! clocks. Those that met a large message on their link would show its queue, so they are left out where enough are left.
//! The rate is that of large messages beyond the latency; of those that had their ends for themselves if there are some,
//! else each one counts for as many as shared with it.

use super::LatencyFrom;
use super::distribution::{fit, median};
use crate::deploy::trace::observed::{Ping, Sent};
use hcddl_core::domain::{NodeId, math};
use hcddl_plan::plan::Plan;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Messages of fewer bytes show latency.
const SMALL: u64 = 1024;
/// Messages of so many bytes or more show the rate.
const LARGE: u64 = 8 << 10;
/// Samples that are enough to leave disturbed ones out.
const ENOUGH: usize = 10;
/// A link is named where it differs by this share, and by so many nanoseconds of latency, from the usual one.
const UNUSUAL: (f64, f64) = (0.2, 50_000.0);
/// Bits per second beyond which a rate is no limit.
const NO_LIMIT: f64 = 100e9;
/// A rate can be told from latency where large messages take so many times as long as small ones.
const CLEAR: f64 = 1.5;
/// How much of two transfers must be at the same time for their shares to be compared.
const TOGETHER: f64 = 0.7;

type Link = (NodeId, NodeId);

/// What a link does.
struct Measured {
    /// Nanoseconds.
    latencies: Vec<f64>,
    /// Bytes per second.
    rate: Option<f64>,
}

fn link(from: NodeId, to: NodeId) -> Link {
    (from.min(to), from.max(to))
}

/// A transfer: begin, end, bytes, and how many shared its ends, itself included.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    begin: u64,
    end: u64,
    bytes: u64,
    sharing: f64,
}

/// The section, and the deviation of the logarithm of transfers' shares, if transfers met.
pub(super) fn section(
    plan: &Plan,
    messages: &[&Sent],
    pings: &[&Ping],
    from: LatencyFrom,
) -> (Value, Option<f64>) {
    let (transfers, unfairness) = transfers(messages);
    let links = measured(messages, pings, &transfers, from);
    let usual_latency = median(links.values().filter_map(|link| median(link.latencies.clone())).collect());
    let usual_rate = median(links.values().filter_map(|link| link.rate).collect());
    let is_usual = |latencies: &[f64]| match (median(latencies.to_vec()), usual_latency) {
        (Some(own), Some(usual)) => {
            // Where latencies vary much, so do their medians.
            let far = median(latencies.iter().map(|latency| (latency - own).abs()).collect()).unwrap_or(0.0);
            (own - usual).abs() <= (UNUSUAL.0 * usual).max(UNUSUAL.1).max(far)
        }
        _ => true,
    };
    let alike = links.values().filter(|link| is_usual(&link.latencies));
    let pooled: Vec<f64> = alike.flat_map(|link| link.latencies.iter().copied()).collect();
    let mut lan = json!({});
    if let Some(latency) = fit(&pooled) {
        lan["latency"] = latency.written;
    }
    if let Some(rate) = usual_rate.and_then(bits) {
        lan["rate"] = rate;
    }
    let mut named = Vec::new();
    for ((a, b), link) in &links {
        let name = |node: &NodeId| plan.nodes[node.index()].name.to_string();
        let mut own = json!({"between": [name(a), name(b)]});
        let unusual =
            link.rate.zip(usual_rate).filter(|(own, usual)| (own - usual).abs() > UNUSUAL.0 * usual);
        let rate = unusual.and_then(|(own, _)| bits(own));
        let latency = if is_usual(&link.latencies) { None } else { fit(&link.latencies) };
        if latency.is_some() || rate.is_some() {
            latency.into_iter().for_each(|latency| own["latency"] = latency.written);
            rate.into_iter().for_each(|rate| own["rate"] = rate);
            named.push(own);
        }
    }
    let mut section = json!({"lan": lan});
    if !named.is_empty() {
        section["links"] = json!(named);
    }
    (section, unfairness)
}

/// As a scenario writes a rate; nothing where it is no limit.
fn bits(bytes_per_second: f64) -> Option<Value> {
    let bits = bytes_per_second * 8.0;
    (1.0..NO_LIMIT).contains(&bits).then(|| json!(format!("{bits:.0}bit")))
}

fn measured(
    messages: &[&Sent],
    pings: &[&Ping],
    transfers: &BTreeMap<Link, Vec<Transfer>>,
    from: LatencyFrom,
) -> BTreeMap<Link, Measured> {
    // Of each link: begin and length of what was small.
    let mut small: BTreeMap<Link, Vec<(u64, u64, f64)>> = BTreeMap::new();
    let mut seen = |from, to, begin: u64, end: u64| {
        small.entry(link(from, to)).or_default().push((begin, end, (end - begin) as f64));
    };
    for ping in pings {
        seen(ping.from, ping.to, ping.sent.0, ping.there.0);
        seen(ping.to, ping.from, ping.there.0, ping.back.0);
    }
    for message in messages.iter().filter(|message| message.bytes < SMALL) {
        if let Some(heard) = message.heard {
            seen(message.from, message.to, message.at.0, heard.0);
        }
    }
    let all = small.keys().chain(transfers.keys()).copied().collect::<std::collections::BTreeSet<Link>>();
    all.into_iter()
        .map(|link| {
            let of_link = transfers.get(&link).map_or(&[][..], Vec::as_slice);
            let latencies = quiet(small.get(&link).map_or(&[], Vec::as_slice), of_link);
            let large = if from == LatencyFrom::Large { of_large(of_link, &latencies) } else { None };
            let measured = large.unwrap_or_else(|| {
                let rate = rate(of_link, median(latencies.clone()).unwrap_or(0.0));
                Measured { latencies, rate }
            });
            (link, measured)
        })
        .collect()
}

/// What of the small ones met no large one on their link; all where few are left.
fn quiet(small: &[(u64, u64, f64)], transfers: &[Transfer]) -> Vec<f64> {
    let mut large: Vec<(u64, u64)> =
        transfers.iter().map(|transfer| (transfer.begin, transfer.end)).collect();
    large.sort_unstable();
    // The latest end of those that have begun: transfers of a link may pass each other.
    let mut until = 0;
    let ends: Vec<u64> = large
        .iter()
        .map(|(_, end)| {
            until = until.max(*end);
            until
        })
        .collect();
    let meets = |begin: u64, end: u64| {
        let begun = large.partition_point(|(other, _)| *other < end);
        begun > 0 && ends[begun - 1] > begin
    };
    let alone: Vec<f64> =
        small.iter().filter(|(begin, end, _)| !meets(*begin, *end)).map(|(_, _, took)| *took).collect();
    if alone.len() >= ENOUGH { alone } else { small.iter().map(|(_, _, took)| *took).collect() }
}

/// Those that had their ends for themselves; all where few are left.
fn undisturbed(transfers: &[Transfer]) -> Vec<&Transfer> {
    let alone: Vec<&Transfer> = transfers.iter().filter(|transfer| transfer.sharing < 1.1).collect();
    if alone.len() >= ENOUGH { alone } else { transfers.iter().collect() }
}

/// Bytes per second beyond the latency; nothing where large messages took hardly longer than small ones, so that the
/// difference is mostly chance.
fn rate(transfers: &[Transfer], latency: f64) -> Option<f64> {
    let used = undisturbed(transfers);
    let took = |transfer: &&Transfer| (transfer.end - transfer.begin) as f64;
    if median(used.iter().map(took).collect())? < CLEAR * latency {
        return None;
    }
    let of = |transfer: &&Transfer| {
        let beyond = took(transfer) - latency;
        (beyond > 0.0).then(|| transfer.bytes as f64 * transfer.sharing * 1e9 / beyond)
    };
    median(used.iter().filter_map(of).collect())
}

/// Rate and latency from large messages alone: the rate is that of the fastest ones beyond the least latency, and what
/// each took longer is latency. So the mean time of a message is kept, whatever it waited for.
fn of_large(transfers: &[Transfer], small: &[f64]) -> Option<Measured> {
    let used = undisturbed(transfers);
    if used.len() < ENOUGH {
        return None;
    }
    let low = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 20).copied()
    };
    let least = low(small.to_vec()).unwrap_or(0.0);
    let each = |transfer: &&Transfer| {
        let took = (transfer.end - transfer.begin) as f64;
        (took - least).max(0.0) / (transfer.bytes as f64 * transfer.sharing)
    };
    // Nanoseconds for each byte.
    let pace = low(used.iter().map(each).collect())?;
    let latency = |transfer: &&Transfer| {
        let took = (transfer.end - transfer.begin) as f64;
        (took - pace * transfer.bytes as f64 * transfer.sharing).max(0.0)
    };
    let rate = (pace > 0.0).then(|| 1e9 / pace);
    Some(Measured { latencies: used.iter().map(latency).collect(), rate })
}

/// The large messages of each link with how many shared their ends; and the spread of the shares of those that met.
fn transfers(messages: &[&Sent]) -> (BTreeMap<Link, Vec<Transfer>>, Option<f64>) {
    let large: Vec<(Link, Link, Transfer)> = messages
        .iter()
        .filter(|message| message.bytes >= LARGE)
        .filter_map(|message| {
            let (begin, end) = (message.at.0, message.heard?.0);
            let transfer = Transfer { begin, end, bytes: message.bytes, sharing: 1.0 };
            (end > begin).then_some((link(message.from, message.to), (message.from, message.to), transfer))
        })
        .collect();
    // Of each end of a line, in each direction: positions by begin.
    let mut ends: BTreeMap<(NodeId, bool), Vec<usize>> = BTreeMap::new();
    for (i, (_, (from, to), _)) in large.iter().enumerate() {
        ends.entry((*from, true)).or_default().push(i);
        ends.entry((*to, false)).or_default().push(i);
    }
    let mut sharing = vec![1.0f64; large.len()];
    let mut apart = Vec::new();
    for mut at_end in ends.into_values() {
        at_end.sort_by_key(|i| (large[*i].2.begin, *i));
        let mut together = vec![0.0; at_end.len()];
        for (position, i) in at_end.iter().enumerate() {
            let own = large[*i].2;
            for (further, j) in at_end.iter().enumerate().skip(position + 1) {
                let other = large[*j].2;
                if other.begin >= own.end {
                    break;
                }
                let common = (own.end.min(other.end) - other.begin) as f64;
                let length = |transfer: &Transfer| (transfer.end - transfer.begin) as f64;
                together[position] += common / length(&own);
                together[further] += common / length(&other);
                if common >= TOGETHER * length(&own).max(length(&other)) {
                    let speed = |transfer: &Transfer| transfer.bytes as f64 / length(transfer);
                    apart.push(math::ln(speed(&own) / speed(&other)).abs());
                }
            }
        }
        for (i, together) in at_end.iter().zip(together) {
            sharing[*i] = sharing[*i].max(1.0 + together);
        }
    }
    let mut of_link: BTreeMap<Link, Vec<Transfer>> = BTreeMap::new();
    for ((link, _, transfer), sharing) in large.into_iter().zip(sharing) {
        of_link.entry(link).or_default().push(Transfer { sharing, ..transfer });
    }
    let enough = apart.len() >= ENOUGH;
    // Half of a normal variable's absolute values are below 0.6745 deviations; of a difference of two, root 2 of one.
    let unfairness = median(apart).filter(|_| enough).map(|half| half / 0.6745 / std::f64::consts::SQRT_2);
    (of_link, unfairness)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_core::domain::Time;
    use hcddl_plan::fixture;

    const MS: u64 = 1_000_000;

    fn sent(from: u32, to: u32, at: u64, took: u64, bytes: u64) -> Sent {
        let (from, to) = (NodeId(from), NodeId(to));
        Sent { from, to, at: Time(at), heard: Some(Time(at + took)), bytes, kind: "update".to_owned() }
    }

    #[test]
    fn latency_and_rate_are_those_of_the_link_also_where_transfers_share() {
        let plan = fixture::tree(1, 2);
        let mut messages = Vec::new();
        let mut pings = Vec::new();
        for i in 0..40u64 {
            let at = i * 1000 * MS;
            // 5 ms, and 1,000,000 bytes per second for two transfers at a time.
            messages.push(sent(2, 1, at, 205 * MS, 100_000));
            messages.push(sent(3, 1, at, 205 * MS, 100_000));
            for (from, at) in [(2, at + 500 * MS), (3, at + 600 * MS), (2, at + 100 * MS)] {
                // The last one meets a transfer, and waits.
                let waits = if at % (1000 * MS) == 100 * MS { 90 * MS } else { 0 };
                let (sent, there, back) = (at, at + 5 * MS + waits, at + 10 * MS + 2 * waits);
                let (from, to) = (NodeId(from), NodeId(1));
                pings.push(Ping { from, to, sent: Time(sent), there: Time(there), back: Time(back) });
            }
        }
        let (section, unfairness) = section(
            &plan,
            &messages.iter().collect::<Vec<_>>(),
            &pings.iter().collect::<Vec<_>>(),
            LatencyFrom::Small,
        );
        assert_eq!(section["lan"]["latency"], "5000000ns", "{section}");
        let rate = section["lan"]["rate"].as_str().unwrap().trim_end_matches("bit").parse::<f64>().unwrap();
        assert!((rate / 8e6 - 1.0).abs() < 0.05, "{section}");
        assert!(section.get("links").is_none(), "{section}");
        assert_eq!(unfairness, Some(0.0), "they were all alike");
        // From large ones alone: the same, since nothing waited.
        let large = measured(
            &messages.iter().collect::<Vec<_>>(),
            &pings.iter().collect::<Vec<_>>(),
            &transfers(&messages.iter().collect::<Vec<_>>()).0,
            LatencyFrom::Large,
        );
        for link in large.values() {
            assert!((link.rate.unwrap() / 1e6 - 1.0).abs() < 0.05, "{:?}", link.rate);
            assert!(
                (median(link.latencies.clone()).unwrap() / 5e6 - 1.0).abs() < 0.05,
                "{:?}",
                link.latencies
            );
        }
    }
}
