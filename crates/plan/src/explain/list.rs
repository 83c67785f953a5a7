//! Words for list files.

use super::Words;
use crate::lists::{Mistake, Trouble};

/// What is wrong with a list file, and what to do.
pub(super) fn words(path: &str, trouble: &Trouble) -> Words {
    match trouble {
        Trouble::Missing => Words::new(
            format!("there is no list file {path}"),
            "run `tsumugi irr FILE` (it asks bgpq4), or write the file: a prefix a line",
            format!("リストのファイル{path}がありません"),
            "`tsumugi irr ファイル`を実行するか(bgpq4で調べます)、1行に1つプレフィックスを書いたファイルを置いてください",
        ),
        Trouble::Unreadable { why } => Words::new(
            format!("{path} cannot be read: {why}"),
            "see that it is a text file that you may read",
            format!("{path}を読めません: {why}"),
            "読み取りの許可があるテキストファイルか確かめてください",
        ),
        Trouble::Empty => Words::new(
            format!("{path} lists nothing, so nothing would be taken"),
            "run `tsumugi irr FILE`, or list at least one prefix",
            format!("{path}に何も書かれていないので、何も受け取れません"),
            "`tsumugi irr ファイル`を実行するか、プレフィックスを少なくとも1つ書いてください",
        ),
        Trouble::TooLong { most } => Words::new(
            format!("{path} lists more than {most} prefixes, which nobody has"),
            "see what it is: an AS-SET that holds the whole Internet protects from nothing",
            format!("{path}に{most}を超えるプレフィックスがあります。そんな網はありません"),
            "内容を確かめてください。インターネット全体を含むAS-SETでは何も守れません",
        ),
        Trouble::Wrong { line, mistake, more } => {
            let wrong = mistake_words(mistake);
            let (en, ja) = match more {
                0 => (String::new(), String::new()),
                more => (format!(" ({more} more like it)"), format!("(ほかに{more}か所)")),
            };
            Words::new(
                format!("{path} line {line}: {}{en}", wrong.en.what),
                wrong.en.instead,
                format!("{path}の{line}行目: {}{ja}", wrong.ja.what),
                wrong.ja.instead,
            )
        }
    }
}

fn mistake_words(mistake: &Mistake) -> Words {
    match mistake {
        Mistake::NotAPrefix { text } => Words::new(
            format!("`{text}` is not a prefix"),
            "write a prefix a line, such as 192.0.2.0/24 or 2001:db8::/32<=48, or use what bgpq4 prints (-j)",
            format!("`{text}`はプレフィックスではありません"),
            "192.0.2.0/24や2001:db8::/32<=48のように1行に1つ書くか、bgpq4(-j)の出力を使ってください",
        ),
        Mistake::LengthMissing { text } => Words::new(
            format!("`{text}` has no length"),
            format!("write {text}/LENGTH"),
            format!("`{text}`に長さがありません"),
            format!("{text}/長さ と書いてください"),
        ),
        Mistake::HostBits { network } => Words::new(
            "bits are set beyond the prefix's length",
            format!("write {network}"),
            "プレフィックスの長さより後ろのビットが立っています",
            format!("{network}と書いてください"),
        ),
        Mistake::Lengths { text } => Words::new(
            format!("`{text}` speaks of lengths that no prefix within has"),
            "write the prefix alone, or PREFIX<=LONGEST, or PREFIX>=SHORTEST<=LONGEST",
            format!("`{text}`の長さの範囲が成り立ちません"),
            "プレフィックスだけを書くか、プレフィックス<=最長、またはプレフィックス>=最短<=最長と書いてください",
        ),
        Mistake::Denies { text } => Words::new(
            format!("`{text}` forbids, and a list says only what may come"),
            "leave out what may not come: whatever is not listed is refused",
            format!("`{text}`は禁止の指定です。リストに書くのは受け取ってよいものだけです"),
            "受け取らないものは書かないでください。リストにないものは拒否します",
        ),
        Mistake::Json { why } => Words::new(
            format!("it is not the JSON of a prefix list: {why}"),
            "use what `bgpq4 -j` prints: { \"NAME\": [ { \"prefix\": \"192.0.2.0/24\", \"exact\": true } ] }",
            format!("プレフィックスのリストのJSONではありません: {why}"),
            "`bgpq4 -j`の出力を使ってください: { \"名前\": [ { \"prefix\": \"192.0.2.0/24\", \"exact\": true } ] }",
        ),
        Mistake::AsNumbers => Words::new(
            "it lists AS numbers (bgpq4 -t), not prefixes",
            "run bgpq4 without -t",
            "プレフィックスではなくAS番号のリスト(bgpq4 -t)です",
            "bgpq4を-tなしで実行してください",
        ),
    }
}
