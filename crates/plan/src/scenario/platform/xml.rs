//! The elements of a platform file.

use super::{Cluster, Hop, Host, Link, Platform, Problem, Sharing, units};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::collections::BTreeMap;

const ELEMENTS: &str =
    "platform, zone (or AS) of routing Full, host, link, route with link_ctn, cluster, prop";
/// Hosts of one cluster at most: what a slip of the pen in `radical` may cost.
const CLUSTER_MAX: u64 = 1_000_000;

pub(super) fn read(text: &str) -> Result<Platform, Problem> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut building = Building::default();
    let mut open: Vec<String> = Vec::new();
    let mut place = Place { at: 0, line: 1 };
    loop {
        let event = reader.read_event();
        // Where the event ends: an element may span lines, and its last one is near enough.
        let line = place.line_at(text, reader.buffer_position());
        let fail = |problem: String| (line, problem);
        match event.map_err(|error| (line, format!("is not XML: {error}")))? {
            Event::Start(tag) => {
                let element = Element::of(&tag).map_err(fail)?;
                building.enter(&element, open.last().map(String::as_str), line).map_err(fail)?;
                open.push(element.name);
            }
            Event::Empty(tag) => {
                let element = Element::of(&tag).map_err(fail)?;
                building.enter(&element, open.last().map(String::as_str), line).map_err(fail)?;
                building.leave(&element.name)?;
            }
            Event::End(_) => {
                if let Some(name) = open.pop() {
                    building.leave(&name)?;
                }
            }
            Event::Text(content) => {
                let content = content.decode().map_err(|error| fail(error.to_string()))?;
                if !content.trim().is_empty() {
                    return Err(fail(format!("text between elements: `{}`", content.trim().escape_debug())));
                }
            }
            Event::Eof => break,
            Event::Decl(_) | Event::DocType(_) | Event::Comment(_) | Event::PI(_) => {}
            _ => return Err(fail("text between elements".to_owned())),
        }
    }
    if let Some(name) = open.last() {
        return Err((place.line_at(text, text.len() as u64), format!("the element `{name}` is not closed")));
    }
    building.finish()
}

/// How far a text has been read. Lines are counted on from there: from the beginning for each element, a file of a hundred
/// thousand of them would take hours.
struct Place {
    at: usize,
    line: usize,
}

impl Place {
    fn line_at(&mut self, text: &str, position: u64) -> usize {
        let end = usize::try_from(position).unwrap_or(text.len()).clamp(self.at, text.len());
        self.line += text.as_bytes()[self.at..end].iter().filter(|byte| **byte == b'\n').count();
        self.at = end;
        self.line
    }
}

/// A tag with its attributes.
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
}

impl Element {
    fn of(tag: &BytesStart<'_>) -> Result<Self, String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut attributes = BTreeMap::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| format!("is not XML: {error}"))?;
            let value =
                quick_xml::escape::unescape(std::str::from_utf8(&attribute.value).unwrap_or_default())
                    .map_err(|error| format!("is not XML: {error}"))?
                    .into_owned();
            attributes.insert(text(attribute.key.as_ref()), value);
        }
        Ok(Self { name: text(tag.name().as_ref()), attributes })
    }

    /// Refuses attributes that are not among these.
    fn knows(&self, allowed: &[&str]) -> Result<(), String> {
        match self.attributes.keys().find(|key| !allowed.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let (key, name) = (key.escape_debug(), self.name.escape_debug());
                Err(format!("`{key}` of `{name}` is not supported; supported: {}", allowed.join(", ")))
            }
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }

    fn need(&self, key: &str) -> Result<&str, String> {
        self.get(key).ok_or_else(|| format!("`{}` needs `{key}`", self.name))
    }

    fn sharing(&self, key: &str, default: Sharing) -> Result<Sharing, String> {
        match self.get(key) {
            None => Ok(default),
            Some("SHARED") => Ok(Sharing::Shared),
            Some("FATPIPE") => Ok(Sharing::Fatpipe),
            Some("SPLITDUPLEX" | "FULLDUPLEX") => Ok(Sharing::Duplex),
            Some(other) => {
                let other = other.escape_debug();
                Err(format!("unknown {key} `{other}`; supported: SHARED, FATPIPE, SPLITDUPLEX"))
            }
        }
    }

    fn cores(&self) -> Result<u32, String> {
        let text = self.get("core").unwrap_or("1");
        let wrong = || format!("`core` is `{}`; expected a whole number above 0", text.escape_debug());
        text.parse().ok().filter(|cores| *cores > 0).ok_or_else(wrong)
    }
}

/// A route whose ends and links may be named before they are described.
struct WrittenRoute {
    line: usize,
    ends: [String; 2],
    symmetrical: bool,
    hops: Vec<(usize, String, Option<bool>)>,
}

#[derive(Default)]
struct Building {
    platform: Platform,
    hosts: BTreeMap<String, usize>,
    links: BTreeMap<String, usize>,
    routes: Vec<WrittenRoute>,
    begun: bool,
}

impl Building {
    fn enter(&mut self, element: &Element, above: Option<&str>, line: usize) -> Result<(), String> {
        let name = element.name.as_str();
        let in_zone = matches!(above, Some("zone" | "AS"));
        match (name, above) {
            ("platform", None) => {
                element.knows(&["version"])?;
                self.begun = true;
                let version = element.need("version")?;
                match version == "4" || version.starts_with("4.") {
                    true => Ok(()),
                    false => Err(format!(
                        "version {} of the format; supported: 4 (`simgrid_update_xml` converts older ones)",
                        version.escape_debug()
                    )),
                }
            }
            ("zone" | "AS", Some("platform" | "zone" | "AS")) => {
                element.knows(&["id", "routing"])?;
                match element.need("routing")? {
                    "Full" | "None" => Ok(()),
                    other => {
                        let other = other.escape_debug();
                        Err(format!("the routing `{other}` is not supported; supported: Full, and `cluster`"))
                    }
                }
            }
            ("host", _) if in_zone => self.host(element),
            ("link", _) if in_zone => self.link(element),
            ("cluster", Some("platform" | "zone" | "AS")) => self.cluster(element),
            ("route", _) if in_zone => self.route(element, line),
            ("link_ctn", Some("route")) => self.link_ctn(element, line),
            // What a prop says is for programs of SimGrid's users.
            ("prop", Some(_)) => element.knows(&["id", "value"]),
            (name, above) => {
                let place = above.map_or("at the top".to_owned(), |above| format!("in `{above}`"));
                let name = name.escape_debug();
                Err(format!("the element `{name}` {place} is not supported; supported: {ELEMENTS}"))
            }
        }
    }

    fn leave(&mut self, name: &str) -> Result<(), Problem> {
        if name == "route"
            && let Some(route) = self.routes.last().filter(|route| route.hops.is_empty())
        {
            return Err((route.line, "a route without a `link_ctn`".to_owned()));
        }
        Ok(())
    }

    fn add_host(&mut self, host: Host) -> Result<(), String> {
        if self.hosts.insert(host.name.clone(), self.platform.hosts.len()).is_some() {
            return Err(format!("two hosts of the name `{}`", host.name.escape_debug()));
        }
        self.platform.hosts.push(host);
        Ok(())
    }

    fn add_link(&mut self, link: Link) -> Result<usize, String> {
        let index = self.platform.links.len();
        if self.links.insert(link.name.clone(), index).is_some() {
            return Err(format!("two links of the name `{}`", link.name.escape_debug()));
        }
        self.platform.links.push(link);
        Ok(index)
    }

    fn host(&mut self, element: &Element) -> Result<(), String> {
        element.knows(&["id", "speed", "core"])?;
        let name = element.need("id")?.to_owned();
        let speed = units::speed(element.need("speed")?)?;
        self.add_host(Host { name, speed, cores: element.cores()?, cluster: None })
    }

    fn link(&mut self, element: &Element) -> Result<(), String> {
        element.knows(&["id", "bandwidth", "latency", "sharing_policy"])?;
        let link = Link {
            name: element.need("id")?.to_owned(),
            bytes_per_second: units::bandwidth(element.need("bandwidth")?)?,
            latency_s: units::latency(element.get("latency").unwrap_or("0s"))?,
            sharing: element.sharing("sharing_policy", Sharing::Shared)?,
        };
        self.add_link(link).map(|_| ())
    }

    /// Hosts `prefix` number `suffix`, each with a link of its own to a backbone, if there is one.
    fn cluster(&mut self, element: &Element) -> Result<(), String> {
        element.knows(&[
            "id",
            "prefix",
            "suffix",
            "radical",
            "speed",
            "core",
            "bw",
            "lat",
            "sharing_policy",
            "bb_bw",
            "bb_lat",
            "bb_sharing_policy",
        ])?;
        let id = element.need("id")?;
        let (prefix, suffix) = (element.need("prefix")?, element.need("suffix")?);
        let (speed, cores) = (units::speed(element.need("speed")?)?, element.cores()?);
        let (bandwidth, latency) =
            (units::bandwidth(element.need("bw")?)?, units::latency(element.need("lat")?)?);
        let sharing = element.sharing("sharing_policy", Sharing::Duplex)?;
        let cluster = self.platform.clusters.len();
        let backbone = match (element.get("bb_bw"), element.get("bb_lat")) {
            (None, None) => None,
            (bandwidth, latency) => Some(self.add_link(Link {
                name: format!("{id}_backbone"),
                bytes_per_second: units::bandwidth(
                    bandwidth.ok_or("a backbone with `bb_lat` needs `bb_bw`")?,
                )?,
                latency_s: units::latency(latency.unwrap_or("0s"))?,
                sharing: element.sharing("bb_sharing_policy", Sharing::Shared)?,
            })?),
        };
        if backbone.is_none() && element.get("bb_sharing_policy").is_some() {
            return Err("`bb_sharing_policy` without a backbone; add `bb_bw`".to_owned());
        }
        self.platform.clusters.push(Cluster { backbone });
        for number in radical(element.need("radical")?)? {
            let link = Link {
                name: format!("{id}_link_{number}"),
                bytes_per_second: bandwidth,
                latency_s: latency,
                sharing,
            };
            let link = self.add_link(link)?;
            let name = format!("{prefix}{number}{suffix}");
            self.add_host(Host { name, speed, cores, cluster: Some((cluster, link)) })?;
        }
        Ok(())
    }

    fn route(&mut self, element: &Element, line: usize) -> Result<(), String> {
        element.knows(&["src", "dst", "symmetrical"])?;
        let symmetrical = match element.get("symmetrical") {
            None | Some("YES" | "yes") => true,
            Some("NO" | "no") => false,
            Some(other) => {
                return Err(format!("`symmetrical` is `{}`; expected YES or NO", other.escape_debug()));
            }
        };
        let ends = [element.need("src")?.to_owned(), element.need("dst")?.to_owned()];
        self.routes.push(WrittenRoute { line, ends, symmetrical, hops: Vec::new() });
        Ok(())
    }

    fn link_ctn(&mut self, element: &Element, line: usize) -> Result<(), String> {
        element.knows(&["id", "direction"])?;
        let up = match element.get("direction") {
            None | Some("NONE") => None,
            Some("UP") => Some(true),
            Some("DOWN") => Some(false),
            Some(other) => {
                return Err(format!("`direction` is `{}`; expected UP, DOWN or NONE", other.escape_debug()));
            }
        };
        let hop = (line, element.need("id")?.to_owned(), up);
        self.routes.last_mut().ok_or("a `link_ctn` without a route")?.hops.push(hop);
        Ok(())
    }

    /// Finds what routes name.
    fn finish(mut self) -> Result<Platform, Problem> {
        if !self.begun {
            return Err((1, "no element `platform`".to_owned()));
        }
        for route in std::mem::take(&mut self.routes) {
            let WrittenRoute { line, ends, symmetrical, .. } = &route;
            let host = |name: &String| {
                let unknown = || (*line, format!("a route of the unknown host `{}`", name.escape_debug()));
                self.hosts.get(name).copied().ok_or_else(unknown)
            };
            let (from, to) = (host(&ends[0])?, host(&ends[1])?);
            let hops = route.hops.iter().map(|hop| self.hop(hop)).collect::<Result<Vec<Hop>, Problem>>()?;
            let back = hops.iter().rev().map(|hop| Hop { up: !hop.up, ..*hop }).collect();
            let twice = || (*line, format!("a second route from `{}` to `{}`", ends[0], ends[1]));
            if self.platform.routes.insert((from, to), hops).is_some() {
                return Err(twice());
            }
            if *symmetrical && from != to && self.platform.routes.insert((to, from), back).is_some() {
                return Err(twice());
            }
        }
        match self.platform.hosts.is_empty() {
            true => Err((1, "a platform without hosts".to_owned())),
            false => Ok(self.platform),
        }
    }

    fn hop(&self, (line, name, up): &(usize, String, Option<bool>)) -> Result<Hop, Problem> {
        let shown = name.escape_debug();
        let Some(link) = self.links.get(name).copied() else {
            return Err((*line, format!("a route over the unknown link `{shown}`")));
        };
        let duplex = self.platform.links[link].sharing == Sharing::Duplex;
        match (duplex, up) {
            (true, None) => {
                Err((*line, format!("`{shown}` has two directions; add `direction`: UP or DOWN")))
            }
            (false, Some(_)) => {
                Err((*line, format!("`{shown}` has no direction; only SPLITDUPLEX links have one")))
            }
            _ => Ok(Hop { link, up: up.unwrap_or(true) }),
        }
    }
}

/// The numbers of a cluster's hosts: `0-3,7,9-10`.
fn radical(text: &str) -> Result<Vec<u64>, String> {
    let wrong = || format!("`radical` is `{}`; expected numbers, as in `0-3,7`", text.escape_debug());
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if last < first || last - first >= CLUSTER_MAX {
            return Err(wrong());
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}
