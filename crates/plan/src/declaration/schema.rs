//! The file's JSON schema (draft 2020-12), for editors.
//!
//! Made by hand from the table of keys and not derived from the types by a library: the table is
//! what the reader itself goes by, with its ranges, words and texts, so that reader and schema
//! cannot drift apart, and a derived schema would know only Rust's types.

use super::keys::{FILE, Kind, LINE_CLIENTS, LINE_KINDS, REACHES, Table, all};
use serde_json::{Map, Value, json};

/// The schema, with each key's meaning in English (`description`) and Japanese (`x-ja`).
pub fn schema() -> Value {
    let mut tables = Map::new();
    for table in all().filter(|table| table.name != FILE.name) {
        tables.insert(table.name.into(), of_table(table));
    }
    let mut root = of_table(&FILE);
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("A network that tsumugi runs");
    root["$defs"] = Value::Object(tables);
    root
}

fn of_table(table: &Table) -> Value {
    let mut properties = Map::new();
    for key in table.keys {
        let mut property = of_kind(&key.kind);
        property["description"] = json!(key.en);
        property["x-ja"] = json!(key.ja);
        properties.insert(key.name.into(), property);
    }
    let required: Vec<&str> = table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// What `tsumugi check` takes for a name.
const NAME: &str = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$";
const V4: &str = r"\d{1,3}(\.\d{1,3}){3}";
const V6: &str = "[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*";

fn of_kind(kind: &Kind) -> Value {
    let text = |pattern: String| json!({ "type": "string", "pattern": pattern });
    match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1, "maxLength": 200 }),
        Kind::Name(_) => text(NAME.into()),
        Kind::Port => text(r"^[^/:\s]{1,15}$".into()),
        Kind::PortRef => text(r"^[a-z0-9-]+:[^/:\s]{1,15}$".into()),
        Kind::AddressRange => text(format!("^{V4} *- *{V4}$")),
        Kind::AsSet => text(r"^([A-Za-z0-9_-]+::)?[Aa][Ss][A-Za-z0-9_-]+(:[Aa][Ss][A-Za-z0-9_-]+)*$".into()),
        Kind::Secret => text(r"^secret:[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$".into()),
        Kind::RouteTarget => text(format!(r"^(\d{{1,10}}|{V4}):\d{{1,10}}$")),
        Kind::Reach => {
            let words: Vec<&str> = REACHES.iter().copied().filter(|word| !word.contains('.')).collect();
            let segment = NAME.trim_start_matches('^');
            json!({ "anyOf": [{ "enum": words }, text(format!(r"^segment\.{segment}"))] })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Prefix | Kind::AddressWithLength => text(format!(r"^({V4}|{V6})/\d{{1,3}}$")),
        Kind::Address => text(format!("^({V4}|{V6})$")),
        Kind::AddressOrFalse => json!({ "anyOf": [{ "const": false }, of_kind(&Kind::Address)] }),
        Kind::Endpoint => text(format!(r"^({V4}|\[{V6}\]):\d{{1,5}}$")),
        Kind::LineAddress => {
            json!({ "anyOf": [{ "enum": LINE_CLIENTS }, of_kind(&Kind::AddressWithLength)] })
        }
        Kind::Word(words) => json!({ "enum": words }),
        Kind::LineKind => json!({ "enum": LINE_KINDS }),
        Kind::List(inner) => json!({ "type": "array", "items": of_kind(inner), "minItems": 1 }),
        Kind::ListOrNone(inner) => json!({ "type": "array", "items": of_kind(inner) }),
        Kind::OneOrMore(inner) => json!({ "anyOf": [of_kind(inner), of_kind(&Kind::List(inner))] }),
        Kind::Pair(inner) => {
            json!({ "type": "array", "items": of_kind(inner), "minItems": 2, "maxItems": 2 })
        }
        Kind::One(table) => reference(table),
        Kind::Named(table) => json!({
            "type": "object",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": reference(table),
        }),
        Kind::Many(table) => json!({ "type": "array", "items": reference(table) }),
    }
}

fn reference(table: &Table) -> Value {
    json!({ "$ref": format!("#/$defs/{}", table.name) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_schema_has_every_table_and_refers_to_nothing_else() {
        let schema = schema();
        let defined: BTreeSet<String> = schema["$defs"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(defined.len(), all().count() - 1);
        let text = schema.to_string();
        let used: BTreeSet<String> = text
            .match_indices("#/$defs/")
            .map(|(at, found)| text[at + found.len()..].split('"').next().unwrap().to_string())
            .collect();
        assert_eq!(used, defined);
        assert_eq!(schema["$defs"]["uplink"]["properties"]["kind"]["enum"][0], "ngn");
        assert_eq!(schema["required"], json!(["network"]));
    }

    #[test]
    fn every_key_is_explained_in_both_languages() {
        for key in all().flat_map(|table| table.keys) {
            assert!(key.en.ends_with('.') && key.en.is_ascii(), "{}", key.en);
            assert!(key.ja.ends_with('。') && !key.ja.is_ascii(), "{}", key.ja);
        }
    }
}
