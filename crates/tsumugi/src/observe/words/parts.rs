//! Words for the state of what a process keeps: its plan, tunnels, lines.

use crate::observe::status::{
    Chosen, FarEnd, HandoverRefused, LinePath, ManagementTrouble, Missing, Shortcut, TunnelState, WhyDead,
    WhyNoShortcut, WhyRaw, WhyUnasked, WhyUserspace,
};
use crate::state::PlanRefused;
use tsumugi_plan::explain::Lang;

/// Why a plan is not taken.
pub fn plan_refused(reason: &PlanRefused, lang: Lang) -> String {
    match reason {
        PlanRefused::NotRead { error } => lang
            .pick(format!("the plan could not be read: {error}"), format!("計画を読めませんでした: {error}")),
        PlanRefused::NotAPlan { error } => lang.pick(
            format!("the file holds no plan: {error}"),
            format!("ファイルの内容が計画ではありません: {error}"),
        ),
        PlanRefused::Schema { found, known } => lang.pick(
            format!("the plan's schema is {found}, this program knows {known}: compile the network's file anew with this program"),
            format!("計画のスキーマは{found}ですが、このプログラムが分かるのは{known}です。このプログラムでネットワークのファイルをコンパイルし直してください"),
        ),
        PlanRefused::Hash { stated, found } => lang.pick(
            format!("the plan's hash says {stated}, its content is {found}"),
            format!("計画に書かれたハッシュは{stated}ですが、内容は{found}です"),
        ),
        PlanRefused::NoSpeaker => lang
            .pick("the plan is for a machine that speaks no BGP", "BGPを話さない機器のための計画です")
            .into(),
        PlanRefused::OtherEngine => lang
            .pick(
                "it has another routing engine; restart the router process to use it, which resets every session",
                "ルーティングエンジンが違います。使うにはルータープロセスを再起動してください。すべてのセッションが切れます",
            )
            .into(),
    }
}

/// Why a datapath does not hand over to another process.
pub fn handover_refused(reason: &HandoverRefused, lang: Lang) -> String {
    let said = match reason {
        HandoverRefused::Version { found, known } => {
            return lang.pick(
                format!("it speaks version {found} of the handover, this program version {known}"),
                format!("相手の引き継ぎ手順はバージョン{found}、このプログラムはバージョン{known}です"),
            );
        }
        HandoverRefused::System { error } => return error.clone(),
        HandoverRefused::NotAllowed => lang.pick("it is another user's", "別のユーザーのプロセスです"),
        HandoverRefused::Busy => {
            lang.pick("another process is taking over already", "別のプロセスがすでに引き継ぎ中です")
        }
        HandoverRefused::NotUnderstood => {
            lang.pick("what it said was not understood", "相手の言うことが理解できません")
        }
        HandoverRefused::Silent => lang.pick("it said nothing any more", "相手の応答がなくなりました"),
        HandoverRefused::Gone => lang.pick("it was gone before the end", "相手が途中で終了しました"),
    };
    said.into()
}

/// Who moves a tunnel's packets, and why.
pub fn engine(chosen: &Chosen, lang: Lang) -> String {
    let why = match chosen {
        Chosen::Kernel => return lang.pick("by the kernel", "カーネルが転送").into(),
        Chosen::Userspace(WhyUserspace::Stated) => lang.pick("the file says so", "ファイルの指定"),
        Chosen::Userspace(WhyUserspace::NoDevice) => {
            lang.pick("the kernel has no such device", "カーネルに該当するデバイスなし")
        }
        Chosen::Userspace(WhyUserspace::CannotFragment) => lang.pick(
            "the kernel's GRE over IPv6 cannot fragment outside",
            "カーネルのGRE over IPv6は外側を分割できない",
        ),
        Chosen::Userspace(WhyUserspace::Refused { error }) => {
            return lang.pick(
                format!("in userspace (the kernel refused: {error})"),
                format!("ユーザー空間で転送 (カーネルの拒否: {error})"),
            );
        }
    };
    lang.pick(format!("in userspace ({why})"), format!("ユーザー空間で転送 ({why})"))
}

/// Whether frames that fit stay in the kernel, and why not.
pub fn shortcut(shortcut: &Shortcut, lang: Lang) -> String {
    let why = match shortcut {
        Shortcut::Open => {
            return lang
                .pick(
                    "frames that fit take the shortcut in the kernel",
                    "収まるフレームはカーネル内の近道を通る",
                )
                .into();
        }
        Shortcut::Closed(WhyNoShortcut::Stated) => lang.pick("the file says so", "ファイルの指定"),
        Shortcut::Closed(WhyNoShortcut::NotBuilt) => lang.pick("built without clang", "clangなしでビルド"),
        Shortcut::Closed(WhyNoShortcut::RawLine) => {
            lang.pick("the line's packets go through the stack", "回線のパケットがスタックを通る")
        }
        Shortcut::Closed(WhyNoShortcut::Geneve) => {
            lang.pick("the line carries GENEVE as well", "回線がGENEVEも運ぶ")
        }
        Shortcut::Closed(WhyNoShortcut::NoCarrier) => {
            lang.pick("the far end does not answer", "対向が応答しない")
        }
        Shortcut::Closed(WhyNoShortcut::Handover) => {
            lang.pick("another process is taking over", "別のプロセスが引き継ぎ中")
        }
        Shortcut::Closed(WhyNoShortcut::Settling) => lang.pick("it is just being set up", "準備中"),
        Shortcut::Closed(WhyNoShortcut::NoNextHop) => {
            lang.pick("the next hop is not known yet", "次の中継先がまだ不明")
        }
        Shortcut::Closed(WhyNoShortcut::TooMany) => lang.pick("too many tunnels", "トンネルが多すぎる"),
        Shortcut::Closed(WhyNoShortcut::Refused { error }) => {
            return lang.pick(
                format!("no shortcut in the kernel (refused: {error})"),
                format!("カーネル内の近道なし (拒否: {error})"),
            );
        }
    };
    lang.pick(format!("no shortcut in the kernel ({why})"), format!("カーネル内の近道なし ({why})"))
}

/// How a line's packets meet the underlay, and why not the faster way.
pub fn line_path(path: &LinePath, lang: Lang) -> String {
    let why = match path {
        LinePath::Packet => {
            return lang.pick("packets pass the stack by", "パケットはカーネルのスタックを通らない").into();
        }
        LinePath::Raw(WhyRaw::NotNeeded) => return String::new(),
        LinePath::Raw(WhyRaw::NotEthernet) => lang.pick("no Ethernet", "イーサネットではない").into(),
        LinePath::Raw(WhyRaw::SharedWithStack) => lang
            .pick(
                "another tunnel between the same ends needs the stack",
                "両端が同じ別のトンネルがスタックを必要とする",
            )
            .into(),
        LinePath::Raw(WhyRaw::MergesDatagrams) => lang
            .pick(
                "the line merges datagrams, GENEVE's among them; `ethtool -K LINE rx-udp-gro-forwarding off rx-gro-list off` \
                 stops that",
                "回線がGENEVEなどのデータグラムをまとめている。\
                 `ethtool -K 回線 rx-udp-gro-forwarding off rx-gro-list off`で止まる",
            )
            .into(),
        LinePath::Raw(WhyRaw::StackTakesThem { error } | WhyRaw::System { error }) => error.clone(),
    };
    lang.pick(
        format!("packets go through the stack ({why})"),
        format!("パケットはカーネルのスタックを通る ({why})"),
    )
}

/// Whether a tunnel carries packets, or what it waits for.
pub fn tunnel_state(state: TunnelState, lang: Lang) -> &'static str {
    match state {
        TunnelState::Up => lang.pick("up", "稼働中"),
        TunnelState::NoDevice => {
            lang.pick("waits for its interface in the fabric", "fabric側のインターフェースを待っています")
        }
        TunnelState::NoLine => lang.pick("waits for its line", "回線を待っています"),
        TunnelState::NoAddress => {
            lang.pick("waits for an address of an end", "端のアドレスが決まるのを待っています")
        }
        TunnelState::NoSession => {
            lang.pick("waits for the far end's handshake", "相手とのハンドシェイクを待っています")
        }
    }
}

/// What is known of a tunnel's far end.
pub fn far_end(far_end: &FarEnd, lang: Lang) -> &'static str {
    match far_end {
        FarEnd::NotAsked { why: WhyUnasked::Stated } => {
            lang.pick("the far end is not asked: the file says so", "相手に生存を尋ねません (ファイルの指定)")
        }
        FarEnd::NotAsked { why: WhyUnasked::NoAddress } => lang.pick(
            "the far end is not asked: no address there is known",
            "相手に生存を尋ねません (相手側のアドレスが不明)",
        ),
        FarEnd::Unproven => lang.pick(
            "the far end has never answered: not there, or of an older version",
            "相手はまだ一度も応答していません (相手がいないか、古い版です)",
        ),
        FarEnd::Alive => lang.pick("the far end lives", "相手は生きています"),
        FarEnd::Dead { cause: WhyDead::Silent } => lang.pick(
            "the far end is dead: it answers nothing, the interface has no carrier",
            "相手が応答しません。インターフェースのキャリアを落としています",
        ),
        FarEnd::Dead { cause: WhyDead::Deaf } => lang.pick(
            "nothing of ours reaches the far end, the interface has no carrier",
            "こちらのパケットが相手に届いていません。インターフェースのキャリアを落としています",
        ),
    }
}

/// Why something cannot be used yet.
pub fn missing(reason: &Missing, lang: Lang) -> String {
    match reason {
        Missing::NoInterface => {
            lang.pick("its interface is not there", "インターフェースがありません").into()
        }
        Missing::System { error } => error.clone(),
    }
}

/// What the management process lacks.
pub fn management_trouble(trouble: &ManagementTrouble, lang: Lang) -> String {
    match trouble {
        ManagementTrouble::KeyRing { error } => {
            lang.pick(format!("the key ring cannot be read: {error}"), format!("鍵束を読めません: {error}"))
        }
        ManagementTrouble::PrivateKey { key, error } => lang.pick(
            format!("the private key {key} cannot be read: {error}"),
            format!("秘密鍵 {key}を読めません: {error}"),
        ),
        ManagementTrouble::PublicKey { key, error } => lang.pick(
            format!("there is no public key {key}: {error}"),
            format!("公開鍵 {key}がありません: {error}"),
        ),
        ManagementTrouble::Device { error } => lang.pick(
            format!("the overlay's device cannot be had: {error}"),
            format!("オーバーレイのデバイスを使えません: {error}"),
        ),
        ManagementTrouble::NotApplied { error } => {
            lang.pick(format!("not applied: {error}"), format!("適用できませんでした: {error}"))
        }
        ManagementTrouble::NoInterface { link } => lang.pick(
            format!("the interface {link} is not there"),
            format!("インターフェース {link}がありません"),
        ),
    }
}
