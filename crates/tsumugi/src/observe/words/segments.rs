//! Words for segments and what serves their hosts.

use crate::observe::status::DhcpTrouble;
use tsumugi_core::evpn::{BlockReason, Notice, RouteRefusal, route_text};
use tsumugi_plan::explain::Lang;

/// Why hosts are given no IPv4 addresses.
pub fn dhcp_trouble(trouble: &DhcpTrouble, lang: Lang) -> String {
    match trouble {
        DhcpTrouble::NotInstalled => lang
            .pick(
                "the program dnsmasq is not installed (Debian: apt install dnsmasq-base)",
                "プログラムdnsmasqが入っていません（Debianでは apt install dnsmasq-base）",
            )
            .into(),
        DhcpTrouble::NotStarted { error } => {
            lang.pick(format!("it could not be started: {error}"), format!("起動できませんでした: {error}"))
        }
        DhcpTrouble::Ended { status } => {
            lang.pick(format!("it ended by itself: {status}"), format!("勝手に終了しました: {status}"))
        }
    }
}

/// Why a port takes and gives nothing.
pub fn block_reason(reason: &BlockReason, lang: Lang) -> String {
    match reason {
        BlockReason::Standby => {
            lang.pick("standby: another port of its LAN forwards", "待機: 同じLANの別のポートが転送中").into()
        }
        BlockReason::TakingOver => lang
            .pick(
                "about to take over: another port of its LAN may not have stopped yet",
                "引き継ぎ待ち: 同じLANの別のポートがまだ止まっていない可能性",
            )
            .into(),
        BlockReason::LoopBehind => lang
            .pick(
                "there is a loop behind it: what it sends comes back on it",
                "この先にループがあります: 送ったものが戻ってきます",
            )
            .into(),
        BlockReason::LoopWith { router, port } => lang.pick(
            format!("a loop: it is joined to {port} of the router with id {router} from outside as well"),
            format!("ループ: idが{router}のルーターの{port}と外側でもつながっています"),
        ),
        BlockReason::Flapping => lang
            .pick(
                "a loop: MACs move back and forth between it and the rest of the segment",
                "ループ: MACがこのポートとセグメントの残りの間を行き来しています",
            )
            .into(),
    }
}

/// Why a route that is meant for a segment is not used.
pub fn route_refusal(reason: RouteRefusal, lang: Lang) -> String {
    let fixed = match reason {
        RouteRefusal::NotVxlan => {
            lang.pick("its encapsulation is not VXLAN", "カプセル化がVXLANではありません")
        }
        RouteRefusal::WrongVni { label } => {
            return lang.pick(
                format!("its label is {label}, not the segment's VNI"),
                format!("ラベルが{label}で、セグメントのVNIではありません"),
            );
        }
        RouteRefusal::EthernetTag => lang.pick(
            "it has an Ethernet tag, and no segment is a bundle of VLANs",
            "Ethernetタグ付きですが、VLANを束ねたセグメントはありません",
        ),
        RouteRefusal::NoPmsi => lang.pick(
            "it does not say by which tunnel its router floods",
            "フラッディングのトンネルが書かれていません",
        ),
        RouteRefusal::NotIngressReplication { kind } => {
            return lang.pick(
                format!("its router floods by a tunnel of kind {kind}, not by a copy for everybody"),
                format!("フラッディングが種別{kind}のトンネルで、個別コピーではありません"),
            );
        }
        RouteRefusal::BadVtep => {
            lang.pick("its router has no address that a VTEP can have", "VTEPになれないアドレスです")
        }
        RouteRefusal::WrongFamily => lang.pick(
            "its VTEP is of the other address family than the segment's",
            "VTEPのアドレスファミリーがセグメントと違います",
        ),
        RouteRefusal::BadMac => lang.pick("no host can have this MAC", "ホストが持てないMACです"),
        RouteRefusal::BadAddress => {
            lang.pick("no host can have this address", "ホストが持てないアドレスです")
        }
        RouteRefusal::OurMac => lang.pick("it claims a MAC of our own", "自分たちのMACを名乗っています"),
        RouteRefusal::OurAddress => {
            lang.pick("it claims the gateway's address", "ゲートウェイのアドレスを名乗っています")
        }
        RouteRefusal::SameGateway => {
            lang.pick("another router that is the same gateway", "同じゲートウェイである別のルーター")
        }
    };
    fixed.into()
}

/// What has happened to a segment, for the log.
pub fn segment_notice(notice: &Notice, lang: Lang) -> String {
    match notice {
        Notice::PortBlocked { segment, port, reason } => {
            let why = block_reason(reason, lang);
            lang.pick(
                format!("segment {segment}: port {port} is blocked, {why}"),
                format!("セグメント{segment}: ポート{port}を閉じました（{why}）"),
            )
        }
        Notice::PortOpened { segment, port, reason } => {
            let why = block_reason(reason, lang);
            lang.pick(
                format!("segment {segment}: port {port} is open again, it was blocked ({why})"),
                format!("セグメント{segment}: ポート{port}を開きました（閉じていた理由: {why}）"),
            )
        }
        Notice::DuplicateMac { segment, mac } => lang.pick(
            format!("segment {segment}: {mac} is in two places and moves too often, it stays where it is until it is quiet"),
            format!("セグメント{segment}: {mac}が二か所にあり移動が多すぎるため、落ち着くまで今の場所に留めます"),
        ),
        Notice::DuplicateEnded { segment, mac } => lang.pick(
            format!("segment {segment}: {mac} is quiet and may move again"),
            format!("セグメント{segment}: {mac}が落ち着き、再び移動できます"),
        ),
        Notice::OurMacClaimed { segment, mac, vtep } => lang.pick(
            format!("segment {segment}: {vtep} claims {mac}, which is our own; not believed"),
            format!("セグメント{segment}: {vtep}が自分たちのMAC {mac}を名乗っています（無視します）"),
        ),
        Notice::StickyMacMoved { segment, mac, port } => lang.pick(
            format!("segment {segment}: {mac} was heard on port {port}, but it belongs to another place for good"),
            format!("セグメント{segment}: 別の場所に固定された{mac}がポート{port}に現れました"),
        ),
        Notice::StickyMacClaimedTwice { segment, mac, kept, other } => lang.pick(
            format!("segment {segment}: {kept} and {other} both claim {mac} for good; {kept} is believed"),
            format!("セグメント{segment}: {kept}と{other}の両方が{mac}を固定と主張しています（{kept}を採用）"),
        ),
        Notice::RouteRefused { segment, route, next_hop, reason } => {
            let (route, why) = (route_text(route), route_refusal(*reason, lang));
            lang.pick(
                format!("segment {segment}: {route} from {next_hop} is not used: {why}"),
                format!("セグメント{segment}: {next_hop}の{route}は使いません: {why}"),
            )
        }
    }
}
