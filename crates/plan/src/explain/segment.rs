//! Words for segments.

use super::{Words, family};
use crate::problem::SegmentProblem;

pub(super) fn words(kind: &SegmentProblem) -> Words {
    match kind {
        SegmentProblem::NoPorts => Words::new(
            "this segment has no port, so nobody could attach to it",
            "add `ports = [\"router:eth5\"]`, a [[segment.NAME.port]], or a tunnel: [[segment.NAME.etherip]], gretap or geneve",
            "このセグメントにはポートがなく、だれもつなげません",
            "`ports = [\"router:eth5\"]`、[[segment.NAME.port]]、トンネル([[segment.NAME.etherip]]、gretap、geneve)のどれかを書き足してください",
        ),
        SegmentProblem::PortMixed { port, tag } => Words::new(
            format!(
                "port {port} carries VLAN {tag} of one segment and untagged frames of another: a host could write the tag itself and be in the other segment"
            ),
            "give every segment on the port a `vlan`, or take another port for the one without",
            format!(
                "ポート{port}で、あるセグメントのVLAN {tag}と、別のセグメントのタグなしフレームが混ざります。ホストが自分でタグを付けると、もう一方のセグメントに入れてしまいます"
            ),
            "このポートのセグメントすべてに`vlan`を書くか、タグなしのほうを別のポートにしてください",
        ),
        SegmentProblem::VtepMissing { family: of } => Words::new(
            format!("VXLAN should go over {}, and the routers have no loopbacks of it", family(*of)),
            format!("add a pool of {} to `loopbacks`, or take the other family", family(*of)),
            format!(
                "VXLANに{}を使う設定ですが、ルーターに{}のループバックがありません",
                family(*of),
                family(*of)
            ),
            format!("`loopbacks`に{}のプールを足すか、もう一方の種類にしてください", family(*of)),
        ),
        SegmentProblem::IndexMissing { vni } => Words::new(
            format!(
                "VNI {vni} is larger than 65535 and does not fit a route distinguisher (RFC 4364 4.2: 16 bits behind the router's address)"
            ),
            "add `index`, a number up to 65535 that no other segment has, or take a smaller VNI",
            format!(
                "VNI {vni}は65535より大きく、経路識別子に入りません(RFC 4364 4.2: ルーターのアドレスの後は16ビット)"
            ),
            "ほかのセグメントと重ならない65535以下の`index`を書き足すか、もっと小さいVNIにしてください",
        ),
        SegmentProblem::IndexTwice { index, first } => Words::new(
            format!(
                "index {index} is segment {first}'s already: one router's routes of the two could not be told apart"
            ),
            "give a number that no other segment has as its `index`, or as its VNI where it states no index",
            format!(
                "番号{index}はすでにセグメント {first}のものです。同じルーターが出す2つのセグメントの経路を区別できません"
            ),
            "ほかのセグメントの`index`とも、indexを書いていないセグメントのVNIとも重ならない番号にしてください",
        ),
        SegmentProblem::RouteTargetMissing { asn } => Words::new(
            format!(
                "{asn} is longer than 16 bits, so the usual route target ASN:VNI has no room for a VNI of 24 bits (RFC 5668 2)"
            ),
            format!(
                "add `route-target`, such as \"{}:1\": the number behind such an AS number goes up to 65535",
                asn.0
            ),
            format!(
                "{asn}は16ビットより大きいため、通常のルートターゲットASN:VNIに24ビットのVNIが入りません(RFC 5668 2)"
            ),
            format!(
                "\"{}:1\"のように`route-target`を書き足してください(このAS番号の後の番号は65535まで)",
                asn.0
            ),
        ),
        SegmentProblem::RouteTargetShared { target, first } => Words::new(
            format!(
                "route target {target} is segment {first}'s already: each would take the other's routes, and frames would cross between them"
            ),
            "give each segment a route target of its own",
            format!(
                "ルートターゲット{target}はすでにセグメント {first}のものです。互いの経路を受け取り、セグメントのあいだをフレームが通り抜けてしまいます"
            ),
            "セグメントごとに別のルートターゲットにしてください",
        ),
        SegmentProblem::KeepaliveNoHost { address } => Words::new(
            format!("{address} cannot be asked whether it lives: no host has such an address"),
            "write the address of a host of the LAN behind the tunnel, such as its hardware router",
            format!("{address}を持つホストはないので、生存を尋ねられません"),
            "トンネルの先のLANにあるホスト(ハードウェアルーターなど)のアドレスを書いてください",
        ),
        SegmentProblem::RemoteIsLine { remote, router } => Words::new(
            format!(
                "the far end {remote} is a line of our own router {router}: its ports reach the segment by themselves"
            ),
            "give that router a port of the segment, or write the address of the hardware router",
            format!(
                "相手側の{remote}は、自分たちのルーター {router}の回線です。そのルーターのポートは、トンネルがなくてもセグメントにつながります"
            ),
            "そのルーターのポートをセグメントに書くか、ハードウェアルーターのアドレスを書いてください",
        ),
        _ => of_lans(kind),
    }
}

/// LANs behind several ports.
fn of_lans(kind: &SegmentProblem) -> Words {
    match kind {
        SegmentProblem::StandbyWithoutLan => Words::new(
            "a port stands by for another port of its LAN, and this one names no LAN",
            "add `lan = \"NAME\"` here and at the port that forwards while all is well",
            "standbyは同じLANのほかのポートに代わるものですが、LANの名前がありません",
            "ここと、ふだん転送するポートの両方に`lan = \"名前\"`を書き足してください",
        ),
        SegmentProblem::TwoActive { lan } => Words::new(
            format!(
                "two ports would forward for LAN {lan} at once, and every broadcast would go round for ever"
            ),
            "write `standby = true` at all of the LAN's ports but one",
            format!("LAN {lan}で2つのポートが同時に転送し、ブロードキャストが回り続けてしまいます"),
            "LANのポートのうち1つを除いて、すべてに`standby = true`を書いてください",
        ),
        SegmentProblem::NoActive { lan } => Words::new(
            format!("every port of LAN {lan} only stands by"),
            "take `standby` away from the port that should forward while all is well",
            format!("LAN {lan}のポートがすべてstandbyになっています"),
            "ふだん転送させるポートから`standby`を消してください",
        ),
        SegmentProblem::LanOnOneRouter { lan, router } => Words::new(
            format!(
                "two ports of LAN {lan} are on router {router}: a standby there is gone together with what it stands by for"
            ),
            "take a port of another router, or join the two ports to one bond by Linux's own means and name the bond",
            format!(
                "LAN {lan}の2つのポートが、どちらもルーター {router}にあります。ルーターが止まると両方とも使えなくなります"
            ),
            "別のルーターのポートにするか、Linuxのbondで2つのポートをまとめて、そのbondを書いてください",
        ),
        SegmentProblem::LanOfOne { lan, like } => {
            let [en, ja] = like.as_ref().map_or_else(Default::default, |like| {
                [
                    format!("if it is LAN {like}, give both one name; if not, "),
                    format!("LAN {like}と同じものなら名前をそろえてください。違うなら、"),
                ]
            });
            Words::new(
                format!("no other port names LAN {lan}, so this one forwards as if it said no LAN"),
                format!("{en}write `lan` at the LAN's other port too, or take it away here"),
                format!("LAN {lan}を書いたポートはほかになく、`lan`を書かないポートと同じように転送します"),
                format!("{ja}LANのもう1つのポートにも`lan`を書くか、ここから消してください"),
            )
        }
        SegmentProblem::LanTwice { lan, first } => Words::new(
            format!(
                "LAN {lan} hangs on segment {first} already, and the two segments would be one Ethernet there"
            ),
            "name two LANs (VLANs of one switch are a LAN each), or take the port out of one segment",
            format!(
                "LAN {lan}はすでにセグメント {first}につながっていて、2つのセグメントがそこで1つになってしまいます"
            ),
            "別々のLANなら名前を分ける(同じスイッチでもVLANごとに1つのLANです)か、片方のセグメントからポートを外してください",
        ),
        _ => of_gateways(kind),
    }
}

/// Gateways and what hosts are told of them.
fn of_gateways(kind: &SegmentProblem) -> Words {
    match kind {
        SegmentProblem::GatewayOutsidePrefixes { gateway } => Words::new(
            format!(
                "{} lies outside the network's prefixes, so its hosts could not be reached",
                gateway.trunc()
            ),
            "take a piece of one of `prefixes`",
            format!("{}がネットワークのプレフィックスの外にあるので、ホストに届きません", gateway.trunc()),
            "`prefixes`のどれかの一部を使ってください",
        ),
        SegmentProblem::GatewayInPool { gateway, pool } => Words::new(
            format!("{} overlaps the loopbacks' pool {pool}", gateway.trunc()),
            "take a piece of the prefixes that is no pool",
            format!("{}がループバックのプール{pool}と重なっています", gateway.trunc()),
            "プールではない部分を使ってください",
        ),
        SegmentProblem::GatewaysOverlap { gateway, first } => Words::new(
            format!("{} overlaps {}, which is a segment's already", gateway.trunc(), first.trunc()),
            "give each segment a piece of its own",
            format!("{}は、すでにセグメントが使っている{}と重なっています", gateway.trunc(), first.trunc()),
            "セグメントごとに重ならない範囲にしてください",
        ),
        SegmentProblem::GatewayIsLent { gateway, prefix, peer } => Words::new(
            format!("{} overlaps {prefix}, which is lent to customer {peer}", gateway.trunc()),
            "give the segment a piece that nobody else has, or take the prefix back from the customer",
            format!("{}は、顧客 {peer}に貸している{prefix}と重なっています", gateway.trunc()),
            "だれも使っていない部分にするか、顧客のプレフィックスを見直してください",
        ),
        SegmentProblem::GatewayNotSlash64 { gateway } => Words::new(
            format!(
                "hosts make themselves addresses in a /64 only (RFC 4862 5.5.3), and this is a /{}",
                gateway.prefix_len()
            ),
            format!("write \"{}/64\", or set every host's address by hand", gateway.addr()),
            format!(
                "ホストが自分でアドレスを作れるのは/64の中だけです(RFC 4862 5.5.3)。ここは/{}です",
                gateway.prefix_len()
            ),
            format!("\"{}/64\"と書くか、すべてのホストに手でアドレスを設定してください", gateway.addr()),
        ),
        SegmentProblem::GatewayMissing { key } => {
            let (en, ja) = match *key {
                "dhcp" => ("a gateway of IPv4", "IPv4のゲートウェイ"),
                _ => ("a gateway", "ゲートウェイ"),
            };
            Words::new(
                format!("`{key}` means nothing in a segment without {en}: its routers only pass frames on"),
                "add `gateway`, or take this away",
                format!(
                    "{ja}がないセグメントでは`{key}`に意味がありません。ルーターはフレームを通すだけです"
                ),
                "`gateway`を書き足すか、この行を消してください",
            )
        }
        SegmentProblem::DhcpBackwards => Words::new(
            "the last address comes before the first",
            "write the smaller address first",
            "最後のアドレスが最初のアドレスより小さいです",
            "小さいほうのアドレスを先に書いてください",
        ),
        SegmentProblem::DhcpOutsideGateway { network } => Words::new(
            format!("not all of these addresses are hosts of {network}, the gateway's network"),
            "take a range within it, without its first and its last address",
            format!("ゲートウェイのネットワーク{network}のホストではないアドレスが含まれています"),
            "その中の、先頭と末尾のアドレスを除いた範囲にしてください",
        ),
        SegmentProblem::DhcpHoldsGateway { gateway } => Words::new(
            format!("the gateway's own {gateway} is among the addresses for hosts"),
            "begin the range behind it, or end it before",
            format!("ホストに配る範囲に、ゲートウェイ自身の{gateway}が入っています"),
            "ゲートウェイを含まない範囲にしてください",
        ),
        SegmentProblem::DnsUnusable { address } => Words::new(
            format!("hosts cannot ask {address}"),
            "write a DNS server's unicast address that is not link-local",
            format!("{address}には、ホストから問い合わせできません"),
            "リンクローカルではない、DNSサーバーのユニキャストアドレスを書いてください",
        ),
        _ => of_reach(kind),
    }
}

/// What hosts may send to.
fn of_reach(kind: &SegmentProblem) -> Words {
    match kind {
        SegmentProblem::ReachSelf => Words::new(
            "hosts of one segment reach each other without a router, whatever is said here",
            "name another segment, or `segments` for all others",
            "同じセグメントのホストどうしはルーターを通らないので、ここに書いても変わりません",
            "別のセグメントか、ほかのすべてを表す`segments`を書いてください",
        ),
        SegmentProblem::ManagementAllowed => Words::new(
            "no segment ever reaches the management plane: the planes share no route that could be opened",
            "take `management` away; who repairs comes by the management network (see [person.NAME])",
            "どのセグメントからも管理用プレーンには届きません。プレーンどうしが共有する経路はなく、開けることもできません",
            "`management`を消してください。管理する人は管理ネットワークから入ります([person.NAME])",
        ),
        SegmentProblem::ManagementDenied => Words::new(
            "no segment reaches the management plane anyway: the planes share no route",
            "take `management` away, or leave it as a reminder",
            "管理用プレーンには、書かなくてもどのセグメントからも届きません。プレーンどうしが共有する経路はありません",
            "`management`を消してもかまいません",
        ),
        SegmentProblem::AllowOutside => Words::new(
            "the outside is open unless `deny` says `outside`, and an exception that is everything outside would undo it",
            "take `outside` away from `allow`, and from `deny` if hosts should reach it",
            "外へは`deny`に`outside`がなければ届きます。外すべてを例外にすると、`deny`の意味がなくなります",
            "`allow`から`outside`を消し、外へ届けたいなら`deny`からも消してください",
        ),
        SegmentProblem::DeniedAndAllowed { word } => Words::new(
            format!("`{word}` is both denied and allowed"),
            "take it away from one of the two: `allow` is looked at first",
            format!("`{word}`がdenyとallowの両方にあります"),
            "どちらかから消してください(先に`allow`を調べます)",
        ),
        SegmentProblem::AllowsNothing => Words::new(
            "there is no `deny` that this could be an exception to: hosts may send to everything already",
            "add `deny`, or take `allow` away",
            "例外の元になる`deny`がありません。ホストはすでにどこへでも送れます",
            "`deny`を書き足すか、`allow`を消してください",
        ),
        SegmentProblem::DnsDenied { address } => Words::new(
            format!("hosts are told to ask {address}, and `deny` does not let them"),
            "take a server that `deny` leaves open, or change `deny`",
            format!("ホストに知らせるDNSサーバー{address}への通信が、`deny`で禁止されています"),
            "`deny`で禁止していないサーバーにするか、`deny`を見直してください",
        ),
        // All others have been put in words by the caller.
        _ => Words::default(),
    }
}
