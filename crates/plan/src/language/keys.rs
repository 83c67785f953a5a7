//! The one table of the file's keys. The reader takes from it what is required and what is known,
//! `tsumugi schema` prints it, and `fmt` writes keys in its order.

use super::line;

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Words for people.
    Text,
    /// The name of a table of the file; the table's key in [`FILE`] follows, empty for others.
    Name(&'static str),
    /// The name of a network interface.
    Port,
    /// `router:port`.
    PortRef,
    /// Two IPv4 addresses, `FIRST-LAST`.
    AddressRange,
    /// `ASN:NUMBER`.
    RouteTarget,
    /// The name of an AS-SET in an IRR.
    AsSet,
    /// `secret:NAME`: a file of the state folder.
    Secret,
    /// What `deny` and `allow` speak of: one of [`REACHES`], where NAME is a segment's.
    Reach,
    Flag,
    Integer {
        least: u64,
        most: u64,
    },
    /// Of either family, host bits zero.
    Prefix,
    /// An address with its prefix length.
    AddressWithLength,
    Address,
    /// `false`, or an address.
    AddressOrFalse,
    /// An address with a port of TCP: `192.0.2.1:323`, `[2001:db8::1]:323`.
    Endpoint,
    /// A line's address: an address with its length, or one of [`LINE_CLIENTS`].
    LineAddress,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of the kinds of line.
    LineKind,
    /// One or more.
    List(&'static Kind),
    ListOrNone(&'static Kind),
    /// A list, or a single value without brackets.
    OneOrMore(&'static Kind),
    /// A list of two, one for each end of a link.
    Pair(&'static Kind),
    /// `[key]`
    One(&'static Table),
    /// `[key.NAME]`
    Named(&'static Table),
    /// `[[key]]`
    Many(&'static Table),
}

/// One key.
#[derive(Debug, PartialEq)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    pub en: &'static str,
    pub ja: &'static str,
}

/// The keys of one table, in the order in which `fmt` writes them.
#[derive(Debug, PartialEq)]
pub struct Table {
    /// What the table is called in messages: `router`, `uplink`.
    pub name: &'static str,
    pub keys: &'static [Key],
}

impl Table {
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// Every table of the file.
pub fn all() -> impl Iterator<Item = &'static Table> {
    let mut found: Vec<&'static Table> = vec![&FILE];
    let mut next = 0;
    while let Some(table) = found.get(next) {
        next += 1;
        found.extend(table.keys.iter().filter_map(|key| match key.kind {
            Kind::One(table) | Kind::Named(table) | Kind::Many(table) => Some(table),
            _ => None,
        }));
    }
    found.into_iter()
}

/// The words for who gives a line its addresses.
pub const LINE_CLIENTS: &[&str] = &["auto", "dhcp", "dhcp6-pd", "pppoe"];
pub const REGIONS: &[&str] = &["east", "west"];
pub const PASSES: &[&str] = &["udp", "gre", "etherip", "fragments", "incoming"];
pub const PURPOSES: &[&str] = &["fabric", "management"];
pub const TABLES: &[&str] = &["full", "default"];
pub const ENGINES: &[&str] = &["auto", "kernel", "userspace"];
pub const ROUTINGS: &[&str] = &["embedded", "frr"];
pub const LINK_BY: &[&str] = &["ethernet", "gre", "etherip", "wireguard"];
pub const PEER_BY: &[&str] = &["etherip", "gretap", "geneve", "ethernet"];
pub const TUNNEL_BY: &[&str] = &["etherip", "gretap", "geneve"];
pub const CLAMPS: &[&str] = &["auto", "recut", "off"];
pub const VTEPS: &[&str] = &["ipv4", "ipv6"];
pub const REACHES: &[&str] = &["mail", "segments", "segment.NAME", "network", "outside"];
pub const CACHE_PLANES: &[&str] = &["management", "fabric"];
pub const INVALIDS: &[&str] = &["drop", "last", "take"];
pub const ROLES: &[&str] = &["provider", "peer", "customer", "route-server"];

/// The spellings of the kinds of line.
pub const LINE_KINDS: [&str; line::LINES.len()] = {
    let mut names = [""; line::LINES.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = line::LINES[i].name;
        i += 1;
    }
    names
};

/// A router's id: WireGuard's UDP ports are counted from it (20000 + 4 * id + 3) and end below
/// those of the management overlay (51900).
pub const MAX_ROUTER_ID: u16 = 7974;

const ID: Kind = Kind::Integer { least: 1, most: 65_535 };
/// An inside MTU. The least is IPv6's; the most that every kind of tunnel carries in two packets
/// is for the arithmetic to say.
const MTU: Kind = Kind::Integer { least: 1280, most: 9000 };
const ASN: Kind = Kind::Integer { least: 1, most: 4_294_967_294 };
const SITE: Kind = Kind::Name("site");
const ROUTER: Kind = Kind::Name("router");
const UPLINK: Kind = Kind::Name("");

/// One key, as `keys!` has it.
macro_rules! key {
    ($name:literal, $kind:expr, $required:ident, $en:literal, $ja:literal) => {
        Key { name: $name, kind: $kind, required: key!(@ $required), en: $en, ja: $ja }
    };
    (@ required) => { true };
    (@ optional) => { false };
}

/// The keys of a table: each is said here, or by the name of one that several tables have.
macro_rules! keys {
    (@ [$($done:expr,)*]) => { &[$($done),*] };
    (@ [$($done:expr,)*] $shared:ident; $($rest:tt)*) => { keys!(@ [$($done,)* $shared,] $($rest)*) };
    (@ [$($done:expr,)*] $name:literal, $kind:expr, $required:ident, $en:literal, $ja:literal; $($rest:tt)*) => {
        keys!(@ [$($done,)* key!($name, $kind, $required, $en, $ja),] $($rest)*)
    };
    ($($key:tt)*) => { keys!(@ [] $($key)*) };
}

pub static FILE: Table = Table {
    name: "file",
    keys: keys! {
        "network", Kind::One(&NETWORK), required,
            "The network as a whole.",
            "ネットワーク全体。";
        "rpki", Kind::One(&RPKI), optional,
            "Where routers ask whether a route from outside is what its holder says (RPKI).",
            "外から来た経路が、持ち主の言うとおりのものか(RPKI)を尋ねる先。";
        "bmp", Kind::One(&BMP), optional,
            "Whom routers tell of their sessions and routes (BMP, RFC 7854).",
            "ルーターがセッションと経路を知らせる先(BMP、RFC 7854)。";
        "site", Kind::Named(&SITE_TABLE), optional,
            "A place.",
            "拠点。";
        "device", Kind::Named(&DEVICE), optional,
            "Something on a site's management switch that tsumugi does not run.",
            "拠点の管理用スイッチにつながる、tsumugiが動かさない機器。";
        "person", Kind::Named(&PERSON), optional,
            "A volunteer whose laptop is a member of the management network.",
            "管理ネットワークに自分のノートPCをつなぐ人。";
        "router", Kind::Named(&ROUTER_TABLE), optional,
            "A Linux box at a site.",
            "拠点に置くLinuxのルーター。";
        "link", Kind::Many(&LINK), optional,
            "A link from router to router.",
            "ルーターどうしのリンク。";
        "segment", Kind::Named(&SEGMENT), optional,
            "An Ethernet network of hosts, on one router or stretched over several.",
            "ホストをつなぐイーサネットのセグメント。";
        "peer", Kind::Named(&PEER), optional,
            "A network outside, and where it is connected.",
            "外のネットワークと、その接続場所。";
    },
};

pub static NETWORK: Table = Table {
    name: "network",
    keys: keys! {
        "name", Kind::Text, required,
            "What the network is called.",
            "ネットワークの名前。";
        "asn", ASN, required,
            "The public AS number.",
            "外に見せるAS番号。";
        "prefixes", Kind::List(&Kind::Prefix), required,
            "What the AS announces: exactly these, nothing longer than /24 or /48.",
            "ASが広報するプレフィックス。書いたとおりに広報し、/24や/48より長いものは書けません。";
        "loopbacks", Kind::List(&Kind::Prefix), required,
            "Pools within the prefixes; a router's id picks its address from each.",
            "ループバックアドレスのプール。prefixesの中から取り、ルーターのidが各プールのアドレスを決めます。";
        "management", Kind::Prefix, required,
            "The management plane's own address space: an IPv6 /48 outside the prefixes.",
            "管理用の独立したアドレス空間。prefixesの外にあるIPv6の/48。";
        "mtu", MTU, optional,
            "What a link carries inside, in bytes; 2400 if unsaid: nearly always exactly two packets outside.",
            "リンクが内側で運ぶバイト数。省略時は2400(外側ではほぼ必ずちょうど2パケット)。";
        "originate", Kind::ListOrNone(&ROUTER), optional,
            "Routers that announce the prefixes while they reach the rest of the AS.",
            "prefixesを広報するルーター。ASの残りに届くあいだだけ広報します。";
        "bfd", Kind::Flag, optional,
            "False: no link between routers is watched by BFD (RFC 5880) unless it says so; all are if unsaid.",
            "falseなら、ルーター間のリンクを(リンク側でtrueとしないかぎり)BFD(RFC 5880)で見張りません。省略時はすべて見張ります。";
        "bfd-interval", BFD_INTERVAL_MS, optional,
            "Milliseconds between BFD's packets on links between routers; 100 if unsaid, 500 over lte.",
            "ルーター間のリンクでBFDパケットを送る間隔(ミリ秒)。省略時は100、lte回線では500。";
        BFD_MULTIPLIER;
    },
};

pub static RPKI: Table = Table {
    name: "rpki",
    keys: keys! {
        "caches", Kind::List(&Kind::Endpoint), required,
            "RTR caches as ADDRESS:PORT, in the order of preference: the first that answers is used. No names: a router must not need DNS to know its routes.",
            "RTRキャッシュを「アドレス:ポート」で、優先順に書きます。応答する最初のものを使います。経路を知るのにDNSが要ってはならないので、ホスト名は書けません。";
        "plane", Kind::Word(CACHE_PLANES), optional,
            "Where they are reached: management if unsaid (RTR is not encrypted), or fabric.",
            "キャッシュに届く面。省略時はmanagement(RTRは暗号化されません)。またはfabric。";
        "expire", Kind::Integer { least: 600, most: 172_800 }, optional,
            "Seconds for which data of a lost cache counts; as the cache says if unsaid.",
            "キャッシュを失ってもデータを使い続ける秒数。省略時はキャッシュの指定に従います。";
        "slurm", Kind::Text, optional,
            "A file of exceptions of our own (RFC 8416) on each router: absolute, or below the router's state folder.",
            "自分たちの例外を書いたファイル(RFC 8416)。各ルーター上の絶対パス、または状態フォルダーからの相対パス。";
    },
};

pub static BMP: Table = Table {
    name: "bmp",
    keys: keys! {
        "collectors", Kind::List(&Kind::Endpoint), required,
            "Collectors as ADDRESS:PORT: every router calls each of them and tells it everything.",
            "収集器を「アドレス:ポート」で書きます。すべてのルーターがそれぞれに接続し、すべてを知らせます。";
        "plane", Kind::Word(CACHE_PLANES), optional,
            "Where they are reached: management if unsaid (BMP is not encrypted), or fabric.",
            "収集器に届く面。省略時はmanagement(BMPは暗号化されません)。またはfabric。";
    },
};

pub static SITE_TABLE: Table = Table {
    name: "site",
    keys: keys! {
        "id", ID, required,
            "Unique among sites: picks the management switch's addresses. Never reuse one.",
            "拠点ごとに異なる番号。管理用スイッチのアドレスを決めます。使い回さないでください。";
        "name", Kind::Text, optional,
            "The place, in words.",
            "拠点の説明。";
        "switch-mtu", MTU, optional,
            "What the site's switches pass, in bytes above the Ethernet header.",
            "拠点のスイッチが通すバイト数(イーサネットヘッダーを除く)。";
    },
};

pub static DEVICE: Table = Table {
    name: "device",
    keys: keys! {
        "id", ID, required,
            "Unique among the devices of its site: picks its address.",
            "同じ拠点の機器ごとに異なる番号。アドレスを決めます。";
        "site", SITE, required,
            "The site on whose management switch it hangs.",
            "つながっている管理用スイッチのある拠点。";
        "kind", Kind::Text, optional,
            "What it is, in words.",
            "機器の種類の説明。";
    },
};

pub static PERSON: Table = Table {
    name: "person",
    keys: keys! {
        "id", ID, required,
            "Unique among persons: picks the laptop's management address.",
            "人ごとに異なる番号。ノートPCの管理用アドレスを決めます。";
    },
};

pub static ROUTER_TABLE: Table = Table {
    name: "router",
    keys: keys! {
        "id", Kind::Integer { least: 1, most: MAX_ROUTER_ID as u64 }, required,
            "Unique among routers: picks its loopbacks, AS number and link-local address. Never reuse one.",
            "ルーターごとに異なる番号。ループバック、AS番号、リンクローカルアドレスを決めます。使い回さないでください。";
        "site", SITE, required,
            "Where it stands.",
            "置いてある拠点。";
        "asn", ASN, optional,
            "The AS number that it speaks inside; 4200000000 + id if unsaid.",
            "内部で使うAS番号。省略時は4200000000 + id。";
        "meeting", Kind::Flag, optional,
            "True: management lines that nobody can call meet here.",
            "trueなら、外から呼び出せない管理回線がここに集まります。";
        "drain", Kind::Flag, optional,
            "True: about to go. Everybody is asked to prefer other ways (RFC 8326), so that traffic leaves it first.",
            "trueなら、まもなく止めるルーターです。ほかの道を選ぶよう全員に頼み(RFC 8326)、先に通信を逃がします。";
        "management-port", Kind::Port, optional,
            "The port on the site's management switch.",
            "拠点の管理用スイッチにつながるポート。";
        "table", Kind::Word(TABLES), optional,
            "How many routes it is given: full, or default for small boxes.",
            "受け取る経路。full、または小さな機器向けのdefault。";
        "engine", Kind::Word(ENGINES), optional,
            "Who moves its packets; auto if unsaid.",
            "パケットを運ぶ方法。省略時はauto。";
        "routing", Kind::Word(ROUTINGS), optional,
            "Who speaks its BGP: embedded (tsumugi itself) if unsaid, or frr (FRR, which must be installed there).",
            "BGPを話すもの。省略時はembedded(tsumugi自身)。またはfrr(FRR。そのルーターに入っている必要があります)。";
        "uplink", Kind::Named(&UPLINK_TABLE), optional,
            "An access line.",
            "アクセス回線。";
    },
};

pub static UPLINK_TABLE: Table = Table {
    name: "uplink",
    keys: keys! {
        "kind", Kind::LineKind, required,
            "The kind of line: gives path MTU, families and what passes.",
            "回線の種類。パスMTU、使えるIPの種類、通るものが決まります。";
        "region", Kind::Word(REGIONS), optional,
            "Of an ngn line: east and west do not meet.",
            "ngn回線の地域。eastとwestはつながりません。";
        "port", Kind::Port, required,
            "The machine's port that the line hangs on.",
            "回線がつながるポート。";
        "share", Kind::Flag, optional,
            "True: the port stays with the machine and the line takes a macvlan of it (boxes with one port).",
            "trueなら、ポートは元の場所に残し、そのmacvlanを回線に使います(ポートが1つの機器向け)。";
        "path-mtu", Kind::Integer { least: 576, most: 9000 }, optional,
            "The largest packet that the line passes whole, in bytes, where it differs from its kind's.",
            "回線が分割せずに通す最大のパケット(バイト)。種類の値と違うときに書きます。";
        "address", Kind::OneOrMore(&Kind::LineAddress), required,
            "The address with its length, or who gives it: auto (router advertisement), dhcp, dhcp6-pd, pppoe.",
            "アドレスと長さ、または割り当て方法: auto(ルーター広告)、dhcp、dhcp6-pd、pppoe。";
        "gateway", Kind::OneOrMore(&Kind::Address), optional,
            "The line's router, for stated addresses.",
            "アドレスを書いた場合の、回線側のルーター。";
        "passes", Kind::ListOrNone(&Kind::Word(PASSES)), optional,
            "What the line passes, where it differs from its kind's.",
            "回線が通すもの。種類の値と違うときに書きます。";
        "for", Kind::List(&Kind::Word(PURPOSES)), required,
            "What the line is for: fabric (the real network), management (repair), or both.",
            "回線の用途。fabric(本番)、management(管理)、または両方。";
    },
};

pub static LINK: Table = Table {
    name: "link",
    keys: keys! {
        "between", Kind::Pair(&ROUTER), required,
            "The two routers.",
            "両端のルーター。";
        "by", Kind::Word(LINK_BY), required,
            "What carries it.",
            "リンクの種類。";
        "over", Kind::Pair(&UPLINK), optional,
            "The uplink at each end, of a tunnel.",
            "トンネルの、両端のアクセス回線。";
        "ports", Kind::Pair(&Kind::Port), optional,
            "The port at each end, of an ethernet link.",
            "ethernetリンクの、両端のポート。";
        "cost", Kind::Integer { least: 1, most: 32 }, optional,
            "How often a router's AS number stands in the path over it; 1 if unsaid.",
            "経路にルーターのAS番号が現れる回数。省略時は1。";
        "cleartext", Kind::Flag, optional,
            "True: carry it unencrypted over an open network, knowingly.",
            "trueなら、開かれた網の上を承知のうえで暗号化せずに運びます。";
        "engine", Kind::Word(ENGINES), optional,
            "Who moves its packets, at both ends; the routers' own if unsaid.",
            "両端でパケットを運ぶ方法。省略時は各ルーターの設定。";
        "keepalive", Kind::Flag, optional,
            "False: the far end of the tunnel is not asked whether it lives, and only BGP notices that it is dead.",
            "falseなら、トンネルの相手に生存を尋ねません。相手が死んだことに気づくのはBGPだけになります。";
        "bfd", Kind::Flag, optional,
            "Whether BFD (RFC 5880) watches the link; as [network] says if unsaid.",
            "リンクをBFD(RFC 5880)で見張るか。省略時は[network]に従います。";
        "bfd-interval", BFD_INTERVAL_MS, optional,
            "Milliseconds between BFD's packets; as [network] says if unsaid.",
            "BFDパケットを送る間隔(ミリ秒)。省略時は[network]に従います。";
        BFD_MULTIPLIER;
    },
};

pub static SEGMENT: Table = Table {
    name: "segment",
    keys: keys! {
        "vni", Kind::Integer { least: 1, most: 16_777_215 }, required,
            "Unique among segments: its VXLAN network identifier.",
            "セグメントごとに異なるVXLANの識別番号。";
        "ports", Kind::List(&Kind::PortRef), optional,
            "Where hosts attach: router:port. A port that says more is a table [[segment.NAME.port]].",
            "ホストがつながる場所: ルーター:ポート。細かい設定があるポートは[[segment.NAME.port]]に書きます。";
        "gateway", Kind::OneOrMore(&Kind::AddressWithLength), optional,
            "The hosts' gateway with its prefix length, from the AS's prefixes: every router that carries the segment is it.",
            "ホストのゲートウェイのアドレスと長さ。prefixesの中から取ります。セグメントを持つすべてのルーターが同じゲートウェイになります。";
        "dns", Kind::OneOrMore(&Kind::Address), optional,
            "DNS servers that hosts are told of.",
            "ホストに知らせるDNSサーバー。";
        "dhcp", Kind::AddressRange, optional,
            "IPv4 addresses for hosts that ask: FIRST-LAST.",
            "要求したホストに配るIPv4アドレス: 最初-最後。";
        "deny", Kind::List(&Kind::Reach), optional,
            "What hosts may not send to, replies included: mail (TCP 25), segments (all others), segment.NAME, network (the AS's prefixes; pings of routers pass), outside.",
            "ホストからの送信を(返事も含めて)禁止する先: mail(TCP 25)、segments(ほかの全セグメント)、segment.NAME、network(ASのprefixes。ルーターへのpingは通します)、outside(外)。";
        "allow", Kind::List(&Kind::Reach), optional,
            "Exceptions to deny, in the same words: they are looked at first.",
            "denyの例外。同じ語で書き、denyより先に調べます。";
        "vtep", Kind::Word(VTEPS), optional,
            "The family that VXLAN goes over between routers; ipv4 if unsaid and the routers have such loopbacks.",
            "ルーター間のVXLANに使うIPの種類。省略時は、ループバックにIPv4があればipv4。";
        "route-target", Kind::OneOrMore(&Kind::RouteTarget), optional,
            "ASN:NUMBER that mark the segment's routes; the public AS number and the VNI if unsaid. The first marks ours, all are taken.",
            "セグメントの経路の印、ASN:番号。省略時はAS番号:VNI。最初のものを付け、どれが付いた経路も受け取ります。";
        "index", Kind::Integer { least: 1, most: 65_535 }, optional,
            "Unique among segments: stands in route distinguishers where the VNI is larger than 65535.",
            "セグメントごとに異なる番号。VNIが65535より大きいとき、経路識別子に使います。";
        "port", Kind::Many(&SEGMENT_PORT), optional,
            "A port that says more than where it is.",
            "場所のほかにも設定があるポート。";
        "etherip", Kind::Many(&SEGMENT_ETHERIP), optional,
            "A tunnel to a hardware router or another box whose LAN becomes a part of the segment.",
            "ハードウェアルーターなどへのトンネル。その先のLANがセグメントの一部になります。";
        "gretap", Kind::Many(&SEGMENT_GRETAP), optional,
            "The same by GRE that carries Ethernet.",
            "同じものを、イーサネットを運ぶGREで。";
        "geneve", Kind::Many(&SEGMENT_GENEVE), optional,
            "The same by GENEVE.",
            "同じものをGENEVEで。";
    },
};

const BFD_INTERVAL_MS: Kind = Kind::Integer { least: 10, most: 10_000 };
const BFD_MULTIPLIER: Key = key! {
    "bfd-multiplier", Kind::Integer { least: 1, most: 50 }, optional,
        "After how many intervals without a packet BFD calls the far end gone; 3 if unsaid.",
        "何間隔分パケットが届かなければ相手が落ちたとみなすか(BFD)。省略時は3。"
};

const GRE_KEY: Kind = Kind::Integer { least: 0, most: 4_294_967_295 };
const GENEVE_VNI: Kind = Kind::Integer { least: 0, most: 16_777_215 };

// What tunnels to ends of others have in common, and ports of segments among them.
const END_ROUTER: Key = key! {
    "router", ROUTER, required,
        "Our router.",
        "こちらのルーター。"
};
const END_UPLINK: Key = key! {
    "over", UPLINK, required,
        "Our uplink.",
        "こちらのアクセス回線。"
};
const END_REMOTE: Key = key! {
    "remote", Kind::Address, required,
        "The tunnel's far end.",
        "トンネルの相手側のアドレス。"
};
const CLAMP: Key = key! {
    "clamp", Kind::Word(CLAMPS), optional,
        "What becomes of TCP that would not fit one outer packet: auto (if unsaid), its MSS is lowered; recut, what the stack hands over many segments at once is cut anew until each fits; off, it leaves in two.",
        "外側1パケットに収まらないTCPの扱い。auto(省略時)はMSSを下げ、recutはまとめて渡されたセグメントを収まる大きさに切り直し、offは2パケットで送ります。"
};
const END_LAN: Key = key! {
    "lan", Kind::Text, optional,
        "The name of the LAN behind it, where the same LAN hangs on another router too.",
        "つながっているLANの名前。同じLANが別のルーターにもつながるときに書きます。"
};
const STANDBY: Key = key! {
    "standby", Kind::Flag, optional,
        "True: forwards only while the ports of the LAN before it are gone.",
        "trueなら、同じLANの先に書いたポートがみな使えないあいだだけ転送します。"
};
const STORM_LIMIT: Key = key! {
    "storm-limit", Kind::Integer { least: 1, most: 1_000_000 }, optional,
        "Broadcast, multicast and unknown unicast frames a second that it may send, each kind by itself; 300 if unsaid.",
        "1秒に送れるブロードキャスト、マルチキャスト、宛先不明のフレームの数(種類ごと)。省略時は300。"
};
const END_KEEPALIVE: Key = key! {
    "keepalive", Kind::AddressOrFalse, optional,
        "A host of the LAN behind the tunnel that is asked (ARP, neighbour solicitation) whether it lives; nobody is if unsaid.",
        "生存を(ARPか近隣要請で)尋ねる、トンネルの先のLANのホスト。省略時は誰にも尋ねません。"
};

pub static SEGMENT_PORT: Table = Table {
    name: "segment.port",
    keys: keys! {
        "at", Kind::PortRef, required,
            "Where it is: router:port.",
            "場所: ルーター:ポート。";
        "lan", Kind::Text, optional,
            "The name of the LAN behind it, where the same LAN hangs on another router's port too.",
            "つながっているLANの名前。同じLANが別のルーターのポートにもつながるときに書きます。";
        STANDBY;
        "vlan", Kind::Integer { least: 1, most: 4094 }, optional,
            "Only the frames of this VLAN (IEEE 802.1Q), without their tag.",
            "このVLAN(IEEE 802.1Q)のフレームだけを、タグを外して使います。";
        STORM_LIMIT;
    },
};

pub static SEGMENT_ETHERIP: Table = Table {
    name: "segment.etherip",
    keys: keys! {
        END_ROUTER;
        END_UPLINK;
        END_REMOTE;
        "accept-reversed", Kind::Flag, optional,
            "True: takes EtherIP headers of 0x03 as well, as FreeBSD 6.1 to 7.2 and other old BSDs sent them. We always send 0x30.",
            "trueなら、FreeBSD 6.1〜7.2など古いBSDが送るヘッダー(0x03)のEtherIPも受け取ります。こちらからは常に0x30で送ります。";
        CLAMP;
        END_LAN;
        STANDBY;
        STORM_LIMIT;
        END_KEEPALIVE;
    },
};

pub static SEGMENT_GRETAP: Table = Table {
    name: "segment.gretap",
    keys: keys! {
        END_ROUTER;
        END_UPLINK;
        END_REMOTE;
        "key", GRE_KEY, optional,
            "The key of GRE (RFC 2890) that both ends have agreed on; none if unsaid.",
            "両端で決めたGREのキー(RFC 2890)。省略時はキーなし。";
        CLAMP;
        END_LAN;
        STANDBY;
        STORM_LIMIT;
        END_KEEPALIVE;
    },
};

pub static SEGMENT_GENEVE: Table = Table {
    name: "segment.geneve",
    keys: keys! {
        END_ROUTER;
        END_UPLINK;
        END_REMOTE;
        "vni", GENEVE_VNI, required,
            "The virtual network identifier of GENEVE (RFC 8926) that both ends have agreed on.",
            "両端で決めたGENEVEの識別番号(RFC 8926)。";
        CLAMP;
        END_LAN;
        STANDBY;
        STORM_LIMIT;
        END_KEEPALIVE;
    },
};

pub static PEER: Table = Table {
    name: "peer",
    keys: keys! {
        "asn", ASN, required,
            "The network's AS number.",
            "相手のAS番号。";
        "role", Kind::Word(ROLES), required,
            "What it is to us: provider, peer, customer, or route-server (of an exchange, whose client we are). Says the whole policy.",
            "相手との関係: provider、peer、customer、route-server(IXのルートサーバー。こちらがクライアント)。これだけでポリシーが決まります。";
        "prefixes", Kind::List(&Kind::Prefix), optional,
            "What a customer may announce: these and what is within them, to /24 or /48.",
            "customerが広報してよいプレフィックス。その内側も、/24または/48まで含みます。";
        "as-set", Kind::AsSet, optional,
            "The peer's AS-SET in the IRR: `tsumugi irr` asks bgpq4 for its prefixes and writes them to `list`. Nothing else is taken.",
            "IRRにある相手のAS-SET。`tsumugi irr`がbgpq4でプレフィックスを調べて`list`に書きます。ほかの経路は受け取りません。";
        "list", Kind::Text, optional,
            "A file, from this file's folder, with the prefixes that the peer may announce: as bgpq4 prints it, or one a line. `lists/PEER.json` if unsaid beside `as-set`.",
            "相手が広報してよいプレフィックスを書いたファイル(このファイルからの相対パス)。bgpq4の出力か、1行に1つ。as-setだけを書いたときはlists/ピア名.json。";
        "origins", Kind::List(&ASN), optional,
            "The AS numbers at which its routes may begin; any if unsaid.",
            "相手の経路の発信元であってよいAS番号。省略時は問いません。";
        "never-via", Kind::List(&ASN), optional,
            "Networks whose routes it has no business to bring: what holds one of these AS numbers in its path is not taken from it.",
            "この相手から来るはずのない網。これらのAS番号をパスに含む経路は、この相手から受け取りません。";
        "announce", Kind::List(&Kind::Prefix), optional,
            "Of what its role lets it hear, only these prefixes and what is within them; all of it if unsaid.",
            "役割どおりに伝える経路のうち、これらとその内側だけを伝えます。省略時はすべて。";
        "withhold", Kind::List(&Kind::Prefix), optional,
            "Of what its role lets it hear, not these prefixes nor what is within them.",
            "役割どおりに伝える経路のうち、これらとその内側は伝えません。";
        "prepend", Kind::Integer { least: 0, most: 10 }, optional,
            "How often our AS number is prepended beyond the first; 0 if unsaid.",
            "自分のAS番号を余分にプリペンドする回数。省略時は0。";
        "limit", Kind::Integer { least: 1, most: 10_000_000 }, optional,
            "More prefixes than this per family end the session.",
            "IPの種類ごとの上限。これより多くのプレフィックスが来たらセッションを切ります。";
        "limit-warn", Kind::Integer { least: 1, most: 100 }, optional,
            "Percent of the limit of which the log hears; 75 if unsaid.",
            "上限の何%に達したらログに書くか。省略時は75。";
        "limit-rest", Kind::Integer { least: 1, most: 10_080 }, optional,
            "After how many minutes a session that went beyond the limit is tried again; 15 if unsaid.",
            "上限を超えて切れたセッションを何分後にまた試すか。省略時は15。";
        "add-paths-receive", Kind::Flag, optional,
            "True: takes several paths to one prefix, at most 64, if the peer sends them (RFC 7911): a route server's, of which each leads elsewhere. Each counts towards `limit`. The best alone if unsaid.",
            "trueなら、相手が送るとき、1つのプレフィックスへの複数の経路(最大64)を受け取ります(RFC 7911)。経路ごとに行き先の違うルートサーバーなどで使います。limitにはどれも数えます。省略時は最良の1つだけ。";
        "add-paths-send", Kind::Integer { least: 2, most: 64 }, optional,
            "How many paths to one prefix the peer is told, the best first, if it takes them (RFC 7911): for collectors and looking glasses. Packets go by our best path, whichever the peer chooses. The best alone if unsaid.",
            "相手が受け取るとき、1つのプレフィックスへの経路を良い順にいくつまで伝えるか(RFC 7911)。経路収集やルッキンググラス向け。相手がどれを選んでも、パケットはこちらの最良の経路を通ります。省略時は最良の1つだけ。";
        "strict-role", Kind::Flag, optional,
            "True: no session unless it says in OPEN that it is what `role` says (RFC 9234). If it says something else there is none anyway.",
            "trueなら、OPENで`role`のとおりだと名乗らない相手(RFC 9234)とはセッションを張りません。違うことを名乗る相手とは、いずれにせよ張りません。";
        "gtsm", Kind::Flag, optional,
            "True: what a router has passed on is dropped (RFC 5082). The peer must send with a hop limit of 255.",
            "trueなら、ほかのルーターを経たパケットを捨てます(RFC 5082)。相手がホップリミット255で送る必要があります。";
        "bfd", Kind::Flag, optional,
            "True: BFD (RFC 5880) watches the neighbours, and their sessions end as soon as it misses them. They must speak it too; while they do not, nothing changes. Not watched if unsaid.",
            "trueなら、相手をBFD(RFC 5880)で見張り、届かなくなればすぐにセッションを終わらせます。相手の設定も必要で、相手が話さないあいだは何も変わりません。省略時は見張りません。";
        "bfd-interval", BFD_INTERVAL_MS, optional,
            "Milliseconds between BFD's packets each way, or the far end's if it asks for more; 300 if unsaid.",
            "BFDパケットの間隔(ミリ秒)。相手がより長い間隔を求めればそれに従います。省略時は300。";
        BFD_MULTIPLIER;
        "bfd-multihop", Kind::Flag, optional,
            "True: BFD as over several hops (RFC 5883, UDP port 4784), for peers that ask for it.",
            "trueなら、複数ホップのBFD(RFC 5883、UDPポート4784)。相手に求められたときに使います。";
        "password", Kind::Secret, optional,
            "Signs the sessions (TCP MD5, RFC 2385): `secret:NAME`, where the file `secrets/NAME` in the router's state folder holds the text.",
            "セッションに署名します(TCP MD5、RFC 2385)。`secret:名前`と書き、中身はルーターの状態フォルダーの`secrets/名前`に置きます。";
        "drain", Kind::Flag, optional,
            "True: its sessions are about to go. Both ends are to prefer other ways (RFC 8326), so that traffic leaves them first.",
            "trueなら、まもなく切るセッションです。両端がほかの道を選ぶようにし(RFC 8326)、先に通信を逃がします。";
        "invalid", Kind::Word(INVALIDS), optional,
            "Routes that RPKI calls invalid: drop (if unsaid), last (the last choice of their kind), or take (nobody looks). A forged route is mostly longer than the true one and wins however little it is preferred, so only drop protects.",
            "RPKIで不正とされた経路の扱い: drop(省略時。受け取らない)、last(同種の最後の選択肢)、take(調べない)。偽の経路はたいてい本物より長く、優先度を下げても勝ってしまうので、守れるのはdropだけです。";
        "at", Kind::Many(&PEER_AT), required,
            "Where it is connected.",
            "接続場所。";
    },
};

pub static PEER_AT: Table = Table {
    name: "peer.at",
    keys: keys! {
        END_ROUTER;
        "by", Kind::Word(PEER_BY), required,
            "What carries the connection.",
            "接続の種類。";
        "over", UPLINK, optional,
            "Our uplink, of a tunnel.",
            "トンネルの、こちらのアクセス回線。";
        "port", Kind::Port, optional,
            "Our port, of an ethernet connection.",
            "ethernet接続の、こちらのポート。";
        "mtu", MTU, optional,
            "What the connection carries, in bytes; 1500 if unsaid.",
            "接続が運ぶバイト数。省略時は1500。";
        "remote", Kind::Address, optional,
            "The tunnel's far end.",
            "トンネルの相手側のアドレス。";
        "key", GRE_KEY, optional,
            "Of gretap: the key of GRE (RFC 2890) that both ends have agreed on; none if unsaid.",
            "gretapで、両端で決めたGREのキー(RFC 2890)。省略時はキーなし。";
        "vni", GENEVE_VNI, optional,
            "Of geneve: the virtual network identifier of GENEVE (RFC 8926) that both ends have agreed on.",
            "geneveで、両端で決めたGENEVEの識別番号(RFC 8926)。";
        "accept-reversed", Kind::Flag, optional,
            "Of etherip. True: takes EtherIP headers of 0x03 as well, as FreeBSD 6.1 to 7.2 and other old BSDs sent them. We always send 0x30.",
            "etheripで、trueなら、FreeBSD 6.1〜7.2など古いBSDが送るヘッダー(0x03)のEtherIPも受け取ります。こちらからは常に0x30で送ります。";
        CLAMP;
        "addresses", Kind::OneOrMore(&Kind::AddressWithLength), required,
            "Ours on the connection, with their prefix length.",
            "接続上のこちらのアドレスと長さ。";
        "neighbours", Kind::OneOrMore(&Kind::Address), required,
            "The peer's: a BGP session each.",
            "相手のアドレス。それぞれにBGPセッションを張ります。";
        "keepalive", Kind::AddressOrFalse, optional,
            "Who behind a tunnel is asked (ARP, neighbour solicitation) whether it lives, the first neighbour if unsaid; false: nobody.",
            "トンネルの先で生存を(ARPか近隣要請で)尋ねる相手。省略時は最初のneighbours。falseなら尋ねません。";
    },
};
