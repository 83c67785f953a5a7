//! BMP on the page.

use super::{duration, line};
use crate::observe::status::{BmpReport, CollectorStatus};
use crate::observe::words;
use tsumugi_plan::explain::Lang;

pub fn bmp(page: &mut String, report: &BmpReport, lang: Lang) {
    let plane = report.plane;
    line(page, 1, &lang.pick(format!("BMP: collectors in {plane}"), format!("BMP: {plane}面の収集器")));
    for collector in &report.collectors {
        line(page, 2, &format!("{}  {}", collector.address, collector_words(collector, lang)));
    }
}

fn collector_words(collector: &CollectorStatus, lang: Lang) -> String {
    let counts = collector.counts;
    let mut words = match collector.connected_ms {
        Some(since) => {
            let since = duration(since);
            lang.pick(format!("told for {since}"), format!("{since}前から知らせています"))
        }
        None => lang.pick("WARNING, not told", "警告、知らせていません").to_owned(),
    };
    words += &lang.pick(
        format!(", {} routes, {} sessions", counts.routes, counts.sessions),
        format!("、経路{}件、セッション{}件", counts.routes, counts.sessions),
    );
    if counts.dropped > 0 {
        words += &lang.pick(
            format!(
                "; too slow: {} changes not told one by one, {} times everything anew",
                counts.dropped, counts.resyncs
            ),
            format!("。遅いため変更{}件を省き、{}回すべてを知らせ直しました", counts.dropped, counts.resyncs),
        );
    }
    if let Some(end) = &collector.last_end {
        words += &format!(" ({})", words::collector_end(end, lang));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::status::CollectorEnd;
    use tsumugi_core::bgp::MonitorCounts;
    use tsumugi_core::id::Plane;

    #[test]
    fn collectors_are_shown_in_both_languages() {
        let counts = MonitorCounts { routes: 7, sessions: 2, dropped: 65_537, resyncs: 1 };
        let collector = CollectorStatus {
            address: "192.0.2.9:11019".parse().unwrap(),
            connected_ms: None,
            connected_count: 1,
            counts,
            last_end: Some(CollectorEnd::Closed),
        };
        let report = BmpReport { plane: Plane::Management, collectors: vec![collector] };
        let mut page = String::new();
        bmp(&mut page, &report, Lang::En);
        assert!(
            page.contains("192.0.2.9:11019  WARNING, not told, 7 routes, 2 sessions; too slow: 65537"),
            "{page}"
        );
        assert!(page.contains("(the collector closed the connection)"), "{page}");
        let mut page = String::new();
        bmp(&mut page, &report, Lang::Ja);
        assert!(page.contains("警告、知らせていません、経路7件"), "{page}");
    }
}
