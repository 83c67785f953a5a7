//! Words for route validation: caches, and what payloads say of a route.

use crate::observe::status::SlurmTrouble;
use tsumugi_core::rpki::{BadSlurm, CacheEnd, CacheState, ErrorCode, Fault, Notice, Validity, Vrp};
use tsumugi_plan::explain::Lang;

/// What a cache's session waits for.
pub fn cache_state(state: CacheState, lang: Lang) -> &'static str {
    match state {
        CacheState::Standby => {
            lang.pick("rests: a preferred one is in use", "待機中: 優先のキャッシュを使用中")
        }
        CacheState::AwaitRetry => lang.pick("waits for the next attempt", "次の試行を待っています"),
        CacheState::AwaitConnection => lang.pick("connects", "接続しています"),
        CacheState::AwaitResponse => lang.pick("waits for an answer", "応答を待っています"),
        CacheState::Receiving => lang.pick("receives", "受信中"),
        CacheState::NoData => lang.pick("has no data yet", "まだデータがありません"),
        CacheState::Synchronised => lang.pick("synchronised", "同期済み"),
    }
}

/// Why a session with a cache, or an attempt at one, ended.
pub fn cache_end(end: &CacheEnd, lang: Lang) -> String {
    let fixed = match end {
        CacheEnd::ConnectFailed => lang.pick("TCP could not connect", "TCPで接続できませんでした"),
        CacheEnd::Closed => lang.pick("the cache closed the connection", "キャッシュが接続を閉じました"),
        CacheEnd::Silent => {
            lang.pick("the cache did not answer in time", "キャッシュが時間内に応答しませんでした")
        }
        CacheEnd::NoData => lang.pick("the cache has no data yet", "キャッシュにまだデータがありません"),
        CacheEnd::NoCommonVersion => lang.pick(
            "the cache speaks none of the versions 0 to 2 of RTR",
            "キャッシュがRTRのバージョン0〜2のどれも話しません",
        ),
        CacheEnd::Reported { code, text } => {
            let name = error_name(*code, lang);
            let code = code.0;
            // From a stranger: shown with anything unprintable escaped.
            let text = if text.is_empty() { String::new() } else { format!(" \"{}\"", text.escape_debug()) };
            return lang.pick(
                format!("the cache reported {name} ({code}){text}"),
                format!("キャッシュがエラーを伝えました: {name} ({code}){text}"),
            );
        }
        CacheEnd::Wrong { fault } => {
            let what = fault_words(*fault, lang);
            return lang.pick(
                format!("ended over what the cache sent: {what}"),
                format!("キャッシュの送ったものを理由に終わらせました: {what}"),
            );
        }
    };
    fixed.into()
}

/// RFC 8210 12. Field terms stay English in both languages.
fn error_name(code: ErrorCode, lang: Lang) -> &'static str {
    match code.0 {
        0 => "Corrupt Data",
        1 => "Internal Error",
        2 => "No Data Available",
        3 => "Invalid Request",
        4 => "Unsupported Protocol Version",
        5 => "Unsupported PDU Type",
        6 => "Withdrawal of Unknown Record",
        7 => "Duplicate Announcement Received",
        8 => "Unexpected Protocol Version",
        _ => lang.pick("an unknown error", "未知のエラー"),
    }
}

fn fault_words(fault: Fault, lang: Lang) -> String {
    match fault {
        Fault::Length { kind, length } => lang.pick(
            format!("{length} bytes are no length of a PDU of type {kind}"),
            format!("種別{kind}のPDUの長さが{length}バイトということはありません"),
        ),
        Fault::PrefixLength { length, max_length } => lang.pick(
            format!("a prefix of length {length} with the maximum length {max_length}"),
            format!("プレフィックス長{length}に対する最大長が{max_length}です"),
        ),
        Fault::Kind { kind } => lang
            .pick(format!("PDUs of type {kind} are not known here"), format!("種別{kind}のPDUを知りません")),
        Fault::Version { found } => {
            lang.pick(format!("a PDU of version {found}"), format!("バージョン{found}のPDUです"))
        }
        Fault::OutOfPlace { kind } => lang.pick(
            format!("a PDU of type {kind} where it has no place"),
            format!("種別{kind}のPDUが来る場面ではありません"),
        ),
        Fault::Session { expected, found } => lang.pick(
            format!("session {found} instead of {expected}"),
            format!("セッション{expected}のはずが{found}です"),
        ),
        Fault::UnknownWithdrawn => {
            lang.pick("something was withdrawn that is not there", "ないものが取り下げられました").into()
        }
        Fault::AnnouncedTwice => {
            lang.pick("something was announced that is there", "すでにあるものが再び伝えられました").into()
        }
        Fault::TooMany { limit } => {
            lang.pick(format!("more than {limit} payloads"), format!("ペイロードが{limit}を超えました"))
        }
    }
}

/// One change of state, true when read alone.
pub fn rpki_notice(notice: &Notice, lang: Lang) -> String {
    match notice {
        Notice::Synchronised { cache, version, payloads } => {
            let (v4, v6, aspa) = (payloads.ipv4, payloads.ipv6, payloads.aspa);
            lang.pick(
                format!(
                    "RTR cache {cache}, version {version}: {v4} IPv4, {v6} IPv6 and {aspa} ASPA payloads"
                ),
                format!("RTRキャッシュ {cache}（バージョン{version}）: IPv4 {v4}、IPv6 {v6}、ASPA {aspa}"),
            )
        }
        Notice::Lost { cache, reason } => {
            let why = cache_end(reason, lang);
            lang.pick(
                format!("RTR cache {cache} is lost, its data counts until it expires: {why}"),
                format!("RTRキャッシュ {cache}を失いました。データは期限まで使います: {why}"),
            )
        }
        Notice::Failing { cache, reason } => {
            let why = cache_end(reason, lang);
            lang.pick(
                format!("no session with RTR cache {cache} yet: {why}"),
                format!("RTRキャッシュ {cache}とのセッションがまだ確立しません: {why}"),
            )
        }
        Notice::InForce { cache } => lang.pick(
            format!("routes are validated by RTR cache {cache}"),
            format!("RTRキャッシュ {cache}で経路を検証します"),
        ),
        Notice::Expired { cache } => lang.pick(
            format!(
                "the data of RTR cache {cache} has expired, and there is no other: no route is validated"
            ),
            format!("RTRキャッシュ {cache}のデータが期限切れで、ほかにありません。経路を検証していません"),
        ),
    }
}

/// What payloads say of one of our own prefixes, and what follows from it.
pub fn own_validity(validity: Validity, payloads: &[Vrp], lang: Lang) -> String {
    match validity {
        Validity::Valid => lang.pick("RPKI: valid", "RPKI: 正当").into(),
        Validity::NotFound => lang
            .pick(
                "WARNING, RPKI: no ROA covers it; anybody may claim it. Make one at the registry",
                "警告、RPKI: ROAがなく、誰でも名乗れます。レジストリで作ってください",
            )
            .into(),
        Validity::Invalid => {
            let said = list(payloads);
            lang.pick(
                format!("WARNING, RPKI: invalid, other networks drop it; correct the ROA ({said})"),
                format!(
                    "警告、RPKI: 不正とされ、ほかのネットワークに捨てられます。ROAを直してください（{said}）"
                ),
            )
        }
    }
}

/// The payloads that make a route invalid, for after its reason; empty if there are none.
pub fn payloads(payloads: &[Vrp], lang: Lang) -> String {
    if payloads.is_empty() {
        return String::new();
    }
    let said = list(payloads);
    lang.pick(format!(" (by {said})"), format!("（{said}による）"))
}

/// No more than a few: a line is for reading.
fn list(payloads: &[Vrp]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<String> = payloads.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = payloads.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{}, +{more}", shown.join(", ")) }
}

/// Why the file of exceptions was not taken.
pub fn slurm_trouble(trouble: &SlurmTrouble, lang: Lang) -> String {
    match trouble {
        SlurmTrouble::Unreadable { error } => {
            lang.pick(format!("it cannot be read: {error}"), format!("読めません: {error}"))
        }
        SlurmTrouble::NotSlurm { error } => lang.pick(
            format!("it is no SLURM file (RFC 8416): {error}"),
            format!("SLURMファイル(RFC 8416)ではありません: {error}"),
        ),
        SlurmTrouble::Wrong { bad: BadSlurm::Version { found } } => {
            lang.pick(format!("it is of version {found}, not 1"), format!("バージョンが1でなく{found}です"))
        }
        SlurmTrouble::Wrong { bad: BadSlurm::EmptyFilter } => lang
            .pick(
                "a filter names neither prefix nor AS number",
                "プレフィックスもAS番号もないフィルターがあります",
            )
            .into(),
        SlurmTrouble::Wrong { bad: BadSlurm::MaxLength { prefix, max_length } } => lang.pick(
            format!("{prefix} cannot have the maximum length {max_length}"),
            format!("{prefix}の最大長が{max_length}ということはありません"),
        ),
    }
}
