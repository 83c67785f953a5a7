//! BMP's collectors.

use crate::observe::status::CollectorEnd;
use tsumugi_plan::explain::Lang;

/// Why a collector is told nothing more.
pub fn collector_end(end: &CollectorEnd, lang: Lang) -> String {
    match end {
        CollectorEnd::ConnectFailed { error } => lang.pick(
            format!("the collector cannot be reached: {error}"),
            format!("収集器に届きません: {error}"),
        ),
        CollectorEnd::Closed => {
            lang.pick("the collector closed the connection".into(), "収集器が接続を閉じました".into())
        }
        CollectorEnd::NotReading => lang.pick(
            "the collector read nothing for 8 minutes".into(),
            "収集器が8分間何も読みませんでした".into(),
        ),
        CollectorEnd::Broken { error } => {
            lang.pick(format!("the connection broke: {error}"), format!("接続が切れました: {error}"))
        }
    }
}
