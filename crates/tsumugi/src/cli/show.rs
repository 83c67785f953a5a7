//! `tsumugi show`: why BGP of this machine does what it does, asked of its router process.

use super::{Failure, Outcome, print};
use crate::observe::ask;
use crate::observe::page::show::{self as page, Reader};
use crate::observe::status::{RouteSaid, ShowQuestion, ShowSaid, Table};
use crate::observe::words;
use clap::Subcommand;
use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tsumugi_core::id::Prefix;
use tsumugi_plan::explain::Lang;
use tsumugi_plan::suggest::closest;

/// From one line of the answer to the next.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Subcommand)]
pub enum What {
    /// The sessions: with whom, since when, how many routes each way, and how the last one ended.
    Bgp,
    /// Where packets to an address or a prefix go, why there, and who is told.
    Route {
        /// An address, or a prefix.
        to: String,
    },
    /// What a neighbour announces and is not taken, and why.
    Rejected {
        /// A neighbour as `show bgp` names it, or a peer of the file.
        peer: String,
    },
    /// All that a neighbour announces, taken or not.
    Received {
        /// A neighbour as `show bgp` names it, or a peer of the file.
        peer: String,
    },
    /// All that a neighbour was told, as it was told.
    Sent {
        /// A neighbour as `show bgp` names it, or a peer of the file.
        peer: String,
    },
}

/// Fails if there is no route to what was asked for.
pub fn run(what: &What, state: Option<&Path>, json: bool, lang: Lang) -> Outcome {
    let Some(state) = state.filter(|state| state.is_dir()) else {
        let state = state.map_or_else(|| "--state".to_owned(), |state| state.display().to_string());
        return Err(Failure::Said(lang.pick(
            format!("{state} is no state directory"),
            format!("{state}は状態ディレクトリではありません"),
        )));
    };
    let question = question(what, lang)?;
    let colour = !json && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut shown = Shown { reader: Reader { lang, colour }, json, heading: None, routes: 0, failure: None };
    let mut code = ExitCode::SUCCESS;
    let asked = ask::ask(&state.join("show.sock"), &question, PATIENCE, |said: ShowSaid| {
        let last = said.is_last();
        if matches!(&said, ShowSaid::Route(said) if said.covering.is_none()) {
            code = ExitCode::FAILURE;
        }
        shown.failure = shown.say(said, &question).err();
        last || shown.failure.is_some()
    });
    match (shown.failure, asked) {
        (Some(failure), _) => Err(failure),
        (None, Ok(())) => Ok(code),
        (None, Err(error)) => Err(Failure::Said(lang.pick(
            format!("the router process does not answer: {error}"),
            format!("routerプロセスが応答しません: {error}"),
        ))),
    }
}

fn question(what: &What, lang: Lang) -> Result<ShowQuestion, Failure> {
    let table = |which, peer: &String| ShowQuestion::Table { which, neighbour: peer.clone() };
    Ok(match what {
        What::Bgp => ShowQuestion::Bgp,
        What::Route { to } => destination(to).ok_or_else(|| {
            Failure::Said(lang.pick(
                format!("`{to}` is neither an address nor a prefix, as in 192.0.2.1 or 2001:db8::/32"),
                format!("`{to}`はアドレスでもプレフィックスでもありません (例: 192.0.2.1、2001:db8::/32)"),
            ))
        })?,
        What::Rejected { peer } => table(Table::Rejected, peer),
        What::Received { peer } => table(Table::Received, peer),
        What::Sent { peer } => table(Table::Sent, peer),
    })
}

fn destination(text: &str) -> Option<ShowQuestion> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(ShowQuestion::Route { prefix: Prefix::from(address), exact: false });
    }
    let prefix = text.parse::<Prefix>().ok()?.trunc();
    Some(ShowQuestion::Route { prefix, exact: true })
}

/// What has been printed.
struct Shown {
    reader: Reader,
    json: bool,
    /// Whose lines are being printed.
    heading: Option<String>,
    /// How many of it.
    routes: u64,
    failure: Option<Failure>,
}

impl Shown {
    fn say(&mut self, said: ShowSaid, question: &ShowQuestion) -> Result<(), Failure> {
        let reader = self.reader;
        let lang = reader.lang;
        match said {
            ShowSaid::NoSuchNeighbour { names } => Err(unknown(question, &names, lang)),
            ShowSaid::OfFrr { router, sockets } => {
                Err(Failure::Said(words::table_is_frrs(&router, &sockets, lang)))
            }
            ShowSaid::NotUnderstood => Err(Failure::Said(
                lang.pick(
                    "the router process is of another version and does not know this question",
                    "routerプロセスのバージョンが異なり、この問いを知りません",
                )
                .to_owned(),
            )),
            ShowSaid::Bgp(said) if self.json => self.document(&said),
            ShowSaid::Route(said) if self.json => self.document(&said),
            ShowSaid::Bgp(said) => print(&page::bgp(&said, reader)),
            ShowSaid::Route(said) => self.route(&said),
            ShowSaid::Received { neighbour, routes } => {
                self.table(neighbour, &routes, |route| page::received(route, reader))
            }
            ShowSaid::Sent { neighbour, routes } => {
                self.table(neighbour, &routes, |route| page::sent(route, reader))
            }
            // No answer to these questions.
            ShowSaid::Dump { .. } | ShowSaid::Dumped { .. } => Ok(()),
            ShowSaid::Through { neighbour, beyond } => self.through(neighbour, beyond),
            ShowSaid::End if self.json => print(if self.heading.is_some() { "\n]\n" } else { "[]\n" }),
            ShowSaid::End => Ok(()),
        }
    }

    fn document(&self, what: &impl serde::Serialize) -> Result<(), Failure> {
        print(&format!("{}\n", serde_json::to_string(what).unwrap_or_default()))
    }

    fn route(&self, said: &RouteSaid) -> Result<(), Failure> {
        print(&page::route(said, self.reader))
    }

    /// A part of a table. As JSON it is one list, of which each route says of whom it is.
    fn table<T: serde::Serialize>(
        &mut self,
        neighbour: String,
        routes: &[T],
        words: impl Fn(&T) -> String,
    ) -> Result<(), Failure> {
        let mut text = String::new();
        for route in routes {
            if self.json {
                text.push_str(if self.heading.is_none() { "[\n" } else { ",\n" });
                let line = serde_json::json!({ "neighbour": neighbour, "route": route });
                text.push_str(&line.to_string());
                self.heading = Some(neighbour.clone());
            } else {
                if self.heading.as_ref() != Some(&neighbour) {
                    text.push_str(&format!("{neighbour}\n"));
                    (self.heading, self.routes) = (Some(neighbour.clone()), 0);
                }
                text.push_str(&words(route));
                text.push('\n');
            }
            self.routes += 1;
        }
        print(&text)
    }

    fn through(&mut self, neighbour: String, beyond: u64) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        let lang = self.reader.lang;
        let routes = if self.heading.as_ref() == Some(&neighbour) { self.routes } else { 0 };
        let mut text = if routes == 0 { format!("{neighbour}\n") } else { String::new() };
        text.push_str(&lang.pick(format!("  {routes} in all\n"), format!("  計{routes}\n")));
        if beyond > 0 {
            text.push_str(&lang.pick(
                format!("  {beyond} more were refused of which nothing is kept\n"),
                format!("  ほかに{beyond}件を拒みましたが、記録は残っていません\n"),
            ));
        }
        (self.heading, self.routes) = (Some(neighbour), 0);
        print(&text)
    }
}

fn unknown(question: &ShowQuestion, names: &[String], lang: Lang) -> Failure {
    let ShowQuestion::Table { neighbour, .. } = question else { return Failure::Said(String::new()) };
    let all = names.join(", ");
    let hint = closest(neighbour, names.iter().map(String::as_str));
    let hint = hint.map_or_else(String::new, |name| {
        lang.pick(format!("did you mean `{name}`? "), format!("`{name}`のことですか? "))
    });
    Failure::Said(lang.pick(
        format!("there is no neighbour `{neighbour}`; {hint}these are: {all}"),
        format!("`{neighbour}`という相手はいません。{hint}相手: {all}"),
    ))
}
