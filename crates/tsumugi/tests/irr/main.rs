//! `tsumugi irr` and `tsumugi explain policy`, with a bgpq4 of our own in the PATH that prints what the real
//! one (1.9) prints; and `tsumugi irr` with the real one ([`bgpq4`]).
//!
//!     network.toml ── as-set ──▶ tsumugi irr ──▶ bgpq4 (stand-in) ──▶ lists/up.json ──▶ check, explain policy

mod bgpq4;

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of this test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("tsumugi-irr-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Folder(path);
        folder.asks_for("AS63790:AS-MEMBERS");
        folder
    }

    fn asks_for(&self, set: &str) {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/as63806.toml");
        let text = fs::read_to_string(example).unwrap();
        let text = text.replacen("asn = 63790\n", &format!("asn = 63790\nas-set = \"{set}\"\n"), 1);
        fs::write(self.0.join("network.toml"), text).unwrap();
    }

    /// From here on bgpq4 is this shell script; `$family` is `-4` or `-6`, `$set` the AS-SET.
    fn bgpq4(&self, script: &str) {
        let path = self.0.join("bgpq4");
        let head = "#!/bin/sh\nfor set; do case $set in -4|-6) family=$set;; esac; done\n";
        fs::write(&path, format!("{head}{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, words: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.0.display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_tsumugi"));
        command.args(words).env("PATH", path).env("LC_ALL", "C").current_dir(&self.0).output().unwrap()
    }

    /// What the one list came to.
    fn irr(&self, more: &[&str]) -> (Value, Option<i32>) {
        let output = self.run(&[&["irr", "network.toml", "--json"], more].concat());
        let reports: Value = serde_json::from_slice(&output.stdout).unwrap();
        (reports[0].clone(), output.status.code())
    }

    fn list(&self) -> Option<String> {
        fs::read_to_string(self.0.join("lists/jcix.json")).ok()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const TWO_FAMILIES: &str = r#"
if [ "$set" != AS63790:AS-MEMBERS ]; then echo "asked for $set" >&2; exit 1; fi
if [ "$family" = -4 ]; then
  printf '{ "list": [\n    { "prefix": "1.0.0.0\\/24", "exact": true },\n    { "prefix": "5.2.0.0\\/15", "exact": false,\n      "greater-equal": 16, "less-equal": 16 },\n    { "prefix": "8.0.0.0\\/16", "exact": true },\n    { "prefix": "9.0.0.0\\/16", "exact": true }\n] }\n'
else
  printf '{ "list": [\n    { "prefix": "2a00:9::\\/32", "exact": true }\n] }\n'
fi"#;

const ONE: &str = r#"if [ "$family" = -4 ]; then printf '{ "list": [\n    { "prefix": "1.0.0.0\\/24", "exact": true }\n] }\n'; else printf '{ "list": [\n] }\n'; fi"#;

#[test]
fn a_list_is_refreshed_whole_or_not_at_all() {
    let folder = Folder::new("refresh");
    // Nothing is there yet, and nothing comes: the file is refused until a list is there.
    folder.bgpq4("echo 'ERROR:All attempts to connect rr.example failed' >&2; exit 1");
    let (report, code) = folder.irr(&[]);
    assert_eq!((report["outcome"].as_str(), code), (Some("kept"), Some(1)), "{report}");
    assert_eq!(report["reason"]["why"], "ERROR:All attempts to connect rr.example failed");
    assert_eq!(folder.list(), None);
    assert_eq!(folder.run(&["check", "network.toml"]).status.code(), Some(1));

    folder.bgpq4(TWO_FAMILIES);
    let (report, code) = folder.irr(&[]);
    assert_eq!((report["outcome"].as_str(), code), (Some("written"), Some(0)), "{report}");
    assert_eq!((&report["listed"], &report["added"], &report["removed"]), (&5.into(), &5.into(), &0.into()));
    assert_eq!(folder.run(&["check", "network.toml"]).status.code(), Some(0));
    let (report, code) = folder.irr(&[]);
    assert_eq!((report["outcome"].as_str(), code), (Some("unchanged"), Some(0)), "{report}");

    // What fails, is empty, is no list, or has lost most of it leaves the old one.
    let list = folder.list();
    for (script, kind) in [
        ("exit 3", "failed"),
        ("printf '{ \"list\": [\\n] }\\n'", "empty"),
        ("true", "unreadable"),
        ("echo '<html>'", "unreadable"),
        ("if [ $family = -6 ]; then exit 1; fi; printf '[\"1.0.0.0/24\"]'", "failed"),
        (ONE, "shrunk"),
    ] {
        folder.bgpq4(script);
        let (report, code) = folder.irr(&[]);
        assert_eq!((report["reason"]["kind"].as_str(), code), (Some(kind), Some(1)), "{script}: {report}");
        assert_eq!(folder.list(), list, "{script}");
    }
    // A person may know better.
    let (report, code) = folder.irr(&["--accept-shrunk"]);
    assert_eq!((&report["listed"], &report["removed"], code), (&1.into(), &4.into(), Some(0)), "{report}");
    let words = folder.run(&["irr", "network.toml"]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert_eq!(words, "jcix (AS63790:AS-MEMBERS) lists/jcix.json: unchanged, 1 listed\n");
    // Nothing else is left behind.
    let names: Vec<_> =
        fs::read_dir(folder.0.join("lists")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, ["jcix.json"]);
}

#[test]
fn the_policy_is_read_out_of_the_compiled_plan() {
    let folder = Folder::new("explain");
    folder.bgpq4(TWO_FAMILIES);
    folder.irr(&[]);
    let output = folder.run(&["explain", "policy", "jcix", "network.toml"]);
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(
        words.contains("refused: all but what is in the peer's list: 1.0.0.0/24, 5.2.0.0/15>=16<=16"),
        "{words}"
    );
    assert!(words.contains("kept back: all but our own, customers'"), "{words}");
    // A router's own plan says the same of its sessions.
    let plan = folder.run(&["plan", "network.toml", "--router", "cr0201", "--json"]);
    fs::create_dir(folder.0.join("state")).unwrap();
    fs::write(folder.0.join("state/plan.json"), plan.stdout).unwrap();
    let output = folder.run(&["explain", "policy", "jcix", "--state", "state"]);
    let of_router = String::from_utf8(output.stdout).unwrap();
    assert_eq!(of_router, words, "{}", String::from_utf8_lossy(&output.stderr));
    let json = folder.run(&["explain", "policy", "jcix", "network.toml", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["sessions"].as_array().unwrap().len(), 2);
    let unknown = folder.run(&["explain", "policy", "nobody", "network.toml"]);
    let words = String::from_utf8(unknown.stderr).unwrap();
    assert!(words.contains("there are: telhi, homenoc, jcix, kagari"), "{words}");
}

/// A list of the size of the largest AS-SETs, from the file to a plan.
#[test]
fn a_large_list_compiles_and_is_bounded() {
    let folder = Folder::new("large");
    let entries: Vec<String> = (0..100_000u32)
        .map(|n| format!("{}/24", std::net::Ipv4Addr::from_bits(0x0100_0000 + (n << 9))))
        .chain(["2a00:9::/32".to_string()])
        .collect();
    fs::create_dir(folder.0.join("lists")).unwrap();
    fs::write(folder.0.join("lists/jcix.json"), entries.join("\n")).unwrap();
    let started = std::time::Instant::now();
    let plan = folder.run(&["plan", "network.toml", "--router", "cr0201", "--json"]);
    assert_eq!(plan.status.code(), Some(0), "{}", String::from_utf8_lossy(&plan.stderr));
    eprintln!("100,000 prefixes: {:?} to a plan of {} bytes", started.elapsed(), plan.stdout.len());
    assert!(plan.stdout.len() < 8 << 20, "{}", plan.stdout.len());
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    let sessions = plan["speaker"]["neighbours"].as_array().unwrap();
    let listed = sessions.iter().filter_map(|it| it["relation"]["listed"].as_array()).map(Vec::len);
    // Each family's session has its own.
    assert_eq!(listed.collect::<Vec<_>>(), [100_000, 1]);
}
