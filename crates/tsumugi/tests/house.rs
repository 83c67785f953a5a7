//! The house's own test: the arrows between rooms are those that ARCHITECTURE.md draws.
//!
//! A room is a module right below a crate's root. An arrow is a path that begins with `crate::ROOM`
//! or with another crate's name. What is listed here may be used; what is not listed may not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Room -> rooms of the same crate that it may use: all of them stand above it, so there is no way
/// round in a circle.
type Arrows = &'static [(&'static str, &'static [&'static str])];

const CORE: Arrows = &[
    ("id", &[]),
    ("time", &[]),
    ("wire", &["id"]),
    ("mtu", &[]),
    ("tunnel", &["wire", "id", "mtu", "time"]),
    ("desired", &["id"]),
    ("reconcile", &["desired", "id"]),
    ("rpki", &["id", "time"]),
    ("bfd", &["wire", "time"]),
    ("bgp", &["bfd", "wire", "rpki", "id", "time"]),
    ("evpn", &["bgp", "desired", "wire", "id", "time"]),
    ("router_plan", &["id", "mtu", "desired", "bgp", "evpn", "rpki"]),
];

const PLAN: Arrows = &[
    ("suggest", &[]),
    ("hash", &[]),
    ("language", &[]),
    ("lists", &[]),
    // A reason speaks of keys and kinds of lines, and of list files; reading the file gives reasons.
    ("problem", &["language", "lists"]),
    ("declaration", &["language", "problem", "suggest"]),
    ("check", &["declaration", "lists", "problem", "suggest"]),
    ("compile", &["declaration", "check", "lists", "problem", "hash"]),
    ("explain", &["declaration", "compile", "lists", "problem"]),
];

const SHELL: Arrows = &[
    ("kernel", &[]),
    ("state", &["kernel"]),
    ("observe", &["state"]),
    ("peering", &["kernel"]),
    ("frr", &["kernel", "observe"]),
    ("node", &["kernel", "peering", "frr", "observe", "state"]),
    ("datapath", &["kernel", "observe", "state"]),
    ("management", &["kernel", "observe", "state"]),
    ("lab", &["kernel", "observe", "state"]),
    ("replay", &["observe"]),
    ("cli", &["lab", "node", "datapath", "management", "replay", "observe", "state"]),
    ("main", &["cli"]),
];

/// Crate -> the other crates of this project that it may use.
const CRATES: Arrows =
    &[("core", &[]), ("plan", &["tsumugi_core"]), ("tsumugi", &["tsumugi_core", "tsumugi_plan"])];

fn crates_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate stands below crates/").to_path_buf()
}

/// Every source file of a crate with the room that it stands in.
fn sources(krate: &str) -> Vec<(String, PathBuf)> {
    let root = crates_dir().join(krate).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a source folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let inside = path.strip_prefix(&root).expect("below the root");
                let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
                found.push((first.trim_end_matches(".rs").to_owned(), path));
            }
        }
    }
    found
}

/// The words that follow `prefix` in code, comments and strings of documentation left out.
fn names_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
        for (at, _) in line.match_indices(prefix) {
            let before = line[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &line[at + prefix.len()..];
            let group = rest.strip_prefix('{').map(|rest| rest.split('}').next().unwrap_or(rest));
            match group {
                // `use crate::{a::X, b}`: the first word of each part.
                Some(group) => names.extend(group.split(',').map(|part| word(part.trim()))),
                None => {
                    names.insert(word(rest));
                }
            }
        }
    }
    names.remove("");
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn check(krate: &str, arrows: Arrows, wrong: &mut Vec<String>) {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        arrows.iter().map(|(room, uses)| (*room, uses.iter().copied().collect())).collect();
    let rooms: BTreeSet<&str> = arrows.iter().map(|(room, _)| *room).collect();
    for (room, path) in sources(krate) {
        if room == "lib" {
            continue;
        }
        let Some(may) = allowed.get(room.as_str()) else {
            wrong.push(format!("{}: the room `{room}` is not on the map", path.display()));
            continue;
        };
        let text = fs::read_to_string(&path).expect("a source file");
        for used in names_after(&text, "crate::") {
            if rooms.contains(used.as_str()) && used != room && !may.contains(used.as_str()) {
                wrong.push(format!("{}: `{room}` uses `{used}`", path.display()));
            }
        }
    }
}

#[test]
fn arrows_between_rooms() {
    let mut wrong = Vec::new();
    check("core", CORE, &mut wrong);
    check("plan", PLAN, &mut wrong);
    check("tsumugi", SHELL, &mut wrong);
    assert!(wrong.is_empty(), "arrows that the map does not have:\n  {}", wrong.join("\n  "));
}

/// Rooms that use each other in a circle are one room.
#[test]
fn no_arrow_leads_back() {
    for arrows in [CORE, PLAN, SHELL] {
        for (place, (room, uses)) in arrows.iter().enumerate() {
            let above: Vec<&str> = arrows[..place].iter().map(|(room, _)| *room).collect();
            for used in *uses {
                assert!(above.contains(used), "`{room}` uses `{used}`, which does not stand above it");
            }
        }
    }
}

#[test]
fn arrows_between_crates() {
    let mut wrong = Vec::new();
    for (krate, may) in CRATES {
        for (_, path) in sources(krate) {
            let text = fs::read_to_string(&path).expect("a source file");
            for other in ["tsumugi_core", "tsumugi_plan"] {
                if !may.contains(&other) && !names_after(&text, &format!("{other}::")).is_empty() {
                    wrong.push(format!("{}: `{krate}` uses `{other}`", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A speaker cannot see a declaration, and the core cannot see a socket, a clock or a file.
#[test]
fn the_core_has_no_world() {
    let root = crates_dir().join("core/src/lib.rs");
    let text = fs::read_to_string(root).expect("the core's root");
    assert!(text.contains("#![no_std]") && text.contains("#![forbid(unsafe_code)]"));
    for (_, path) in sources("core") {
        let text = fs::read_to_string(&path).expect("a source file");
        assert!(names_after(&text, "std::").is_empty(), "{} names std", path.display());
    }
}

/// `unsafe` stands only in files that say so in their name or are listed here with their concern.
#[test]
fn unsafe_is_kept_in_few_places() {
    let known = ["kernel/", "datapath/", "lab/", "management/", "peering/"];
    let mut without_proof = Vec::new();
    for (_, path) in sources("tsumugi") {
        let text = fs::read_to_string(&path).expect("a source file");
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if !code.contains("unsafe {") && !code.contains("unsafe impl") {
                continue;
            }
            let shown = path.display().to_string();
            let proven = lines[number.saturating_sub(6)..number].iter().any(|l| l.contains("SAFETY"));
            if !proven || !known.iter().any(|place| shown.contains(place)) {
                without_proof.push(format!("{shown}:{}", number + 1));
            }
        }
    }
    assert!(without_proof.is_empty(), "unsafe without its SAFETY line: {without_proof:#?}");
}
