//! `tsumugi check`, `fmt` and `schema`: the file, before anything is done with it.

use super::{Failure, Outcome, print};
use crate::observe::say;
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use tsumugi_plan::compile::{NetworkPlan, compile_with};
use tsumugi_plan::declaration::Peer;
use tsumugi_plan::explain::{self, Lang};
use tsumugi_plan::lists::{LONGEST, Trouble};
use tsumugi_plan::{Declaration, Lists, Problem, declaration};

/// Bytes of a file: one of ten thousand routers is a tenth of this.
const LARGEST: u64 = 64 << 20;
/// Bytes of a list file: the longest list, as bgpq4 prints it.
const LARGEST_LIST: u64 = 512 << 20;

/// The text of a file.
///
/// # Errors
/// One line that says why it cannot be read.
pub fn read(path: &Path) -> Result<String, Failure> {
    let cannot = |why: &str| Failure::Said(format!("cannot read {}: {why}", path.display()));
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| cannot(&error.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(cannot("it is larger than any network (64 MiB)"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        cannot(&format!("it is not UTF-8 text (at byte {at})"))
    })
}

/// The list files that a file speaks of, from its folder. One that cannot be read is told by the check.
pub fn lists(path: &Path, text: &str) -> Lists {
    let mut lists = Lists::default();
    let Some(declaration) = declaration::parse(text).0 else { return lists };
    let folder = path.parent().unwrap_or(Path::new(""));
    for said in declaration.peers.iter().filter_map(Peer::list_path) {
        let text = list_text(&folder.join(&said));
        lists.add(&said, text.as_deref().map_err(Clone::clone));
    }
    lists
}

/// The text of a list file.
///
/// # Errors
/// Why there is none.
pub fn list_text(path: &Path) -> Result<String, Trouble> {
    let unreadable = |why: String| Trouble::Unreadable { why };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Trouble::Missing,
        _ => unreadable(error.to_string()),
    })?;
    match file.take(LARGEST_LIST + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 > LARGEST_LIST => Err(Trouble::TooLong { most: LONGEST }),
        Ok(_) => Ok(text),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// Reads, checks and compiles a file with the list files that it speaks of.
///
/// # Errors
/// What is wrong with it.
pub fn compiled(path: &Path, text: &str) -> Result<(Declaration, NetworkPlan), Vec<Problem>> {
    let lists = lists(path, text);
    let checked = tsumugi_plan::check_with(text, &lists)?;
    let plan = compile_with(&checked.declaration, &lists)?;
    Ok((checked.declaration, plan))
}

/// Says what is wrong. Fails if the file is refused; warnings alone do not.
pub fn check(path: &Path, json: bool, lang: Lang) -> Outcome {
    let source = read(path)?;
    let (ok, problems) = match tsumugi_plan::check_with(&source, &lists(path, &source)) {
        Ok(checked) => (true, checked.warnings),
        Err(problems) => (false, problems),
    };
    let name = path.display().to_string();
    print(&if json {
        let problems = explain::to_json(&problems, &source, lang);
        format!("{}\n", json!({ "ok": ok, "problems": problems }))
    } else if problems.is_empty() {
        format!("{name}: {}\n", lang.pick("fine", "問題ありません"))
    } else {
        explain::render(&problems, &source, &name, lang, is_coloured(&io::stdout()))
    })?;
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the file in its one form, or writes it so. A file that cannot be read stays as it is; a
/// file that is read but means something wrong is printed all the same.
pub fn fmt(path: &Path, write: bool, lang: Lang) -> Outcome {
    let source = read(path)?;
    let (declaration, problems) = declaration::parse(&source);
    let Some(declaration) = declaration else {
        refuse(&problems, &source, path, lang);
        return Ok(ExitCode::FAILURE);
    };
    let printed = declaration::print(&declaration);
    if !write {
        print(&printed)?;
    } else if printed != source {
        replace(path, &printed)
            .map_err(|error| Failure::Said(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes beside the file and then takes its place: a full disk or a crash loses nothing.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    // What a link points to is replaced, not the link. A new file is where it is said to be.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut beside = path.clone().into_os_string();
    beside.push(format!(".{}.new", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create_new(&beside)?;
        if let Ok(old) = fs::metadata(&path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

pub fn schema() -> Outcome {
    let schema = serde_json::to_string_pretty(&declaration::schema())
        .map_err(|error| Failure::Said(format!("cannot print the schema: {error}")))?;
    print(&format!("{schema}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Says on standard error what is wrong with a file.
pub fn refuse(problems: &[Problem], source: &str, path: &Path, lang: Lang) {
    let name = path.display().to_string();
    let text = explain::render(problems, source, &name, lang, is_coloured(&io::stderr()));
    say::err(text.trim_end());
}

/// Colour only where a person looks at it and has not said otherwise (https://no-color.org).
pub fn is_coloured(out: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    out.is_terminal() && !refused && !dumb
}
