//! `tsumugi dump`: the table of the router process as an MRT file.

use super::{Failure, Outcome, complain, print};
use crate::observe::ask;
use crate::observe::status::{ShowQuestion, ShowSaid};
use crate::observe::words;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tsumugi_plan::explain::Lang;

/// From one piece to the next.
const PATIENCE: Duration = Duration::from_secs(30);

/// A file appears under its name when it is complete, and not before.
pub fn run(file: &Path, state: &Path, json: bool, lang: Lang) -> Outcome {
    let mut to = Destination::open(file, lang)?;
    let mut end = Err(Failure::Said(lang.pick(
        "the router process is of another version and does not know this question".to_owned(),
        "routerプロセスのバージョンが異なり、この問いを知りません".to_owned(),
    )));
    let asked = ask::ask(&state.join("show.sock"), &ShowQuestion::Dump, PATIENCE, |said: ShowSaid| {
        let written = match &said {
            ShowSaid::Dump { base64 } => {
                BASE64.decode(base64).map_err(io::Error::other).and_then(|bytes| to.out().write_all(&bytes))
            }
            ShowSaid::Dumped { prefixes, routes } => {
                end = Ok((*prefixes, *routes));
                Ok(())
            }
            ShowSaid::OfFrr { router, sockets } => {
                end = Err(Failure::Said(words::table_is_frrs(router, sockets, lang)));
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = written {
            end = Err(cannot_write(file, &error, lang));
            return true;
        }
        said.is_last()
    });
    if let Err(error) = asked {
        end = Err(Failure::Said(lang.pick(
            format!("the router process does not answer: {error}"),
            format!("routerプロセスが応答しません: {error}"),
        )));
    }
    let end = end.and_then(|counts| to.finish().map(|()| counts).map_err(|it| cannot_write(file, &it, lang)));
    let (prefixes, routes) = match end {
        Ok(counts) => counts,
        Err(failure) => {
            to.abandon();
            return Err(failure);
        }
    };
    let words = if json {
        serde_json::json!({ "file": file, "prefixes": prefixes, "routes": routes }).to_string()
    } else {
        lang.pick(
            format!("{}: {prefixes} prefixes, {routes} routes", file.display()),
            format!("{}: プレフィックス{prefixes}件、経路{routes}件", file.display()),
        )
    };
    // Standard output is the file's own.
    match to {
        Destination::Output(_) => complain(&words),
        Destination::File { .. } => print(&format!("{words}\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

enum Destination {
    Output(BufWriter<io::Stdout>),
    File { name: PathBuf, unfinished: PathBuf, out: BufWriter<File> },
}

impl Destination {
    fn open(file: &Path, lang: Lang) -> Result<Destination, Failure> {
        if file == Path::new("-") {
            if io::stdout().is_terminal() {
                return Err(Failure::Said(lang.pick(
                    "a dump is not for a terminal: name a file, or a pipe".to_owned(),
                    "ダンプは端末には表示できません。ファイルかパイプを指定してください".to_owned(),
                )));
            }
            return Ok(Destination::Output(BufWriter::new(io::stdout())));
        }
        let mut unfinished = file.as_os_str().to_owned();
        unfinished.push(format!(".{}.unfinished", std::process::id()));
        let unfinished = PathBuf::from(unfinished);
        let out = File::create_new(&unfinished).map_err(|error| cannot_write(file, &error, lang))?;
        Ok(Destination::File { name: file.into(), unfinished, out: BufWriter::new(out) })
    }

    fn out(&mut self) -> &mut dyn Write {
        match self {
            Destination::Output(out) => out,
            Destination::File { out, .. } => out,
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out().flush()?;
        if let Destination::File { name, unfinished, out } = self {
            out.get_ref().sync_all()?;
            fs::rename(unfinished, name)?;
        }
        Ok(())
    }

    fn abandon(&self) {
        if let Destination::File { unfinished, .. } = self {
            // What cannot be removed is called unfinished.
            let _ = fs::remove_file(unfinished);
        }
    }
}

fn cannot_write(file: &Path, error: &io::Error, lang: Lang) -> Failure {
    Failure::Said(lang.pick(
        format!("cannot write {}: {error}", file.display()),
        format!("{}に書けません: {error}", file.display()),
    ))
}
