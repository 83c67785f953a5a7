//! Route validation on the page.

use super::{duration, line};
use crate::observe::status::RpkiReport;
use crate::observe::words;
use tsumugi_core::rpki::CacheStatus;
use tsumugi_plan::explain::Lang;

pub fn rpki(page: &mut String, report: &RpkiReport, lang: Lang) {
    let client = &report.client;
    let counts = client.in_force;
    let (v4, v6, aspa) = (counts.ipv4, counts.ipv6, counts.aspa);
    let head = match client.present {
        true => lang.pick(
            format!("RPKI: {v4} IPv4, {v6} IPv6 and {aspa} ASPA payloads in force"),
            format!("RPKI: 使用中のペイロード IPv4 {v4}、IPv6 {v6}、ASPA {aspa}"),
        ),
        false => lang.pick(
            "RPKI: WARNING, no cache has answered: no route is validated".to_owned(),
            "RPKI: 警告、キャッシュから応答がなく、経路を検証していません".to_owned(),
        ),
    };
    line(page, 1, &head);
    for cache in &client.caches {
        line(page, 2, &format!("{}  {}", cache.address, cache_words(cache, lang)));
    }
    if let Some(file) = &report.slurm_file {
        let (filters, assertions) = (client.slurm.filters, client.slurm.assertions);
        let words = lang.pick(
            format!("exceptions of {file}: {filters} filters, {assertions} assertions"),
            format!("{file}の例外: フィルター {filters}、追加 {assertions}"),
        );
        line(page, 2, &words);
    }
    if let Some(trouble) = &report.slurm_trouble {
        let why = words::slurm_trouble(trouble, lang);
        let words = lang.pick(
            format!("WARNING, the exceptions are not taken: {why}"),
            format!("警告、例外を使えません: {why}"),
        );
        line(page, 2, &words);
    }
}

fn cache_words(cache: &CacheStatus, lang: Lang) -> String {
    let mut words = words::cache_state(cache.state, lang).to_owned();
    if let Some(version) = cache.version {
        words += &lang.pick(format!(", version {version}"), format!("、バージョン{version}"));
    }
    if let (Some(serial), Some(age)) = (cache.serial, cache.age_ms) {
        let (v4, v6, aspa) = (cache.payloads.ipv4, cache.payloads.ipv6, cache.payloads.aspa);
        let (age, left) = (duration(age), duration(cache.expires_in_ms.unwrap_or(0)));
        words += &lang.pick(
            format!(", serial {serial}: {v4}+{v6} and {aspa} ASPA, {age} old, good for {left}"),
            format!("、シリアル{serial}: {v4}+{v6}とASPA {aspa}、{age}前、あと{left}有効"),
        );
    }
    if cache.in_force {
        words += lang.pick("; in force", "。使用中");
    }
    if let Some(end) = &cache.last_end {
        words += &format!(" ({})", words::cache_end(end, lang));
    }
    words
}
