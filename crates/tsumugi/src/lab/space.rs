//! The space of a lab: one user, mount, PID and network namespace in which all of it stands.
//!
//! ```text
//!   the person's command ──fork──▶ keeper ──fork──▶ init (PID 1 of the space) ──fork──▶ the work
//!        writes the maps            unshares          private mounts, reaps           builds, proves
//! ```
//!
//! The keeper and init die with the command that began them, until the work says that the lab
//! stays. All of them are forks that go on with what was read from the file: nothing is executed
//! anew, and no thread has been started yet.

use super::init;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::{self, SigHandler, SigSet, Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getegid, geteuid, getpgrp, setpgid};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, PipeReader, PipeWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why no space can be made here.
#[derive(Debug)]
pub enum NoSpace {
    /// An ordinary user may not make a user namespace, and a setting says so.
    UserNamespacesForbidden(Option<Forbids>),
    /// The machine refuses even root to make namespaces (a container without the right).
    NamespacesForbidden(Errno),
    /// /dev/net/tun is missing or may not be opened; the error and its mode if it is there.
    NoTun { error: io::Error, mode: Option<u32> },
    /// A program that the lab needs is not installed.
    NoProgram(&'static str),
    /// A private mount was refused: what was mounted.
    Mount(String),
    /// Anything else that the system refused.
    System(io::Error),
}

/// The setting that keeps ordinary users from making namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbids {
    /// kernel.apparmor_restrict_unprivileged_userns = 1 (Ubuntu).
    AppArmor,
    /// kernel.unprivileged_userns_clone = 0 (Debian, Arch).
    UnprivilegedClone,
    /// user.max_user_namespaces = 0.
    MaxUserNamespaces,
}

impl From<io::Error> for NoSpace {
    fn from(error: io::Error) -> NoSpace {
        NoSpace::System(error)
    }
}

impl From<Errno> for NoSpace {
    fn from(error: Errno) -> NoSpace {
        NoSpace::System(error.into())
    }
}

/// How the work in a space ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Exit status, below 128.
    pub code: u8,
    /// The lab outlives the command that began it.
    pub stays: bool,
}

/// Runs `work` in a space of its own and returns when it has ended. `begun` is called outside once
/// the space stands, with init's process id.
///
/// Must be called by a process with a single thread.
///
/// # Errors
/// Why there can be no space here. What the work itself could not do is in [`End::code`].
pub fn run(mut begun: impl FnMut(Pid), work: impl FnOnce() -> End) -> Result<End, NoSpace> {
    check_tun()?;
    for program in ["nft"] {
        if find_program(program).is_none() {
            return Err(NoSpace::NoProgram(program));
        }
    }
    let mut work = Some(work);
    let user = UserNamespace::Own;
    match attempt(user, &mut begun, &mut work) {
        // Root can do without a user namespace where a container forbids it, or forbids a /proc in it.
        Err(NoSpace::UserNamespacesForbidden(_) | NoSpace::NamespacesForbidden(_) | NoSpace::Mount(_))
            if geteuid().is_root() =>
        {
            attempt(UserNamespace::Shared, &mut begun, &mut work)
        }
        result => result,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum UserNamespace {
    Own,
    Shared,
}

/// One line from the space to the command that began it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The keeper has its user namespace and waits for the maps.
    Unshared,
    /// Init's process id as seen from outside.
    Init(i32),
    /// The private mounts are made.
    Mounted,
    NotMounted(String),
    Refused(i32),
    Ended(u8),
}

impl Word {
    pub(super) fn say(&self, to: &mut PipeWriter) -> io::Result<()> {
        let line = match self {
            Word::Unshared => "unshared".to_owned(),
            Word::Init(pid) => format!("init {pid}"),
            Word::Mounted => "mounted".to_owned(),
            Word::NotMounted(what) => format!("not-mounted {what}"),
            Word::Refused(errno) => format!("refused {errno}"),
            Word::Ended(status) => format!("ended {status}"),
        };
        // In one piece, which a pipe keeps whole (pipe(7)): the keeper and init speak at the same time.
        to.write_all(format!("{line}\n").as_bytes())
    }

    fn heard(line: &str) -> Option<Word> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "unshared" => Word::Unshared,
            "init" => Word::Init(rest.parse().ok()?),
            "mounted" => Word::Mounted,
            "not-mounted" => Word::NotMounted(rest.to_owned()),
            "refused" => Word::Refused(rest.parse().ok()?),
            "ended" => Word::Ended(rest.parse().ok()?),
            _ => return None,
        })
    }
}

fn attempt<W: FnOnce() -> End>(
    user: UserNamespace,
    begun: &mut dyn FnMut(Pid),
    work: &mut Option<W>,
) -> Result<End, NoSpace> {
    let (from_space, to_command) = io::pipe()?;
    let (from_command, mut to_space) = io::pipe()?;
    // SAFETY: this process has one thread (the caller's duty), so the child may do anything.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop((from_space, to_space));
            let status = keeper(user, to_command, from_command, work);
            std::process::exit(status);
        }
        ForkResult::Parent { child } => {
            drop((to_command, from_command));
            let result = follow(user, child, begun, BufReader::new(from_space), &mut to_space);
            // What stays has let go of the keeper; everything else ends with it.
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
            result
        }
    }
}

/// The command's side: maps the user, then listens until the work has ended.
///
/// The keeper and init speak into the same pipe, and either may be the first: the keeper may be held
/// up so long that the work has ended before it says who init is.
fn follow(
    user: UserNamespace,
    keeper: Pid,
    begun: &mut dyn FnMut(Pid),
    mut from_space: impl BufRead,
    to_space: &mut impl Write,
) -> Result<End, NoSpace> {
    let (mut init, mut end) = (None, None);
    let (mut mounted, mut told) = (false, false);
    let mut line = String::new();
    loop {
        if let (Some(init), true, false) = (init, mounted, told) {
            begun(init);
            told = true;
        }
        if let (Some(end), true) = (end, told) {
            return Ok(end);
        }
        line.clear();
        if from_space.read_line(&mut line)? == 0 {
            return Err(NoSpace::System(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the lab's init ended before its work was done",
            )));
        }
        match Word::heard(line.trim_end()) {
            Some(Word::Unshared) => {
                if user == UserNamespace::Own {
                    write_maps(keeper)?;
                }
                to_space.write_all(b"\n")?;
            }
            Some(Word::Init(pid)) => init = Some(Pid::from_raw(pid)),
            Some(Word::NotMounted(what)) => return Err(NoSpace::Mount(what)),
            Some(Word::Refused(errno)) => return Err(refusal(user, Errno::from_raw(errno))),
            Some(Word::Ended(status)) => {
                end = Some(End { code: status & 0x7f, stays: status & 0x80 != 0 });
            }
            Some(Word::Mounted) => mounted = true,
            None => {}
        }
    }
}

fn refusal(user: UserNamespace, errno: Errno) -> NoSpace {
    let not_allowed = matches!(errno, Errno::EPERM | Errno::EACCES | Errno::ENOSPC | Errno::EUSERS);
    match user {
        _ if !not_allowed => NoSpace::System(errno.into()),
        UserNamespace::Own if !geteuid().is_root() => NoSpace::UserNamespacesForbidden(who_forbids()),
        _ => NoSpace::NamespacesForbidden(errno),
    }
}

fn who_forbids() -> Option<Forbids> {
    let setting = |path: &str| -> Option<u64> {
        fs::read_to_string(Path::new("/proc/sys").join(path)).ok()?.trim().parse().ok()
    };
    if setting("user/max_user_namespaces") == Some(0) {
        Some(Forbids::MaxUserNamespaces)
    } else if setting("kernel/unprivileged_userns_clone") == Some(0) {
        Some(Forbids::UnprivilegedClone)
    } else if setting("kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        Some(Forbids::AppArmor)
    } else {
        None
    }
}

/// Root keeps every id that it has here; an ordinary user becomes root inside, and nobody else is there.
fn write_maps(keeper: Pid) -> io::Result<()> {
    let process = PathBuf::from(format!("/proc/{keeper}"));
    if geteuid().is_root() {
        fs::write(process.join("uid_map"), identity_of(&fs::read_to_string("/proc/self/uid_map")?))?;
        return fs::write(process.join("gid_map"), identity_of(&fs::read_to_string("/proc/self/gid_map")?));
    }
    // Without this the kernel takes no group map from an ordinary user (user_namespaces(7)).
    fs::write(process.join("setgroups"), "deny")?;
    fs::write(process.join("uid_map"), format!("0 {} 1\n", geteuid()))?;
    fs::write(process.join("gid_map"), format!("0 {} 1\n", getegid()))
}

/// A map that leaves every id of `map` (a /proc/PID/uid_map) as it is.
fn identity_of(map: &str) -> String {
    let mut identity = String::new();
    for line in map.lines() {
        let mut fields = line.split_whitespace();
        if let (Some(inside), Some(_), Some(count)) = (fields.next(), fields.next(), fields.next()) {
            identity.push_str(&format!("{inside} {inside} {count}\n"));
        }
    }
    identity
}

/// The keeper: unshares, begins init, and waits for it. Returns its own exit status.
fn keeper<W: FnOnce() -> End>(
    user: UserNamespace,
    mut to_command: PipeWriter,
    mut from_command: PipeReader,
    work: &mut Option<W>,
) -> i32 {
    let begin = || -> Result<(), Errno> {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if user == UserNamespace::Own {
            unshare(CloneFlags::CLONE_NEWUSER)?;
            // Becoming root of a user namespace has made /proc/PID root's own: the maps are written
            // by whoever began us, who needs to get at them, and clears the wish to die with them.
            prctl::set_dumpable(true)?;
            prctl::set_pdeathsig(Signal::SIGKILL)?;
        }
        Ok(())
    };
    if let Err(errno) = begin() {
        let _ = Word::Refused(errno as i32).say(&mut to_command);
        return 1;
    }
    // The command's end of the pipe closes with it: then there is nobody to live for.
    let mut mapped = [0];
    if Word::Unshared.say(&mut to_command).is_err() || from_command.read_exact(&mut mapped).is_err() {
        return 1;
    }
    drop(from_command);
    let planes = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNET;
    if let Err(errno) = unshare(planes) {
        let _ = Word::Refused(errno as i32).say(&mut to_command);
        return 1;
    }
    // SAFETY: still a single thread, as the caller of `run` has promised.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let Some(work) = work.take() else { std::process::exit(1) };
            std::process::exit(init::run(to_command, work));
        }
        Ok(ForkResult::Parent { child }) => {
            let _ = Word::Init(child.as_raw()).say(&mut to_command);
            drop(to_command);
            let _ = waitpid(child, None);
            0
        }
        Err(errno) => {
            let _ = Word::Refused(errno as i32).say(&mut to_command);
            1
        }
    }
}

fn check_tun() -> Result<(), NoSpace> {
    const TUN: &str = "/dev/net/tun";
    match OpenOptions::new().read(true).write(true).open(TUN) {
        Ok(_) => Ok(()),
        Err(error) => {
            let mode = fs::metadata(TUN).ok().map(|file| file.mode() & 0o7777);
            Err(NoSpace::NoTun { error, mode })
        }
    }
}

/// Where a program stands: in PATH or where administrators' programs usually are.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Runs `work` in a process of its own inside the space of which `init` is PID 1; its exit status,
/// 128 and the signal's number if it was killed.
///
/// With a terminal as standard input, the terminal is its own until it ends.
///
/// Must be called by a process with a single thread.
///
/// # Errors
/// As the kernel says: init is gone, or it is another user's.
pub fn within(init: Pid, work: impl FnOnce() -> u8) -> io::Result<u8> {
    let (mut from_inside, mut to_outside) = io::pipe()?;
    let terminal = io::stdin().is_terminal();
    // SAFETY: this process has one thread (the caller's duty), so the child may do anything.
    let status = match unsafe { fork() }? {
        ForkResult::Child => {
            drop(from_inside);
            if let Err(error) = enter(init) {
                let _ = write!(to_outside, "{}", error.raw_os_error().unwrap_or(libc::EIO));
                std::process::exit(1);
            }
            // Only a child is in the PID namespace that was entered.
            // SAFETY: as above, this process is a fork with one thread.
            match unsafe { fork() } {
                Ok(ForkResult::Child) => {
                    drop(to_outside);
                    if terminal {
                        take_terminal();
                    }
                    std::process::exit(i32::from(work()));
                }
                Ok(ForkResult::Parent { child }) => {
                    drop(to_outside);
                    ignore_terminal();
                    std::process::exit(i32::from(status_of(child)));
                }
                Err(_) => std::process::exit(1),
            }
        }
        ForkResult::Parent { child } => {
            drop(to_outside);
            ignore_terminal();
            status_of(child)
        }
    };
    if terminal {
        give_terminal(getpgrp());
    }
    let mut refused = String::new();
    from_inside.read_to_string(&mut refused)?;
    match refused.parse() {
        Ok(errno) => Err(io::Error::from_raw_os_error(errno)),
        Err(_) => Ok(status),
    }
}

fn status_of(child: Pid) -> u8 {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => return u8::try_from(code).unwrap_or(1),
            Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as u8,
            Err(Errno::EINTR) | Ok(_) => {}
            Err(_) => return 1,
        }
    }
}

/// Ctrl-C and the like are for what runs inside; giving the terminal back must not stop us.
fn ignore_terminal() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTTOU] {
        // SAFETY: no handler of ours is installed.
        let _ = unsafe { signal::signal(signal, SigHandler::SigIgn) };
    }
}

/// Makes this process the terminal's foreground: a shell begins its own job control from there.
fn take_terminal() {
    let own = Pid::this();
    let mut background = SigSet::empty();
    background.add(Signal::SIGTTOU);
    let _ = background.thread_block();
    if setpgid(own, own).is_ok() {
        give_terminal(own);
    }
    let _ = background.thread_unblock();
}

fn give_terminal(group: Pid) {
    // SAFETY: two numbers; a terminal that will not be given stays with whoever has it.
    unsafe { libc::tcsetpgrp(libc::STDIN_FILENO, group.as_raw()) };
}

/// Enters the space of which `init` is PID 1; children begun afterwards stand in it altogether.
fn enter(init: Pid) -> io::Result<()> {
    let directory = std::env::current_dir();
    let open = |name: &str| File::open(format!("/proc/{init}/ns/{name}"));
    let user = open("user")?;
    let (mount, pid, net) = (open("mnt")?, open("pid")?, open("net")?);
    // Entering the user namespace that one is in already is refused.
    if user.metadata()?.ino() != fs::metadata("/proc/self/ns/user")?.ino() {
        setns(&user, CloneFlags::CLONE_NEWUSER)?;
    }
    setns(&pid, CloneFlags::CLONE_NEWPID)?;
    setns(&net, CloneFlags::CLONE_NEWNET)?;
    setns(&mount, CloneFlags::CLONE_NEWNS)?;
    // Entering a mount namespace leads to its root.
    if let Ok(directory) = directory {
        let _ = std::env::set_current_dir(directory);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_keeps_every_id_of_a_nested_map() {
        assert_eq!(identity_of("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity_of("0 100000 65536\n65536 1000 1\n"), "0 0 65536\n65536 65536 1\n");
    }

    #[test]
    fn whoever_of_keeper_and_init_speaks_first_the_lab_is_told_of() {
        let orders =
            ["init 7\nmounted\nended 128\n", "mounted\ninit 7\nended 128\n", "mounted\nended 128\ninit 7\n"];
        for order in orders {
            let mut told = Vec::new();
            let said = format!("unshared\n{order}");
            let mut answer = Vec::new();
            let end = follow(
                UserNamespace::Shared,
                Pid::this(),
                &mut |init| told.push(init.as_raw()),
                said.as_bytes(),
                &mut answer,
            );
            assert_eq!(end.ok(), Some(End { code: 0, stays: true }), "{order}");
            assert_eq!((told, answer), (vec![7], b"\n".to_vec()), "{order}");
        }
    }

    #[test]
    fn two_who_speak_at_once_are_both_heard() {
        const TIMES: usize = 2_000;
        let (from, to) = io::pipe().expect("a pipe");
        let speakers = [Word::Init(4_711), Word::Mounted].map(|word| {
            let mut to = to.try_clone().expect("a descriptor");
            std::thread::spawn(move || (0..TIMES).for_each(|_| word.say(&mut to).expect("said")))
        });
        drop(to);
        let lines = BufReader::new(from).lines().map(|line| line.expect("text"));
        assert_eq!(lines.filter(|line| Word::heard(line).is_some()).count(), 2 * TIMES);
        for speaker in speakers {
            speaker.join().expect("no panic");
        }
    }

    #[test]
    fn words_are_heard_as_said() {
        let words = [
            Word::Unshared,
            Word::Init(77),
            Word::Mounted,
            Word::NotMounted("proc on /proc: EPERM".into()),
            Word::Refused(1),
            Word::Ended(0x81),
        ];
        for word in words {
            let (mut from, mut to) = io::pipe().expect("a pipe");
            word.say(&mut to).expect("said");
            drop(to);
            let mut line = String::new();
            from.read_to_string(&mut line).expect("heard");
            assert_eq!(Word::heard(line.trim_end()), Some(word));
        }
    }
}
