//! Why a lab could not be brought up, sorted by what a person can do about it.

use super::layout::Mismatch;
use super::processes::ProcessKind;
use super::space::{Forbids, NoSpace};
use std::fmt;
use std::io;
use std::time::Duration;

#[derive(Debug)]
pub enum Trouble {
    /// The machine does not let a lab stand here.
    Space(NoSpace),
    /// A defect of ours.
    Mismatch(Mismatch),
    /// The system refused something while we were `doing` it.
    System {
        doing: String,
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
        what: String,
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

impl Trouble {
    /// For `map_err`: what was being done.
    pub(super) fn doing(doing: String) -> impl FnOnce(io::Error) -> Trouble {
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

impl std::error::Error for Trouble {}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Space(reason) => reason.fmt(f),
            Trouble::Mismatch(mismatch) => mismatch.fmt(f),
            Trouble::System { doing, error } => write!(f, "{doing}: {error}"),
            Trouble::Ended { machine, process, log } => {
                write!(f, "{} of {machine} has ended", process.name())?;
                last_words(f, log)
            }
            Trouble::Late { what, machine, process, after, log } => {
                let (seconds, process) = (after.as_secs(), process.name());
                write!(f, "after {seconds} s still waiting for {what}; {process} of {machine}")?;
                last_words(f, log)
            }
            Trouble::UpAlready(name) => {
                write!(
                    f,
                    "a lab named {name} is up already; `tsumugi lab down {name}` ends it, --name gives another name"
                )
            }
            Trouble::NoSuchLab(name) => write!(f, "no lab named {name} is up"),
            Trouble::WhichLab(names) if names.is_empty() => {
                f.write_str("no lab is up; `tsumugi lab up FILE` begins one")
            }
            Trouble::WhichLab(names) => write!(f, "several labs are up, name one: {}", names.join(", ")),
            Trouble::NoSuchMachine { wanted, known } => {
                write!(f, "there is no machine {wanted}; there are: {}", known.join(", "))
            }
        }
    }
}

fn last_words(f: &mut fmt::Formatter<'_>, log: &[String]) -> fmt::Result {
    if log.is_empty() {
        return f.write_str(" and has said nothing");
    }
    f.write_str(", whose log ends with:")?;
    log.iter().try_for_each(|line| write!(f, "\n  {line}"))
}

impl fmt::Display for NoSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoSpace::UserNamespacesForbidden(who) => {
                f.write_str(
                    "this machine forbids ordinary users a network of their own (user namespaces); ",
                )?;
                match who {
                    Some(Forbids::AppArmor) => f.write_str(
                        "allow it with: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
                    ),
                    Some(Forbids::UnprivilegedClone) => {
                        f.write_str("allow it with: sudo sysctl kernel.unprivileged_userns_clone=1")
                    }
                    Some(Forbids::MaxUserNamespaces) => {
                        f.write_str("allow it with: sudo sysctl user.max_user_namespaces=10000")
                    }
                    None => f.write_str("run it as root, or outside of the container that forbids it"),
                }
            }
            NoSpace::NamespacesForbidden(errno) => write!(
                f,
                "this machine forbids even root to make namespaces ({}); a container needs --privileged",
                errno.desc()
            ),
            NoSpace::NoTun { error, mode: None } => write!(
                f,
                "/dev/net/tun: {error}; load the kernel's module with: sudo modprobe tun (a container needs --device /dev/net/tun)"
            ),
            NoSpace::NoTun { error, mode: Some(mode) } => write!(
                f,
                "/dev/net/tun has mode {mode:04o}: {error}; allow it with: sudo chmod 0666 /dev/net/tun"
            ),
            NoSpace::NoProgram(name) => {
                write!(
                    f,
                    "the program {name} is missing; install it with: sudo apt-get install {}",
                    package_of(name)
                )
            }
            NoSpace::Mount(what) => {
                write!(f, "the lab may not mount {what}; a container needs --privileged")
            }
            NoSpace::System(error) => write!(f, "the lab has no space: {error}"),
        }
    }
}

fn package_of(program: &str) -> &str {
    match program {
        "nft" => "nftables",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_one_line_with_a_way_out() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let reasons = [
            NoSpace::UserNamespacesForbidden(Some(Forbids::AppArmor)),
            NoSpace::UserNamespacesForbidden(None),
            NoSpace::NoTun { error: denied(), mode: Some(0o600) },
            NoSpace::NoTun { error: denied(), mode: None },
            NoSpace::NoProgram("nft"),
            NoSpace::Mount("a /proc of its own".into()),
        ];
        for reason in reasons {
            let line = reason.to_string();
            assert!(!line.contains('\n') && line.contains(';'), "{line}");
        }
    }
}
