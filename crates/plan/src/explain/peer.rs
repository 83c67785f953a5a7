//! Words for networks outside.

use super::{Words, family, list};
use crate::problem::PeerProblem;

pub(super) fn words(kind: &PeerProblem) -> Words {
    match kind {
        PeerProblem::AsnIsOurs { asn } => Words::new(
            format!("{asn} is this network itself"),
            "write the other network's AS number; to a router of your own, use [[link]]",
            format!("{asn}はこのネットワーク自身の番号です"),
            "相手のAS番号を書いてください。自分のルーターどうしなら[[link]]を使います",
        ),
        PeerProblem::AsnPrivate { asn, role } => Words::new(
            format!(
                "{asn} is for private use, which only a customer may have, and this is a {}",
                crate::declaration::word(*role)
            ),
            "write the network's public AS number",
            format!(
                "{asn}はプライベートAS番号です。使えるのはcustomerだけですが、これは{}です",
                crate::declaration::word(*role)
            ),
            "相手の公式なAS番号を書いてください",
        ),
        PeerProblem::AsnReserved { asn } => Words::new(
            format!("{asn} is reserved: no network has it"),
            "write the network's public AS number",
            format!("{asn}は予約された番号で、どのネットワークのものでもありません"),
            "相手の公式なAS番号を書いてください",
        ),
        PeerProblem::AsnIsRouters { asn, router } => Words::new(
            format!("{asn} is what router {router} speaks as inside: its paths would be stripped"),
            "agree on another number with the customer, or give the router another `asn`",
            format!("{asn}はルーター {router}が内部で使う番号なので、経路から取り除かれてしまいます"),
            "相手と別の番号を決めるか、ルーターに別の`asn`を付けてください",
        ),
        PeerProblem::CustomerWithoutPrefixes => Words::new(
            "nothing says what this customer may announce",
            "add `prefixes = [\"…\"]`, or `as-set` with `strict-role = true`: anything else is refused",
            "このcustomerが何を広報してよいか書かれていません",
            "`prefixes = [\"…\"]`を書き足すか、`as-set`と`strict-role = true`を書いてください。ほかのものは拒否します",
        ),
        PeerProblem::WithoutLimit { key } => Words::new(
            format!("`{key}` speaks of a limit, and this peer has none"),
            "add `limit = …`, or remove it",
            format!("`{key}`は上限についてのキーですが、このピアに上限がありません"),
            "`limit = …`を書き足すか、消してください",
        ),
        PeerProblem::PrefixesOutOfPlace { role } => Words::new(
            format!(
                "only a customer's prefixes are listed, and this is a {}",
                crate::declaration::word(*role)
            ),
            "remove `prefixes`, or write them one a line into a file and name it by `list`",
            format!("prefixesを書くのはcustomerだけですが、これは{}です", crate::declaration::word(*role)),
            "`prefixes`を消すか、1行に1つずつファイルに書いて`list`で指定してください",
        ),
        PeerProblem::PrefixTooLong { prefix, longest } => Words::new(
            format!(
                "{prefix} is longer than /{longest}, and nothing longer is taken from outside or announced"
            ),
            format!("write the /{longest} around it, if it is the customer's"),
            format!("{prefix}は/{longest}より長く、受け取りも広報もできません"),
            format!("customerのものであれば、それを含む/{longest}を書いてください"),
        ),
        PeerProblem::PrefixInPool { prefix, pool } => Words::new(
            format!("{prefix} overlaps {pool}, where the routers' loopbacks are"),
            "lend the customer a part that nothing of the network's own uses",
            format!("{prefix}が、ルーターのループバックの範囲{pool}と重なっています"),
            "ネットワーク自身が使っていない部分を割り当ててください",
        ),
        PeerProblem::PrefixNotGlobal { prefix } => super::network::not_global(&prefix.to_string()),
        PeerProblem::CustomerUnconfirmed => Words::new(
            "a customer hears everything, and here nothing but this one word says that it is one",
            "add `strict-role = true`, so that it must say so itself (RFC 9234), or `prefixes` beside the list",
            "customerにはすべての経路を伝えますが、customerだと言っているのはこの1語だけです",
            "`strict-role = true`を書いて相手にも名乗らせるか(RFC 9234)、リストのほかに`prefixes`も書いてください",
        ),
        PeerProblem::List { path, trouble } => list::words(path, trouble),
        PeerProblem::ListWithoutFamily { path, family: of } => Words::new(
            format!("{path} lists nothing of {}, so nothing is taken on its session", family(*of)),
            "list what the peer may announce, or remove the neighbour of this family",
            format!("{path}に{}のものがないので、そのセッションでは何も受け取りません", family(*of)),
            "相手が広報してよいものをリストに書くか、この種類の隣を消してください",
        ),
        PeerProblem::ListTwice { path } => Words::new(
            format!("{path} would be written for two AS-SETs"),
            "give each its own `list`",
            format!("{path}に2つのAS-SETのリストを書くことになります"),
            "それぞれに別の`list`を書いてください",
        ),
        PeerProblem::NeverViaItself { asn } => Words::new(
            format!(
                "{asn} stands in every path here, so nothing would be taken or everything already is refused"
            ),
            "write the AS numbers of others, whose routes this peer has no business to bring",
            format!("{asn}はこの相手自身か自分たちの番号です"),
            "この相手から来るはずのない、ほかの網のAS番号を書いてください",
        ),
        _ => connections(kind),
    }
}

fn connections(kind: &PeerProblem) -> Words {
    match kind {
        PeerProblem::NeighbourNotOnConnection { neighbour } => Words::new(
            format!("the neighbour {neighbour} is not within any of `addresses`"),
            "check both: a session needs an address of ours in the neighbour's subnet",
            format!("隣のアドレス{neighbour}が、`addresses`のどのサブネットにもありません"),
            "両方を確かめてください。セッションには、相手と同じサブネットのアドレスが必要です",
        ),
        PeerProblem::NeighbourIsOurs { neighbour } => Words::new(
            format!("the neighbour {neighbour} is our own address"),
            "write the peer's address",
            format!("隣のアドレス{neighbour}がこちら自身のアドレスになっています"),
            "相手のアドレスを書いてください",
        ),
        PeerProblem::KeepaliveNotBeside { address } => Words::new(
            format!("{address} cannot be asked here: it is in no subnet of `addresses`, or it is ours"),
            "write the address of a host at the far end of this connection, or leave `keepalive` out: then the first neighbour is asked",
            format!(
                "{address}には尋ねられません。`addresses`のどのサブネットにもないか、こちら自身のアドレスです"
            ),
            "この接続の相手側にあるホストのアドレスを書くか、`keepalive`を省いてください(省略時は最初の隣に尋ねます)",
        ),
        PeerProblem::NeighbourTwice { neighbour } => Words::new(
            format!("this router already has a session with {neighbour}"),
            "remove one of the two",
            format!("このルーターにはすでに{neighbour}とのセッションがあります"),
            "どちらかを消してください",
        ),
        PeerProblem::AddressWithoutNeighbour { address } => Words::new(
            format!("no neighbour is within {}, so {} gets no session", address.trunc(), address.addr()),
            "add the peer's address to `neighbours`, or remove this one",
            format!(
                "{}の中に相手のアドレスがないので、{}にはセッションが張られません",
                address.trunc(),
                address.addr()
            ),
            "`neighbours`に相手のアドレスを足すか、このアドレスを消してください",
        ),
        PeerProblem::AddressInPool { address, space } => Words::new(
            format!("{address} lies within {space}, which loopbacks or management have for themselves"),
            "write the address that was agreed with the peer for this connection",
            format!("{address}が、ループバックか管理用の{space}の中にあります"),
            "この接続のために相手と決めたアドレスを書いてください",
        ),
        PeerProblem::ConnectionsOverlap { address, first } => Words::new(
            format!(
                "{} overlaps {}, which another connection of this router has",
                address.trunc(),
                first.trunc()
            ),
            "give each connection a subnet of its own, or put both neighbours on one connection",
            format!("{}が、このルーターの別の接続の{}と重なっています", address.trunc(), first.trunc()),
            "接続ごとに別のサブネットにするか、1つの接続に両方の相手を書いてください",
        ),
        PeerProblem::RemoteFamily { line, family: of } => Words::new(
            format!("line {line} states no address of {} to send from", family(*of)),
            "write the far end's address of the other family, or state one of this family on the line",
            format!("回線 {line}に、送信元になる{}のアドレスが書かれていません", family(*of)),
            "相手のもう一方の種類のアドレスを書くか、回線にこの種類のアドレスを書いてください",
        ),
        PeerProblem::RemoteInside { remote, space } => Words::new(
            format!("the far end {remote} lies within {space}, which is this network's own"),
            "write the address at which the peer's tunnel ends, outside this network",
            format!("相手側の{remote}が、このネットワーク自身の{space}の中にあります"),
            "このネットワークの外にある、相手のトンネルの端のアドレスを書いてください",
        ),
        PeerProblem::RemoteIsOurs { remote } => Words::new(
            format!("the far end {remote} is the line's own address"),
            "write the address at which the peer's tunnel ends",
            format!("相手側の{remote}が回線自身のアドレスになっています"),
            "相手のトンネルの端のアドレスを書いてください",
        ),
        // All others have been put in words by the caller.
        _ => Words::default(),
    }
}
