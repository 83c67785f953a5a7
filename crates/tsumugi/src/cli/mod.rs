//! The verbs.

mod datapath;
mod file;
mod lab;
mod management;
mod plan;
mod router;
mod status;
mod verify;

use crate::observe::words;
use clap::{Parser, Subcommand, ValueEnum};
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "tsumugi", version, about = "Runs a real autonomous system from one file")]
struct Cli {
    /// Language of what is printed; else the locale decides.
    #[arg(long, global = true)]
    lang: Option<Lang>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Copy, ValueEnum)]
enum Lang {
    En,
    Ja,
}

#[derive(Subcommand)]
enum Verb {
    /// Everything that is wrong with a file, and what to write instead.
    Check {
        file: PathBuf,
        /// One JSON document for machines.
        #[arg(long)]
        json: bool,
    },
    /// Prints a file back in its one form.
    Fmt {
        file: PathBuf,
        /// Into the file itself.
        #[arg(long)]
        write: bool,
    },
    /// The JSON schema of the file.
    Schema,
    /// What each router must be.
    Plan {
        file: PathBuf,
        #[arg(long)]
        router: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// Why things are as they are.
    #[command(subcommand)]
    Explain(Explain),
    /// A whole network of one file on this machine.
    Lab {
        #[command(subcommand)]
        verb: lab::LabVerb,
    },
    /// The process that plays an outside peer in a lab.
    #[command(hide = true)]
    LabStandIn { machine: String },
    /// The process that moves a router's packets through its tunnels.
    Datapath {
        /// The machine's state directory.
        #[arg(long)]
        state: PathBuf,
    },
    /// The process that speaks BGP and owns the fabric of this machine.
    Router {
        /// The machine's state directory.
        #[arg(long)]
        state: PathBuf,
    },
    /// The process that keeps the overlay over which people repair.
    Management {
        /// The machine's state directory.
        #[arg(long)]
        state: PathBuf,
    },
    /// What this machine's processes say of themselves.
    Status {
        #[arg(long)]
        state: PathBuf,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum Explain {
    /// How large packets become on the way: every header, how many outer packets, which MSS.
    Mtu {
        file: PathBuf,
        /// `a-b`, an interface, a peer, `management` or `segments`; else everything.
        link: Option<String>,
    },
}

/// What a verb could not do, in words for the person who typed it.
#[derive(Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What every verb returns: the exit status, or the reason why it could not begin.
pub type Outcome = Result<ExitCode, Failure>;

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("tsumugi: {failure}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> Outcome {
    match cli.verb {
        Verb::Lab { verb } => lab::run(verb, plan_lang(cli.lang)),
        Verb::LabStandIn { machine } => verify::stand_in(&machine),
        Verb::Datapath { state } => datapath::run(&state),
        Verb::Plan { file, router, json } => plan::plan(&file, router.as_deref(), json, plan_lang(cli.lang)),
        Verb::Explain(Explain::Mtu { file, link }) => {
            plan::explain_mtu(&file, link.as_deref(), plan_lang(cli.lang))
        }
        Verb::Check { file, json } => file::check(&file, json, plan_lang(cli.lang)),
        Verb::Fmt { file, write } => file::fmt(&file, write, plan_lang(cli.lang)),
        Verb::Schema => file::schema(),
        Verb::Management { state } => management::run(&state),
        Verb::Router { state } => router::run(&state),
        Verb::Status { state, json } => status::run(&state, json, words_of(cli.lang)),
    }
}

fn words_of(lang: Option<Lang>) -> words::Lang {
    match lang {
        Some(Lang::En) => words::Lang::En,
        Some(Lang::Ja) => words::Lang::Ja,
        None => words::Lang::of_locale(),
    }
}

fn plan_lang(lang: Option<Lang>) -> tsumugi_plan::explain::Lang {
    match words_of(lang) {
        words::Lang::En => tsumugi_plan::explain::Lang::En,
        words::Lang::Ja => tsumugi_plan::explain::Lang::Ja,
    }
}
