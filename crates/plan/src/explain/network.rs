//! Words for the network as a whole.

use super::{Words, family};
use crate::problem::NetworkProblem;

pub(super) fn words(kind: &NetworkProblem) -> Words {
    match kind {
        NetworkProblem::NoRouters => Words::new(
            "the network has no router",
            "add a [router.NAME] with its id, its site and an uplink",
            "ルーターが1台もありません",
            "[router.NAME]を書き足し、id、site、uplinkを書いてください",
        ),
        NetworkProblem::PublicAsnPrivate { asn } => Words::new(
            format!("{asn} is for private use, and the outside must know the network by a public number"),
            "write the AS number that your registry assigned",
            format!(
                "{asn}はプライベートAS番号です。外に見せる番号は公式に割り当てられたものでなければなりません"
            ),
            "レジストリから割り当てられたAS番号を書いてください",
        ),
        NetworkProblem::PublicAsnReserved { asn } => Words::new(
            format!("{asn} is reserved, and every other network drops a path that has it"),
            "write the AS number that your registry assigned",
            format!("{asn}は予約された番号で、これを含む経路はどのネットワークでも捨てられます"),
            "レジストリから割り当てられたAS番号を書いてください",
        ),
        NetworkProblem::InsideAsnNotPrivate { asn } => Words::new(
            format!("{asn} is somebody's public number; inside, a router speaks as a private AS"),
            "leave `asn` out, or write one from 64512 to 65534 or from 4200000000 to 4294967294",
            format!("{asn}は誰かの公式なAS番号です。内部ではプライベートAS番号を使います"),
            "`asn`を消すか、64512〜65534または4200000000〜4294967294の番号を書いてください",
        ),
        NetworkProblem::OriginateNothing => Words::new(
            "no router announces the network's prefixes, so nobody outside can reach it",
            "write `originate = [\"…\"]` with the routers that should",
            "プレフィックスを広報するルーターがないので、外からこのネットワークに届きません",
            "広報するルーターを`originate = [\"…\"]`に書いてください",
        ),
        NetworkProblem::Isolated { routers } => {
            let (shown, more) = routers.split_at(routers.len().min(5));
            let more = if more.is_empty() { String::new() } else { format!(" (+{})", more.len()) };
            Words::new(
                format!("no link leads from {}{more} to the rest of the network", shown.join(", ")),
                "add a [[link]] between one of them and a router of the rest",
                format!("{}{more}からネットワークの残りへのリンクがありません", shown.join("、")),
                "このうちの1台と残りのルーターとのあいだに[[link]]を書き足してください",
            )
        }
        _ => spaces(kind),
    }
}

/// Prefixes and pools.
fn spaces(kind: &NetworkProblem) -> Words {
    match kind {
        NetworkProblem::PrefixTooLong { prefix, longest } => Words::new(
            format!("{prefix} is longer than /{longest}, and other networks do not take it"),
            format!("announce the /{longest} around it, if it is yours"),
            format!("{prefix}は/{longest}より長いので、ほかのネットワークに受け取ってもらえません"),
            format!("自分のものであれば、それを含む/{longest}を書いてください"),
        ),
        NetworkProblem::PrefixTooShort { prefix, shortest } => Words::new(
            format!("{prefix} is shorter than /{shortest}: no network is given that much"),
            "write the prefix that your registry assigned",
            format!("{prefix}は/{shortest}より短く、これほど大きな割り当てはありません"),
            "レジストリから割り当てられたプレフィックスを書いてください",
        ),
        NetworkProblem::PrefixNotGlobal { prefix } => not_global(&prefix.to_string()),
        NetworkProblem::ManagementNotSlash48 { prefix } => Words::new(
            format!("the management space must be an IPv6 /48, and {prefix} is not"),
            "take one at random from fd00::/8 (RFC 4193), such as \"fd63:806::/48\"",
            format!("管理用のアドレス空間はIPv6の/48でなければなりませんが、{prefix}は違います"),
            "fd00::/8(RFC 4193)からランダムに選び、\"fd63:806::/48\"のように書いてください",
        ),
        NetworkProblem::ManagementNotUnicast { prefix } => Words::new(
            format!("{prefix} cannot be used for hosts' addresses"),
            "take a /48 at random from fd00::/8 (RFC 4193), such as \"fd63:806::/48\"",
            format!("{prefix}はホストのアドレスに使えません"),
            "fd00::/8(RFC 4193)からランダムに/48を選び、\"fd63:806::/48\"のように書いてください",
        ),
        NetworkProblem::ManagementInPrefixes { management, prefix } => Words::new(
            format!(
                "the management space {management} overlaps the network's {prefix}: breaking one would break the other"
            ),
            "take a /48 of its own, such as \"fd63:806::/48\"",
            format!(
                "管理用のアドレス空間{management}が本番の{prefix}と重なっています。片方が壊れるともう片方も壊れます"
            ),
            "\"fd63:806::/48\"のような、独立した/48にしてください",
        ),
        NetworkProblem::PoolOutsidePrefixes { pool } => Words::new(
            format!("the pool {pool} does not lie within the network's prefixes"),
            "take it from one of `prefixes`",
            format!("プール{pool}がネットワークのプレフィックスの中にありません"),
            "`prefixes`のどれかの中から取ってください",
        ),
        NetworkProblem::PoolsOverlap { pool, first } => Words::new(
            format!("the pool {pool} overlaps the pool {first}"),
            "keep one pool for each family",
            format!("プール{pool}がプール{first}と重なっています"),
            "プールはIPv4とIPv6に1つずつにしてください",
        ),
        NetworkProblem::TwoPoolsOfFamily { family: of } => Words::new(
            format!("a second pool of {}: a router has one loopback of each family", family(*of)),
            "keep one of the two",
            format!("{}のプールが2つあります。ループバックは1台につきIPv4とIPv6に1つずつです", family(*of)),
            "どちらかを消してください",
        ),
        NetworkProblem::IdBeyondPool { id, pool, most } => Words::new(
            format!("the pool {pool} has no address for id {id}"),
            format!("give an id from 1 to {most}, or widen the pool"),
            format!("プール{pool}にはid {id}のアドレスがありません"),
            format!("idを1から{most}までにするか、プールを広げてください"),
        ),
        // All others have been put in words by the caller.
        _ => Words::default(),
    }
}

pub(super) fn not_global(prefix: &str) -> Words {
    Words::new(
        format!("{prefix} is not public address space: every other network refuses it"),
        "write the prefix that the registry assigned; in a lab of your own this may stay",
        format!("{prefix}はグローバルなアドレス空間ではないので、ほかのネットワークに拒否されます"),
        "レジストリから割り当てられたプレフィックスを書いてください。自分の実験環境ならこのままで構いません",
    )
}
