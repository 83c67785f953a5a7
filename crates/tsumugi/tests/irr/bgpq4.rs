//! `tsumugi irr` with the real bgpq4, against an IRR server of this test's own.
//!
//!     network.toml ── as-set ──▶ tsumugi irr ──▶ bgpq4 ──▶ 127.0.0.1 (IRRd's protocol) ──▶ lists/jcix.json

use super::Folder;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// How a server behaves.
#[derive(Clone, Copy)]
enum Manner {
    /// It knows a set's prefixes at one question (`!a`, of IRRd 4).
    Whole,
    /// It is asked for a set's members (`!i`), and for each member's prefixes (`!g`, `!6`).
    Members,
    /// It takes the question for IPv6 and says nothing more.
    Hangs,
    /// It goes in the middle of the answer for IPv6.
    Dies,
    /// It fails at the question itself.
    Fails,
}

const IPV4: &str = "1.0.0.0/24 5.2.0.0/16 8.0.0.0/16";
const IPV6: &str = "2a00:9::/32 2a00:a::/32";

/// Answers at an address of its own until the test ends; each question that it was asked.
fn server(manner: Manner) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, questions) = channel();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let asked = asked.clone();
            thread::spawn(move || answer(connection, manner, &asked));
        }
    });
    (address, questions)
}

fn answer(mut connection: TcpStream, manner: Manner, asked: &Sender<String>) {
    let reader = BufReader::new(connection.try_clone().unwrap());
    for question in reader.lines() {
        let Ok(question) = question else { return };
        // Whoever no longer listens has its verdict.
        let _ = asked.send(question.clone());
        let data = |text: &str| format!("A{}\n{text}\nC\n", text.len() + 1);
        let said = match (question.as_str(), manner) {
            ("!!", _) => continue,
            ("!q", _) => return,
            ("!a", Manner::Members) => "F Unrecognized command\n".into(),
            ("!a", _) => "F Missing required set name for A query\n".into(),
            ("!s-lc", _) => data("RADB"),
            ("!a6AS63790:AS-MEMBERS", Manner::Hangs) => {
                // Until bgpq4 has gone.
                let _ = connection.peek(&mut [0]);
                continue;
            }
            ("!a6AS63790:AS-MEMBERS", Manner::Dies) => {
                let _ = connection.write_all(b"A400\n2a00:9::/32 2a00:");
                return;
            }
            ("!a4AS63790:AS-MEMBERS", Manner::Fails) => "F the database is away\n".into(),
            ("!a4AS63790:AS-MEMBERS", _) => data(IPV4),
            ("!a6AS63790:AS-MEMBERS", _) => data(IPV6),
            // It has members of its own, one of them a set.
            ("!iAS63790:AS-MEMBERS,1", _) => data("AS63790 AS38632"),
            ("!gas63790", _) => data("1.0.0.0/24 5.2.0.0/16"),
            ("!gas38632", _) => data("8.0.0.0/16"),
            ("!6as63790", _) => data("2a00:9::/32"),
            ("!6as38632", _) => data("2a00:a::/32"),
            // A set that is there and has nothing.
            ("!a4AS-EMPTY" | "!a6AS-EMPTY", _) => "C\n".into(),
            (other, _) if other.starts_with("!n") || other.starts_with("!s") => "C\n".into(),
            _ => "D\n".into(),
        };
        if connection.write_all(said.as_bytes()).is_err() {
            return;
        }
    }
}

fn ask(folder: &Folder, server: SocketAddr, more: &[&str]) -> (Value, Option<i32>) {
    folder.irr(&[&["--server", &server.to_string()], more].concat())
}

fn said(folder: &Folder, server: SocketAddr, more: &[&str]) -> String {
    let at = server.to_string();
    let words = [&["irr", "network.toml", "--server", &at], more].concat();
    String::from_utf8(folder.run(&words).stdout).unwrap()
}

fn installed() -> bool {
    let installed = Command::new("bgpq4").arg("-v").output().is_ok();
    if !installed {
        eprintln!("skipped: bgpq4 is not installed");
    }
    installed
}

#[test]
fn a_set_is_expanded_in_both_families() {
    if !installed() {
        return;
    }
    let mut lists = Vec::new();
    for (manner, question) in [(Manner::Whole, "!a6AS63790:AS-MEMBERS"), (Manner::Members, "!6as38632")] {
        let folder = Folder::new(question.get(1..3).unwrap());
        let (address, questions) = server(manner);
        let (report, code) = ask(&folder, address, &[]);
        let questions: Vec<String> = questions.try_iter().collect();
        assert_eq!((report["outcome"].as_str(), code), (Some("written"), Some(0)), "{report} {questions:?}");
        assert_eq!(report["listed"], 5, "{report}");
        assert!(questions.iter().any(|it| it == question), "{questions:?}");
        lists.push(folder.list().unwrap());
        let (report, code) = ask(&folder, address, &[]);
        assert_eq!((report["outcome"].as_str(), code), (Some("unchanged"), Some(0)), "{report}");
    }
    assert_eq!(lists[0], lists[1]);
    for prefix in IPV4.split(' ').chain(IPV6.split(' ')) {
        assert!(lists[0].replace("\\/", "/").contains(prefix), "{prefix}: {}", lists[0]);
    }
}

#[test]
fn a_server_that_fails_leaves_the_old_list() {
    if !installed() {
        return;
    }
    let folder = Folder::new("fails");
    let (whole, _questions) = server(Manner::Whole);
    assert_eq!(ask(&folder, whole, &[]).1, Some(0));
    let list = folder.list().unwrap();
    for (manner, kind, en, ja) in [
        (Manner::Hangs, "late", "bgpq4 had not answered after 1 s", "1秒待っても答えません"),
        (Manner::Dies, "failed", "bgpq4 failed: ", "bgpq4が失敗しました"),
        (Manner::Fails, "failed", "bgpq4 failed: ", "bgpq4が失敗しました"),
    ] {
        let (address, _questions) = server(manner);
        let patience: &[&str] = if kind == "late" { &["--patience", "1"] } else { &["--patience", "60"] };
        let (report, code) = ask(&folder, address, patience);
        assert_eq!((report["reason"]["kind"].as_str(), code), (Some(kind), Some(1)), "{report}");
        for (lang, words) in [("en", en), ("ja", ja)] {
            let said = said(&folder, address, &[patience, &["--lang", lang]].concat());
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(folder.list().as_ref(), Some(&list), "{report}");
    }
    // Nobody is there.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (report, code) = ask(&folder, nobody, &[]);
    assert_eq!((report["reason"]["kind"].as_str(), code), (Some("failed"), Some(1)), "{report}");
    assert!(report["reason"]["why"].to_string().contains("refused"), "{report}");
    // A set that has nothing, and one that nobody knows.
    for set in ["AS-EMPTY", "AS-NOBODY"] {
        folder.asks_for(set);
        let (report, code) = ask(&folder, whole, &[]);
        assert_eq!((report["reason"]["kind"].as_str(), code), (Some("empty"), Some(1)), "{report}");
        let said = said(&folder, whole, &[]);
        assert!(said.contains("no such AS-SET, or it has no prefixes"), "{said}");
    }
    assert_eq!(folder.list(), Some(list));
}
