//! Names of hosts as inventories write them: ranges (`pi[01:12]`), ports (`pi1:2222`), IPv6 addresses.

use std::net::Ipv6Addr;

/// A name that stands for more hosts than this is refused, as a slip of the finger.
const HOSTS_MAX: usize = 100_000;

/// Longest pattern, in bytes, and most ranges in it: names of hosts are shorter, and nobody numbers more.
const PATTERN_MAX: (usize, usize) = (512, 8);

/// The hosts that a pattern stands for, in order, and the port behind it.
///
/// # Errors
/// A message with the value and what is allowed.
pub(super) fn hosts(pattern: &str) -> Result<(Vec<String>, Option<u16>), String> {
    let (bytes, ranges) = PATTERN_MAX;
    if pattern.len() > bytes {
        return Err(format!("a name of {} bytes, allowed are {bytes}", pattern.len()));
    }
    let (name, port) = split_port(pattern)?;
    let written = name.matches('[').count();
    if written > ranges {
        return Err(format!("a name with {written} ranges, allowed are {ranges}"));
    }
    let mut hosts = Vec::new();
    expand(String::new(), name, &mut hosts)?;
    Ok((hosts, port))
}

/// An IPv6 address, with or without the interface that it belongs to: `fe80::1%eth0`.
pub(super) fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    let in_zone = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone.chars().all(in_zone)
}

/// `name:22`, `[2001:db8::1]:22`, and both without a port. The colons of a range and of a bare IPv6 address
/// separate no port.
fn split_port(pattern: &str) -> Result<(&str, Option<u16>), String> {
    if is_ipv6(pattern) {
        return Ok((pattern, None));
    }
    let bracketed = pattern.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (name, port) = match bracketed.filter(|(inside, _)| is_ipv6(inside)) {
        Some((address, "")) => (address, None),
        Some((address, after)) => {
            let port = after.strip_prefix(':').ok_or(format!("`{after}` behind an address in brackets"))?;
            (address, Some(port))
        }
        None => {
            let outside = pattern.rfind(']').map_or(0, |bracket| bracket + 1);
            match pattern[outside..].find(':') {
                Some(colon) => (&pattern[..outside + colon], Some(&pattern[outside + colon + 1..])),
                None => (pattern, None),
            }
        }
    };
    let port = port.map(|text| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("expected a port, found `{text}`; allowed: 1 to 65535")),
    });
    Ok((name, port.transpose()?))
}

/// Appends `head` followed by every name that `tail` stands for.
fn expand(head: String, tail: &str, hosts: &mut Vec<String>) -> Result<(), String> {
    let Some(open) = tail.find('[') else {
        if hosts.len() >= HOSTS_MAX {
            return Err(format!("more than {HOSTS_MAX} hosts"));
        }
        let name = head + tail;
        if !super::address::is_host_name(&name) {
            let name = name.escape_debug();
            return Err(format!(
                "expected a name of a host, found `{name}`; allowed: letters, digits, `.`, `_`, `-`"
            ));
        }
        hosts.push(name);
        return Ok(());
    };
    let close = open + tail[open..].find(']').ok_or(format!("`{tail}` lacks a `]`"))?;
    for item in items(&tail[open + 1..close])? {
        expand(format!("{head}{}{item}", &tail[..open]), &tail[close + 1..], hosts)?;
    }
    Ok(())
}

/// `01:12` is 01, 02 ... 12; `a:c` is a, b, c; `0:10:5` is 0, 5, 10. Both ends belong to it.
fn items(range: &str) -> Result<Vec<String>, String> {
    let wrong = |why: &str| {
        format!(
            "the range `[{range}]` {why}; allowed: first and last, as in `[01:12]`, `[a:f]` or `[0:10:2]`"
        )
    };
    let parts: Vec<&str> = range.split(':').collect();
    let (first, last, step) = match parts[..] {
        [first, last] => (first, last, 1),
        [first, last, step] => {
            (first, last, step.parse().map_err(|_| wrong("needs a whole number as its step"))?)
        }
        _ => return Err(wrong("lacks its last number or letter")),
    };
    if step == 0 {
        return Err(wrong("has a step of 0"));
    }
    let letter = |text: &str| match text.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(*letter),
        _ => None,
    };
    if let (Some(first), Some(last)) = (letter(first), letter(last)) {
        if first > last || first.is_ascii_lowercase() != last.is_ascii_lowercase() {
            return Err(wrong("runs backwards"));
        }
        return Ok((first..=last).step_by(step).map(|c| char::from(c).to_string()).collect());
    }
    let first = if first.is_empty() { "0" } else { first };
    let number =
        |text: &str| text.parse::<u32>().map_err(|_| wrong("has ends that are neither numbers nor letters"));
    let (from, to) = (number(first)?, number(last)?);
    if from > to {
        return Err(wrong("runs backwards"));
    }
    if (to - from) as usize / step >= HOSTS_MAX {
        return Err(wrong("is too long"));
    }
    let padded = first.len() > 1 && first.starts_with('0');
    if padded && first.len() != last.len() {
        return Err(wrong("pads its first number, so its last one must be as long"));
    }
    let width = if padded { first.len() } else { 0 };
    Ok((from..=to).step_by(step).map(|i| format!("{i:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pattern: &str) -> String {
        let (hosts, port) = hosts(pattern).unwrap();
        hosts.join(" ") + &port.map_or(String::new(), |port| format!(" @{port}"))
    }

    #[test]
    fn patterns_stand_for_hosts() {
        for (pattern, hosts) in [
            ("pi1", "pi1"),
            ("pi1:2222", "pi1 @2222"),
            ("192.168.2.101", "192.168.2.101"),
            ("pi[08:11]", "pi08 pi09 pi10 pi11"),
            ("pi[8:11].lan:22", "pi8.lan pi9.lan pi10.lan pi11.lan @22"),
            ("rack[a:c]-[1:2]", "racka-1 racka-2 rackb-1 rackb-2 rackc-1 rackc-2"),
            ("x[0:10:5]", "x0 x5 x10"),
            ("x[:2]", "x0 x1 x2"),
            ("[1:2]x", "1x 2x"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:22", "2001:db8::1 @22"),
            ("fe80::1%eth0", "fe80::1%eth0"),
        ] {
            assert_eq!(all(pattern), hosts, "{pattern}");
        }
    }

    #[test]
    fn slips_are_refused() {
        for (pattern, part) in [
            ("pi[01:100]", "must be as long"),
            ("pi[3:1]", "backwards"),
            ("pi[a:3]", "has ends that are neither numbers nor letters"),
            ("pi[1]", "lacks its last number or letter"),
            ("pi[1:9:0]", "step of 0"),
            ("pi[1:9", "lacks a `]`"),
            ("pi[0:4000000000]", "too long"),
            ("[0:999][0:999]", "more than 100000"),
            ("pi1:ssh", "expected a port, found `ssh`"),
            ("pi1:0", "expected a port"),
            ("$(reboot)", "expected a name of a host"),
            ("a/b", "expected a name of a host"),
            (&"[0:0]".repeat(100), "100 ranges"),
            (&"[0:0]".repeat(100_000), "500000 bytes"),
        ] {
            let error = hosts(pattern).unwrap_err();
            assert!(error.contains(part), "{pattern}: {error}");
        }
    }
}
