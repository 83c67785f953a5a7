//! Words for what BGP does and refuses.

use crate::observe::status::RefusedConnection;
use tsumugi_core::bgp::config::Family;
use tsumugi_core::bgp::{DeferralEnd, EvpnRefusal, ImportRefusal, Notice, SessionEnd, SessionState};
use tsumugi_core::wire::bgp::{Approach, AttributeError, AttributeFault, BgpRole, EvpnFault, Notification};
use tsumugi_plan::explain::Lang;

/// What a session waits for.
pub fn session_state(state: SessionState, lang: Lang) -> &'static str {
    match state {
        SessionState::AwaitStart => lang.pick("waits for the start", "開始を待っています"),
        SessionState::AwaitLink => lang.pick("waits for the link", "リンクが上がるのを待っています"),
        SessionState::AwaitRemote => {
            lang.pick("waits for a router advertisement", "ルーター広告を待っています")
        }
        SessionState::AwaitRetry => lang.pick("waits for the next attempt", "次の試行を待っています"),
        SessionState::AwaitConnection => lang.pick("connects", "接続しています"),
        SessionState::AwaitOpen => lang.pick("waits for OPEN", "OPENを待っています"),
        SessionState::AwaitKeepalive => lang.pick("waits for KEEPALIVE", "KEEPALIVEを待っています"),
        SessionState::Established => lang.pick("established", "確立しています"),
    }
}

/// Why a session, or an attempt at one, ended.
pub fn session_end(end: &SessionEnd, lang: Lang) -> String {
    let fixed = match end {
        SessionEnd::LinkDown => lang.pick("the link went down", "リンクが落ちました"),
        SessionEnd::ConnectFailed => lang.pick("TCP could not connect", "TCPで接続できませんでした"),
        SessionEnd::ConnectTimeout => {
            lang.pick("TCP did not connect in time", "TCPの接続が時間内にできませんでした")
        }
        SessionEnd::OpenTimeout => lang.pick("no OPEN came in time", "OPENが時間内に届きませんでした"),
        SessionEnd::Closed => lang
            .pick("the neighbour closed the connection without a word", "相手が何も言わずに接続を閉じました"),
        SessionEnd::HoldExpired => {
            lang.pick("nothing was heard for the hold time", "保持時間のあいだ何も届きませんでした")
        }
        SessionEnd::SendHoldExpired => lang.pick(
            "the neighbour did not read for too long (RFC 9687)",
            "相手が長く読み取りませんでした (RFC 9687)",
        ),
        SessionEnd::Collision => lang.pick(
            "both ends dialled, the other connection is kept",
            "両端が同時に接続し、もう一方の接続を残しました",
        ),
        SessionEnd::NoCommonFamily => {
            lang.pick("no address family in common", "共通のアドレスファミリーがありません")
        }
        SessionEnd::RemoteChanged => lang
            .pick("the neighbour's link-local address changed", "相手のリンクローカルアドレスが変わりました"),
        SessionEnd::ConfigurationChanged { terms } if terms.is_empty() => {
            lang.pick("the session's configuration changed", "セッションの設定が変わりました")
        }
        SessionEnd::ConfigurationChanged { terms } => {
            let what = super::session_terms(terms.iter(), lang);
            return lang.pick(
                format!("the session's configuration changed: {what}"),
                format!("セッションの設定が変わりました: {what}"),
            );
        }
        SessionEnd::Stopped => lang.pick("this router's process stops", "このルーターのプロセスを止めます"),
        SessionEnd::NotificationReceived { notification } => {
            let said = notification_words(notification, lang);
            return lang
                .pick(format!("the neighbour ended it: {said}"), format!("相手が終わらせました: {said}"));
        }
        SessionEnd::NotificationSent { notification } => {
            let said = notification_words(notification, lang);
            return lang.pick(
                format!("ended over what the neighbour sent: {said}"),
                format!("相手の送ったものを理由に終わらせました: {said}"),
            );
        }
        SessionEnd::BfdDown { bfd } => return super::bfd::down(bfd, lang),
        SessionEnd::WrongAsn { expected, found } => {
            return lang.pick(
                format!("the neighbour says it is {found}, the plan says {expected}"),
                format!("相手は{found}と名乗りましたが、計画では{expected}です"),
            );
        }
        SessionEnd::RoleMismatch { expected, found } => {
            let expected = role_name(*expected, lang);
            return match found.map(|found| role_name(found, lang)) {
                Some(found) => lang.pick(
                    format!("the neighbour says that it is our {found}, the plan says {expected} (RFC 9234)"),
                    format!("相手はこちらの{found}だと名乗りましたが、計画では{expected}です (RFC 9234)"),
                ),
                None => lang.pick(
                    format!("the neighbour does not say that it is our {expected}, as `strict-role` asks (RFC 9234)"),
                    format!("`strict-role`が求めるのに、相手が{expected}だと名乗りません (RFC 9234)"),
                ),
            };
        }
        SessionEnd::PrefixLimit { limit, rest } => {
            let minutes = rest.div_ceil(60_000);
            return lang.pick(
                format!("more prefixes than the limit of {limit}: tried again after {minutes} min"),
                format!("プレフィックスが上限の{limit}を超えました。{minutes}分後にまた試します"),
            );
        }
    };
    fixed.into()
}

/// Why a route was not taken from a neighbour.
pub fn import_refusal(reason: &ImportRefusal, lang: Lang) -> String {
    let fixed = match reason {
        ImportRefusal::OwnAsInPath { asn } => {
            return lang.pick(
                format!("this router's own {asn} stands in its path: it has been here"),
                format!("パスにこのルーター自身の{asn}があります(一度ここを通った経路です)"),
            );
        }
        ImportRefusal::FirstAsNotNeighbours { first: Some(first) } => {
            return lang.pick(
                format!("its path begins with {first}, which is not the neighbour"),
                format!("パスの先頭が相手ではない{first}です"),
            );
        }
        ImportRefusal::FirstAsNotNeighbours { first: None } => lang.pick(
            "its path does not begin with the neighbour's AS number",
            "パスの先頭が相手のAS番号ではありません",
        ),
        ImportRefusal::PublicAsInPath => {
            lang.pick("our own AS number stands in its path", "パスに自分たちのAS番号があります")
        }
        ImportRefusal::BogonAsInPath { asn } => {
            return lang.pick(
                format!("{asn} stands in its path, which is private or reserved"),
                format!("パスに私用または予約済みの{asn}があります"),
            );
        }
        ImportRefusal::AsSetInPath => {
            lang.pick("its path holds an AS_SET (RFC 9774)", "パスにAS_SETがあります (RFC 9774)")
        }
        ImportRefusal::Leak { told_by } => {
            return lang.pick(
                format!("a leak: {told_by} told it to customers only (RFC 9234)"),
                format!("漏れた経路です: {told_by}は顧客だけに伝えました (RFC 9234)"),
            );
        }
        ImportRefusal::Default => {
            lang.pick("a default route is not taken from outside", "デフォルト経路は外から受け取りません")
        }
        ImportRefusal::Bogon { within } => {
            return lang.pick(
                format!("within {within}, which nobody may announce"),
                format!("誰も広告してはならない{within}の内側です"),
            );
        }
        ImportRefusal::TooLong => lang.pick(
            "longer than /24 (IPv4) or /48 (IPv6)",
            "/24(IPv4)または/48(IPv6)より長いプレフィックスです",
        ),
        ImportRefusal::TooShort => lang.pick(
            "shorter than /8 (IPv4) or /16 (IPv6)",
            "/8(IPv4)または/16(IPv6)より短いプレフィックスです",
        ),
        ImportRefusal::OwnPrefix { within } => {
            return lang.pick(
                format!("within our own prefix {within}"),
                format!("自分たちのプレフィックス{within}の内側です"),
            );
        }
        ImportRefusal::NotTheCustomers => lang
            .pick("not among the customer's stated prefixes", "顧客の申告したプレフィックスではありません"),
        ImportRefusal::NotListed => lang.pick("not in the neighbour's list", "相手のリストにありません"),
        ImportRefusal::Via { asn } => {
            return lang.pick(
                format!("its path goes by {asn}, by which nothing is taken from this neighbour (never-via)"),
                format!("パスに{asn}があり、この相手からは受け取りません(never-via)"),
            );
        }
        ImportRefusal::OriginNotListed { origin: Some(origin) } => {
            return lang.pick(
                format!("it begins at {origin}, which is none of the neighbour's origins"),
                format!("発信元{origin}が、この相手のoriginsにありません"),
            );
        }
        ImportRefusal::OriginNotListed { origin: None } => lang.pick(
            "its path names no origin, and the neighbour's are listed",
            "パスに発信元がありませんが、この相手にはoriginsがあります",
        ),
        ImportRefusal::NextHop { next_hop } => {
            return lang.pick(
                format!("its next hop {next_hop} is no neighbouring router"),
                format!("次ホップ{next_hop}は隣のルーターではありません"),
            );
        }
        ImportRefusal::OriginInvalid { origin: Some(origin) } => {
            return lang.pick(
                format!("RPKI: {origin} may not originate it at this length (RFC 6811)"),
                format!("RPKI: {origin}はこの長さで広告してはなりません (RFC 6811)"),
            );
        }
        ImportRefusal::OriginInvalid { origin: None } => lang
            .pick("RPKI: its path names no origin (RFC 6811)", "RPKI: パスに発信元がありません (RFC 6811)"),
        ImportRefusal::PathInvalid { customer, not_provider } => {
            return lang.pick(
                format!("ASPA: its path goes up from {customer} to {not_provider}, which is no provider of it: leaked or forged"),
                format!("ASPA: パスが{customer}から、その上流ではない{not_provider}へ上っています（漏れか偽造）"),
            );
        }
        ImportRefusal::TooManyPaths => lang.pick(
            "as many paths of this neighbour to this prefix are there as are taken (RFC 7911)",
            "この相手からこのプレフィックスへの経路は、受け取れる数に達しています (RFC 7911)",
        ),
        ImportRefusal::TreatedAsWithdraw => lang.pick(
            "an attribute of its UPDATE was wrong: taken as withdrawn (RFC 7606)",
            "UPDATEの属性が誤っていたため取り下げとして扱いました (RFC 7606)",
        ),
    };
    fixed.into()
}

/// Why a connection to port 179 was not taken.
pub fn refused_connection(reason: RefusedConnection, lang: Lang) -> &'static str {
    match reason {
        RefusedConnection::Unsigned => lang.pick(
            "its secret is not in the state folder yet (RFC 2385)",
            "署名用の秘密がまだ状態フォルダーにありません (RFC 2385)",
        ),
        RefusedConnection::NotANeighbour => {
            lang.pick("BGP connections from somebody who is no neighbour", "隣接相手ではない者からのBGP接続")
        }
        RefusedConnection::TooMany => {
            lang.pick("BGP connections beyond what a neighbour may have", "1つの相手に許す数を超えたBGP接続")
        }
        RefusedConnection::Lost => lang.pick("BGP connections that broke at once", "すぐに切れたBGP接続"),
    }
}

/// What a NOTIFICATION says (RFC 4271 4.5, RFC 4486, RFC 6608, RFC 9003, RFC 9687). Field terms stay
/// English in both languages.
pub fn notification_words(notification: &Notification, lang: Lang) -> String {
    let Notification { code, subcode, .. } = *notification;
    if let Some(behind) = notification.behind_hard_reset() {
        return format!("Hard Reset ({code}/{subcode}): {}", notification_words(&behind, lang));
    }
    let name = match (code, subcode) {
        (1, 1) => "Connection Not Synchronized",
        (1, 2) => "Bad Message Length",
        (1, 3) => "Bad Message Type",
        (1, _) => "Message Header Error",
        (2, 1) => "Unsupported Version Number",
        (2, 2) => "Bad Peer AS",
        (2, 3) => "Bad BGP Identifier",
        (2, 4) => "Unsupported Optional Parameter",
        (2, 6) => "Unacceptable Hold Time",
        (2, 7) => "Unsupported Capability",
        (2, 11) => "Role Mismatch",
        (2, _) => "OPEN Message Error",
        (3, 1) => "Malformed Attribute List",
        (3, 2) => "Unrecognized Well-known Attribute",
        (3, 3) => "Missing Well-known Attribute",
        (3, 9) => "Optional Attribute Error",
        (3, 10) => "Invalid Network Field",
        (3, 11) => "Malformed AS_PATH",
        (3, _) => "UPDATE Message Error",
        (4, _) => "Hold Timer Expired",
        (5, _) => "Finite State Machine Error",
        (6, 1) => "Maximum Number of Prefixes Reached",
        (6, 2) => "Administrative Shutdown",
        (6, 3) => "Peer De-configured",
        (6, 4) => "Administrative Reset",
        (6, 5) => "Connection Rejected",
        (6, 6) => "Other Configuration Change",
        (6, 7) => "Connection Collision Resolution",
        (6, 8) => "Out of Resources",
        (6, 9) => "Hard Reset",
        (6, 10) => "BFD Down",
        (6, _) => "Cease",
        (7, _) => "ROUTE-REFRESH Message Error",
        (8, _) => "Send Hold Timer Expired",
        _ => lang.pick("an unknown code", "未知のコード"),
    };
    match notification.text() {
        // From a stranger: shown with anything unprintable escaped.
        Some(text) => format!("{name} ({code}/{subcode}) \"{}\"", text.escape_debug()),
        None => format!("{name} ({code}/{subcode})"),
    }
}

/// What a neighbour is to us, as it says itself (RFC 9234 4.1).
fn role_name(role: BgpRole, lang: Lang) -> String {
    match role {
        BgpRole::PROVIDER => lang.pick("provider", "provider(上流)").into(),
        BgpRole::ROUTE_SERVER => lang.pick("route server", "ルートサーバー").into(),
        BgpRole::ROUTE_SERVER_CLIENT => lang.pick("route server's client", "ルートサーバーの客").into(),
        BgpRole::CUSTOMER => lang.pick("customer", "customer(顧客)").into(),
        BgpRole::PEER => lang.pick("peer", "peer(ピア)").into(),
        BgpRole(other) => lang.pick(format!("role {other}"), format!("役割{other}")),
    }
}

/// Several, with commas between.
pub fn family_names(families: &[Family]) -> String {
    families.iter().map(|family| family_name(*family)).collect::<Vec<_>>().join(", ")
}

/// Why routes are chosen again after a restart of ours.
pub fn deferral_end(why: DeferralEnd, lang: Lang) -> &'static str {
    match why {
        DeferralEnd::Told => lang.pick("everybody has told everything", "待つべき相手が全て伝え終えました"),
        DeferralEnd::Late => lang.pick(
            "somebody is not back or has not told everything in time",
            "時間内に戻らない、または伝え終えない相手がいます",
        ),
        DeferralEnd::Failure => lang.pick("a link or a neighbour has failed", "リンクか隣に障害が起きました"),
    }
}

pub fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "IPv4",
        Family::Ipv6Unicast => "IPv6",
        Family::Evpn => "EVPN",
    }
}

/// Why an EVPN route was not taken from a neighbour.
pub fn evpn_refusal(reason: &EvpnRefusal, lang: Lang) -> String {
    match reason {
        EvpnRefusal::Import { reason: ImportRefusal::NextHop { next_hop } } => lang.pick(
            format!("its next hop {next_hop} is no other router"),
            format!("次ホップ{next_hop}は他のルーターではありません"),
        ),
        EvpnRefusal::Import { reason } => import_refusal(reason, lang),
        EvpnRefusal::Nlri { fault } => evpn_fault(*fault, lang),
    }
}

fn evpn_fault(fault: EvpnFault, lang: Lang) -> String {
    match fault {
        EvpnFault::UnknownType { kind } => lang.pick(
            format!("routes of type {kind} are not known here (RFC 7606 5.4)"),
            format!("種別{kind}の経路を知りません (RFC 7606 5.4)"),
        ),
        EvpnFault::Length { kind, length } => lang.pick(
            format!("{length} bytes are no length of a route of type {kind}"),
            format!("種別{kind}の経路の長さが{length}バイトということはありません"),
        ),
        EvpnFault::MacLength { bits } => lang.pick(
            format!("a MAC address of {bits} bits instead of 48"),
            format!("MACアドレスが48ビットでなく{bits}ビットです"),
        ),
        EvpnFault::AddressLength { kind, bits } => lang.pick(
            format!("in a route of type {kind} an address of {bits} bits"),
            format!("種別{kind}の経路のアドレスが{bits}ビットです"),
        ),
        EvpnFault::PrefixLength { bits } => lang.pick(
            format!("a prefix of {bits} bits, more than its family has"),
            format!("プレフィックス長{bits}がファミリーの上限を超えます"),
        ),
        EvpnFault::Unreadable => lang
            .pick(
                "an UPDATE's EVPN routes cannot be read: none are taken until the session begins anew (RFC 7606 2)",
                "UPDATEのEVPN経路が読めません。セッションが新しく始まるまで受け取りません (RFC 7606 2)",
            )
            .into(),
    }
}

/// What was wrong with an attribute, and what followed.
pub fn attribute_error(error: &AttributeError, lang: Lang) -> String {
    let code = error.code;
    let fault = match error.fault {
        AttributeFault::Flags => lang.pick("has wrong flags", "のフラグが誤っています"),
        AttributeFault::Length => lang.pick("has a wrong length", "の長さが誤っています"),
        AttributeFault::Value => lang.pick("makes no sense", "の内容が意味を成しません"),
        AttributeFault::Missing => lang.pick("is missing", "がありません"),
        AttributeFault::Repeated => lang.pick("stands there twice", "が重複しています"),
        AttributeFault::Overrun => lang.pick("reaches beyond the end", "が末尾を越えています"),
        AttributeFault::NotBetweenAses => {
            lang.pick("has no place between autonomous systems", "はAS間で使うものではありません")
        }
    };
    let approach = match error.approach {
        Approach::AttributeDiscard => lang.pick("the attribute is dropped", "属性を捨てました"),
        Approach::TreatAsWithdraw => {
            lang.pick("its routes count as withdrawn", "その経路を取り下げとして扱いました")
        }
    };
    lang.pick(
        format!("attribute {code} {fault}: {approach} (RFC 7606)"),
        format!("属性{code}{fault}。{approach} (RFC 7606)"),
    )
}

/// One change of state, true when read alone.
pub fn notice(notice: &Notice, lang: Lang) -> String {
    match notice {
        Notice::Established { neighbour, router_id, .. } => lang.pick(
            format!("session with {neighbour} ({router_id}) is established"),
            format!("{neighbour}({router_id})とのセッションが確立しました"),
        ),
        Notice::Lost { neighbour, reason } => {
            let why = session_end(reason, lang);
            lang.pick(
                format!("session with {neighbour} has ended: {why}"),
                format!("{neighbour}とのセッションが終わりました: {why}"),
            )
        }
        Notice::Failing { neighbour, reason } => {
            let why = session_end(reason, lang);
            lang.pick(
                format!("no session with {neighbour} yet: {why}"),
                format!("{neighbour}とのセッションがまだ確立しません: {why}"),
            )
        }
        Notice::Refused { neighbour, prefix, reason } => {
            let why = import_refusal(reason, lang);
            lang.pick(
                format!("{prefix} from {neighbour} refused: {why}"),
                format!("{neighbour}からの{prefix}を拒みました: {why}"),
            )
        }
        Notice::RefusedListFull { neighbour, listed } => lang.pick(
            format!("{neighbour} has more than {listed} refused routes: further ones are only counted"),
            format!("{neighbour}の拒んだ経路が{listed}を超えました。以後は数だけを数えます"),
        ),
        Notice::RoutesKept { neighbour, seconds } => lang.pick(
            format!("{neighbour} seems to restart: its routes stay in use for up to {seconds} s"),
            format!("{neighbour}は再起動中のようです。その経路を最長{seconds}秒使い続けます"),
        ),
        Notice::RoutesKeptNoLonger { neighbour } => lang.pick(
            format!("{neighbour} did not tell its routes again in time: they are gone"),
            format!("{neighbour}が時間内に経路を伝え直さなかったので、取り除きました"),
        ),
        Notice::NotJudgedAgain { neighbour, routes } => lang.pick(
            format!("{neighbour} cannot be asked to tell its routes again (RFC 2918), and {routes} that were refused are not kept: the changed policy is for them once it tells them again; its session stands"),
            format!("{neighbour}には経路を伝え直すよう求められず (RFC 2918)、拒んだ{routes}件は残っていません。変えた方針がそれらに効くのは相手が伝え直したときです。セッションはそのままです"),
        ),
        Notice::Restarting { families } => {
            let families = family_names(families);
            lang.pick(
                format!("the kernel has {families} routes of an earlier life: they stay in use until neighbours have told everything"),
                format!("カーネルに以前のプロセスの経路({families})があります。隣が全てを伝え終えるまで使い続けます"),
            )
        }
        Notice::RoutesSelected { family, why, after_ms } => {
            let (family, why) = (family_name(*family), deferral_end(*why, lang));
            lang.pick(
                format!("{family} routes are chosen and told again after {after_ms} ms: {why}"),
                format!("{family}の経路の選択と広告を{after_ms}ミリ秒後に再開しました: {why}"),
            )
        }
        Notice::LimitNear { neighbour, family, count, limit } => {
            let family = family_name(*family);
            lang.pick(
                format!("{neighbour} has {count} {family} prefixes, near its limit of {limit}"),
                format!("{neighbour}の{family}プレフィックスが{count}になり、上限の{limit}に近づいています"),
            )
        }
        Notice::AttributeError { neighbour, error } => {
            let what = attribute_error(error, lang);
            lang.pick(format!("UPDATE from {neighbour}: {what}"), format!("{neighbour}からのUPDATE: {what}"))
        }
        Notice::TooLarge { neighbour, prefix } => lang.pick(
            format!("{prefix} cannot be sent to {neighbour}: its attributes fill a whole message"),
            format!("{prefix}を{neighbour}へ送れません: 属性だけで1通のメッセージを超えます"),
        ),
        Notice::EvpnRefused { neighbour, route, reason } => {
            let why = evpn_refusal(reason, lang);
            match route {
                Some(route) => lang.pick(
                    format!("EVPN route {route} from {neighbour} refused: {why}"),
                    format!("{neighbour}からのEVPN経路{route}を拒みました: {why}"),
                ),
                None => lang.pick(
                    format!("EVPN routes from {neighbour} refused: {why}"),
                    format!("{neighbour}からのEVPN経路を拒みました: {why}"),
                ),
            }
        }
        Notice::EvpnTooLarge { neighbour, route } => lang.pick(
            format!("EVPN route {route} cannot be sent to {neighbour}: its attributes fill a whole message"),
            format!("EVPN経路{route}を{neighbour}へ送れません: 属性だけで1通のメッセージを超えます"),
        ),
        Notice::OriginationStarted { prefix } => {
            lang.pick(format!("{prefix} is announced"), format!("{prefix}の広告を始めました"))
        }
        Notice::OriginationStopped { prefix } => lang.pick(
            format!("{prefix} is no longer announced: the rest of the network cannot be reached"),
            format!("{prefix}の広告をやめました: 網の残りに届きません"),
        ),
    }
}
