use super::*;

const SMALL: &str = r#"<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <zone id="world" routing="Full">
    <host id="a" speed="1Gf" core="4"/>
    <host id="b" speed="500Mf"><prop id="city" value="Nancy"/></host>
    <link id="line" bandwidth="1Gbps" latency="50us"/>
    <link id="duplex" bandwidth="10MBps" latency="1ms" sharing_policy="SPLITDUPLEX"/>
    <link id="core" bandwidth="100MBps" sharing_policy="FATPIPE"/>
    <route src="a" dst="b">
      <link_ctn id="line"/><link_ctn id="duplex" direction="UP"/><link_ctn id="core"/>
    </route>
  </zone>
</platform>
"#;

#[test]
fn hosts_links_and_routes_are_read() {
    let platform = Platform::read(SMALL).unwrap();
    let hosts: Vec<_> = platform.hosts.iter().map(|h| (h.name.as_str(), h.speed, h.cores)).collect();
    assert_eq!(hosts, [("a", 1e9, 4), ("b", 5e8, 1)]);
    let links: Vec<_> = platform.links.iter().map(|l| (l.bytes_per_second, l.latency_s, l.sharing)).collect();
    assert_eq!(
        links,
        [(125e6, 50.0 * 1e-6, Sharing::Shared), (1e7, 1e-3, Sharing::Duplex), (1e8, 0.0, Sharing::Fatpipe)]
    );
    let hops =
        |from, to| platform.route(from, to).unwrap().iter().map(|hop| (hop.link, hop.up)).collect::<Vec<_>>();
    assert_eq!(hops(0, 1), [(0, true), (1, true), (2, true)]);
    assert_eq!(hops(1, 0), [(2, false), (1, false), (0, false)]);
    assert_eq!(hops(0, 0), []);
}

#[test]
fn a_cluster_is_a_star() {
    let text = r#"<platform version="4">
        <cluster id="c" prefix="n-" suffix=".org" radical="0-2,9" speed="1Gf" bw="125MBps" lat="50us"
                 bb_bw="2.25GBps" bb_lat="500us"/>
    </platform>"#;
    let platform = Platform::read(text).unwrap();
    let names: Vec<&str> = platform.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["n-0.org", "n-1.org", "n-2.org", "n-9.org"]);
    let hops = platform.route(0, 3).unwrap();
    let shown: Vec<_> = hops.iter().map(|hop| (platform.links[hop.link].name.as_str(), hop.up)).collect();
    assert_eq!(shown, [("c_link_0", true), ("c_backbone", true), ("c_link_9", false)]);
    let bare = Platform::read(&text.replace("bb_bw=\"2.25GBps\" bb_lat=\"500us\"", "")).unwrap();
    assert_eq!(bare.route(1, 2).unwrap().len(), 2);
}

#[test]
fn what_is_not_supported_is_told_with_its_line() {
    for (from, to, line, part) in [
        ("<host id=\"a\"", "<hots id=\"a\"", 5, "the element `hots` in `zone` is not supported"),
        ("core=\"4\"", "pstate=\"1\"", 5, "`pstate` of `host` is not supported; supported: id, speed, core"),
        ("core=\"4\"", "core=\"0\"", 5, "expected a whole number above 0"),
        ("1Gf", "1Gf,2Gf", 5, "several values"),
        ("1Gf", "1Ghz", 5, "unknown unit `Ghz`"),
        ("1Gbps", "-1Gbps", 7, "is negative"),
        ("1Gbps", "0Gbps", 7, "expected more than 0"),
        ("SPLITDUPLEX", "WIFI", 8, "unknown sharing_policy `WIFI`"),
        (" direction=\"UP\"", "", 11, "add `direction`"),
        ("<link_ctn id=\"line\"/>", "<link_ctn id=\"lin\"/>", 11, "the unknown link `lin`"),
        ("dst=\"b\"", "dst=\"c\"", 10, "the unknown host `c`"),
        ("id=\"b\" speed", "id=\"a\" speed", 6, "two hosts of the name `a`"),
        ("\"Full\"", "\"Floyd\"", 4, "the routing `Floyd` is not supported"),
        ("4.1", "3", 3, "version 3 of the format"),
        ("</zone>", "", 14, "is not XML"),
        ("<host id=\"a\"", "hello <host id=\"a\"", 5, "text between elements: `hello`"),
    ] {
        assert!(SMALL.contains(from), "{from}");
        let (at, problem) = Platform::read(&SMALL.replace(from, to)).unwrap_err();
        assert!(at == line && problem.contains(part), "{to}: {at}: {problem}");
    }
    for (text, part) in [
        ("", "no element `platform`"),
        ("<platform version='4'/>", "without hosts"),
        ("<zone/>", "`zone` at the top"),
        (
            "<platform version='4'><cluster id='c' prefix='' suffix='' radical='3-1' speed='1f' bw='1Bps' lat='0'/></platform>",
            "radical",
        ),
    ] {
        assert!(Platform::read(text).unwrap_err().1.contains(part), "{text}");
    }
}

/// Each line is counted once: a file as long as those of real platforms is read in a moment, not in hours.
#[test]
fn a_long_file_is_read_and_its_last_line_is_told() {
    const HOSTS: usize = 200_000;
    let hosts: String = (0..HOSTS).map(|i| format!("<host id=\"host-{i}\" speed=\"1Gf\"/>\n")).collect();
    let file = |more: &str| {
        format!(
            "<platform version=\"4.1\">\n<zone id=\"z\" routing=\"Full\">\n{hosts}{more}</zone>\n</platform>\n"
        )
    };
    assert_eq!(Platform::read(&file("")).unwrap().hosts.len(), HOSTS);
    let (line, problem) = Platform::read(&file("<hots/>\n")).unwrap_err();
    assert_eq!(line, HOSTS + 3, "{problem}");
}
