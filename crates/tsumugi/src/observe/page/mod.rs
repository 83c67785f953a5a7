//! The status of a machine's processes as a page that a person reads.

mod bfd;
mod bmp;
pub mod change;
mod datapath;
mod management;
mod router;
mod rpki;
mod segments;
pub mod show;

use super::status::{DatapathStatus, ManagementStatus, PlanStatus, RouterStatus};
use super::words;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use tsumugi_core::desired::DropReason as WallDrop;
use tsumugi_plan::explain::Lang;

/// A process's document, whichever process it is; one of another version is shown as it is.
pub fn page(process: &str, document: &Value, lang: Lang) -> String {
    let known = match process {
        "router" => RouterStatus::deserialize(document).map(|status| router::page(&status, lang)),
        "datapath" => DatapathStatus::deserialize(document).map(|status| datapath::page(&status, lang)),
        "management" => ManagementStatus::deserialize(document).map(|status| management::page(&status, lang)),
        _ => return other(process, document),
    };
    known.unwrap_or_else(|_| other(process, document))
}

/// Which process it is, of which machine, and which plan it has.
fn heading(process: &str, plan: &PlanStatus, uptime_ms: u64, lang: Lang) -> String {
    let up = duration(uptime_ms);
    let mut page = String::new();
    let title = if plan.is_any() {
        let PlanStatus { network, router, site, id, .. } = plan;
        let place = match (site.as_str(), lang) {
            ("", _) => String::new(),
            (site, Lang::En) => format!("site {site}, "),
            (site, Lang::Ja) => format!("拠点 {site}、"),
        };
        lang.pick(
            format!("{process}: {router} of {network} ({place}id {id}), up {up}"),
            format!("{process}: {network}の{router} ({place}id {id})、稼働 {up}"),
        )
    } else {
        lang.pick(
            format!("{process}: nothing runs, there is no plan; up {up}"),
            format!("{process}: 計画がないため何も動いていません、稼働 {up}"),
        )
    };
    line(&mut page, 0, &title);
    if let Some(refused) = &plan.refused {
        let why = words::plan_refused(refused, lang);
        let said = lang.pick(format!("newest plan refused: {why}"), format!("最新の計画を拒みました: {why}"));
        line(&mut page, 1, &said);
    }
    page
}

/// How often packets went no further, and why.
#[derive(Default)]
struct Drops(Vec<(u64, &'static str)>);

impl Drops {
    fn add(&mut self, count: u64, why: &'static str) {
        if count > 0 {
            self.0.push((count, why));
        }
    }

    /// Of walls, by the names of their counters.
    fn of_walls(&mut self, counts: &BTreeMap<String, u64>, lang: Lang) {
        for reason in WallDrop::ALL {
            let count = counts.get(reason.counter()).copied();
            self.add(count.unwrap_or(0), words::wall_drop(reason, lang));
        }
    }

    fn print(&self, page: &mut String, depth: usize, lang: Lang) {
        if self.0.is_empty() {
            return;
        }
        line(page, depth, lang.pick("dropped packets", "捨てたパケット"));
        for (count, why) in &self.0 {
            line(page, depth + 1, &format!("{count:>8}  {why}"));
        }
    }
}

/// Any other document: its fields, a line each.
fn other(process: &str, document: &Value) -> String {
    let mut page = format!("{process}\n");
    fields(&mut page, 1, document);
    page
}

fn fields(page: &mut String, depth: usize, value: &Value) {
    let mut field = |name: &str, value: &Value| match value {
        Value::Object(object) if !object.is_empty() => {
            line(page, depth, name);
            fields(page, depth + 1, value);
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            line(page, depth, name);
            fields(page, depth + 1, value);
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            line(page, depth, &format!("{name}: {}", items.join(", ")));
        }
        value => line(page, depth, &format!("{name}: {}", plain(value))),
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| field(name, value)),
        Value::Array(items) => items.iter().for_each(|value| field("-", value)),
        value => line(page, depth, &plain(value)),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        value => value.to_string(),
    }
}

fn line(page: &mut String, depth: usize, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{:1$}{text}", "", depth * 2);
}

/// Two units at the most: 3d 4h, 12m 5s, 850ms.
fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn any_document_is_readable() {
        let document =
            json!({"process": "datapath", "tunnels": [{"name": "gre-a", "up": true}], "ports": [1, 2]});
        let expected = "datapath\n  ports: 1, 2\n  process: datapath\n  tunnels\n    -\n      name: gre-a\n      up: true\n";
        assert_eq!(page("datapath", &document, Lang::En), expected);
    }

    fn plan() -> Value {
        json!({"network": "as", "router": "hana", "site": "", "id": 1, "generation": 3, "hash": "x",
               "refused": {"reason": "schema", "found": 2, "known": 1}})
    }

    #[test]
    fn a_tunnel_says_its_state_its_engine_and_why_it_drops() {
        let document = json!({
            "process": "datapath", "pid": 1, "uptime_ms": 5000, "plan": plan(), "unmade": ["wg-b"],
            "tunnels": [{
                "name": "gre-a", "alias": "", "by": "gre", "engine": "userspace", "why": "cannot-fragment",
                "state": "no-line", "trouble": [{"reason": "no-interface"}], "line": "eth1",
                "local": "2001:db8::1", "remote": null, "path_mtu": 1500, "mtu": 2400,
                "received": {"packets": 1, "bytes": 9}, "sent": {"packets": 2, "bytes": 9},
                "drops": {"no-line": 4}, "last_heard_ms": null, "session_age": null,
            }],
            "lines": [{"name": "eth1", "open": false, "trouble": {"reason": "no-interface"}, "drops": {}}],
            "underlay": {"waiting": ["eth1"], "failing": []},
        });
        let english = "\
datapath: hana of as (id 1), up 5s
  newest plan refused: the plan's schema is 2, this program knows 1: compile the network's file anew with this program
  tunnels
    gre-a            waits for its line
      gre on line eth1, 2001:db8::1 to ?; MTU 2400 over 1500; in userspace (the kernel's GRE over IPv6 cannot fragment outside)
      received 1 packets, sent 2
      the far end is not asked: no address there is known
      its interface is not there
      dropped packets
               4  the line was not open yet, or had no address
    wg-b             could not be made, the log says why
  lines
    eth1             not usable yet: its interface is not there
  the interface eth1 of the underlay is not there
";
        assert_eq!(page("datapath", &document, Lang::En), english);
        let japanese = page("datapath", &document, Lang::Ja);
        assert!(japanese.contains("gre-a            回線を待っています\n"), "{japanese}");
        assert_eq!(japanese.lines().count(), english.lines().count());
    }

    #[test]
    fn a_member_says_over_which_line_it_is_reached() {
        let path = |line: &str, alive: bool, heard: Option<u64>| {
            json!({"line": line, "endpoint": "192.0.2.1:51900", "alive": alive, "in_use": alive,
                   "heard_ms": heard, "handshake_s": null, "sent_bytes": 0, "received_bytes": 0})
        };
        let document = json!({
            "process": "management", "pid": 1, "uptime_ms": 5000, "plan": plan(),
            "device": {"name": "mgmt", "mtu": 1280, "attached": true},
            "lines": [{"name": "lte", "plane": "management", "link": "wwan0", "open": true, "trouble": null}],
            "members": [
                {"name": "hub", "meeting": true, "reachable": true, "line": "lte", "through": null,
                 "paths": [path("lte", true, Some(1200))]},
                {"name": "b", "meeting": false, "reachable": true, "line": null, "through": "hub",
                 "paths": [path("ngn", false, None)]},
            ],
            "drops": {"false-source": 1}, "walls": {},
            "troubles": [{"reason": "private-key", "key": "management.hana.ngn", "error": "gone"}],
        });
        let english = "\
management: hana of as (id 1), up 5s
  newest plan refused: the plan's schema is 2, this program knows 1: compile the network's file anew with this program
  the private key management.hana.ngn cannot be read: gone
  the overlay's device mgmt is there, MTU 1280
  members
    hub  reached over line lte, a meeting point
      over lte: in use, heard 1s ago, at 192.0.2.1:51900
    b    reached through the meeting point hub
      over ngn: silent, never heard, at 192.0.2.1:51900
  lines
    lte              open
  dropped packets
           1  from a member, with a source that is not behind it
";
        assert_eq!(page("management", &document, Lang::En), english);
        let japanese = page("management", &document, Lang::Ja);
        assert!(japanese.contains("b    中継点 hubを経由して到達可能\n"), "{japanese}");
        assert_eq!(japanese.lines().count(), english.lines().count());
    }

    #[test]
    fn durations_have_two_units() {
        let texts = [850, 12_000, 725_000, 7_380_000, 273_600_000].map(duration);
        assert_eq!(texts, ["850ms", "12s", "12m 5s", "2h 3m", "3d 4h"]);
    }
}
