//! `tsumugi check`, `fmt` and `schema`, as a person or a program calls them.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of this test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("tsumugi-file-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, text: &[u8]) -> PathBuf {
        let path = self.0.join("network.toml");
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

fn tsumugi(locale: &str, words: &[&str], file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tsumugi"));
    command.env_remove("LC_ALL").env_remove("LC_MESSAGES").env("LANG", locale);
    command.args(words).arg(file).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_examples_are_fine() {
    for name in ["two-homes.toml", "as63806.toml"] {
        let output = tsumugi("C", &["check"], &example(name));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
        assert!(text(&output.stdout).contains("fine"));
        let printed = tsumugi("C", &["fmt"], &example(name));
        assert_eq!(text(&printed.stdout), fs::read_to_string(example(name)).unwrap());
    }
}

#[test]
fn what_is_wrong_is_told_in_the_language_that_is_asked_for() {
    let folder = Folder::new("wrong");
    let broken =
        fs::read_to_string(example("two-homes.toml")).unwrap().replace("site = \"ren\"", "site = \"rne\"");
    let file = folder.file(broken.as_bytes());
    for (locale, words, expected) in [
        ("C", vec!["check"], "did you mean `ren`?"),
        ("ja_JP.UTF-8", vec!["check"], "`ren`のことですか?"),
        ("ja_JP.UTF-8", vec!["check", "--lang", "en"], "did you mean `ren`?"),
        ("C", vec!["check", "--lang", "ja"], "`ren`のことですか?"),
    ] {
        let output = tsumugi(locale, &words, &file);
        assert_eq!(output.status.code(), Some(1));
        let shown = text(&output.stdout);
        assert!(shown.contains(expected), "{shown}");
        assert!(shown.contains("site = \"rne\"\n") && shown.contains("^^^^^"), "{shown}");
        assert!(!shown.contains('\u{1b}'), "colour where nobody looks: {shown}");
    }
    let output = tsumugi("C", &["check", "--json"], &file);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ok"], false);
    let problems = json["problems"].as_array().unwrap();
    let dangling = problems.iter().find(|problem| problem["severity"] == "error").unwrap();
    assert_eq!(dangling["reason"]["kind"], "dangling");
    let line = broken.lines().position(|line| line == "site = \"rne\"").unwrap() + 1;
    assert_eq!(
        (dangling["at"]["line"].as_u64(), dangling["at"]["column"].as_u64()),
        (Some(line as u64), Some(8))
    );
}

#[test]
fn a_file_is_written_in_its_one_form_only_if_it_can_be_read() {
    let folder = Folder::new("fmt");
    let example = fs::read_to_string(example("two-homes.toml")).unwrap();
    let file = folder.file(example.replace(" = ", "   =  ").as_bytes());
    assert_eq!(tsumugi("C", &["fmt", "--write"], &file).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), example);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);

    let broken = example.replace("id = 1", "id = one");
    let file = folder.file(broken.as_bytes());
    let output = tsumugi("C", &["fmt", "--write"], &file);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("quotation marks"));
    assert_eq!(fs::read_to_string(&file).unwrap(), broken);
}

#[test]
fn what_cannot_be_read_is_said_in_one_line() {
    let folder = Folder::new("unreadable");
    let latin = folder.file(b"name = \"caf\xe9\"\n");
    for file in [folder.0.join("nothing.toml"), folder.0.clone(), latin, "/dev/zero".into()] {
        for words in [vec!["check"], vec!["fmt"]] {
            let output = tsumugi("C", &words, &file);
            assert_eq!(output.status.code(), Some(2));
            assert!(output.stdout.is_empty());
            let said = text(&output.stderr);
            assert!(said.starts_with("tsumugi: cannot read ") && said.lines().count() == 1, "{said}");
        }
    }
}

#[test]
fn the_schema_is_json() {
    let output = Command::new(env!("CARGO_BIN_EXE_tsumugi")).arg("schema").output().unwrap();
    assert!(output.status.success());
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["properties"]["router"].is_object());
}
