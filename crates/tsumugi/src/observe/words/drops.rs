//! Words for why packets go no further: at a wall, in a tunnel, in the overlay.

use crate::observe::status::OverlayDrop;
use tsumugi_core::desired::DropReason as WallDrop;
use tsumugi_core::tunnel::DropReason as TunnelDrop;
use tsumugi_plan::explain::Lang;

/// Why a wall drops packets.
pub fn wall_drop(reason: WallDrop, lang: Lang) -> &'static str {
    match reason {
        WallDrop::BgpFromStranger => {
            lang.pick("BGP from somebody who is no neighbour", "隣接相手ではない者からのBGP")
        }
        WallDrop::BfdFromStranger => {
            lang.pick("BFD from somebody who is no neighbour", "隣接相手ではない者からのBFD")
        }
        WallDrop::VxlanFromStranger => {
            lang.pick("VXLAN from somebody who is no VTEP of ours", "自分たちのVTEPではない者からのVXLAN")
        }
        WallDrop::NotForRouters => {
            lang.pick("to a router from outside, and not ICMP", "外からルーター宛てのICMP以外の通信")
        }
        WallDrop::OurSourceFromOutside => {
            lang.pick("from outside with a source that is ours", "外から来た、送信元が自分たちのパケット")
        }
        WallDrop::FalseSource => {
            lang.pick("a source that is not the sender's (BCP 38)", "送信者のものではない送信元 (BCP 38)")
        }
        WallDrop::NotATunnel => lang
            .pick("in the underlay, and no tunnel of ours", "アンダーレイで、自分たちのトンネルではないもの"),
        WallDrop::NotManagement => {
            lang.pick("in the management plane, from elsewhere", "管理プレーンへの、管理空間の外からの通信")
        }
        WallDrop::NoTransit => {
            lang.pick("would have crossed where nothing crosses", "通り抜けてはならない所を通ろうとした通信")
        }
        WallDrop::DeniedToSegment => {
            lang.pick("from a segment to what it may not reach", "セグメントから、許可されていない所への通信")
        }
        WallDrop::MailFromSegment => lang.pick(
            "mail (TCP port 25) from a segment that may not send any",
            "メール送信(TCPポート25)を許可されていないセグメントからのメール",
        ),
        WallDrop::LinkLocalFrame => lang.pick(
            "a frame that belongs to one link only (a BPDU, a loop probe)",
            "一つのリンクの中だけのフレーム(BPDU、ループ検査)",
        ),
        WallDrop::BlockedPort => lang.pick("on a port that is blocked", "止めてあるポートのフレーム"),
        WallDrop::Storm => lang.pick(
            "more broadcast, multicast or unknown unicast than a port may send",
            "ポートの上限を超えたブロードキャスト、マルチキャスト、宛先不明のフレーム",
        ),
        WallDrop::GatewayFrame => lang.pick(
            "a gateway's own frame, between gateways that share an address",
            "同じアドレスを持つゲートウェイ同士の間の、ゲートウェイ自身のフレーム",
        ),
        WallDrop::FalseGateway => lang.pick(
            "from a host that plays the gateway, a router or a DHCP server",
            "ゲートウェイ、ルーター、DHCPサーバーになりすましたホストのフレーム",
        ),
    }
}

/// Why a tunnel, or the line that it is on, drops packets.
pub fn tunnel_drop(reason: TunnelDrop, lang: Lang) -> &'static str {
    match reason {
        TunnelDrop::Malformed => {
            lang.pick("not what the tunnel's protocol says", "トンネルのプロトコルに合わない形のもの")
        }
        TunnelDrop::UnknownSource => {
            lang.pick("from somebody who is no far end of ours", "トンネルの相手ではない者からのもの")
        }
        TunnelDrop::UnknownTunnel => lang.pick(
            "from a far end, with a key or of a kind that no tunnel with it has",
            "相手からの、どのトンネルにも合わないキーや種類のもの",
        ),
        TunnelDrop::EtherIpVersion => {
            lang.pick("EtherIP of a version other than 3", "バージョンが3ではないEtherIP")
        }
        TunnelDrop::EtherIpReserved => {
            lang.pick("EtherIP with reserved bits that are not zero", "予約ビットが0ではないEtherIP")
        }
        TunnelDrop::EtherIpReversed => lang.pick(
            "EtherIP as old BSDs sent it (0x03), which this tunnel does not accept",
            "古いBSDの形のEtherIP(0x03)で、このトンネルでは受け付けないもの",
        ),
        TunnelDrop::GeneveVersion => {
            lang.pick("GENEVE of a version other than 0", "バージョンが0ではないGENEVE")
        }
        TunnelDrop::GeneveControl => lang.pick(
            "GENEVE for the far end itself (O bit): we speak no control protocol",
            "中継用ではないGENEVEの制御メッセージ(Oビット)",
        ),
        TunnelDrop::GeneveCritical => lang.pick(
            "GENEVE with an option that must be understood (C bit), and we know none",
            "必ず解釈すべきオプション(Cビット)が付いた、対応していないGENEVE",
        ),
        TunnelDrop::ShortFrame => {
            lang.pick("an Ethernet frame shorter than its header", "ヘッダーより短いイーサネットフレーム")
        }
        TunnelDrop::WrongInner => {
            lang.pick("carries what this tunnel does not carry", "中身がこのトンネルで運ぶものではないもの")
        }
        TunnelDrop::Congestion => lang.pick(
            "congestion was marked outside, and the sender cannot hear of it (RFC 6040)",
            "外側で輻輳の印が付いたが、送信者がECNに対応していないもの (RFC 6040)",
        ),
        TunnelDrop::TooLarge => lang.pick(
            "larger than an IP packet can be once encapsulated",
            "カプセル化するとIPパケットの上限を超えるもの",
        ),
        TunnelDrop::PathTooSmall => {
            lang.pick("the path passes too little to be used", "経路のMTUが小さすぎて送れないもの")
        }
        TunnelDrop::SendFailed => lang.pick(
            "the kernel did not take the outer packet (no route, no room, a wall)",
            "カーネルが外側のパケットを受け付けなかったもの(経路なし、空きなし、フィルター)",
        ),
        TunnelDrop::DeviceFailed => lang.pick(
            "the kernel did not take the inner packet",
            "カーネルが内側のパケットを受け付けなかったもの",
        ),
        TunnelDrop::NoLine => lang.pick(
            "the line was not open yet, or had no address",
            "回線がまだ使えないか、アドレスがなかったもの",
        ),
        TunnelDrop::NoRemote => {
            lang.pick("it was not known where the far end is", "相手のアドレスがまだ分からなかったもの")
        }
        TunnelDrop::NoSession => {
            lang.pick("WireGuard had no session with the far end", "WireGuardのセッションがまだなかったもの")
        }
        TunnelDrop::Unauthenticated => {
            lang.pick("WireGuard could not authenticate it", "WireGuardで認証できなかったもの")
        }
        TunnelDrop::Replayed => {
            lang.pick("WireGuard has seen it before, or it is too old", "WireGuardで受信済みか、古すぎたもの")
        }
        TunnelDrop::BadFragment => lang.pick(
            "a fragment that fits no packet (empty, an odd size, beyond the largest packet)",
            "どのパケットの一部にもなりえないフラグメント(空、半端な大きさ、上限超え)",
        ),
        TunnelDrop::OverlappingFragment => lang.pick(
            "fragments that overlap or contradict each other (RFC 5722)",
            "重なり合うか食い違うフラグメント (RFC 5722)",
        ),
        TunnelDrop::DuplicateFragment => {
            lang.pick("a fragment that had come before", "すでに届いているフラグメント")
        }
        TunnelDrop::MixedEcn => lang.pick(
            "in fragments of which only some could be marked for congestion (RFC 9601)",
            "ECN対応と非対応のフラグメントが混ざっていたもの (RFC 9601)",
        ),
        TunnelDrop::UnknownOption => lang.pick(
            "with an IPv6 header that is unknown and must not be skipped (RFC 8200)",
            "知らないIPv6ヘッダーで、読み飛ばしてはならないものが付いていたもの (RFC 8200)",
        ),
        TunnelDrop::FragmentsMissing => lang
            .pick("the other fragments did not come in time", "残りのフラグメントが時間内に届かなかったもの"),
        TunnelDrop::BadOffload => lang.pick(
            "the kernel left a packet unfinished in a way that is not understood",
            "カーネルが渡した未完成のパケットで、仕上げ方が分からないもの",
        ),
        TunnelDrop::ReassemblyFull => lang
            .pick("too many packets were under way in fragments", "組み立て中のフラグメントが多すぎたもの"),
        TunnelDrop::QuestionTooMany => lang.pick(
            "the far end measures the path and asks more often than is answered",
            "相手の経路測定で、答える回数の上限を超えたもの",
        ),
        TunnelDrop::QuestionShape => lang.pick(
            "the far end measures the path and asks for a reply that no path needs",
            "相手の経路測定で、測定に要らない形の返答を求めたもの",
        ),
    }
}

/// Why a packet or a datagram of the overlay goes no further.
pub fn overlay_drop(reason: OverlayDrop, lang: Lang) -> &'static str {
    match reason {
        OverlayDrop::NotUnderstood => lang.pick(
            "no WireGuard, or for a session that is not there",
            "WireGuardではないか、存在しないセッション宛てのもの",
        ),
        OverlayDrop::UnknownKey => lang.pick(
            "a handshake by a key that is no member's on this line",
            "この回線のどのメンバーのものでもない鍵によるハンドシェイク",
        ),
        OverlayDrop::NotAuthentic => lang.pick("could not be authenticated", "認証できなかったもの"),
        OverlayDrop::FalseSource => lang.pick(
            "from a member, with a source that is not behind it",
            "メンバーからの、その先にない送信元のもの",
        ),
        OverlayDrop::NotOurSpace => {
            lang.pick("not from or not to the management space", "管理空間の内どうしの通信ではないもの")
        }
        OverlayDrop::TooLarge => lang.pick(
            "larger than the overlay's MTU: somebody changed the device by hand",
            "オーバーレイのMTUより大きいもの(誰かがデバイスの設定を手で変えています)",
        ),
        OverlayDrop::NoPath => lang.pick(
            "neither the member nor a meeting point could be reached",
            "メンバーにも中継点にも届かなかったもの",
        ),
    }
}
