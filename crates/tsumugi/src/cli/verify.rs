//! `tsumugi lab verify` and `tsumugi lab capture`.

use super::file::is_coloured;
use super::lab::{Loaded, opened};
use super::{Failure, Outcome, complain, print};
use crate::lab::control::{self, Stay};
use crate::lab::report::{ProofId, Report, table};
use crate::lab::{Doing, Lab, Trouble, capture, stand_in, verify};
use clap::Args;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use tsumugi_plan::explain::Lang;

#[derive(Args)]
pub struct Verify {
    /// The network's file.
    #[arg(required_unless_present = "attach")]
    file: Option<PathBuf>,
    /// The report as one JSON document.
    #[arg(long)]
    json: bool,
    /// Only this proof; may be repeated.
    #[arg(long, value_name = "ID")]
    only: Vec<ProofId>,
    /// Leaves the lab running.
    #[arg(long)]
    keep: bool,
    /// The lab's name; else the network's.
    #[arg(long, conflicts_with = "attach")]
    name: Option<String>,
    /// Proves a lab that is up already, by its name or its file.
    #[arg(long, value_name = "LAB", conflicts_with_all = ["file", "keep"])]
    attach: Option<String>,
}

impl Verify {
    pub fn run(self, lang: Lang) -> Outcome {
        let began = Instant::now();
        let Some(file) = &self.file else {
            let record = control::find(self.attach.as_deref())?;
            let status = record.within(|| match opened() {
                Ok(lab) => self.prove(&lab, lang, began),
                Err(trouble) => {
                    complain(&trouble.words(lang));
                    2
                }
            })?;
            return Ok(status.into());
        };
        let loaded = Loaded::read(file.clone(), self.name.clone(), lang)?;
        let stay = if self.keep { Stay::OnceUp } else { Stay::Never };
        let status = control::raise(&loaded.source(), stay, lang, |lab| self.prove(lab, lang, began))?;
        Ok(status.into())
    }

    /// Inside the lab: the exit status.
    fn prove(&self, lab: &Lab, lang: Lang, began: Instant) -> u8 {
        let report = verify::verify(lab, &self.only, lang, began);
        if let Err(failure) = self.print(&report, lang) {
            complain(&failure.words(lang));
            return 2;
        }
        u8::from(!report.holds())
    }

    fn print(&self, report: &Report, lang: Lang) -> Result<(), Failure> {
        if !self.json {
            return print(&table(report, lang, is_coloured(&io::stdout())));
        }
        let report = serde_json::to_string(report)
            .map_err(|error| Failure::Said(format!("cannot print the report: {error}")))?;
        print(&format!("{report}\n"))
    }
}

#[derive(Args)]
pub struct Capture {
    /// `A-B`, or `ROUTER-PEER` for an outside connection.
    link: String,
    /// The lab's name or file; not needed if there is but one.
    #[arg(long)]
    name: Option<String>,
    /// Writes a capture file for an analyser instead of lines.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl Capture {
    pub fn run(self, lang: Lang) -> Outcome {
        let record = control::find(self.name.as_deref())?;
        // Opened out here: the lab may see other files.
        let file = match &self.write {
            Some(path) => {
                let said = |error: io::Error| Failure::Said(format!("{}: {error}", path.display()));
                Some(std::fs::File::create(path).map_err(said)?)
            }
            None => None,
        };
        let status = record.within(|| {
            let follow = || -> Result<(), Trouble> {
                let lab = opened()?;
                capture::follow(&lab, &self.link, file)
                    .map_err(Trouble::doing(Doing::Capturing { link: self.link.clone() }))
            };
            match follow() {
                Ok(()) => 0,
                Err(trouble) => {
                    complain(&trouble.words(lang));
                    2
                }
            }
        })?;
        Ok(status.into())
    }
}

/// The hidden process; returns only if it cannot begin.
pub fn stand_in(machine: &str) -> Outcome {
    stand_in::run(machine).map_err(|error| Failure::Said(format!("{machine}: {error}")))?;
    Ok(ExitCode::SUCCESS)
}
