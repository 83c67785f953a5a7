//! `tsumugi check`, `fmt` and `schema`: the file, before anything is done with it.

use super::{Failure, Outcome, print};
use crate::observe::say;
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use tsumugi_plan::explain::{self, Lang};
use tsumugi_plan::{Problem, declaration};

/// Bytes of a file: one of ten thousand routers is a tenth of this.
const LARGEST: u64 = 64 << 20;

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

/// Says what is wrong. Fails if the file is refused; warnings alone do not.
pub fn check(path: &Path, json: bool, lang: Lang) -> Outcome {
    let source = read(path)?;
    let (ok, problems) = match tsumugi_plan::check(&source) {
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
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // What a link points to is replaced, not the link.
    let path = fs::canonicalize(path)?;
    let mut beside = path.clone().into_os_string();
    beside.push(format!(".{}.new", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create_new(&beside)?;
        file.set_permissions(fs::metadata(&path)?.permissions())?;
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
