//! FRR in the embedded speaker's place: zebra, bfdd and bgpd as children in the fabric, configured from the
//! same plan, changed by FRR's own reload.
//!
//! ```text
//! SpeakerConfig ─▶ configuration ─▶ files ─▶ zebra, bfdd, bgpd ─▶ routes of protocol `bgp`: FRR's, not ours
//!                                    └──▶ frr-reload.py, when the plan has changed
//! routes of the kernel ─▶ what else of the network is reached ─▶ our discard routes ─▶ redistributed
//! ```
//!
//! The kernel ends the daemons with us; what they gave it stays, and the next zebra takes it away again.

mod asking;
mod asn;
mod configuration;
mod daemon;
mod policy;
mod status;
mod vty;

pub use configuration::Passwords;

use crate::kernel::dynamic::RouteUpdate;
use crate::kernel::plane::Keeper;
use crate::kernel::{Namespace, Netlink, child};
use crate::observe::status::{FrrStatus, FrrTrouble, RouteCounts};
use crate::observe::words;
use asking::Asking;
use configuration::Configuration;
use daemon::Daemon;
use nix::unistd::{Gid, Group, Uid, User};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, fchown, lchown};
use std::path::{Path, PathBuf};
use std::process::Child;
use tsumugi_core::bgp::SpeakerStatus;
use tsumugi_core::bgp::config::{NeighbourConfig, SpeakerConfig};
use tsumugi_core::desired::{Route, RouteTarget};
use tsumugi_core::id::Prefix;
use tsumugi_core::router_plan::RouterPlan;
use tsumugi_core::time::{Duration, Instant};
use tsumugi_plan::explain::Lang;

/// Where Debian keeps FRR's programs.
const PROGRAMS: &str = "/usr/lib/frr";
const RELOAD: &str = "/usr/lib/frr/frr-reload.py";
/// As whom the daemons run.
const USER: &str = "frr";
/// `RTPROT_BGP`: the routes that FRR gives the kernel.
const PROTOCOL: u8 = 186;
/// Its place among the daemons: the others are its clients.
const ZEBRA: usize = 0;
/// Where it hears them.
const SOCKET: &str = "zserv.api";
/// Between looks at daemons, at a reload under way and at what is reached.
const LOOK: Duration = Duration::from_millis(250);
/// Between attempts to bring a changed plan into force.
const RELOAD_AGAIN: Duration = Duration::from_secs(5);
/// Between looks for secrets that are not there.
const SECRETS_AGAIN: Duration = Duration::from_secs(5);
/// How long a daemon may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

enum Reload {
    Idle,
    Running(Child, String),
    Waiting { until: Instant },
}

pub struct Frr {
    space: Namespace,
    directory: PathBuf,
    speaker: SpeakerConfig,
    wanted: Configuration,
    /// The whole configuration that the daemons are known to have.
    in_force: Option<String>,
    /// Whether loopbacks are there, which zebra takes as sources only then.
    ready: bool,
    daemons: [Daemon; 3],
    restarts: u32,
    reload: Reload,
    asking: Asking,
    /// When secrets that are not there are to be looked for again.
    secrets_due: Option<Instant>,
    trouble: Option<FrrTrouble>,
    /// Our own prefixes for which a discard route stands.
    discarded: BTreeSet<Prefix>,
    next_look: Instant,
}

impl Frr {
    /// Call everything from one thread: the daemons end with it. `state`: the machine's state folder.
    ///
    /// # Errors
    /// No threads left.
    pub fn new(
        space: Namespace,
        state: &Path,
        plan: &RouterPlan,
        speaker: SpeakerConfig,
        passwords: &Passwords,
    ) -> io::Result<Frr> {
        Ok(Frr {
            space,
            asking: Asking::start(state.join("frr"))?,
            directory: state.join("frr"),
            wanted: configuration::configuration(&plan.name, &speaker, passwords),
            speaker,
            in_force: None,
            ready: false,
            daemons: [Daemon::new("zebra"), Daemon::new("bfdd"), Daemon::new("bgpd")],
            restarts: 0,
            reload: Reload::Idle,
            // The first look says when the next one is.
            secrets_due: Some(Instant::default()),
            trouble: None,
            discarded: BTreeSet::new(),
            next_look: Instant::default(),
        })
    }

    /// Another plan, or other passwords, from now on.
    pub fn replace(
        &mut self,
        now: Instant,
        plan: &RouterPlan,
        speaker: SpeakerConfig,
        passwords: &Passwords,
    ) {
        let all =
            |it: &NeighbourConfig| it.terms.password.as_ref().is_none_or(|name| passwords.contains_key(name));
        self.secrets_due = (!speaker.neighbours.iter().all(all)).then(|| now + SECRETS_AGAIN);
        let wanted = configuration::configuration(&plan.name, &speaker, passwords);
        let changed = wanted.whole() != self.wanted.whole();
        (self.wanted, self.speaker) = (wanted, speaker);
        if changed && matches!(self.reload, Reload::Waiting { .. }) {
            self.reload = Reload::Idle;
        }
        self.next_look = now;
    }

    /// Whether secrets are to be read again: some were not there, and a file that comes later is enough.
    pub fn misses_secrets(&mut self, now: Instant) -> bool {
        let due = self.secrets_due.is_some_and(|due| due <= now);
        if due {
            self.secrets_due = Some(now + SECRETS_AGAIN);
        }
        due
    }

    /// The fabric is as the plan wants it, for the first time.
    pub fn fabric_made(&mut self) {
        self.ready = true;
    }

    /// Where its daemons' sockets are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        Some(self.next_look)
    }

    /// Does what is due.
    pub fn turn(&mut self, now: Instant, keeper: &mut Keeper, netlink: &mut Netlink) {
        if !self.ready || now < self.next_look {
            return;
        }
        self.next_look = now + LOOK;
        for place in 0..self.daemons.len() {
            if let Some(trouble) = self.daemons[place].look(now) {
                self.say(trouble);
                if place == ZEBRA {
                    // Others would look for a new one for ten seconds and more.
                    self.daemons[ZEBRA + 1..].iter_mut().for_each(Daemon::end);
                }
            }
            // Who begins before zebra listens looks for it again after ten seconds only.
            let listens = self.daemons[ZEBRA].is_running() && self.directory.join(SOCKET).exists();
            let may_begin = place == ZEBRA || listens;
            if may_begin && self.daemons[place].is_due(now) {
                match self.start(now, place) {
                    Ok(()) if self.daemons.iter().all(Daemon::is_running) => self.trouble = None,
                    Ok(()) => {}
                    Err(trouble) => self.say(trouble),
                }
            }
        }
        self.reload(now);
        self.discard(keeper, netlink);
    }

    fn start(&mut self, now: Instant, place: usize) -> Result<(), FrrTrouble> {
        if !Path::new(PROGRAMS).join("bgpd").exists() {
            self.daemons[place].rest(now);
            return Err(FrrTrouble::NotInstalled);
        }
        let whole = self.wanted.whole();
        let all_ended = self.daemons.iter().all(|daemon| !daemon.is_running());
        if let Err(trouble) = self.write() {
            self.daemons[place].rest(now);
            return Err(trouble);
        }
        // One of two that begins with what the other does not have yet waits for the reload of both.
        match &self.in_force {
            None if all_ended => self.in_force = Some(whole),
            Some(old) if *old == whole => {}
            _ => self.in_force = None,
        }
        if place == ZEBRA {
            // What the last one left says nothing of the new one.
            let _ = fs::remove_file(self.directory.join(SOCKET));
        }
        self.restarts += u32::from(self.daemons[place].has_run());
        self.daemons[place].start(now, &self.space, &self.directory)
    }

    /// The files that daemons begin with, and the one that the reload reads.
    fn write(&self) -> Result<(), FrrTrouble> {
        let owner = User::from_name(USER).ok().flatten().ok_or(FrrTrouble::NoUser)?;
        let group = Group::from_name(USER).ok().flatten().ok_or(FrrTrouble::NoUser)?;
        let not_started =
            |error: io::Error| FrrTrouble::NotStarted { daemon: "bgpd".into(), error: error.to_string() };
        match DirBuilder::new().mode(0o750).create(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(not_started(error)),
            _ => {}
        }
        lchown(&self.directory, Some(owner.uid.as_raw()), Some(group.gid.as_raw())).map_err(not_started)?;
        let whole = self.wanted.whole();
        let files = [
            ("zebra.conf", &self.wanted.zebra),
            ("bfdd.conf", &self.wanted.bfdd),
            ("bgpd.conf", &self.wanted.bgpd),
            ("frr.conf", &whole),
        ];
        for (name, text) in files {
            replace(&self.directory.join(name), text, owner.uid, group.gid).map_err(not_started)?;
        }
        Ok(())
    }

    /// Brings what the plan asks for into force in daemons that run already.
    fn reload(&mut self, now: Instant) {
        let whole = self.wanted.whole();
        match &mut self.reload {
            Reload::Running(child, text) => match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) if status.success() => {
                    tracing::info!("FRR has the changed plan");
                    self.in_force = Some(std::mem::take(text));
                    self.reload = Reload::Idle;
                    self.trouble = None;
                }
                ended => {
                    let status = ended.map_or_else(
                        |error| error.to_string(),
                        |it| it.map_or_else(String::new, |it| it.to_string()),
                    );
                    self.reload = Reload::Waiting { until: now + RELOAD_AGAIN };
                    self.say(FrrTrouble::ReloadFailed { status });
                }
            },
            Reload::Waiting { until } if now < *until => {}
            Reload::Idle | Reload::Waiting { .. } => {
                let answers = |daemon: &Daemon| self.directory.join(format!("{}.vty", daemon.name)).exists();
                let all_run = self.daemons.iter().all(|daemon| daemon.is_running() && answers(daemon));
                if !all_run || self.in_force.as_ref() == Some(&whole) {
                    return;
                }
                self.reload = match self.begin_reload() {
                    Ok(child) => {
                        // One that fails leaves a part of the change behind.
                        self.in_force = None;
                        Reload::Running(child, whole)
                    }
                    Err(trouble) => {
                        self.say(trouble);
                        Reload::Waiting { until: now + RELOAD_AGAIN }
                    }
                };
            }
        }
    }

    fn begin_reload(&self) -> Result<Child, FrrTrouble> {
        if !Path::new(RELOAD).exists() {
            return Err(FrrTrouble::NoReload);
        }
        self.write()?;
        let directory = self.directory.as_os_str();
        let file = self.directory.join("frr.conf");
        let arguments: [&std::ffi::OsStr; 11] = [
            "--reload".as_ref(),
            "--stdout".as_ref(),
            "--log-level".as_ref(),
            "warning".as_ref(),
            "--confdir".as_ref(),
            directory,
            "--rundir".as_ref(),
            directory,
            "--vty_socket".as_ref(),
            directory,
            file.as_os_str(),
        ];
        child::spawn(&self.space, RELOAD, &arguments)
            .map_err(|error| FrrTrouble::ReloadFailed { status: error.to_string() })
    }

    /// Our own prefixes are discarded here, and so announced, while the rest of the network is reached.
    fn discard(&mut self, keeper: &mut Keeper, netlink: &mut Netlink) {
        let mut updates = Vec::new();
        let mut wanted = policy::discards(&self.speaker);
        for origination in self.speaker.originate.iter().filter(|origination| origination.discard) {
            let reached = |prefix: &Prefix| netlink.holds(prefix, PROTOCOL).unwrap_or(false);
            let while_reaching = &origination.while_reaching;
            if while_reaching.is_empty() || while_reaching.iter().any(reached) {
                wanted.insert(origination.prefix);
            }
        }
        for prefix in wanted.difference(&self.discarded) {
            updates.push(RouteUpdate::Set(Route {
                prefix: *prefix,
                target: RouteTarget::Discard,
                source: None,
                mtu: None,
                metric: None,
            }));
        }
        updates.extend(self.discarded.difference(&wanted).copied().map(RouteUpdate::Remove));
        if updates.is_empty() {
            return;
        }
        match keeper.change_routes(updates) {
            Ok(()) => self.discarded = wanted,
            Err(error) => {
                tracing::warn!(%error, "discard routes could not be given to the kernel, trying again")
            }
        }
    }

    /// Said once for each trouble.
    fn say(&mut self, trouble: FrrTrouble) {
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!("FRR: {}", words::frr_trouble(&trouble, Lang::En));
        }
        self.trouble = Some(trouble);
    }

    /// The same that the embedded speaker says. `links_up`: whether a neighbour's link has its carrier.
    pub fn status(
        &self,
        links_up: impl Fn(&NeighbourConfig) -> bool,
    ) -> (SpeakerStatus, RouteCounts, FrrStatus) {
        let (said, silent) = self.asking.last();
        // Of daemons that have ended nothing is true that they said.
        let all_run = self.daemons.iter().all(Daemon::is_running);
        let said = said.filter(|_| all_run).unwrap_or_default();
        let mut trouble = self.trouble.clone();
        if let Some(error) = silent.filter(|_| all_run) {
            trouble.get_or_insert(FrrTrouble::NoAnswer { error });
        }
        let announced = |prefix: &Prefix| {
            let said = self.speaker.originate.iter().find(|origination| origination.prefix == *prefix);
            said.is_some_and(|said| !said.discard || self.discarded.contains(prefix))
        };
        let speaker = status::speaker(&self.speaker, &said.neighbours, &said.summary, links_up, announced);
        let [v4, v6] = said.routes.each_ref().map(status::RouteSummary::bgp);
        let discarded = |v4: bool| {
            let of_family = self.discarded.iter().filter(|prefix| prefix.addr().is_ipv4() == v4);
            u32::try_from(of_family.count()).unwrap_or(u32::MAX)
        };
        let counts = RouteCounts {
            ipv4: v4.0 + discarded(true),
            ipv6: v6.0 + discarded(false),
            multipath: 0,
            discard: discarded(true) + discarded(false),
            missing: (v4.0 - v4.1.min(v4.0)) + (v6.0 - v6.1.min(v6.0)),
            keeps_stale: false,
            stale: 0,
            purged: 0,
        };
        let frr = FrrStatus {
            version: said.version.clone(),
            running: self.daemons.iter().filter(|it| it.is_running()).map(|it| it.name.into()).collect(),
            restarts: self.restarts,
            in_force: self.in_force.as_ref() == Some(&self.wanted.whole()),
            trouble,
        };
        (speaker, counts, frr)
    }

    /// Ends the daemons; what they gave the kernel stays as zebra leaves it.
    pub fn stop(&mut self) {
        // bgpd says goodbye to neighbours first.
        for daemon in self.daemons.iter_mut().rev() {
            daemon.end();
            let until = std::time::Instant::now() + PATIENCE;
            while !daemon.has_ended() && std::time::Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            if !daemon.has_ended() {
                let _ = daemon.kill();
            }
        }
    }
}

/// A file takes the place of another whole. Its folder is the daemons' user's, who may have put a link there: it is
/// not followed.
fn replace(path: &Path, text: &str, owner: Uid, group: Gid) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Passwords stand in it.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&new)?;
    file.write_all(text.as_bytes())?;
    fchown(&file, Some(owner.as_raw()), Some(group.as_raw()))?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_the_folders_owner_links_to_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("tsumugi-frr-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (foreign, path) = (folder.join("foreign"), folder.join("bgpd.conf"));
        fs::write(&foreign, "another's").unwrap();
        for link in ["bgpd.new", "bgpd.conf"] {
            symlink(&foreign, folder.join(link)).unwrap();
        }
        replace(&path, "router bgp", Uid::current(), Gid::current()).unwrap();
        assert_eq!(fs::read_to_string(&foreign).unwrap(), "another's");
        assert_eq!(fs::read_to_string(&path).unwrap(), "router bgp");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        fs::remove_dir_all(&folder).unwrap();
    }
}
