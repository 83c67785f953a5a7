//! Why a lab could not be brought up, sorted by what a person can do about it.

mod words;

use super::layout::Mismatch;
use super::processes::ProcessKind;
use super::space::NoSpace;
use std::io;
use std::time::Duration;
use tsumugi_core::id::{IfName, Plane};

#[derive(Debug)]
pub enum Trouble {
    /// The machine does not let a lab stand here.
    Space(NoSpace),
    /// A defect of ours.
    Mismatch(Mismatch),
    /// The system refused something while we were `doing` it.
    System {
        doing: Doing,
        error: io::Error,
    },
    /// A process ended while the lab was waiting for it.
    Ended {
        machine: String,
        process: ProcessKind,
        log: Vec<String>,
    },
    /// What did not come in time, and the last words of whoever was to bring it.
    Late {
        what: Awaited,
        machine: String,
        process: ProcessKind,
        after: Duration,
        log: Vec<String>,
    },
    /// A lab of that name is up already.
    UpAlready(String),
    /// There is no lab of that name.
    NoSuchLab(String),
    /// Several are up, and none was named.
    WhichLab(Vec<String>),
    NoSuchMachine {
        wanted: String,
        known: Vec<String>,
    },
}

/// What was being done when the system refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    LookingForLabs,
    Entering { lab: String },
    Ending { lab: String },
    Recording { lab: String },
    Forgetting { lab: String },
    WritingRecord,
    ReadingRecord,
    MakingMachine { machine: String },
    MakingNetworks,
    LayingLine { line: String },
    Plugging { machine: String, switch: String },
    AddressingDevices,
    WritingState { machine: String },
    Starting { process: ProcessKind, machine: String },
    Addressing { line: String },
    Furnishing { machine: String },
    Looking { interface: IfName, machine: String },
    Capturing { link: String },
    Running { program: String, machine: String },
}

/// What a process was to bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// All of its sessions with other routers.
    Sessions,
    Interface {
        plane: Plane,
        interface: IfName,
    },
}

impl Trouble {
    /// For `map_err`: what was being done.
    pub fn doing(doing: Doing) -> impl FnOnce(io::Error) -> Trouble {
        move |error| Trouble::System { doing, error }
    }
}

impl From<NoSpace> for Trouble {
    fn from(reason: NoSpace) -> Trouble {
        Trouble::Space(reason)
    }
}

impl From<Mismatch> for Trouble {
    fn from(mismatch: Mismatch) -> Trouble {
        Trouble::Mismatch(mismatch)
    }
}
