//! Words for names and numbers.

use super::{Words, noun};
use crate::problem::{Naming, Noun};

pub(super) fn words(kind: &Naming) -> Words {
    match kind {
        Naming::Dangling { what, name, of, suggestion } => {
            dangling(*what, name, of.as_deref(), suggestion.as_deref())
        }
        Naming::DuplicateId { what, id, first } => {
            let (en, ja) = noun(*what);
            let (among_en, among_ja) = match what {
                Noun::Device => ("devices of this site", "この拠点の機器"),
                Noun::Site => ("sites", "拠点"),
                Noun::Person => ("persons", "人"),
                _ => ("routers", "ルーター"),
            };
            Words::new(
                format!("id {id} already belongs to {en} {first}"),
                format!(
                    "give a number that no other of the {among_en} has or ever had: addresses come from it"
                ),
                format!("id {id}はすでに{ja} {first}が使っています"),
                format!(
                    "ほかの{among_ja}が使っておらず、過去にも使っていない番号にしてください。アドレスがこの番号から決まります"
                ),
            )
        }
        Naming::DuplicateVni { vni, first } => Words::new(
            format!("VNI {vni} already belongs to segment {first}"),
            "give a number that no other segment has",
            format!("VNI {vni}はすでにセグメント {first}が使っています"),
            "ほかのセグメントが使っていない番号にしてください",
        ),
        Naming::DuplicateAsn { asn, first } => Words::new(
            format!("{asn} already belongs to router {first}"),
            "leave `asn` out: 4200000000 + id is unique",
            format!("{asn}はすでにルーター {first}が使っています"),
            "`asn`を書かなければ、重ならない番号(4200000000 + id)になります",
        ),
        Naming::DuplicateName { name } => Words::new(
            format!(
                "`{name}` is a router as well, and members of the management network need names of their own"
            ),
            format!("call the person something else, such as `{name}-laptop`"),
            format!(
                "`{name}`という名前のルーターもあります。管理ネットワークに入るものの名前は重なってはいけません"
            ),
            format!("人のほうを`{name}-laptop`のような別の名前にしてください"),
        ),
    }
}

fn dangling(what: Noun, name: &str, of: Option<&str>, suggestion: Option<&str>) -> Words {
    let (en, ja) = noun(what);
    let (table, mine_en, mine_ja) = match (what, of) {
        (Noun::Uplink, Some(router)) => (
            format!("[router.{router}.uplink.{name}]"),
            format!("router {router} has no uplink `{name}`"),
            format!("ルーター {router}に`{name}`という回線はありません"),
        ),
        (Noun::Site, _) => (
            format!("[site.{name}]"),
            format!("there is no {en} `{name}`"),
            format!("`{name}`という{ja}はありません"),
        ),
        _ => (
            format!("[router.{name}]"),
            format!("there is no {en} `{name}`"),
            format!("`{name}`という{ja}はありません"),
        ),
    };
    let (help_en, help_ja) = match suggestion {
        Some(known) => (format!("did you mean `{known}`?"), format!("`{known}`のことですか?")),
        None => (
            format!("add {table}, or name one that is there"),
            format!("{table}を書き足すか、すでにある名前を書いてください"),
        ),
    };
    Words::new(mine_en, help_en, mine_ja, help_ja)
}
