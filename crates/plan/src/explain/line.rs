//! Words for access lines and ports.

use super::{Words, family};
use crate::declaration::LineKind;
use crate::problem::{LineProblem, PortUse};

pub(super) fn words(kind: &LineProblem) -> Words {
    match kind {
        LineProblem::RegionMissing => Words::new(
            "an ngn line is either in the east or in the west, and the two do not meet",
            "add `region = \"east\"` or `region = \"west\"`",
            "ngn回線には東日本と西日本があり、互いにつながりません",
            "`region = \"east\"`か`region = \"west\"`を書き足してください",
        ),
        LineProblem::RegionOutOfPlace { line } => Words::new(
            format!("only ngn lines have a region, and this is {}", line.name()),
            "remove `region`",
            format!("regionを書けるのはngn回線だけですが、これは{}です", line.name()),
            "`region`を消してください",
        ),
        LineProblem::FamilyNotOnLine { line, family: of } => Words::new(
            format!("there is no {} on {} lines", family(*of), line.name()),
            format!("write an address of the other family: {}", line.facts().en),
            format!("{}回線では{}は使えません", line.name(), family(*of)),
            format!("もう一方の種類のアドレスを書いてください。{}", line.facts().ja),
        ),
        LineProblem::ClientNotOnLine { line, client } => {
            let (en, ja) = clients(*line);
            Words::new(
                format!("{} lines give no address by {client}", line.name()),
                format!("write the address with its length, or {en}"),
                format!("{}回線では{client}でアドレスをもらえません", line.name()),
                format!("アドレスと長さを書くか、{ja}と書いてください"),
            )
        }
        LineProblem::NoGateway { family: of } => Words::new(
            format!("without a gateway, {} reaches only what is on the line itself", family(*of)),
            "add `gateway = \"…\"` with the address of the line's router",
            format!("ゲートウェイがないと、{}は回線の同じサブネットにしか届きません", family(*of)),
            "回線側のルーターのアドレスを`gateway = \"…\"`に書き足してください",
        ),
        LineProblem::GatewayNotOnLine { gateway, network } => Words::new(
            format!("the gateway {gateway} is not within the line's {network}"),
            "check both: the gateway must be a neighbour of the line's address",
            format!("ゲートウェイ{gateway}が回線の{network}の中にありません"),
            "両方を確かめてください。ゲートウェイは回線のアドレスと同じサブネットになければなりません",
        ),
        LineProblem::GatewayIsAddress { gateway } => Words::new(
            format!("the gateway {gateway} is the line's own address"),
            "write the address of the line's router",
            format!("ゲートウェイ{gateway}が回線自身のアドレスになっています"),
            "回線側のルーターのアドレスを書いてください",
        ),
        LineProblem::GatewayWithoutAddress { family: of } => Words::new(
            format!(
                "the line has no stated address of {}, so whoever gives the address gives the gateway too",
                family(*of)
            ),
            "remove the gateway, or state the address",
            format!(
                "{}のアドレスが書かれていません。アドレスを割り当てる側がゲートウェイも教えます",
                family(*of)
            ),
            "ゲートウェイを消すか、アドレスを書いてください",
        ),
        LineProblem::PathMtuBelowIpv6 { mtu } => Words::new(
            format!("a path MTU of {mtu} is below the 1280 bytes that IPv6 needs"),
            "write at least 1280, or give the line IPv4 only",
            format!("パスMTU {mtu}は、IPv6に必要な1280バイトより小さいです"),
            "1280以上にするか、回線をIPv4だけにしてください",
        ),
        LineProblem::ManagementNeedsUdp => Words::new(
            "the management overlay is WireGuard over UDP, and this line passes no UDP",
            "add \"udp\" to `passes`, or take \"management\" from `for`",
            "管理オーバーレイはUDP上のWireGuardですが、この回線はUDPを通しません",
            "`passes`に\"udp\"を足すか、`for`から\"management\"を外してください",
        ),
        LineProblem::FragmentsUncertain { line } => Words::new(
            format!(
                "{} may drop fragments that arrive out of order, and a full packet becomes two fragments",
                line.name()
            ),
            "measure it; if it loses packets, lower `mtu` in [network] or move the tunnel to another line",
            format!(
                "{}は順番の入れ替わったフラグメントを捨てることがあり、大きなパケットは2つのフラグメントになります",
                line.name()
            ),
            "実測し、失われるようなら[network]の`mtu`を下げるか、別の回線にしてください",
        ),
        _ => addresses_and_ports(kind),
    }
}

/// What gives addresses on a kind of line.
fn clients(line: LineKind) -> (&'static str, &'static str) {
    match line {
        LineKind::Ngn => ("\"auto\" or \"dhcp6-pd\"", "\"auto\"か\"dhcp6-pd\""),
        LineKind::Pppoe => ("\"pppoe\" or \"dhcp\"", "\"pppoe\"か\"dhcp\""),
        LineKind::DsLite | LineKind::MapE => ("\"dhcp\"", "\"dhcp\""),
        _ => ("\"auto\", \"dhcp6-pd\" or \"dhcp\"", "\"auto\"、\"dhcp6-pd\"、\"dhcp\"のどれか"),
    }
}

fn addresses_and_ports(kind: &LineProblem) -> Words {
    match kind {
        LineProblem::AddressIsNetwork { prefix } => Words::new(
            format!("{} is the first address of {} and stands for all of it", prefix.addr(), prefix.trunc()),
            "write the address of this one interface",
            format!("{}は{}の先頭のアドレスで、全体を表します", prefix.addr(), prefix.trunc()),
            "このインターフェース自身のアドレスを書いてください",
        ),
        LineProblem::AddressIsBroadcast { prefix } => Words::new(
            format!("{} is the broadcast address of {}", prefix.addr(), prefix.trunc()),
            "write the address of this one interface",
            format!("{}は{}のブロードキャストアドレスです", prefix.addr(), prefix.trunc()),
            "このインターフェース自身のアドレスを書いてください",
        ),
        LineProblem::AddressUnusable { address } => Words::new(
            format!("{address} cannot be an interface's address here"),
            "write a unicast address; link-local ones come from the router's id",
            format!("{address}はここでインターフェースのアドレスに使えません"),
            "ユニキャストアドレスを書いてください。リンクローカルアドレスはルーターのidから決まります",
        ),
        LineProblem::FamilyTwice { family: of } => Words::new(
            format!("a second one of {}: there is at most one of each family", family(*of)),
            "remove one of the two",
            format!("{}のものが2つあります。IPv4とIPv6に1つずつまでです", family(*of)),
            "どちらかを消してください",
        ),
        LineProblem::AddressInside { address, space } => Words::new(
            format!(
                "the line's {address} lies within {space}, which is the network's own: the line would depend on what it carries"
            ),
            "write the address that the line's provider gave",
            format!(
                "回線の{address}がこのネットワーク自身の{space}の中にあります。回線が、自分の運ぶものに頼ることになります"
            ),
            "回線の事業者から割り当てられたアドレスを書いてください",
        ),
        LineProblem::AddressTwice { address } => Words::new(
            format!("{address} is said elsewhere as well"),
            "give each interface an address of its own",
            format!("{address}がほかの場所にも書かれています"),
            "インターフェースごとに別のアドレスを書いてください",
        ),
        LineProblem::PortTwice { port, first, shareable } => {
            let (en, ja) = port_use(first);
            let (help_en, help_ja) = match shareable {
                true => (
                    "take another port; on a box with one port, write `share = true` in the uplink",
                    "別のポートにしてください。ポートが1つの機器なら、uplinkに`share = true`と書いてください",
                ),
                false => ("take another port", "別のポートにしてください"),
            };
            Words::new(
                format!("port {port} is already taken by {en}"),
                help_en,
                format!("ポート{port}はすでに{ja}が使っています"),
                help_ja,
            )
        }
        LineProblem::PortReserved { port } => Words::new(
            format!("tsumugi gives names like {port} to interfaces of its own"),
            "write the name of a real port, as `ip link` shows it, or rename the port",
            format!("{port}のような名前は、tsumugiが自分のインターフェースに付けます"),
            "`ip link`で表示される実際のポートの名前を書くか、ポートの名前を変えてください",
        ),
        // All others have been put in words by the caller.
        _ => Words::default(),
    }
}

fn port_use(what: &PortUse) -> (String, String) {
    match what {
        PortUse::Uplink(name) => (format!("uplink {name}"), format!("回線 {name}")),
        PortUse::Link(far) => (format!("the link to {far}"), format!("{far}へのリンク")),
        PortUse::Segment(name) => (format!("segment {name}"), format!("セグメント {name}")),
        PortUse::Vlan(name, tag) => {
            (format!("segment {name} with VLAN {tag}"), format!("セグメント {name}(VLAN {tag})"))
        }
        PortUse::Peer(name) => (format!("peer {name}"), format!("ピア {name}")),
        PortUse::Management => ("the management switch".into(), "管理用スイッチ".into()),
    }
}
