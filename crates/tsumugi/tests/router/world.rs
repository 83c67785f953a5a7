//! Machines, wires and processes of one test: namespaces that end with its thread.

use libtest_mimic::Failed;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tsumugi_core::router_plan::RouterPlan;

/// Runs `test` in namespaces for mounts and network of its own.
///
/// # Errors
/// What the test found wrong.
pub fn in_world(test: fn(&mut World)) -> Result<(), Failed> {
    // A namespace belongs to a thread: never to the one of the test harness.
    let thread = std::thread::spawn(move || test(&mut World::new()));
    thread.join().map_err(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        Failed::from(words.unwrap_or_else(|| "the test failed".into()))
    })
}

/// What keeps a test that needs root and these programs from running, in words.
pub fn missing(programs: &[&str]) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root for network namespaces of its own".into());
    }
    let program = programs.iter().find(|program| find(program).is_none())?;
    Some(format!("{program} is not installed"))
}

/// Where a program is, the directories of system programs and FRR's included.
pub fn find(program: &str) -> Option<PathBuf> {
    let directories = ["/usr/lib/frr", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    directories.iter().map(|directory| Path::new(directory).join(program)).find(|path| path.exists())
}

/// Seconds within which anything should have come about.
const SOON: u64 = 15;

/// Waits until `what` holds, asking often; if it does not, shows what `machines` say of themselves.
pub fn wait(what: &str, machines: &[&Machine], mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > Duration::from_secs(SOON) {
            let said: String = machines
                .iter()
                .map(|machine| format!("\n--- {}\n{}\n{}", machine.name, machine.status(), machine.log()))
                .collect();
            panic!("not within {SOON} s: {what}{said}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    start.elapsed()
}

pub struct World {
    root: PathBuf,
    children: Vec<Child>,
    wires: u32,
}

impl World {
    fn new() -> World {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).unwrap();
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        // Everything below is on a file system that is seen here only.
        let root = PathBuf::from("/mnt");
        mount(Some("tsumugi-test"), &root, Some("tmpfs"), MsFlags::empty(), Some("mode=0755")).unwrap();
        World { root, children: Vec::new(), wires: 0 }
    }

    /// A directory of this test's own.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.root.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// A machine: a network namespace and a state directory.
    pub fn machine(&mut self, name: &str) -> Machine {
        let own = fs::read_link("/proc/thread-self/ns/net").unwrap();
        let holder = self.start(Command::new("unshare").args(["-n", "sleep", "infinity"]));
        let space = PathBuf::from(format!("/proc/{holder}/ns/net"));
        wait("a machine's namespace", &[], || fs::read_link(&space).is_ok_and(|space| space != own));
        let machine = Machine { name: name.into(), holder, space, state: self.directory(name) };
        machine.run("ip link set lo up");
        machine
    }

    /// Starts a process that ends with this test at the latest; its number.
    pub fn start(&mut self, command: &Command) -> u32 {
        // setpriv: whatever becomes of us, the kernel ends the child.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id();
        self.children.push(child);
        pid
    }

    /// Ends a process that [`World::start`] began, and waits until it is gone.
    pub fn signal(&mut self, pid: u32, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(pid.try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    pub fn kill(&mut self, pid: u32) {
        self.signal(pid, nix::sys::signal::Signal::SIGKILL);
        let place = self.children.iter().position(|child| child.id() == pid).unwrap();
        self.children.swap_remove(place).wait().unwrap();
    }

    /// The router process of a machine.
    pub fn router(&mut self, machine: &Machine) -> u32 {
        let program = env!("CARGO_BIN_EXE_tsumugi");
        self.run_on(machine, &format!("exec {program} router --state {}", machine.state.display()))
    }

    /// A process in a machine's own namespace, its output in the machine's log.
    pub fn run_on(&mut self, machine: &Machine, line: &str) -> u32 {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", machine.space.display()));
        command.args(["sh", "-c", &format!("{line} >>{}/log 2>&1", machine.state.display())]);
        self.start(&command)
    }

    /// A process in a machine's fabric, its output in a file of its own.
    pub fn run_on_fabric(&mut self, machine: &Machine, line: &str, output: &Path) -> u32 {
        let _ = fs::remove_file(output);
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", machine.fabric().display()));
        command.args(["sh", "-c", &format!("{line} >>{} 2>&1", output.display())]);
        self.start(&command)
    }

    /// A wire between two ports that can be cut: both ends keep their carrier.
    pub fn cuttable_wire(&mut self, a: (&Machine, &str), b: (&Machine, &str)) -> Cuttable {
        self.wires += 1;
        let bridge = format!("w{}", self.wires);
        sh(&format!("ip link add {bridge} type bridge && ip link set {bridge} up"));
        for (end, (machine, port)) in ["a", "b"].into_iter().zip([a, b]) {
            let (near, far) = (format!("{bridge}{end}"), format!("{bridge}{end}x"));
            sh(&format!("ip link add {near} type veth peer name {far}"));
            // The bridge passes what the inside's links carry.
            sh(&format!("ip link set {near} mtu 9000 master {bridge} up"));
            sh(&format!("ip link set {far} netns {} name {port}", machine.holder));
        }
        Cuttable { end: format!("{bridge}b"), bridge }
    }

    /// A wire between two ports.
    pub fn wire(&mut self, a: (&Machine, &str), b: (&Machine, &str)) {
        self.wires += 1;
        let ends = [format!("a{}", self.wires), format!("b{}", self.wires)];
        sh(&format!("ip link add {} type veth peer name {}", ends[0], ends[1]));
        for (end, (machine, port)) in ends.iter().zip([a, b]) {
            sh(&format!("ip link set {end} netns {} name {port}", machine.holder));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs a command line where the test is.
pub fn sh(line: &str) -> String {
    succeed(line, Command::new("sh").arg("-c").arg(line).output().unwrap())
}

fn succeed(line: &str, output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// See [`World::cuttable_wire`].
pub struct Cuttable {
    end: String,
    bridge: String,
}

impl Cuttable {
    pub fn cut(&self) {
        sh(&format!("ip link set {} nomaster", self.end));
    }

    /// The second machine's port has no carrier any more; the first one's has.
    pub fn pull_out(&self) {
        sh(&format!("ip link set {} down", self.end));
    }

    pub fn mend(&self) {
        sh(&format!("ip link set {} master {}", self.end, self.bridge));
    }
}

pub struct Machine {
    pub name: String,
    /// The process that holds its namespace.
    holder: u32,
    space: PathBuf,
    pub state: PathBuf,
}

/// A router makes an empty file first and then mounts its namespace there.
fn is_namespace(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev());
    matches!((device(path), device(Path::new("/proc/self/ns/net"))), (Ok(one), Ok(other)) if one == other)
}

impl Machine {
    pub fn fabric(&self) -> PathBuf {
        self.state.join("planes/fabric")
    }

    /// A command line in the fabric, or in the machine's own namespace if it has no fabric.
    pub fn command(&self, line: &str) -> Command {
        let fabric = self.fabric();
        let space = if is_namespace(&fabric) { &fabric } else { &self.space };
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", space.display())).args(["sh", "-c", line]);
        command
    }

    pub fn run(&self, line: &str) -> String {
        succeed(line, self.command(line).output().unwrap())
    }

    pub fn succeeds(&self, line: &str) -> bool {
        self.command(line).output().unwrap().status.success()
    }

    /// Calls a router's BGP by its link-local address.
    pub fn call(&self, link: &str, router: Ipv6Addr) -> TcpStream {
        let space = if is_namespace(&self.fabric()) { self.fabric() } else { self.space.clone() };
        // A socket stays where it was made: the thread goes there and ends.
        let dial = || {
            setns(fs::File::open(space).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            let scope = nix::net::if_::if_nametoindex(link).unwrap();
            TcpStream::connect(SocketAddrV6::new(router, 179, 0, scope)).unwrap()
        };
        std::thread::scope(|scope| scope.spawn(dial).join().unwrap())
    }

    /// Calls an address from the machine's own namespace.
    pub fn dial(&self, to: SocketAddr) -> TcpStream {
        let dial = || {
            setns(fs::File::open(&self.space).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            TcpStream::connect(to).unwrap()
        };
        std::thread::scope(|scope| scope.spawn(dial).join().unwrap())
    }

    /// Listens in the machine's own namespace, on an address and port that it has.
    pub fn listen(&self, at: &str) -> TcpListener {
        let listen = || {
            setns(fs::File::open(&self.space).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            TcpListener::bind(at).unwrap()
        };
        std::thread::scope(|scope| scope.spawn(listen).join().unwrap())
    }

    pub fn write(&self, plan: &RouterPlan) {
        let text = serde_json::to_string(plan).unwrap();
        fs::write(self.state.join("plan.json.new"), text).unwrap();
        fs::rename(self.state.join("plan.json.new"), self.state.join("plan.json")).unwrap();
    }

    /// The router process's own word; null while it has none.
    pub fn status(&self) -> Value {
        let Ok(mut stream) = UnixStream::connect(self.state.join("router.sock")) else { return Value::Null };
        let mut text = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let _ = stream.read_to_string(&mut text);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.state.join("log")).unwrap_or_default()
    }

    /// One ping each way of asking: from the address that the kernel prefers.
    pub fn reaches(&self, address: &str) -> bool {
        self.succeeds(&format!("ping -c 1 -W 1 -n {address}"))
    }
}
