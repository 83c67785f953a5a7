//! Words for how a file is written.

use super::Words;
use crate::declaration::MAX_BYTES;
use crate::declaration::keys::Kind;
use crate::problem::{Found, Reading, Syntax};

pub(super) fn words(kind: &Reading) -> Words {
    match kind {
        Reading::Syntax { syntax } => syntax_words(syntax),
        Reading::UnknownKey { table, key, suggestion } => unknown_key(table, key, *suggestion),
        Reading::MissingKey { table, name, key } => missing_key(table, name, key),
        Reading::WrongType { expected, found } => {
            let ((en, ja), (found_en, found_ja)) = (expected_words(expected), found_words(*found));
            Words::new(
                format!("this should be {en}, not {found_en}"),
                format!("write {}", example(expected)),
                format!("ここには{ja}を書きますが、{found_ja}になっています"),
                format!("{}のように書いてください", example(expected)),
            )
        }
        Reading::UnknownWord { word, known, suggestion } => {
            let (en, ja) = did_you_mean(*suggestion);
            Words::new(
                format!("`{word}` is not known here"),
                format!("{en}write one of {}", known.join(", ")),
                format!("`{word}`はここでは使えません"),
                format!("{ja}{}のどれかを書いてください", known.join("、")),
            )
        }
        Reading::OutOfRange { least, most } => Words::new(
            format!("this number must be from {least} to {most}"),
            format!("write a number from {least} to {most}"),
            format!("この数は{least}から{most}まででなければなりません"),
            format!("{least}から{most}までの数を書いてください"),
        ),
        Reading::BadName { name } => Words::new(
            format!("`{name}` cannot be a name"),
            "use up to 40 small letters, digits and hyphens, with no hyphen at either end",
            format!("`{name}`は名前に使えません"),
            "英小文字、数字、ハイフンだけで40文字以内にし、ハイフンで始めたり終えたりしないでください",
        ),
        Reading::NotAPair { count } => Words::new(
            format!("a link has two ends, and this list has {count}"),
            "write one value for each end, in the order of `between`",
            format!("リンクの端は2つですが、このリストには{count}個あります"),
            "`between`と同じ順に、両端の値を1つずつ書いてください",
        ),
        Reading::EmptyList => Words::new(
            "this list is empty",
            "write at least one value, or leave the key out where it is optional",
            "リストが空です",
            "値を1つ以上書くか、省略できるキーなら行ごと消してください",
        ),
        Reading::Repeated { text } => Words::new(
            format!("`{text}` stands in this list twice"),
            "remove one of them",
            format!("`{text}`がリストに2回書かれています"),
            "どちらかを消してください",
        ),
        _ => texts(kind),
    }
}

/// Texts that are not the texts they should be.
fn texts(kind: &Reading) -> Words {
    match kind {
        Reading::BadText => Words::new(
            "this text is empty, longer than 200 bytes, or holds control characters",
            "write a short text on one line",
            "空か、200バイトより長いか、制御文字を含むテキストです",
            "1行の短いテキストを書いてください",
        ),
        Reading::BadPort { text } => Words::new(
            format!("`{text}` cannot be the name of a port"),
            "write the name that `ip link` shows, such as eth0: 1 to 15 bytes, without spaces, slashes or colons",
            format!("`{text}`はポートの名前として使えません"),
            "`ip link`で表示されるeth0のような名前を書いてください(1〜15バイト、空白・スラッシュ・コロンなし)",
        ),
        Reading::BadPortRef { text } => Words::new(
            format!("`{text}` does not say which port of which router"),
            "write router:port, such as \"er0111:eth5\"",
            format!("`{text}`では、どのルーターのどのポートか分かりません"),
            "\"er0111:eth5\"のように「ルーター:ポート」と書いてください",
        ),
        Reading::BadAddressRange { text } => Words::new(
            format!("`{text}` is not a range of IPv4 addresses"),
            "write the first and the last address with a hyphen between them, such as \"192.0.2.10-192.0.2.20\"",
            format!("`{text}`はIPv4アドレスの範囲ではありません"),
            "\"192.0.2.10-192.0.2.20\"のように、最初と最後のアドレスをハイフンでつないで書いてください",
        ),
        Reading::BadAsSet { text } => Words::new(
            format!("`{text}` is not the name of an AS-SET"),
            "write it as the IRR has it, such as \"AS-EXAMPLE\", \"AS64500:AS-CUSTOMERS\" or \"RIPE::AS-EXAMPLE\", or one AS number as \"AS64500\"",
            format!("`{text}`はAS-SETの名前ではありません"),
            "IRRにあるとおり\"AS-EXAMPLE\"、\"AS64500:AS-CUSTOMERS\"、\"RIPE::AS-EXAMPLE\"のように書くか、AS番号を1つ\"AS64500\"のように書いてください",
        ),
        Reading::BadSecret => Words::new(
            "a secret never stands in the file: this is not its name",
            "write \"secret:NAME\", and put the secret in the file `secrets/NAME` of the router's state folder",
            "秘密そのものはファイルに書きません。これは秘密の名前になっていません",
            "\"secret:名前\"と書き、秘密はルーターの状態フォルダーの`secrets/名前`に置いてください",
        ),
        Reading::BadRouteTarget { text } => Words::new(
            format!("`{text}` is not a route target"),
            "write an AS number, a colon and a number, such as \"63806:100\": up to 4294967295 behind an AS number of 16 bits, up to 65535 behind a longer one",
            format!("`{text}`はルートターゲットではありません"),
            "\"63806:100\"のように、AS番号、コロン、番号の順に書いてください(16ビットのAS番号なら4294967295まで、それより大きいAS番号なら65535まで)",
        ),
        Reading::BadPrefix { text } => Words::new(
            format!("`{text}` is not an IP address with its prefix length"),
            "write an address, a slash and the length, such as \"192.0.2.1/24\" or \"2001:db8::1/64\"",
            format!("`{text}`は、プレフィックス長の付いたIPアドレスではありません"),
            "\"192.0.2.1/24\"や\"2001:db8::1/64\"のように、アドレス、スラッシュ、長さの順に書いてください",
        ),
        Reading::BadAddress { text } => Words::new(
            format!("`{text}` is not an IP address"),
            "write an address without a length, such as \"192.0.2.1\" or \"2001:db8::1\"",
            format!("`{text}`はIPアドレスではありません"),
            "\"192.0.2.1\"や\"2001:db8::1\"のように、長さを付けずに書いてください",
        ),
        Reading::BadEndpoint { text } => Words::new(
            format!("`{text}` is not an IP address with a port"),
            "write both, such as \"192.0.2.1:323\" or \"[2001:db8::1]:323\"; a name would need DNS before there are routes",
            format!("`{text}`は「IPアドレス:ポート」になっていません"),
            "\"192.0.2.1:323\"や\"[2001:db8::1]:323\"のように書いてください。ホスト名は、経路より先にDNSが要ることになるので使えません",
        ),
        Reading::LengthUnasked { address } => Words::new(
            "here an address stands alone, without a prefix length",
            format!("write \"{address}\""),
            "ここにはプレフィックス長を付けません",
            format!("\"{address}\"と書いてください"),
        ),
        Reading::LengthMissing { address } => {
            let usual = if address.is_ipv4() { 24 } else { 64 };
            Words::new(
                "the prefix length is missing",
                format!("write the address with its length, such as \"{address}/{usual}\""),
                "プレフィックス長がありません",
                format!("\"{address}/{usual}\"のように、アドレスに長さを付けて書いてください"),
            )
        }
        Reading::HostBits { network } => Words::new(
            "this is an address within a prefix, and a prefix is meant",
            format!("write \"{network}\""),
            "プレフィックスを書くところですが、その中のアドレスになっています",
            format!("\"{network}\"と書いてください"),
        ),
        // All others have been put in words by the caller.
        _ => Words::default(),
    }
}

fn unknown_key(table: &str, key: &str, suggestion: Option<&str>) -> Words {
    let (place_en, place_ja) = match table {
        "file" => ("at the top of the file".to_string(), "ファイルの最上位".to_string()),
        table => (format!("in [{table}]"), format!("[{table}]")),
    };
    let (en, ja) = match suggestion {
        Some(known) => (format!("did you mean `{known}`?"), format!("`{known}`のことですか?")),
        None => (
            "remove it; `tsumugi schema` lists every key".to_string(),
            "消してください。使えるキーは`tsumugi schema`で一覧できます".to_string(),
        ),
    };
    Words::new(
        format!("unknown key `{key}` {place_en}"),
        en,
        format!("{place_ja}に`{key}`というキーはありません"),
        ja,
    )
}

fn missing_key(table: &str, name: &str, key: &str) -> Words {
    let spec = crate::declaration::keys::all().find(|known| known.name == table);
    let spec = spec.and_then(|table| table.key(key));
    let (doc_en, doc_ja, example) =
        spec.map_or(("", "", String::new()), |spec| (spec.en, spec.ja, example(&spec.kind)));
    let line = match spec.map(|spec| spec.kind) {
        Some(Kind::One(_) | Kind::Named(_) | Kind::Many(_)) => example,
        _ => format!("{key} = {example}"),
    };
    if table == "file" {
        return Words::new(
            format!("the table [{key}] is missing"),
            format!("add [{key}]: {doc_en}"),
            format!("[{key}]がありません"),
            format!("[{key}]を書き足してください: {doc_ja}"),
        );
    }
    let (whose_en, whose_ja) = match name {
        "" => (format!("this {table}"), format!("この{table}")),
        name => (format!("{table} {name}"), format!("{table} {name}")),
    };
    Words::new(
        format!("{whose_en} says nothing of `{key}`"),
        format!("add `{line}`: {doc_en}"),
        format!("{whose_ja}に`{key}`がありません"),
        format!("`{line}`のように書き足してください: {doc_ja}"),
    )
}

fn did_you_mean(suggestion: Option<&str>) -> (String, String) {
    match suggestion {
        Some(known) => (format!("did you mean `{known}`? "), format!("`{known}`のことですか? ")),
        None => (String::new(), String::new()),
    }
}

fn found_words(found: Found) -> (&'static str, &'static str) {
    match found {
        Found::Text => ("a text", "テキスト"),
        Found::Integer => ("a number", "数"),
        Found::Float => ("a number with a fraction", "小数"),
        Found::Flag => ("true or false", "trueかfalse"),
        Found::Date => ("a date or time", "日付や時刻"),
        Found::List => ("a list", "リスト"),
        Found::Table => ("a table", "テーブル"),
    }
}

fn expected_words(kind: &Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Text => ("a text in quotation marks", "引用符で囲んだテキスト"),
        Kind::Name(_) => ("a name in quotation marks", "引用符で囲んだ名前"),
        Kind::Port => ("a port's name in quotation marks", "引用符で囲んだポートの名前"),
        Kind::PortRef => ("a router's port in quotation marks", "引用符で囲んだルーターのポート"),
        Kind::AddressRange => ("two IPv4 addresses in quotation marks", "引用符で囲んだ2つのIPv4アドレス"),
        Kind::AsSet => ("the name of an AS-SET in quotation marks", "引用符で囲んだAS-SETの名前"),
        Kind::Secret => ("the name of a secret in quotation marks", "引用符で囲んだ秘密の名前"),
        Kind::RouteTarget => ("a route target in quotation marks", "引用符で囲んだルートターゲット"),
        Kind::Flag => ("true or false", "trueかfalse"),
        Kind::Integer { .. } => ("a whole number", "整数"),
        Kind::Prefix => ("a prefix in quotation marks", "引用符で囲んだプレフィックス"),
        Kind::AddressWithLength | Kind::LineAddress => {
            ("an address with its length in quotation marks", "引用符で囲んだ長さ付きのアドレス")
        }
        Kind::Endpoint => {
            ("an address with its port in quotation marks", "引用符で囲んだポート付きのアドレス")
        }
        Kind::Address => ("an address in quotation marks", "引用符で囲んだアドレス"),
        Kind::AddressOrFalse => {
            ("false, or an address in quotation marks", "falseか、引用符で囲んだアドレス")
        }
        Kind::Word(_) | Kind::LineKind | Kind::Reach => ("a word in quotation marks", "引用符で囲んだ語"),
        Kind::List(_) | Kind::ListOrNone(_) => ("a list in brackets", "角括弧で囲んだリスト"),
        Kind::OneOrMore(_) => ("a text, or a list of them", "テキストかそのリスト"),
        Kind::Pair(_) => ("a list of two", "2つの値のリスト"),
        Kind::One(_) | Kind::Named(_) => ("a table", "テーブル"),
        Kind::Many(_) => ("a list of tables", "テーブルのリスト"),
    }
}

/// How such a value looks in a file.
pub(super) fn example(kind: &Kind) -> String {
    match kind {
        Kind::Text | Kind::Name(_) => "\"…\"".into(),
        Kind::Port => "\"eth0\"".into(),
        Kind::PortRef => "\"router:eth0\"".into(),
        Kind::AddressRange => "\"192.0.2.10-192.0.2.20\"".into(),
        Kind::AsSet => "\"AS-EXAMPLE\"".into(),
        Kind::Secret => "\"secret:name\"".into(),
        Kind::RouteTarget => "\"64500:100\"".into(),
        Kind::Reach => "\"segments\"".into(),
        Kind::Flag => "true".into(),
        Kind::Integer { least, .. } => least.to_string(),
        Kind::Prefix => "\"2001:db8::/32\"".into(),
        Kind::AddressWithLength => "\"2001:db8::1/64\"".into(),
        Kind::LineAddress => "\"auto\"".into(),
        Kind::Address | Kind::AddressOrFalse => "\"2001:db8::1\"".into(),
        Kind::Endpoint => "\"[2001:db8::1]:323\"".into(),
        Kind::Word(words) => format!("\"{}\"", words.first().unwrap_or(&"…")),
        Kind::LineKind => "\"ftth-ipoe\"".into(),
        Kind::List(inner) | Kind::ListOrNone(inner) => format!("[{}]", example(inner)),
        Kind::OneOrMore(inner) => example(inner),
        Kind::Pair(inner) => format!("[{0}, {0}]", example(inner)),
        Kind::One(table) => format!("[{}]", table.name),
        Kind::Named(table) => format!("[{}.NAME]", table.name),
        Kind::Many(table) => format!("[[{}]]", table.name.replace('.', ".NAME.")),
    }
}

fn syntax_words(syntax: &Syntax) -> Words {
    match syntax {
        Syntax::Twice => Words::new(
            "this is said twice",
            "keep one of the two, or give one another name",
            "同じものが2回書かれています",
            "どちらかを消すか、別の名前にしてください",
        ),
        Syntax::UnclosedList => Words::new(
            "this list is not closed",
            "put a `]` after its last value",
            "リストが閉じられていません",
            "最後の値の後に`]`を書いてください",
        ),
        Syntax::UnclosedTable => Words::new(
            "a bracket is not closed",
            "close what was opened on this line: `[name]`, `[[name]]` or `{ key = value }`",
            "括弧が閉じられていません",
            "この行で開いた括弧を閉じてください: `[名前]`、`[[名前]]`、`{ キー = 値 }`",
        ),
        Syntax::UnclosedText => Words::new(
            "a text is not closed",
            "put a quotation mark at its end",
            "テキストが閉じられていません",
            "テキストの終わりに引用符を書いてください",
        ),
        Syntax::Unquoted => Words::new(
            "a text must stand in quotation marks",
            "put \" before and after it",
            "テキストは引用符で囲む必要があります",
            "前後に\"を書いてください",
        ),
        Syntax::MissingValue => Words::new(
            "the value is missing",
            "write a value after the `=`",
            "値がありません",
            "`=`の後に値を書いてください",
        ),
        Syntax::MissingEquals => Words::new(
            "a line says `key = value`, and this one has no `=`",
            "write an `=` between the key and its value, or a `#` before words for people",
            "行は「キー = 値」と書きますが、`=`がありません",
            "キーと値のあいだに`=`を書いてください。説明の文なら行頭に`#`を付けてください",
        ),
        Syntax::MissingComma => Words::new(
            "a comma is missing between two values",
            "put a comma between them",
            "2つの値のあいだにコンマがありません",
            "値と値のあいだにコンマを書いてください",
        ),
        Syntax::TooDeep => Words::new(
            "brackets are nested too deeply",
            "nothing in this file needs more than a list of texts within a table",
            "括弧の入れ子が深すぎます",
            "このファイルでは、テーブルの中のテキストのリストより深い入れ子は必要ありません",
        ),
        Syntax::TooLarge => Words::new(
            format!("the file is larger than {} MiB", MAX_BYTES >> 20),
            "a thousand routers need half a MiB: this is hardly the right file",
            format!("ファイルが{}MiBより大きいです", MAX_BYTES >> 20),
            "ルーター1000台でも0.5MiBほどです。別のファイルを指定していませんか",
        ),
        Syntax::Other(message) => Words::new(
            format!("this is not TOML: {message}"),
            "see https://toml.io for how TOML is written",
            format!("TOMLとして読めません: {message}"),
            "TOMLの書き方は https://toml.io/ja を見てください",
        ),
    }
}
