//! `tsumugi changes`: what a changed file does to sessions, before anything is done.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of this test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("tsumugi-changes-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/as63806.toml")
}

/// The example with some of its text replaced.
fn changed(folder: &Folder, changes: &[(&str, &str)]) -> PathBuf {
    let mut text = fs::read_to_string(example()).unwrap();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replacen(old, new, 1);
    }
    let path = folder.0.join("new.toml");
    fs::write(&path, text).unwrap();
    path
}

fn tsumugi(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tsumugi"));
    command.env_remove("TSUMUGI_STATE").args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// One of each: a role, a policy, what only guards a session, and a link's cost.
const CHANGES: [(&str, &str); 4] = [
    ("asn = 150369\nrole = \"provider\"", "asn = 150369\nrole = \"peer\""),
    ("prepend = 1\n", "prepend = 2\nnever-via = [64500]\n"),
    (
        "asn = 63790\nrole = \"peer\"",
        "asn = 63790\nrole = \"peer\"\nstrict-role = true\ngtsm = true\nlimit = 9",
    ),
    ("prefixes = [\"1.2.3.0/24\", \"2d00:63::/48\"]", "prefixes = [\"1.2.3.0/24\"]"),
];

#[test]
fn what_becomes_of_each_session_is_said_with_its_reason() {
    let folder = Folder::new("words");
    let (old, new) = (example(), changed(&folder, &CHANGES));
    let [old, new] = [old.to_str().unwrap(), new.to_str().unwrap()];
    let page = said(&tsumugi(&["changes", new, "--from", old, "--lang", "en"]));
    for line in [
        "cr0101\n  telhi/ipv4  is reset: the role (OPEN, RFC 9234)\n  telhi/ipv6  is reset: the role (OPEN, RFC 9234)\n",
        "  homenoc/ipv4  stays; is asked to tell its routes again, or judged by what was kept if it cannot be asked; is told what is another for it now\n",
        "  jcix/ipv4  stays; at once: GTSM (the neighbour must send with a hop limit of 255, or its session ends by silence), the prefix limit (who is beyond it loses its session); with the next session: whether the neighbour must say its role (OPEN, RFC 9234)\n",
        "hr0304\n  no session is touched (2)\n",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    let japanese = said(&tsumugi(&["changes", new, "--from", old, "--lang", "ja"]));
    assert!(japanese.contains("  telhi/ipv4  張り直します: 役割 (OPEN、RFC 9234)\n"), "{japanese}");
    assert_eq!(japanese.lines().count(), page.lines().count());

    let json = said(&tsumugi(&["changes", new, "--from", old, "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    let session = |router: &str, name: &str| -> Value {
        let router = json.as_array().unwrap().iter().find(|it| it["router"] == router).unwrap();
        router["sessions"].as_array().unwrap().iter().find(|it| it["neighbour"] == name).unwrap().clone()
    };
    let telhi = session("cr0101", "telhi/ipv4");
    assert_eq!(telhi["session"], "resets");
    assert_eq!(telhi["terms"][0], serde_json::json!({ "what": "role", "effect": "reset" }));
    let kagari = session("er0211", "kagari/ipv4");
    assert_eq!((&kagari["session"], &kagari["terms"]), (&"stays".into(), &serde_json::json!([])));
}

#[test]
fn who_comes_and_who_goes() {
    let folder = Folder::new("fates");
    let text = fs::read_to_string(example()).unwrap();
    let at = text.find("# A customer: it hears of everything").unwrap();
    let end = text[at..].find("neighbours = [\"203.0.113.13\"").unwrap() + at;
    let end = text[end..].find('\n').unwrap() + end + 1;
    let without = folder.0.join("without.toml");
    fs::write(&without, format!("{}{}", &text[..at], &text[end..])).unwrap();
    let [with, without] = [example().to_str().unwrap().to_owned(), without.to_str().unwrap().to_owned()];
    let goes = said(&tsumugi(&["changes", &without, "--from", &with, "--lang", "en"]));
    assert_eq!(goes.matches("ends: no longer a neighbour").count(), 2, "{goes}");
    let comes = said(&tsumugi(&["changes", &with, "--from", &without, "--lang", "en"]));
    assert_eq!(comes.matches("begins: a new neighbour").count(), 2, "{comes}");
    assert!(!comes.contains("is reset"), "{comes}");
    let same = said(&tsumugi(&["changes", &with, "--from", &with, "--lang", "en"]));
    assert!(
        same.lines().all(|line| !line.starts_with(' ') || line.contains("no session is touched")),
        "{same}"
    );
}

#[test]
fn a_machines_own_plan_is_compared_with() {
    let folder = Folder::new("state");
    let new = changed(&folder, &CHANGES);
    let [old, new] = [example().to_str().unwrap().to_owned(), new.to_str().unwrap().to_owned()];
    let plan = said(&tsumugi(&["plan", &old, "--router", "cr0101", "--json"]));
    fs::write(folder.0.join("plan.json"), plan).unwrap();
    let state = folder.0.to_str().unwrap();
    let page = said(&tsumugi(&["changes", &new, "--state", state, "--lang", "en"]));
    assert!(page.starts_with("cr0101\n  telhi/ipv4  is reset"), "{page}");
    assert_eq!(page.lines().filter(|line| !line.starts_with(' ')).count(), 1, "{page}");

    // A plan of an older program is refused whole, in words that say what to do.
    let older = serde_json::json!({ "schema": 2, "customer_prefixes": ["192.0.2.0/24"] });
    fs::write(folder.0.join("plan.json"), older.to_string()).unwrap();
    let refused = tsumugi(&["changes", &new, "--state", state, "--lang", "en"]);
    let words = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(words.contains("schema is 2") && words.contains("compile the network's file anew"), "{words}");

    let nothing = tsumugi(&["changes", &new, "--lang", "en"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("--from"));
    let wrong = folder.0.join("wrong.toml");
    fs::write(&wrong, "[network]\n").unwrap();
    let refused = tsumugi(&["changes", wrong.to_str().unwrap(), "--from", &old]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
}

/// Who speaks BGP is chosen once in a process's life, and FRR has its own view of what a session survives.
#[test]
fn another_engine_is_said_and_frrs_own_view() {
    let folder = Folder::new("engine");
    let frr = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/both-engines.toml");
    let text = fs::read_to_string(&frr).unwrap();
    let frr = frr.to_str().unwrap().to_owned();
    let write = |name: &str, text: &str| {
        let path = folder.0.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ours = write("ours.toml", &text.replacen("routing = \"frr\"\n", "", 1));
    let other = said(&tsumugi(&["changes", &frr, "--from", &ours, "--lang", "en"]));
    let words = "ra\n  it has another routing engine; restart the router process to use it, which resets every session\n";
    assert!(other.contains(words), "{other}");
    assert_eq!(other.matches("another routing engine").count(), 1, "{other}");
    let json = said(&tsumugi(&["changes", &frr, "--from", &ours, "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["router"], &json[0]["engine"]), (&"ra".into(), &"other".into()));
    assert_eq!(json[0]["sessions"], serde_json::json!([]));

    let same = said(&tsumugi(&["changes", &frr, "--from", &frr, "--lang", "en"]));
    assert!(same.contains("ra\n  FRR speaks BGP here and decides by itself"), "{same}");
    assert_eq!(same.matches("FRR speaks BGP here").count(), 1, "{same}");
}
