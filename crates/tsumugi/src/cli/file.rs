//! `tsumugi check`, `fmt` and `schema`: the file, before anything is done with it.

use super::{Failure, Outcome};
use serde_json::json;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use tsumugi_plan::explain::{self, Lang};
use tsumugi_plan::{Problem, declaration};

/// The text of a file.
///
/// # Errors
/// One line that says why it cannot be read.
pub fn read(path: &Path) -> Result<String, Failure> {
    let bytes =
        fs::read(path).map_err(|error| Failure(format!("cannot read {}: {error}", path.display())))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure(format!("cannot read {}: it is not UTF-8 text (at byte {at})", path.display()))
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
    let mut out = io::stdout().lock();
    let printed = if json {
        let problems = explain::to_json(&problems, &source, lang);
        writeln!(out, "{}", json!({ "ok": ok, "problems": problems }))
    } else if problems.is_empty() {
        let fine = if lang == Lang::En { "fine" } else { "問題ありません" };
        writeln!(out, "{name}: {fine}")
    } else {
        let text = explain::render(&problems, &source, &name, lang, is_coloured(&io::stdout()));
        out.write_all(text.as_bytes())
    };
    // Whoever closed the pipe has seen enough.
    let _ = printed.and_then(|()| out.flush());
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the file in its one form, or writes it so. A file that cannot be read stays as it is; a
/// file that is read but means something wrong is printed all the same.
pub fn fmt(path: &Path, write: bool, lang: Lang) -> Outcome {
    let source = read(path)?;
    let (declaration, problems) = declaration::parse(&source);
    let Some(declaration) = declaration else {
        eprint!("{}", refused(&problems, &source, path, lang));
        return Ok(ExitCode::FAILURE);
    };
    let printed = declaration::print(&declaration);
    if !write {
        let mut out = io::stdout().lock();
        // Whoever closed the pipe has seen enough.
        let _ = out.write_all(printed.as_bytes()).and_then(|()| out.flush());
    } else if printed != source {
        replace(path, &printed)
            .map_err(|error| Failure(format!("cannot write {}: {error}", path.display())))?;
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
    let mut out = io::stdout().lock();
    let schema = serde_json::to_string_pretty(&declaration::schema())
        .map_err(|error| Failure(format!("cannot print the schema: {error}")))?;
    // Whoever closed the pipe has seen enough.
    let _ = writeln!(out, "{schema}").and_then(|()| out.flush());
    Ok(ExitCode::SUCCESS)
}

/// The problems of a file as they are shown on standard error.
pub fn refused(problems: &[Problem], source: &str, path: &Path, lang: Lang) -> String {
    explain::render(problems, source, &path.display().to_string(), lang, is_coloured(&io::stderr()))
}

/// Colour only where a person looks at it and has not said otherwise (https://no-color.org).
fn is_coloured(out: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    out.is_terminal() && !refused && !dumb
}
