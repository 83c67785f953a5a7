//! `tsumugi probe`: how good the path under a tunnel is, measured now by the machine's datapath.

use super::{Failure, Outcome, print};
use crate::observe::status::{ProbeQuestion, ProbeSaid};
use crate::observe::{ask, words};
use crate::state::StateDir;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tsumugi_core::id::IfName;
use tsumugi_core::tunnel::path::Progress;
use tsumugi_plan::explain::Lang;
use tsumugi_plan::suggest::closest;

/// From one line of the datapath's to the next.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fails if the path could not be measured, or something is wrong with it.
pub fn run(link: &str, state: &Path, json: bool, lang: Lang) -> Outcome {
    let directory = StateDir::open(state).map_err(|_| {
        let state = state.display();
        Failure::Said(lang.pick(
            format!("{state} is no state directory"),
            format!("{state}は状態ディレクトリではありません"),
        ))
    })?;
    let plan = directory.plan().map_err(|refused| Failure::Said(words::plan_refused(&refused, lang)))?;
    let tunnels = plan.tunnels.iter().map(|tunnel| (&tunnel.name, tunnel.alias.as_str()));
    let probe =
        find(&plan.name, tunnels, link).map_err(|unknown| Failure::Said(unknown.words(link, lang)))?;
    let mut shown = Shown { terminal: !json && io::stderr().is_terminal(), lang };
    let mut last = None;
    let asked =
        ask::ask(&directory.socket("probe"), &ProbeQuestion { probe: probe.clone() }, PATIENCE, |said| {
            match said {
                ProbeSaid::Progress(progress) => {
                    shown.progress(&progress);
                    false
                }
                said => {
                    last = Some(said);
                    true
                }
            }
        });
    shown.clear();
    let said = match (asked, last) {
        (Ok(()), Some(said)) => said,
        (asked, _) => {
            let why = asked.err().map(|error| error.to_string()).unwrap_or_default();
            return Err(Failure::Said(lang.pick(
                format!("the datapath does not answer: {why}"),
                format!("データパスが応答しません: {why}"),
            )));
        }
    };
    if json {
        print(&format!("{}\n", serde_json::to_string(&said).unwrap_or_default()))?;
    } else {
        print(&page(probe.as_str(), &said, lang))?;
    }
    let good = matches!(&said, ProbeSaid::Found { measured, .. } if measured.troubles.is_empty());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The answer for people.
fn page(tunnel: &str, said: &ProbeSaid, lang: Lang) -> String {
    let lines = match said {
        ProbeSaid::Found { measured, not_kept } => {
            let mut lines = words::measured_path(measured, lang);
            lines.push(match not_kept {
                None if measured.by_kernel => lang
                    .pick("kept, and shown in status", "この結果は保存され、statusに表示されます")
                    .to_owned(),
                None => lang
                    .pick("kept, and in force from now on", "この結果は保存され、今から使われます")
                    .to_owned(),
                Some(why) => lang.pick(
                    format!("in force until the datapath ends; it could not be kept: {why}"),
                    format!("データパスが終わるまで使われます。保存できませんでした: {why}"),
                ),
            });
            lines
        }
        ProbeSaid::Refused(reason) => vec![words::probe_refused(*reason, lang).to_owned()],
        ProbeSaid::Unanswered { asked } => vec![words::unanswered(*asked, lang).to_owned()],
        ProbeSaid::WentSilent => vec![
            lang.pick(
                "the far end stopped answering in the middle of it: try again when the tunnel is steady. What was \
                 known of the path stays in force",
                "測定の途中で相手が応答しなくなりました。安定してからもう一度試してください。\
                 これまでの値を使い続けます",
            )
            .to_owned(),
        ],
        ProbeSaid::Progress(_) => Vec::new(),
    };
    lines.iter().fold(format!("{tunnel}\n"), |page, line| format!("{page}  {line}\n"))
}

/// One line that is written over, for whoever sits before a terminal.
struct Shown {
    terminal: bool,
    lang: Lang,
}

impl Shown {
    fn progress(&mut self, progress: &Progress) {
        if self.terminal {
            let stage = words::probe_stage(&progress.stage, self.lang);
            let _ = write!(
                io::stderr(),
                "\r\x1b[K{}.{} s  {stage}",
                progress.elapsed_ms / 1000,
                progress.elapsed_ms / 100 % 10
            );
        }
    }

    fn clear(&mut self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// What a word that names no tunnel could have meant.
#[derive(Debug, PartialEq, Eq)]
enum Unknown {
    /// Several tunnels are meant by it.
    Several(Vec<String>),
    Nothing {
        meant: Option<String>,
        there: Vec<String>,
    },
}

impl Unknown {
    fn words(&self, link: &str, lang: Lang) -> String {
        match self {
            Unknown::Several(tunnels) => {
                let tunnels = tunnels.join(", ");
                lang.pick(
                    format!("`{link}` is several tunnels: say one of {tunnels}"),
                    format!("`{link}`に当たるトンネルが複数あります。どれか一つを選んでください: {tunnels}"),
                )
            }
            Unknown::Nothing { meant: Some(meant), .. } => lang.pick(
                format!("this machine has no tunnel `{link}`: did you mean `{meant}`?"),
                format!("この機器にトンネル`{link}`はありません。`{meant}`のことですか"),
            ),
            Unknown::Nothing { there, .. } if there.is_empty() => {
                lang.pick("this machine has no tunnels", "この機器にトンネルはありません").to_owned()
            }
            Unknown::Nothing { there, .. } => {
                let there = there.join(", ");
                lang.pick(
                    format!("this machine has no tunnel `{link}`; there are {there}"),
                    format!("この機器にトンネル`{link}`はありません。あるのは {there}"),
                )
            }
        }
    }
}

/// The tunnel that a person means: its interface, the router or peer or segment at its far end, or both ends of
/// the link as the file has them. `tunnels` are interfaces with their aliases.
fn find<'a>(
    router: &str,
    tunnels: impl IntoIterator<Item = (&'a IfName, &'a str)>,
    word: &str,
) -> Result<IfName, Unknown> {
    let named: Vec<(&IfName, Vec<String>)> =
        tunnels.into_iter().map(|(name, alias)| (name, names(router, alias))).collect();
    if let Some((name, _)) = named.iter().find(|(name, _)| name.as_str() == word) {
        return Ok((*name).clone());
    }
    let meant: Vec<_> = named.iter().filter(|(_, names)| names.iter().any(|name| name == word)).collect();
    match meant.as_slice() {
        [(tunnel, _)] => Ok((*tunnel).clone()),
        [] => {
            let there: Vec<String> = named.iter().map(|(name, _)| name.to_string()).collect();
            let known = there.iter().chain(named.iter().flat_map(|(_, names)| names)).map(String::as_str);
            let meant = closest(word, known).map(str::to_owned);
            Err(Unknown::Nothing { meant, there })
        }
        several => Err(Unknown::Several(several.iter().map(|(tunnel, _)| tunnel.to_string()).collect())),
    }
}

/// What else a tunnel is called by: its alias says who is at the far end.
fn names(router: &str, alias: &str) -> Vec<String> {
    let words: Vec<&str> = alias.split_whitespace().collect();
    match words.as_slice() {
        ["link", "to", far, ..] => {
            vec![(*far).to_owned(), format!("{router}-{far}"), format!("{far}-{router}")]
        }
        ["port", "of", "segment", segment, ..] => vec![(*segment).to_owned()],
        [peer, ..] => vec![(*peer).to_owned()],
        [] => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsumugi_core::tunnel::path::Answerer;

    #[test]
    fn a_tunnel_is_called_by_its_interface_or_its_far_end() {
        let tunnels = [
            ("gre-ren", "link to ren by gre over ngn"),
            ("wg-ren", "link to ren by wireguard over inet"),
            ("gre-sora", "link to sora by gre over ngn"),
            ("eip-telhi", "telhi AS150369 by etherip over ngn"),
            ("eip-guests", "port of segment guests by etherip over ngn"),
        ]
        .map(|(name, alias)| (IfName::new(name).unwrap(), alias));
        let find = |word: &str| {
            let tunnels = tunnels.iter().map(|(name, alias)| (name, *alias));
            super::find("hana", tunnels, word)
                .map(|name| name.to_string())
                .map_err(|unknown| unknown.words(word, Lang::En))
        };
        for (word, tunnel) in [
            ("gre-ren", "gre-ren"),
            ("sora", "gre-sora"),
            ("hana-sora", "gre-sora"),
            ("sora-hana", "gre-sora"),
            ("telhi", "eip-telhi"),
            ("guests", "eip-guests"),
        ] {
            assert_eq!(find(word).as_deref(), Ok(tunnel));
        }
        for (word, said) in [
            ("ren", "`ren` is several tunnels: say one of gre-ren, wg-ren"),
            ("gre-sara", "this machine has no tunnel `gre-sara`: did you mean `gre-sora`?"),
            (
                "quux",
                "this machine has no tunnel `quux`; there are gre-ren, wg-ren, gre-sora, eip-telhi, eip-guests",
            ),
        ] {
            assert_eq!(find(word), Err(said.to_owned()));
        }
        let nothing = super::find("hana", [], "ren").unwrap_err();
        assert_eq!(nothing.words("ren", Lang::Ja), "この機器にトンネルはありません");
    }

    #[test]
    fn what_was_not_found_is_said_too() {
        let page = |said| page("gre-x", &said, Lang::En);
        assert!(
            page(ProbeSaid::Unanswered { asked: Answerer::Datapath }).starts_with("gre-x\n  not one answer")
        );
        assert!(page(ProbeSaid::WentSilent).contains("stopped answering in the middle of it"));
    }
}
