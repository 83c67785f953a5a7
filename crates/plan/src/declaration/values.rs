//! What can be read from one value: numbers, names, addresses, words, and lists of them.

use super::keys::{self, Kind};
use super::read::{Reader, is_name};
use super::*;
use crate::problem::Reading;
use crate::suggest::closest;
use toml::de::{DeArray, DeValue};

pub(super) trait Read: Sized {
    /// `None` after the problem has been told.
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<Self>;
    /// Stands for what could not be read.
    fn placeholder() -> Self;
}

fn text<'a>(reader: &mut Reader, kind: &'static Kind, value: &'a toml::Spanned<DeValue>) -> Option<&'a str> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        reader.wrong_type(*kind, value);
    }
    text
}

impl Read for String {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<String> {
        let text = text(reader, kind, value)?;
        // Names of other tables are looked up later; words for people reach logs and the kernel.
        let fits = !text.trim().is_empty() && text.len() <= 200 && !text.chars().any(char::is_control);
        if matches!(kind, Kind::Text) && !fits {
            reader.tell(value.span(), Reading::BadText);
            return None;
        }
        Some(text.to_string())
    }
    fn placeholder() -> String {
        String::new()
    }
}

impl Read for bool {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<bool> {
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            reader.wrong_type(*kind, value);
        }
        flag
    }
    fn placeholder() -> bool {
        false
    }
}

fn integer(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<u64> {
    let Some(integer) = value.get_ref().as_integer() else {
        reader.wrong_type(*kind, value);
        return None;
    };
    let Kind::Integer { least, most } = *kind else { return None };
    let read = u64::from_str_radix(integer.as_str(), integer.radix());
    let read = read.ok().filter(|read| (least..=most).contains(read));
    if read.is_none() {
        reader.tell(value.span(), Reading::OutOfRange { least, most });
    }
    read
}

/// The largest number that a type holds.
trait Number {
    const MOST: u64;
}

macro_rules! read_integer {
    ($($type:ty, $most:expr, $make:expr;)*) => {$(
        impl Number for $type {
            const MOST: u64 = $most as u64;
        }

        impl Read for $type {
            fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<$type> {
                let read = integer(reader, kind, value)?;
                match read.try_into() {
                    Ok(number) => Some($make(number)),
                    // The table's ranges fit the types; were one wider, it would be told.
                    Err(_) => {
                        let (least, most) = (0, <$type as Number>::MOST);
                        reader.tell(value.span(), Reading::OutOfRange { least, most });
                        None
                    }
                }
            }
            fn placeholder() -> $type {
                $make(0)
            }
        }
    )*};
}

read_integer! {
    u8, u8::MAX, |n: u8| n;
    u16, u16::MAX, |n: u16| n;
    u32, u32::MAX, |n: u32| n;
    Asn, u32::MAX, Asn;
    Vni, u32::MAX, Vni;
}

impl Read for IfName {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<IfName> {
        let text = text(reader, kind, value)?;
        let port = IfName::new(text).ok();
        if port.is_none() {
            reader.tell(value.span(), Reading::BadPort { text: text.into() });
        }
        port
    }
    fn placeholder() -> IfName {
        IfName::loopback()
    }
}

impl Read for PortRef {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<PortRef> {
        let text = text(reader, kind, value)?;
        let read = text.split_once(':').and_then(|(router, port)| {
            Some(PortRef { router: router.into(), port: IfName::new(port).ok()? })
        });
        if read.is_none() {
            reader.tell(value.span(), Reading::BadPortRef { text: text.into() });
        }
        read
    }
    fn placeholder() -> PortRef {
        PortRef { router: String::new(), port: IfName::loopback() }
    }
}

impl Read for AddressRange {
    fn read(
        reader: &mut Reader,
        kind: &'static Kind,
        value: &toml::Spanned<DeValue>,
    ) -> Option<AddressRange> {
        let text = text(reader, kind, value)?;
        let read = text.split_once('-').and_then(|(first, last)| {
            Some(AddressRange { first: first.trim().parse().ok()?, last: last.trim().parse().ok()? })
        });
        if read.is_none() {
            reader.tell(value.span(), Reading::BadAddressRange { text: text.into() });
        }
        read
    }
    fn placeholder() -> AddressRange {
        AddressRange { first: Ipv4Addr::UNSPECIFIED, last: Ipv4Addr::UNSPECIFIED }
    }
}

impl Read for RouteTarget {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<RouteTarget> {
        let text = text(reader, kind, value)?;
        // The library reads other spellings too; one thing is written in one way here.
        let usual = text.contains(':') && text.bytes().all(|b| b.is_ascii_digit() || b":.".contains(&b));
        let read = text.parse::<RouteTarget>().ok().filter(|_| usual);
        if read.is_none() {
            reader.tell(value.span(), Reading::BadRouteTarget { text: text.into() });
        }
        read
    }
    fn placeholder() -> RouteTarget {
        RouteTarget::of_two_octet_as(0, 0)
    }
}

impl Read for Secret {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<Secret> {
        let text = text(reader, kind, value)?;
        let name = text.strip_prefix("secret:").filter(|name| is_name(name));
        if name.is_none() {
            // It may be the secret itself: it is not said again.
            reader.tell(value.span(), Reading::BadSecret);
        }
        Some(Secret(KeyName(name?.into())))
    }
    fn placeholder() -> Secret {
        Secret(KeyName(String::new()))
    }
}

impl Read for AsSet {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<AsSet> {
        let text = text(reader, kind, value)?;
        let read = AsSet::new(text);
        if read.is_none() {
            reader.tell(value.span(), Reading::BadAsSet { text: text.into() });
        }
        read
    }
    fn placeholder() -> AsSet {
        AsSet(String::new())
    }
}

impl Read for Reach {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<Reach> {
        Some(match text(reader, kind, value)? {
            "mail" => Reach::Mail,
            "segments" => Reach::Segments,
            "network" => Reach::Network,
            "outside" => Reach::Outside,
            "management" => Reach::Management,
            text => match text.strip_prefix("segment.") {
                Some(name) => Reach::Segment(name.into()),
                None => {
                    unknown_word(reader, text, keys::REACHES, value);
                    return None;
                }
            },
        })
    }
    fn placeholder() -> Reach {
        Reach::Mail
    }
}

impl Read for IpAddr {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<IpAddr> {
        let text = text(reader, kind, value)?;
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        let kind = match text.parse::<Prefix>() {
            Ok(prefix) => Reading::LengthUnasked { address: prefix.addr() },
            Err(_) => Reading::BadAddress { text: text.into() },
        };
        reader.tell(value.span(), kind);
        None
    }
    fn placeholder() -> IpAddr {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    }
}

impl Read for AskedFarEnd {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<AskedFarEnd> {
        if value.get_ref().as_bool() == Some(false) {
            return Some(AskedFarEnd::Nobody);
        }
        IpAddr::read(reader, kind, value).map(AskedFarEnd::Host)
    }
    fn placeholder() -> AskedFarEnd {
        AskedFarEnd::Nobody
    }
}

impl Read for SocketAddr {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<SocketAddr> {
        let text = text(reader, kind, value)?;
        // A scope would be of one machine only.
        let read = text.parse().ok().filter(|_| !text.contains('%'));
        if read.is_none() {
            reader.tell(value.span(), Reading::BadEndpoint { text: text.into() });
        }
        read
    }
    fn placeholder() -> SocketAddr {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    }
}

impl Read for Prefix {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<Prefix> {
        let text = text(reader, kind, value)?;
        let Ok(prefix) = text.parse::<Prefix>() else {
            let kind = match text.parse() {
                Ok(address) => Reading::LengthMissing { address },
                Err(_) => Reading::BadPrefix { text: text.into() },
            };
            reader.tell(value.span(), kind);
            return None;
        };
        if matches!(kind, Kind::Prefix) && prefix.trunc() != prefix {
            reader.tell(value.span(), Reading::HostBits { network: prefix.trunc() });
            return None;
        }
        Some(prefix)
    }
    fn placeholder() -> Prefix {
        Prefix::V6(ipnet::Ipv6Net::default())
    }
}

impl Read for LineAddress {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<LineAddress> {
        Some(match text(reader, kind, value)? {
            "auto" => LineAddress::Auto,
            "dhcp" => LineAddress::Dhcp,
            "dhcp6-pd" => LineAddress::Dhcp6Pd,
            "pppoe" => LineAddress::Pppoe,
            text if text.contains(['.', ':']) => LineAddress::Stated(Prefix::read(reader, kind, value)?),
            text => {
                unknown_word(reader, text, keys::LINE_CLIENTS, value);
                return None;
            }
        })
    }
    fn placeholder() -> LineAddress {
        LineAddress::Auto
    }
}

impl<T: Read> Read for Vec<Said<T>> {
    fn read(
        reader: &mut Reader,
        kind: &'static Kind,
        value: &toml::Spanned<DeValue>,
    ) -> Option<Vec<Said<T>>> {
        let inner = match kind {
            Kind::List(inner) | Kind::ListOrNone(inner) | Kind::OneOrMore(inner) => *inner,
            _ => return None,
        };
        match (value.get_ref(), kind) {
            (DeValue::Array(array), _) => {
                if array.is_empty() && !matches!(kind, Kind::ListOrNone(_)) {
                    reader.tell(value.span(), Reading::EmptyList);
                    return None;
                }
                Some(elements(reader, inner, array))
            }
            (_, Kind::OneOrMore(_)) => Some(vec![reader.value(inner, value)]),
            _ => {
                reader.wrong_type(*kind, value);
                None
            }
        }
    }
    fn placeholder() -> Vec<Said<T>> {
        Vec::new()
    }
}

fn elements<T: Read>(reader: &mut Reader, inner: &'static Kind, array: &DeArray) -> Vec<Said<T>> {
    array.iter().map(|element| reader.value(inner, element)).collect()
}

impl<T: Read> Read for [Said<T>; 2] {
    fn read(
        reader: &mut Reader,
        kind: &'static Kind,
        value: &toml::Spanned<DeValue>,
    ) -> Option<[Said<T>; 2]> {
        let Kind::Pair(inner) = kind else { return None };
        let Some(array) = value.get_ref().as_array() else {
            reader.wrong_type(*kind, value);
            return None;
        };
        let found = elements(reader, inner, array);
        let count = found.len();
        let pair = found.try_into().ok();
        if pair.is_none() {
            reader.tell(value.span(), Reading::NotAPair { count });
        }
        pair
    }
    fn placeholder() -> [Said<T>; 2] {
        [Said::unsound(T::placeholder(), 0..0), Said::unsound(T::placeholder(), 0..0)]
    }
}

/// Words of the file and what they mean, in the order of the table's words.
pub(crate) trait Word: Copy + PartialEq + 'static {
    const WORDS: &'static [&'static str];
    const VALUES: &'static [Self];

    fn word(self) -> &'static str {
        let at = Self::VALUES.iter().position(|value| *value == self);
        at.and_then(|at| Self::WORDS.get(at)).copied().unwrap_or("")
    }
}

/// How the file spells a value that is a word.
pub(crate) fn word<T: Word>(value: T) -> &'static str {
    value.word()
}

impl<T: Word> Read for T {
    fn read(reader: &mut Reader, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Option<T> {
        let text = text(reader, kind, value)?;
        let at = T::WORDS.iter().position(|word| *word == text);
        if at.is_none() {
            unknown_word(reader, text, T::WORDS, value);
        }
        at.and_then(|at| T::VALUES.get(at)).copied()
    }
    fn placeholder() -> T {
        T::VALUES[0]
    }
}

fn unknown_word(
    reader: &mut Reader,
    word: &str,
    known: &'static [&'static str],
    value: &toml::Spanned<DeValue>,
) {
    let kind =
        Reading::UnknownWord { word: word.into(), known, suggestion: closest(word, known.iter().copied()) };
    reader.tell(value.span(), kind);
}

macro_rules! words {
    ($($type:ty, $words:expr, [$($value:ident),*];)*) => {$(
        impl Word for $type {
            const WORDS: &'static [&'static str] = $words;
            const VALUES: &'static [$type] = &[$(<$type>::$value),*];
        }
    )*};
}

words! {
    LineKind, &keys::LINE_KINDS,
        [Ngn, FtthIpoe, Pppoe, DsLite, MapE, Lte, Gcp, Azure, Cloud, Datacenter];
    Region, keys::REGIONS, [East, West];
    Pass, keys::PASSES, [Udp, Gre, EtherIp, Fragments, Incoming];
    Purpose, keys::PURPOSES, [Fabric, Management];
    Table, keys::TABLES, [Full, Default];
    Engine, keys::ENGINES, [Auto, Kernel, Userspace];
    Routing, keys::ROUTINGS, [Embedded, Frr];
    LinkBy, keys::LINK_BY, [Ethernet, Gre, EtherIp, WireGuard];
    PeerBy, keys::PEER_BY, [EtherIp, Gretap, Geneve, Ethernet];
    TunnelBy, keys::TUNNEL_BY, [EtherIp, Gretap, Geneve];
    TunnelClamp, keys::CLAMPS, [Auto, Recut, Off];
    Vtep, keys::VTEPS, [Ipv4, Ipv6];
    CachePlane, keys::CACHE_PLANES, [Management, Fabric];
    Invalid, keys::INVALIDS, [Drop, Last, Take];
    Role, keys::ROLES, [Provider, Peer, Customer, RouteServer];
}
