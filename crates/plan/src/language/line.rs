//! The kinds of access lines and what is known of each, with the reason: the one table that check,
//! the compiler, the arithmetic and the lab read. The file may state otherwise.

use super::Pass;
use std::net::IpAddr;

/// What kind of access line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineKind {
    Ngn,
    FtthIpoe,
    Pppoe,
    DsLite,
    MapE,
    Lte,
    Gcp,
    Azure,
    Cloud,
    Datacenter,
}

/// An IP family that a line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

/// A network of access lines. Lines of two different ones never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Net {
    /// NTT East's closed network.
    NgnEast,
    NgnWest,
    Internet,
}

impl Net {
    /// Whether strangers share it: clear text is refused there.
    pub fn is_open(self) -> bool {
        self == Net::Internet
    }

    pub fn name(self) -> &'static str {
        match self {
            Net::NgnEast => "ngn-east",
            Net::NgnWest => "ngn-west",
            Net::Internet => "internet",
        }
    }
}

/// What holds for a kind of line unless the file states otherwise.
#[derive(Debug)]
pub struct Facts {
    pub kind: LineKind,
    /// As the file spells it.
    pub name: &'static str,
    /// The largest packet that the line passes whole, in bytes.
    pub path_mtu: u16,
    pub families: &'static [Family],
    pub passes: &'static [Pass],
    /// What it is, in a line, and why the values above.
    pub en: &'static str,
    pub ja: &'static str,
}

const ALL: &[Pass] = &[Pass::Udp, Pass::Gre, Pass::EtherIp, Pass::Fragments, Pass::Incoming];
/// Behind a home router: what goes out comes back, nobody calls in.
const HOME: &[Pass] = &[Pass::Udp, Pass::Gre, Pass::EtherIp, Pass::Fragments];
/// Behind an address translator of the carrier, which knows ports only.
const SHARED_ADDRESS: &[Pass] = &[Pass::Udp, Pass::Fragments];
const V4: &[Family] = &[Family::V4];
const V6: &[Family] = &[Family::V6];
const BOTH: &[Family] = &[Family::V4, Family::V6];

/// In the order in which people are told of them.
pub static LINES: [Facts; 10] = [
    Facts {
        kind: LineKind::Ngn,
        name: "ngn",
        path_mtu: 1500,
        families: V6,
        passes: ALL,
        en: "NTT's closed network (NGN), IPv6 only: 1500 bytes, and every line can call every other of its region",
        ja: "NTTの閉域網(NGN)。IPv6のみで1500バイトを通し、同じ地域の回線どうしは互いに呼び出せます",
    },
    Facts {
        kind: LineKind::FtthIpoe,
        name: "ftth-ipoe",
        path_mtu: 1500,
        families: V6,
        passes: HOME,
        en: "fibre with IPoE: IPv6 of 1500 bytes; every protocol, but a home router lets nobody call in",
        ja: "光回線のIPoE。IPv6で1500バイト。どのプロトコルも通りますが、ホームルーターが外からの呼び出しを止めます",
    },
    Facts {
        kind: LineKind::Pppoe,
        name: "pppoe",
        path_mtu: 1454,
        families: V4,
        passes: HOME,
        en: "fibre with PPPoE: 1454 bytes (1438 with Hikari Premium: say path-mtu); every protocol, but a home router lets nobody call in",
        ja: "光回線のPPPoE。1454バイト(フレッツ・光プレミアムは1438なのでpath-mtuを書いてください)。どのプロトコルも通りますが、ホームルーターが外からの呼び出しを止めます",
    },
    Facts {
        kind: LineKind::DsLite,
        name: "ds-lite",
        path_mtu: 1460,
        families: V4,
        passes: SHARED_ADDRESS,
        en: "IPv4 in IPv6 (DS-Lite): 1460 bytes; the carrier translates addresses shared by many homes, so only UDP and TCP pass and nobody calls in",
        ja: "DS-Lite(IPv4 over IPv6)。1460バイト。事業者側で多数の家とアドレスを共有して変換するので、UDPとTCPしか通らず、外から呼び出せません",
    },
    Facts {
        kind: LineKind::MapE,
        name: "map-e",
        path_mtu: 1460,
        families: V4,
        passes: SHARED_ADDRESS,
        en: "IPv4 in IPv6 (MAP-E): 1460 bytes; an address is shared by ports, so only UDP and TCP pass and nobody calls in",
        ja: "MAP-E(IPv4 over IPv6)。1460バイト。アドレスをポート番号で分け合うので、UDPとTCPしか通らず、外から呼び出せません",
    },
    Facts {
        kind: LineKind::Lte,
        name: "lte",
        path_mtu: 1280,
        families: BOTH,
        passes: SHARED_ADDRESS,
        en: "a mobile line behind the carrier's NAT: 1280 bytes until it is measured, only UDP and TCP pass, nobody calls in",
        ja: "キャリアのNATの内側にあるモバイル回線。実測するまでは1280バイトとし、UDPとTCPしか通らず、外から呼び出せません",
    },
    Facts {
        kind: LineKind::Gcp,
        name: "gcp",
        path_mtu: 1460,
        families: BOTH,
        passes: ALL,
        en: "a machine at Google Cloud: 1460 bytes; protocols and calls pass once its firewall rules say so",
        ja: "Google Cloudのマシン。1460バイト。ファイアウォール規則で許可すれば、どのプロトコルも呼び出しも通ります",
    },
    Facts {
        kind: LineKind::Azure,
        name: "azure",
        path_mtu: 1400,
        families: BOTH,
        passes: &[Pass::Udp, Pass::Fragments, Pass::Incoming],
        en: "a machine at Azure: 1400 bytes; GRE and EtherIP do not pass, and fragments that arrive out of order may be dropped",
        ja: "Azureのマシン。1400バイト。GREとEtherIPは通らず、順番の入れ替わったフラグメントは捨てられることがあります",
    },
    Facts {
        kind: LineKind::Cloud,
        name: "cloud",
        path_mtu: 1500,
        families: BOTH,
        passes: ALL,
        en: "a machine at any other cloud: 1500 bytes, public addresses, everything passes",
        ja: "その他のクラウドのマシン。1500バイトで、グローバルアドレスを持ち、すべて通ります",
    },
    Facts {
        kind: LineKind::Datacenter,
        name: "datacenter",
        path_mtu: 1500,
        families: BOTH,
        passes: ALL,
        en: "a line in a data centre: 1500 bytes, public addresses, everything passes",
        ja: "データセンターの回線。1500バイトで、グローバルアドレスを持ち、すべて通ります",
    },
];

impl LineKind {
    pub fn facts(self) -> &'static Facts {
        &LINES[self as usize]
    }

    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Milliseconds between BFD's packets over it: a mobile line pauses for longer than others may be
    /// silent, whenever the phone or the cell changes its mind.
    pub fn bfd_interval(self) -> u16 {
        if self == LineKind::Lte { 500 } else { 100 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_kinds() {
        for facts in &LINES {
            assert_eq!(facts.kind.facts().name, facts.name);
            assert!(facts.path_mtu >= 1280 || facts.families == V4);
        }
    }
}
