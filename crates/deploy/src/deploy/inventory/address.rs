//! Where SSH connects to, and where devices reach each other, as inventories write it: a name, an IPv4 address, an IPv6
//! address bare or in brackets, as OpenSSH takes them all.

use super::range::is_ipv6;

/// The address without brackets.
///
/// # Errors
/// A message with the value and what is allowed: what begins with a dash would be an option of `ssh`, and what holds
/// spaces or control characters is no word of its command line.
pub(super) fn address(text: &str) -> Result<String, String> {
    let refuse = |why: &str| {
        Err(format!(
            "expected an address, found `{}`{why}; allowed: a name, 10.0.0.2, 2001:db8::2, [2001:db8::2]",
            text.escape_debug()
        ))
    };
    if let Some((inside, after)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return match after {
            "" if is_ipv6(inside) => Ok(inside.to_owned()),
            _ if after.starts_with(':') && is_ipv6(inside) => {
                refuse(" with a port, which belongs into `ansible_port`")
            }
            _ => refuse(""),
        };
    }
    if is_ipv6(text) {
        return Ok(text.to_owned());
    }
    let odd = |c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if text.is_empty() || text.starts_with(['-', '.']) || text.contains(odd) {
        refuse("")
    } else {
        Ok(text.to_owned())
    }
}

/// Whether a name of a host is safe: as a word on a command line and as the name of a directory.
pub(super) fn is_host_name(name: &str) -> bool {
    is_ipv6(name) || address(name).is_ok_and(|address| address == name)
}

/// Whether it is an address that a device takes for itself.
pub(super) fn is_loopback(address: &str) -> bool {
    address == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_not_part_of_an_address() {
        for (text, expected) in [
            ("[2001:db8::2]", "2001:db8::2"),
            ("2001:db8::2", "2001:db8::2"),
            ("[fe80::1%eth0]", "fe80::1%eth0"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("10.0.0.2", "10.0.0.2"),
            ("pi-3.lan", "pi-3.lan"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_a_command_line_would_take_otherwise_is_refused() {
        for text in [
            "",
            "-oProxyCommand=id",
            "..",
            "a b",
            "a\nb",
            "a\u{1b}[31m",
            "[pi3]",
            "[2001:db8::2",
            "[::1]:22",
            "x/../y",
            "a;b",
            "::1%eth0;id",
        ] {
            assert!(address(text).is_err(), "{text:?}");
            assert!(!is_host_name(text), "{text:?}");
        }
        assert!(address("[::1]:22").unwrap_err().contains("ansible_port"));
    }
}
