//! What was said: the file as a value, nothing decided yet.
//!
//! Everything stands in the order of the file, and every value knows where it was said. What the
//! file leaves unsaid is `None`; the methods give what then holds.

mod comments;
mod print;
mod read;
mod said;
mod schema;
mod syntax;
mod values;

pub use crate::language::{LineKind, LinkBy, Pass, PeerBy, Purpose, Region, Table, TunnelBy, keys, line};
pub use print::print;
pub(crate) use read::draft;
pub use read::parse;
pub use said::{Comment, Said};
pub use schema::schema;
pub use tsumugi_core::bgp::config::{Invalid, Role};
pub use tsumugi_core::router_plan::{Engine, Routing, TunnelClamp};
pub(crate) use values::word;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tsumugi_core::id::{Asn, IfName, KeyName, Prefix, Vni};
use tsumugi_core::wire::bgp::RouteTarget;

/// A list, or a single value said without brackets.
/// A larger file is refused unread, so that memory stays bounded. A thousand routers need half a MB.
pub const MAX_BYTES: usize = 16 << 20;

pub type List<T> = Said<Vec<Said<T>>>;
/// One value for each of a link's two ends, in the order of `between`.
pub type Pair<T> = Said<[Said<T>; 2]>;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    pub network: Said<Network>,
    pub rpki: Option<Said<Rpki>>,
    pub bmp: Option<Said<Bmp>>,
    pub sites: Vec<Site>,
    pub devices: Vec<Device>,
    pub persons: Vec<Person>,
    pub routers: Vec<Router>,
    pub links: Vec<Said<Link>>,
    pub segments: Vec<Segment>,
    pub peers: Vec<Peer>,
    /// Comments below everything.
    pub closing: Vec<String>,
}

/// `[network]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    pub name: Said<String>,
    /// The AS number that the outside knows.
    pub asn: Said<Asn>,
    /// What the AS announces, all of it and nothing else; host bits are zero.
    pub prefixes: List<Prefix>,
    /// Pools, one or more of each family or none of it: a router's id picks its address.
    pub loopbacks: List<Prefix>,
    /// The management plane's own address space: an IPv6 /48.
    pub management: Said<Prefix>,
    pub mtu: Option<Said<u16>>,
    /// Routers that announce the AS's prefixes.
    pub originate: Option<List<String>>,
    /// Of links that say nothing themselves.
    pub bfd: BfdSaid,
}

/// Whether BFD watches, and at what pace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BfdSaid {
    pub on: Option<Said<bool>>,
    /// In milliseconds.
    pub interval: Option<Said<u16>>,
    pub multiplier: Option<Said<u8>>,
    /// Of a peer.
    pub multihop: Option<Said<bool>>,
}

impl BfdSaid {
    pub fn is_on(&self) -> Option<bool> {
        self.on.as_ref().map(|on| **on)
    }

    pub fn is_multihop(&self) -> bool {
        self.multihop.as_ref().is_some_and(|multihop| **multihop)
    }
}

impl Network {
    /// What a link carries inside, in bytes, unless the file says otherwise.
    pub const MTU: u16 = 2400;

    pub fn mtu(&self) -> u16 {
        self.mtu.as_ref().map_or(Network::MTU, |mtu| **mtu)
    }

    pub fn originate(&self) -> &[Said<String>] {
        self.originate.as_ref().map_or(&[], |list| list.as_slice())
    }
}

/// `[rpki]`: who says which routes are what their holders say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rpki {
    /// In the order of preference, never empty.
    pub caches: List<SocketAddr>,
    pub plane: Option<Said<CachePlane>>,
    /// Seconds for which data of a lost cache counts.
    pub expire: Option<Said<u32>>,
    /// A path on each router.
    pub slurm: Option<Said<String>>,
}

impl Rpki {
    pub fn plane(&self) -> CachePlane {
        self.plane.as_ref().map_or(CachePlane::Management, |plane| **plane)
    }
}

/// `[bmp]`: whom routers tell of their sessions and routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bmp {
    /// Never empty.
    pub collectors: List<SocketAddr>,
    pub plane: Option<Said<CachePlane>>,
}

impl Bmp {
    pub fn plane(&self) -> CachePlane {
        self.plane.as_ref().map_or(CachePlane::Management, |plane| **plane)
    }
}

/// Where caches and collectors are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachePlane {
    Management,
    Fabric,
}

/// `[site.NAME]`: a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub name: Said<String>,
    pub id: Said<u16>,
    /// In words: `name` in the file.
    pub label: Option<Said<String>>,
    /// What the site's switches pass, in bytes above the Ethernet header.
    pub switch_mtu: Option<Said<u16>>,
}

/// `[device.NAME]`: something on a site's management switch that tsumugi does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub name: Said<String>,
    /// Unique within its site.
    pub id: Said<u16>,
    pub site: Said<String>,
    pub kind: Option<Said<String>>,
}

/// `[person.NAME]`: a volunteer whose laptop is a member of the management network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub name: Said<String>,
    pub id: Said<u16>,
}

/// `[router.NAME]`: a Linux box at a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    pub name: Said<String>,
    /// 1 to 65535: picks its loopbacks, its AS number and its link-local address.
    pub id: Said<u16>,
    pub site: Said<String>,
    pub asn: Option<Said<Asn>>,
    pub meeting: Option<Said<bool>>,
    pub drain: Option<Said<bool>>,
    /// The port on the site's management switch.
    pub management_port: Option<Said<IfName>>,
    pub table: Option<Said<Table>>,
    pub engine: Option<Said<Engine>>,
    pub routing: Option<Said<Routing>>,
    pub uplinks: Vec<Uplink>,
}

impl Router {
    /// The AS number that it speaks inside.
    pub fn asn(&self) -> Asn {
        self.asn.as_ref().map_or(Asn::of_router((*self.id).into()), |asn| **asn)
    }

    /// Whether management lines that cannot be called meet here.
    pub fn meeting(&self) -> bool {
        self.meeting.as_ref().is_some_and(|meeting| **meeting)
    }

    /// Whether traffic is to leave it, because it is about to go.
    pub fn drain(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| **drain)
    }

    pub fn table(&self) -> Table {
        self.table.as_ref().map_or(Table::Full, |table| **table)
    }

    pub fn engine(&self) -> Engine {
        self.engine.as_ref().map_or(Engine::Auto, |engine| **engine)
    }

    /// Who speaks its BGP.
    pub fn routing(&self) -> Routing {
        self.routing.as_ref().map_or(Routing::Embedded, |routing| **routing)
    }

    pub fn uplink(&self, name: &str) -> Option<&Uplink> {
        self.uplinks.iter().find(|uplink| *uplink.name == *name)
    }
}

/// `[router.NAME.uplink.NAME]`: an access line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    pub name: Said<String>,
    pub kind: Said<LineKind>,
    /// Of an `ngn` line only.
    pub region: Option<Said<Region>>,
    pub port: Said<IfName>,
    /// True: the port stays where it is, the line takes a macvlan of it.
    pub share: Option<Said<bool>>,
    /// The largest packet that the line passes whole, in bytes.
    pub path_mtu: Option<Said<u16>>,
    /// Never empty.
    pub address: List<LineAddress>,
    /// At most one of each family.
    pub gateway: Option<List<IpAddr>>,
    /// Replaces what the kind of line passes.
    pub passes: Option<List<Pass>>,
    /// Never empty.
    pub purposes: List<Purpose>,
}

impl Uplink {
    pub fn share(&self) -> bool {
        self.share.as_ref().is_some_and(|share| **share)
    }

    pub fn path_mtu(&self) -> u16 {
        self.path_mtu.as_ref().map_or(self.kind.facts().path_mtu, |mtu| **mtu)
    }

    pub fn passes(&self, what: Pass) -> bool {
        match &self.passes {
            Some(stated) => stated.iter().any(|pass| **pass == what),
            None => self.kind.facts().passes.contains(&what),
        }
    }

    pub fn is_for(&self, purpose: Purpose) -> bool {
        self.purposes.iter().any(|said| **said == purpose)
    }

    /// The addresses that the file states, with the line's prefix length.
    pub fn stated(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.address.iter().filter_map(|address| match **address {
            LineAddress::Stated(prefix) => Some(prefix),
            _ => None,
        })
    }

    /// The stated address of one family.
    pub fn address_v6(&self) -> Option<std::net::Ipv6Addr> {
        self.stated().find_map(|prefix| match prefix.addr() {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        })
    }

    pub fn address_v4(&self) -> Option<std::net::Ipv4Addr> {
        self.stated().find_map(|prefix| match prefix.addr() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    /// The address at which the other lines of its network can send to it: a stated one, unless it
    /// is private or somebody translates it on the way.
    pub fn seen_at(&self, family: line::Family) -> Option<IpAddr> {
        let translated = matches!(*self.kind, LineKind::Lte | LineKind::DsLite | LineKind::MapE);
        let is_private = |address: IpAddr| match address {
            // RFC 1918 and RFC 6598.
            IpAddr::V4(v4) => v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64),
            IpAddr::V6(v6) => v6.is_unique_local(),
        };
        let of_family = |address: &IpAddr| line::Family::of(*address) == family;
        let stated = self.stated().map(|prefix| prefix.addr()).find(of_family);
        stated.filter(|address| !translated && !is_private(*address))
    }

    pub fn gateways(&self) -> &[Said<IpAddr>] {
        self.gateway.as_ref().map_or(&[], |list| list.as_slice())
    }

    /// Whether the line has addresses of a family: stated ones, or from a client that brings such.
    pub fn has(&self, family: line::Family) -> bool {
        self.address.iter().any(|address| address.family() == family)
    }

    pub fn has_v6(&self) -> bool {
        self.has(line::Family::V6)
    }

    pub fn has_v4(&self) -> bool {
        self.has(line::Family::V4)
    }

    /// The network that the line leads to: lines of different networks never meet.
    pub fn network(&self) -> line::Net {
        match *self.kind {
            LineKind::Ngn => match self.region.as_deref() {
                Some(Region::West) => line::Net::NgnWest,
                _ => line::Net::NgnEast,
            },
            _ => line::Net::Internet,
        }
    }
}

/// Who gives the line its addresses, and thus who runs the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineAddress {
    /// The address with the line's prefix length: we set it.
    Stated(Prefix),
    /// Router advertisements.
    Auto,
    Dhcp,
    /// DHCPv6 prefix delegation.
    Dhcp6Pd,
    Pppoe,
}

impl LineAddress {
    pub fn family(&self) -> line::Family {
        match self {
            LineAddress::Stated(prefix) => line::Family::of(prefix.addr()),
            LineAddress::Auto | LineAddress::Dhcp6Pd => line::Family::V6,
            LineAddress::Dhcp | LineAddress::Pppoe => line::Family::V4,
        }
    }
}

/// `[[link]]`: router to router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Two routers' names.
    pub between: Pair<String>,
    pub by: Said<LinkBy>,
    /// The uplink at each end; `None` for `ethernet`.
    pub over: Option<Pair<String>>,
    /// The port at each end, of `ethernet` only.
    pub ports: Option<Pair<IfName>>,
    pub cost: Option<Said<u8>>,
    pub cleartext: Option<Said<bool>>,
    pub engine: Option<Said<Engine>>,
    /// Of a tunnel.
    pub keepalive: Option<Said<bool>>,
    pub bfd: BfdSaid,
}

impl Link {
    /// Whether the ends of a tunnel ask each other if they live.
    pub fn is_kept_alive(&self) -> bool {
        self.keepalive.as_ref().is_none_or(|keepalive| **keepalive)
    }

    /// How often a router's AS number stands in the path over this link.
    pub fn cost(&self) -> u8 {
        self.cost.as_ref().map_or(1, |cost| **cost)
    }

    pub fn cleartext(&self) -> bool {
        self.cleartext.as_ref().is_some_and(|cleartext| **cleartext)
    }
}

/// `[segment.NAME]`: an Ethernet network of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub name: Said<String>,
    pub vni: Said<Vni>,
    /// Ports of which nothing more is said; empty if the key is unsaid.
    pub ports: List<PortRef>,
    /// The routers' address in the segment, with its prefix length.
    pub gateway: Option<List<Prefix>>,
    pub dns: Option<List<IpAddr>>,
    pub dhcp: Option<Said<AddressRange>>,
    pub deny: Option<List<Reach>>,
    pub allow: Option<List<Reach>>,
    pub vtep: Option<Said<Vtep>>,
    pub route_target: Option<List<RouteTarget>>,
    pub index: Option<Said<u16>>,
    /// `[[segment.NAME.port]]`
    pub port: Vec<Said<SegmentPort>>,
    /// `[[segment.NAME.etherip]]`, then `[[segment.NAME.gretap]]` and `[[segment.NAME.geneve]]`.
    pub tunnels: Vec<Said<TunnelEnd>>,
}

impl Segment {
    pub fn gateways(&self) -> &[Said<Prefix>] {
        self.gateway.as_ref().map_or(&[], |list| list.as_slice())
    }

    pub fn denies(&self) -> &[Said<Reach>] {
        self.deny.as_ref().map_or(&[], |list| list.as_slice())
    }

    pub fn allows(&self) -> &[Said<Reach>] {
        self.allow.as_ref().map_or(&[], |list| list.as_slice())
    }

    /// The number that route distinguishers carry: the stated one, else the VNI if it fits.
    pub fn index(&self) -> Option<u16> {
        match &self.index {
            Some(index) => Some(**index),
            None => u16::try_from(self.vni.0).ok(),
        }
    }

    /// Everywhere that hosts attach: `ports`, then `port`, then tunnels.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let plain = self.ports.iter().map(|said| Place {
            span: said.span(),
            sound: said.sound().is_some(),
            router: &said.router,
            by: PlaceBy::Port { port: &said.port, vlan: None },
            lan: None,
            standby: None,
            storm_limit: None,
        });
        let ports = self.port.iter().map(|said| Place {
            span: said.at.span(),
            sound: said.at.sound().is_some(),
            router: &said.at.router,
            by: PlaceBy::Port { port: &said.at.port, vlan: said.vlan.as_ref() },
            lan: said.lan.as_ref(),
            standby: said.standby.as_ref(),
            storm_limit: said.storm_limit.as_ref(),
        });
        let tunnels = self.tunnels.iter().map(|said| Place {
            span: said.router.span(),
            sound: said.router.sound().is_some(),
            router: &said.router,
            by: PlaceBy::Tunnel(said),
            lan: said.lan.as_ref(),
            standby: said.standby.as_ref(),
            storm_limit: said.storm_limit.as_ref(),
        });
        plain.chain(ports).chain(tunnels)
    }
}

/// Where hosts attach to a segment, whichever way it was said.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    pub span: std::ops::Range<usize>,
    /// Whether the router (and the port) could be read.
    pub sound: bool,
    pub router: &'a str,
    pub by: PlaceBy<'a>,
    pub lan: Option<&'a Said<String>>,
    pub standby: Option<&'a Said<bool>>,
    pub storm_limit: Option<&'a Said<u32>>,
}

#[derive(Debug, Clone, Copy)]
pub enum PlaceBy<'a> {
    Port { port: &'a IfName, vlan: Option<&'a Said<u16>> },
    Tunnel(&'a Said<TunnelEnd>),
}

impl Place<'_> {
    /// Frames a second of each kind, unless the file says otherwise.
    pub const STORM_LIMIT: u32 = 300;

    pub fn is_standby(&self) -> bool {
        self.standby.is_some_and(|standby| **standby)
    }

    pub fn storm_limit(&self) -> u32 {
        self.storm_limit.map_or(Place::STORM_LIMIT, |limit| **limit)
    }
}

/// `router:port`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRef {
    pub router: String,
    pub port: IfName,
}

/// A port of a segment that says more than where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentPort {
    pub at: Said<PortRef>,
    pub vlan: Option<Said<u16>>,
    pub lan: Option<Said<String>>,
    pub standby: Option<Said<bool>>,
    pub storm_limit: Option<Said<u32>>,
}

/// Our end of a tunnel whose far end's LAN is a part of the segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelEnd {
    /// By the table that says it.
    pub by: TunnelBy,
    pub router: Said<String>,
    pub over: Said<String>,
    pub remote: Said<IpAddr>,
    pub terms: TunnelTerms,
    pub lan: Option<Said<String>>,
    pub standby: Option<Said<bool>>,
    pub storm_limit: Option<Said<u32>>,
    pub keepalive: Option<Said<AskedFarEnd>>,
}

/// Who behind a tunnel is asked whether it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedFarEnd {
    /// `false`.
    Nobody,
    Host(IpAddr),
}

/// What may be said of a tunnel to a far end that is no router of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TunnelTerms {
    /// Of `gretap` only.
    pub key: Option<Said<u32>>,
    /// Of `geneve` only, which has to have it.
    pub vni: Option<Said<Vni>>,
    /// Of `etherip` only.
    pub accept_reversed: Option<Said<bool>>,
    pub clamp: Option<Said<TunnelClamp>>,
}

impl TunnelTerms {
    /// What tells two tunnels of one kind between the same ends apart; `None`: nothing does.
    pub fn number(&self, by: TunnelBy) -> Option<u32> {
        match by {
            TunnelBy::EtherIp => None,
            TunnelBy::Gretap => self.key.as_ref().map(|key| **key),
            TunnelBy::Geneve => self.vni.as_ref().map(|vni| vni.0),
        }
    }

    pub fn accepts_reversed(&self) -> bool {
        self.accept_reversed.as_ref().is_some_and(|accept| **accept)
    }

    pub fn clamp(&self) -> TunnelClamp {
        self.clamp.as_ref().map_or(TunnelClamp::Auto, |clamp| **clamp)
    }
}

/// IPv4 addresses from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    pub first: Ipv4Addr,
    pub last: Ipv4Addr,
}

/// The family that VXLAN goes over between routers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vtep {
    Ipv4,
    Ipv6,
}

/// What the hosts of a segment may not, or may all the same, send to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reach {
    /// TCP port 25, wherever.
    Mail,
    /// The networks of all other segments.
    Segments,
    /// Another segment's networks.
    Segment(String),
    /// The AS's own prefixes; pings of routers pass.
    Network,
    /// What is not the AS's own.
    Outside,
    /// Known so that people can be told: no plane's hosts ever reach another plane.
    Management,
}

/// As the file spells it.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Mail => f.write_str("mail"),
            Reach::Segments => f.write_str("segments"),
            Reach::Segment(name) => write!(f, "segment.{name}"),
            Reach::Network => f.write_str("network"),
            Reach::Outside => f.write_str("outside"),
            Reach::Management => f.write_str("management"),
        }
    }
}

/// `[peer.NAME]`: a network outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub name: Said<String>,
    pub asn: Said<Asn>,
    pub role: Said<Role>,
    /// What a customer may announce.
    pub prefixes: Option<List<Prefix>>,
    pub as_set: Option<Said<AsSet>>,
    /// A list file, as the file says it.
    pub list: Option<Said<String>>,
    pub origins: Option<List<Asn>>,
    pub never_via: Option<List<Asn>>,
    pub announce: Option<List<Prefix>>,
    pub withhold: Option<List<Prefix>>,
    /// How often our AS number is prepended beyond the first.
    pub prepend: Option<Said<u8>>,
    /// More prefixes than this per family end the session.
    pub limit: Option<Said<u32>>,
    /// Percent of the limit.
    pub limit_warn: Option<Said<u8>>,
    /// In minutes.
    pub limit_rest: Option<Said<u16>>,
    /// Whether several paths to a prefix are taken, and how many are told.
    pub add_paths_receive: Option<Said<bool>>,
    pub add_paths_send: Option<Said<u8>>,
    pub strict_role: Option<Said<bool>>,
    pub gtsm: Option<Said<bool>>,
    pub bfd: BfdSaid,
    pub password: Option<Said<Secret>>,
    pub drain: Option<Said<bool>>,
    /// What becomes of its routes that RPKI calls invalid.
    pub invalid: Option<Said<Invalid>>,
    /// `[[peer.NAME.at]]`, never empty.
    pub at: Vec<Said<PeerAt>>,
}

impl Peer {
    pub fn prefixes(&self) -> &[Said<Prefix>] {
        self.prefixes.as_ref().map_or(&[], |list| list.as_slice())
    }

    /// Where the list of what it may announce stands, from the file's folder.
    pub fn list_path(&self) -> Option<String> {
        let unsaid = || self.as_set.as_ref().map(|_| format!("lists/{}.json", *self.name));
        self.list.as_ref().map(|list| list.get().clone()).or_else(unsaid)
    }

    pub fn invalid(&self) -> Invalid {
        self.invalid.as_ref().map_or(Invalid::Drop, |invalid| **invalid)
    }

    /// Whether traffic is to leave its sessions, because they are about to go.
    pub fn drain(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| **drain)
    }

    /// Whether it must say its role in OPEN.
    pub fn strict_role(&self) -> bool {
        self.strict_role.as_ref().is_some_and(|strict| **strict)
    }

    /// Whether what a router has passed on is dropped.
    pub fn gtsm(&self) -> bool {
        self.gtsm.as_ref().is_some_and(|gtsm| **gtsm)
    }

    pub fn prepend(&self) -> u8 {
        self.prepend.as_ref().map_or(0, |prepend| **prepend)
    }
}

/// The name of an AS-SET (RFC 2622 5.1), or of one AS: `AS-FOO`, `AS64500:AS-FOO`, `RIPE::AS-FOO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsSet(pub String);

impl AsSet {
    /// `None` unless it is such a name: it becomes a word of bgpq4's command line.
    pub fn new(text: &str) -> Option<AsSet> {
        let word = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let name = match text.split_once("::") {
            Some((source, name)) => Some(name).filter(|_| word(source) && !source.starts_with('-'))?,
            None => text,
        };
        let starts = |part: &str| part.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("as"));
        let part = |part: &str| {
            starts(part) && word(part) && part.len() > 2 && part.as_bytes()[2..].iter().any(|b| *b != b'-')
        };
        (text.len() <= 100 && name.split(':').all(part)).then(|| AsSet(text.to_string()))
    }
}

impl fmt::Display for AsSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `secret:NAME`: what stands in a file of the router's state folder, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret(pub KeyName);

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret:{}", self.0)
    }
}

/// One connection to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAt {
    pub router: Said<String>,
    pub by: Said<PeerBy>,
    /// The uplink; `None` for `ethernet`.
    pub over: Option<Said<String>>,
    /// Of `ethernet` only.
    pub port: Option<Said<IfName>>,
    pub mtu: Option<Said<u16>>,
    /// The tunnel's far end; `None` for `ethernet`.
    pub remote: Option<Said<IpAddr>>,
    pub terms: TunnelTerms,
    /// Ours on the connection, with its prefix length; at most one of each family.
    pub addresses: List<Prefix>,
    /// The peer's: a BGP session each.
    pub neighbours: List<IpAddr>,
    /// Of a tunnel.
    pub keepalive: Option<Said<AskedFarEnd>>,
}

impl PeerAt {
    /// What an outside connection carries, in bytes, unless the file says otherwise.
    pub const MTU: u16 = 1500;

    pub fn mtu(&self) -> u16 {
        self.mtu.as_ref().map_or(PeerAt::MTU, |mtu| **mtu)
    }
}
