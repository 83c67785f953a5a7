//! `tsumugi irr`: what the peers of a file may announce, asked of the IRR by bgpq4.
//!
//! A list is refreshed whole or not at all: where bgpq4 fails, finds nothing, or finds less than half of what
//! there was, the old list stays and the verb fails.

use super::file::{list_text, read, refuse, replace};
use super::{Failure, Outcome, print};
use serde::Serialize;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tsumugi_core::bgp::config::PrefixRange;
use tsumugi_core::bgp::policy::{LONGEST_V4, LONGEST_V6};
use tsumugi_plan::declaration::{self, AsSet};
use tsumugi_plan::explain::Lang;
use tsumugi_plan::lists::{self, Trouble};

/// Seconds that bgpq4, which itself waits for ever, may take for one AS-SET and family unless said otherwise.
pub const PATIENCE: u64 = 300;
/// Bytes that it may print: a list of millions.
const LARGEST: u64 = 512 << 20;
/// A list that was shorter may change as it likes.
const FEW: usize = 4;

/// How the IRR is asked.
pub struct How {
    /// `HOST` or `HOST:PORT`; bgpq4's own choice if unsaid.
    pub server: Option<String>,
    /// Seconds for one AS-SET and family.
    pub patience: u64,
    /// A list may lose more than half of what it had.
    pub accept_shrunk: bool,
}

/// What became of one peer's list.
#[derive(Debug, Serialize)]
struct Report {
    peer: String,
    #[serde(rename = "as-set")]
    as_set: String,
    list: String,
    #[serde(flatten)]
    outcome: Refresh,
}

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
enum Refresh {
    Unchanged {
        listed: usize,
    },
    Written {
        listed: usize,
        added: usize,
        removed: usize,
    },
    /// The old list stays, if there is one.
    Kept {
        reason: Kept,
    },
}

/// Why.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Kept {
    /// bgpq4 could not be run.
    NoBgpq4 {
        why: String,
    },
    /// It said that it failed.
    Failed {
        why: String,
    },
    /// It took too long.
    Late {
        seconds: u64,
    },
    /// What it printed is no list.
    Unreadable {
        why: String,
    },
    /// The AS-SET has no prefixes, or is not there: bgpq4 tells neither from the other.
    Empty,
    /// It has lost too many.
    Shrunk {
        before: usize,
        lost: usize,
    },
    Unwritten {
        why: String,
    },
}

pub fn run(file: &Path, how: &How, json: bool, lang: Lang) -> Outcome {
    let text = read(file)?;
    let (declaration, problems) = declaration::parse(&text);
    let Some(declaration) = declaration else {
        refuse(&problems, &text, file, lang);
        return Ok(ExitCode::FAILURE);
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut reports = Vec::new();
    for peer in &declaration.peers {
        let (Some(set), Some(list)) = (&peer.as_set, peer.list_path()) else { continue };
        let outcome = refresh(set, &folder.join(&list), how);
        let outcome = outcome.unwrap_or_else(|reason| Refresh::Kept { reason });
        let report = Report { peer: peer.name.to_string(), as_set: set.to_string(), list, outcome };
        if !json {
            print(&format!("{}\n", words(&report, lang)))?;
        }
        reports.push(report);
    }
    if json {
        let document = serde_json::to_string(&reports)
            .map_err(|error| Failure::Said(format!("cannot print the report: {error}")))?;
        print(&format!("{document}\n"))?;
    } else if reports.is_empty() {
        print(lang.pick("no peer has an `as-set`\n", "`as-set`のあるピアはありません\n"))?;
    }
    let all_fine = reports.iter().all(|report| !matches!(report.outcome, Refresh::Kept { .. }));
    Ok(if all_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn refresh(set: &AsSet, path: &Path, how: &How) -> Result<Refresh, Kept> {
    let mut new = ask(set, how, "-4", LONGEST_V4)?;
    new.extend(ask(set, how, "-6", LONGEST_V6)?);
    new.sort_unstable();
    new.dedup();
    if new.is_empty() {
        return Err(Kept::Empty);
    }
    // A list that cannot be read protects nothing that is there.
    let old = list_text(path).and_then(|text| lists::read(&text)).unwrap_or_default();
    if new == old {
        return Ok(Refresh::Unchanged { listed: new.len() });
    }
    let lost = lists::lost(&old, &new);
    if old.len() >= FEW && lost * 2 > old.len() && !how.accept_shrunk {
        return Err(Kept::Shrunk { before: old.len(), lost });
    }
    let unwritten = |error: io::Error| Kept::Unwritten { why: error.to_string() };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(unwritten)?;
    }
    replace(path, &lists::print(&new)).map_err(unwritten)?;
    let without = |these: &[PrefixRange], those: &[PrefixRange]| {
        these.iter().filter(|range| those.binary_search(range).is_err()).count()
    };
    Ok(Refresh::Written { listed: new.len(), added: without(&new, &old), removed: without(&old, &new) })
}

/// What bgpq4 says of one family: what is registered, exactly, and nothing longer than others take.
fn ask(set: &AsSet, how: &How, family: &str, longest: u8) -> Result<Vec<PrefixRange>, Kept> {
    let mut command = Command::new("bgpq4");
    if let Some(server) = &how.server {
        command.args(["-h", server]);
    }
    command.args(["-j", "-A", family, "-m", &longest.to_string(), "-l", "list", "--", &set.0]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| Kept::NoBgpq4 { why: error.to_string() })?;
    let printed = drain(child.stdout.take());
    let complaint = drain(child.stderr.take());
    let status = within(&mut child, Duration::from_secs(how.patience))
        .map_err(|error| Kept::Failed { why: error.to_string() })?;
    let Some(status) = status else { return Err(Kept::Late { seconds: how.patience }) };
    let printed = printed.join().unwrap_or_default();
    let complaint = complaint.join().unwrap_or_default();
    // A server's refusal (`F` and why) it passes on, and ends well, with what it has: as if there were no more.
    let refused = complaint.contains("\n: F ") || complaint.contains("Error expanding");
    if status.success() && refused {
        return Err(Kept::Failed { why: complaint.split_whitespace().collect::<Vec<_>>().join(" ") });
    }
    // It goes on past members that are no AS numbers of the Internet, which is no failure.
    let complaint = complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    if !status.success() {
        let why = if complaint.is_empty() { status.to_string() } else { complaint.to_owned() };
        return Err(Kept::Failed { why });
    }
    match lists::read(&printed) {
        Ok(ranges) => Ok(ranges),
        // `{ "list": [ ] }`: of the other family there may be some. No output at all is no answer.
        Err(Trouble::Empty) if !printed.trim().is_empty() => Ok(Vec::new()),
        Err(trouble) => Err(Kept::Unreadable { why: format!("{trouble:?}") }),
    }
}

/// Reads a pipe to its end on a thread of its own, so that a child never waits for us.
fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // A pipe that breaks has said what it had.
            let _ = pipe.take(LARGEST).read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for a child, and ends it when its time is over: `None` then.
fn within(child: &mut Child, patience: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn words(report: &Report, lang: Lang) -> String {
    let Report { peer, as_set, list, outcome } = report;
    let what = match (outcome, lang) {
        (Refresh::Unchanged { listed }, Lang::En) => format!("unchanged, {listed} listed"),
        (Refresh::Unchanged { listed }, Lang::Ja) => format!("変更なし({listed}個)"),
        (Refresh::Written { listed, added, removed }, Lang::En) => {
            format!("{listed} listed: {added} new, {removed} gone")
        }
        (Refresh::Written { listed, added, removed }, Lang::Ja) => {
            format!("{listed}個: 追加{added}、削除{removed}")
        }
        (Refresh::Kept { reason }, Lang::En) => format!("the old list stays: {}", kept_words(reason, lang)),
        (Refresh::Kept { reason }, Lang::Ja) => format!("元のまま: {}", kept_words(reason, lang)),
    };
    format!("{peer} ({as_set}) {list}: {what}")
}

fn kept_words(reason: &Kept, lang: Lang) -> String {
    match (reason, lang) {
        (Kept::NoBgpq4 { why }, Lang::En) => {
            format!("bgpq4 cannot be run ({why}); install it: apt install bgpq4")
        }
        (Kept::NoBgpq4 { why }, Lang::Ja) => {
            format!("bgpq4を実行できません({why})。apt install bgpq4で入ります")
        }
        (Kept::Failed { why }, Lang::En) => format!("bgpq4 failed: {why}"),
        (Kept::Failed { why }, Lang::Ja) => format!("bgpq4が失敗しました: {why}"),
        (Kept::Late { seconds }, Lang::En) => format!("bgpq4 had not answered after {seconds} s"),
        (Kept::Late { seconds }, Lang::Ja) => format!("bgpq4が{seconds}秒待っても答えません"),
        (Kept::Unreadable { why }, Lang::En) => format!("bgpq4 printed something else than a list: {why}"),
        (Kept::Unreadable { why }, Lang::Ja) => format!("bgpq4の出力がリストではありません: {why}"),
        (Kept::Empty, Lang::En) => "the IRR has no such AS-SET, or it has no prefixes".into(),
        (Kept::Empty, Lang::Ja) => "IRRにこのAS-SETがないか、プレフィックスがありません".into(),
        (Kept::Shrunk { before, lost }, Lang::En) => {
            format!("{lost} of {before} would be gone; if that is right, say --accept-shrunk")
        }
        (Kept::Shrunk { before, lost }, Lang::Ja) => {
            format!("{before}個のうち{lost}個がなくなります。正しければ--accept-shrunkを付けてください")
        }
        (Kept::Unwritten { why }, Lang::En) => format!("it cannot be written: {why}"),
        (Kept::Unwritten { why }, Lang::Ja) => format!("書き込めません: {why}"),
    }
}
