//! `tsumugi lab`: a whole network of one file on this machine.

use super::{Failure, Outcome, complain, print};
use crate::lab::control::{self, Record, Stay};
use crate::lab::layout::Source;
use crate::lab::{Doing, Lab, ProcessKind, Trouble, stand_in};
use crate::observe::say::pad;
use clap::Subcommand;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use tsumugi_plan::compile::NetworkPlan;
use tsumugi_plan::explain::Lang;
use tsumugi_plan::{Declaration, Problem};

#[derive(Subcommand)]
pub enum LabVerb {
    /// Brings a file's network up in namespaces of its own and leaves it running.
    Up {
        file: PathBuf,
        /// The lab's name; else the network's.
        #[arg(long)]
        name: Option<String>,
    },
    /// Ends a lab: everything in it is gone.
    Down {
        /// Its name or its file; not needed if there is but one.
        lab: Option<String>,
    },
    /// Which labs are up, and what runs in them.
    Status {
        /// Its name or its file; else all of them.
        lab: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// Runs a command inside a machine of a lab.
    Exec {
        /// `NAME` or `NAME:PLANE` (management, underlay, fabric); a router's fabric if no plane is named.
        machine: String,
        /// The lab's name or file; not needed if there is but one.
        #[arg(long)]
        name: Option<String>,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Brings a file's network up, proves what it promises, and takes it down again.
    Verify(super::verify::Verify),
    /// Shows the outer packets of one link as they pass, at both of its ends.
    Capture(super::verify::Capture),
}

pub fn run(verb: LabVerb, lang: Lang) -> Outcome {
    match verb {
        LabVerb::Up { file, name } => {
            let loaded = Loaded::read(file, name, lang)?;
            let with_peers = |lab: &Lab| match stand_in::start_all(lab) {
                Ok(()) => 0,
                Err(error) => {
                    complain(&error.to_string());
                    1
                }
            };
            Ok(control::raise(&loaded.source(), Stay::OnceUp, lang, with_peers)?.into())
        }
        LabVerb::Down { lab } => {
            control::find(lab.as_deref())?.end()?;
            Ok(ExitCode::SUCCESS)
        }
        LabVerb::Status { lab, json } => status(lab.as_deref(), json, lang),
        LabVerb::Exec { machine, name, command } => exec(name.as_deref(), &machine, &command, lang),
        LabVerb::Verify(verify) => verify.run(lang),
        LabVerb::Capture(capture) => capture.run(lang),
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        Failure::Lab(trouble)
    }
}

/// A file that was read, checked and compiled.
pub struct Loaded {
    name: String,
    file: PathBuf,
    text: String,
    declaration: Declaration,
    plan: NetworkPlan,
}

impl Loaded {
    /// # Errors
    /// What is wrong with the file, in words.
    pub fn read(file: PathBuf, name: Option<String>, lang: Lang) -> Result<Loaded, Failure> {
        let text = fs::read_to_string(&file)
            .map_err(|error| Failure::Said(format!("{}: {error}", file.display())))?;
        let refused = |problems: Vec<Problem>| {
            super::file::refuse(&problems, &text, &file, lang);
            Failure::Said(format!("{} is refused", file.display()))
        };
        let (declaration, plan) = super::file::compiled(&file, &text).map_err(refused)?;
        let name = name.unwrap_or_else(|| declaration.network.name.to_string());
        Ok(Loaded { name, file, text, declaration, plan })
    }

    pub fn source(&self) -> Source<'_> {
        Source {
            name: &self.name,
            file: &self.file,
            text: &self.text,
            declaration: &self.declaration,
            plan: &self.plan,
        }
    }
}

fn exec(name: Option<&str>, machine: &str, command: &[String], lang: Lang) -> Outcome {
    let record = control::find(name)?;
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::Said("no command to run".into()));
    };
    let status = record.within(|| {
        let run = || -> Result<io::Error, Trouble> {
            let lab = opened()?;
            let (machine, plane) = control::resolve(&lab, machine)?;
            let doing = Doing::Running { program: program.clone(), machine: machine.name.clone() };
            let mut command = machine.command(plane, program).map_err(Trouble::doing(doing))?;
            Ok(command.args(arguments).exec())
        };
        match run() {
            Ok(error) => complain(&format!("{program}: {error}")),
            Err(trouble) => complain(&trouble.words(lang)),
        }
        127
    })?;
    Ok(status.into())
}

pub fn opened() -> Result<Lab, Trouble> {
    Lab::open().map_err(Trouble::doing(Doing::ReadingRecord))
}

fn status(wanted: Option<&str>, json: bool, lang: Lang) -> Outcome {
    let records = match wanted {
        Some(_) => vec![control::find(wanted)?],
        None => control::labs()?,
    };
    let mut labs = Vec::new();
    for record in &records {
        labs.push(look(record, lang)?);
    }
    if json {
        print(&format!("{}\n", json!({ "labs": labs })))?;
        return Ok(ExitCode::SUCCESS);
    }
    let page: String = match labs.as_slice() {
        [] => lang
            .pick(
                "no lab is up; `tsumugi lab up FILE` begins one\n",
                "動いているラボはありません。`tsumugi lab up FILE`で始められます\n",
            )
            .into(),
        labs => labs.iter().map(|lab| page(lab, lang)).collect(),
    };
    print(&page)?;
    Ok(ExitCode::SUCCESS)
}

/// What a lab says when it is looked at from inside.
fn look(record: &Record, lang: Lang) -> Result<Value, Failure> {
    let broken = |error: io::Error| Failure::Said(format!("looking at the lab {}: {error}", record.name));
    // Memory that both sides see: a pipe would be full before anybody reads it.
    let page = memfd_create("lab-status", MFdFlags::MFD_CLOEXEC).map_err(|errno| broken(errno.into()))?;
    let mut page = File::from(page);
    let status = record.within(|| match opened() {
        Ok(lab) => u8::from(page.write_all(report(&lab).to_string().as_bytes()).is_err()),
        Err(trouble) => {
            complain(&trouble.words(lang));
            1
        }
    })?;
    if status != 0 {
        return Err(Failure::Said(format!("the lab {} does not answer", record.name)));
    }
    let mut text = String::new();
    page.rewind().and_then(|()| page.read_to_string(&mut text)).map_err(broken)?;
    let mut report: Value = serde_json::from_str(&text).map_err(|error| broken(error.into()))?;
    report["name"] = record.name.clone().into();
    report["file"] = record.file.to_string_lossy().into();
    report["init"] = record.init.into();
    Ok(report)
}

fn report(lab: &Lab) -> Value {
    let machines = lab.machines.values().map(|machine| {
        let processes = machine.processes.iter().map(|kind| {
            let memory = machine.memory(*kind);
            json!({ "process": kind, "pid": machine.pid(*kind).map(|pid| pid.as_raw()), "memory": memory })
        });
        let mut report = json!({
            "name": machine.name, "role": machine.role, "site": machine.site, "addresses": machine.addresses,
            "processes": processes.collect::<Vec<_>>(),
        });
        if machine.processes.contains(&ProcessKind::Router) {
            let (established, all) = lab.sessions_of(machine);
            report["sessions"] = json!({ "established": established, "all": all });
        }
        report
    });
    json!({ "machines": machines.collect::<Vec<_>>(), "wires": lab.wires, "lines": lab.lines })
}

/// A lab for people: its routers, and what runs in them.
fn page(lab: &Value, lang: Lang) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut page = format!("{}  ({}, init {})\n", text(&lab["name"]), text(&lab["file"]), lab["init"]);
    let mut memory = 0;
    for machine in lab["machines"].as_array().into_iter().flatten() {
        let processes = machine["processes"].as_array().map_or(&[][..], Vec::as_slice);
        if processes.is_empty() {
            continue;
        }
        let words: Vec<String> = processes
            .iter()
            .map(|process| match process["pid"].as_i64() {
                Some(pid) => {
                    memory += process["memory"].as_u64().unwrap_or(0);
                    format!("{} {pid}", text(&process["process"]))
                }
                None => format!("{} {}", text(&process["process"]), lang.pick("gone", "停止")),
            })
            .collect();
        let sessions = match &machine["sessions"] {
            Value::Null => String::new(),
            sessions => {
                let (established, all) = (&sessions["established"], &sessions["all"]);
                lang.pick(
                    format!("{established} of {all} sessions"),
                    format!("セッション {established}/{all}"),
                )
            }
        };
        page +=
            &format!("  {} {} {}\n", pad(&text(&machine["name"]), 16), pad(&sessions, 18), words.join(", "));
    }
    let memory = memory >> 20;
    page += &lang.pick(
        format!("  all processes together: {memory} MiB\n"),
        format!("  全プロセスのメモリ合計: {memory} MiB\n"),
    );
    page
}
