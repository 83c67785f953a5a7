//! Two machines joined by one wire, each with a datapath process of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boringtun::x25519::{PublicKey, StaticSecret};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, recv, sendto, socket,
};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tsumugi_core::desired::Desired;
use tsumugi_core::evpn::config::EvpnConfig;
use tsumugi_core::id::{Asn, IfName, KeyName, Mac};
use tsumugi_core::router_plan::{
    Encapsulation, Engine, Keepalive, ManagementPlan, Overlay, RouterPlan, SCHEMA, Tunnel, TunnelClamp,
};
use tsumugi_core::time;
use tsumugi_core::tunnel::{Limits, Outer, Reassembly};
use tsumugi_core::wire::ipv4;

const TSUMUGI: &str = env!("CARGO_BIN_EXE_tsumugi");

/// The family of the outer packets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    V4,
    V6,
}

/// The tunnel as alpha (the first machine) has it; [`Bench::start`] turns it around for beta.
pub fn tunnel(name: &str, encapsulation: Encapsulation, outside: Outside, path_mtu: u16, mtu: u16) -> Tunnel {
    let (local, remote) = match outside {
        Outside::V4 => ("192.0.2.1", "192.0.2.2"),
        Outside::V6 => ("2001:db8:101::1", "2001:db8:101::2"),
    };
    let ethernet = matches!(
        encapsulation,
        Encapsulation::EtherIp | Encapsulation::Gretap { .. } | Encapsulation::Geneve { .. }
    );
    Tunnel {
        name: IfName::new(name).unwrap(),
        alias: format!("test tunnel {name}"),
        encapsulation,
        engine: Engine::Userspace,
        mtu,
        uplink: IfName::new("eth1").unwrap(),
        local: Some(local.parse().unwrap()),
        remote: Some(remote.parse().unwrap()),
        outer_ipv6: outside == Outside::V6,
        path_mtu,
        mac: ethernet.then_some(Mac([2, 0, 0, 0, 0, 1])),
        clamp: TunnelClamp::Auto,
        accept_reversed: false,
        keepalive: Keepalive::Nobody,
    }
}

/// The same tunnel as the far end has it.
pub fn turned(tunnel: &Tunnel) -> Tunnel {
    let encapsulation = match tunnel.encapsulation.clone() {
        Encapsulation::WireGuard { local_key, remote_key, local_port, remote_port } => {
            Encapsulation::WireGuard {
                local_key: remote_key,
                remote_key: local_key,
                local_port: remote_port,
                remote_port: local_port,
            }
        }
        other => other,
    };
    let mac = tunnel.mac.map(|_| Mac([2, 0, 0, 0, 0, 2]));
    Tunnel { encapsulation, local: tunnel.remote, remote: tunnel.local, mac, ..tunnel.clone() }
}

pub fn plan(name: &str, id: u32, tunnels: Vec<Tunnel>) -> RouterPlan {
    let overlay = Overlay {
        device: IfName::new("mgmt").unwrap(),
        alias: "management overlay".into(),
        mtu: 1280,
        space: "fd63:806::/48".parse().unwrap(),
        lines: Vec::new(),
        neighbours: Vec::new(),
    };
    RouterPlan {
        schema: SCHEMA,
        generation: 0,
        hash: String::new(),
        network: "test".into(),
        public_asn: Asn(63806),
        name: name.into(),
        id,
        site: "here".into(),
        management: ManagementPlan { desired: Desired::default(), overlay },
        underlay: Desired::default(),
        fabric: Desired::default(),
        tunnels,
        speaker: None,
        routing: tsumugi_core::router_plan::Routing::default(),
        rpki: None,
        bmp: None,
        evpn: EvpnConfig::default(),
    }
}

/// One machine.
pub struct Machine {
    pub state: PathBuf,
    id: u32,
    initial: OwnedFd,
    process: Mutex<Option<Child>>,
}

pub struct Bench {
    directory: PathBuf,
    path_mtu: u16,
    pub machines: [Machine; 2],
}

/// What the tests need and this machine does not have, in words.
pub fn missing() -> Option<String> {
    let absent = ["ip", "ping"].into_iter().find(|program| Command::new(program).arg("-V").output().is_err());
    if let Some(program) = absent {
        return Some(format!("{program} is not installed"));
    }
    let allowed = on_thread(|| Ok(unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)?));
    allowed.err().map(|error| format!("needs root ({error})"))
}

impl Bench {
    pub fn new(name: &str, path_mtu: u16) -> Bench {
        // Mounts of the namespaces are seen by this thread and what it starts, by nobody else.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        nix::mount::mount(
            None::<&str>,
            "/",
            None::<&str>,
            nix::mount::MsFlags::MS_PRIVATE | nix::mount::MsFlags::MS_REC,
            None::<&str>,
        )
        .unwrap();
        let directory =
            std::env::temp_dir().join(format!("tsumugi-datapath-{name}-{path_mtu}-{}", std::process::id()));
        let machines = [1, 2].map(|id| {
            let state = directory.join(format!("machine{id}"));
            fs::create_dir_all(state.join("planes")).unwrap();
            fs::create_dir_all(state.join("keys")).unwrap();
            write_keys(&state, id);
            let initial = on_thread(|| {
                unshare(CloneFlags::CLONE_NEWNET)?;
                for plane in ["underlay", "fabric"] {
                    let path = state.join("planes").join(plane);
                    File::create(&path)?;
                    on_thread(|| {
                        unshare(CloneFlags::CLONE_NEWNET)?;
                        let own = "/proc/thread-self/ns/net";
                        nix::mount::mount(
                            Some(own),
                            &path,
                            None::<&str>,
                            nix::mount::MsFlags::MS_BIND,
                            None::<&str>,
                        )?;
                        Ok(())
                    })?;
                }
                Ok(File::open("/proc/thread-self/ns/net")?.into())
            })
            .unwrap();
            Machine { state, id, initial, process: Mutex::new(None) }
        });
        let bench = Bench { directory, path_mtu, machines };
        bench.wire();
        bench
    }

    fn wire(&self) {
        self.wire_underlays();
        for machine in &self.machines {
            let id = machine.id;
            machine.in_plane("fabric", || {
                ip("link set lo up");
                ip(&format!("address add 198.18.0.{id}/32 dev lo"));
                ip(&format!("address add 2001:db8:f::{id}/128 dev lo nodad"));
            });
        }
    }

    /// The wire between the underlays, and its addresses.
    pub fn wire_underlays(&self) {
        let [one, other] = &self.machines;
        let far = other.plane("underlay");
        let mtu = self.path_mtu;
        one.in_plane("underlay", || {
            let far = far.display();
            ip(&format!("link add eth1 mtu {mtu} type veth peer name eth1 mtu {mtu} netns {far}"));
        });
        self.address_underlays();
    }

    /// The wire again, through a bridge that may drop what it likes: it stands in alpha's initial namespace.
    pub fn wire_through_the_middle(&self) {
        self.machines[0].in_plane("underlay", || ip("link del eth1"));
        let ends = [0, 1].map(|end| self.machines[end].plane("underlay"));
        let mtu = self.path_mtu;
        self.in_the_middle(|| {
            ip("link add br0 type bridge");
            ip("link set br0 addrgenmode none up");
            for (end, plane) in ends.iter().enumerate() {
                let plane = plane.display();
                ip(&format!("link add m{end} mtu {mtu} type veth peer name eth1 mtu {mtu} netns {plane}"));
                ip(&format!("link set m{end} addrgenmode none master br0 up"));
            }
        });
        self.address_underlays();
    }

    /// Runs `work` where the bridge stands.
    pub fn in_the_middle<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        on_thread(|| {
            setns(&self.machines[0].initial, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        })
        .unwrap()
    }

    fn address_underlays(&self) {
        for machine in &self.machines {
            let (id, far) = (machine.id, 3 - machine.id);
            machine.in_plane("underlay", || {
                ip("link set lo up");
                ip("link set eth1 addrgenmode none");
                ip(&format!("link set eth1 address 02:00:00:00:01:0{id} up"));
                ip(&format!("address add 2001:db8:101::{id}/64 dev eth1 nodad"));
                ip(&format!("address add 192.0.2.{id}/24 dev eth1"));
                for address in [format!("2001:db8:101::{far}"), format!("192.0.2.{far}")] {
                    ip(&format!(
                        "neighbour replace {address} lladdr 02:00:00:00:01:0{far} dev eth1 nud permanent"
                    ));
                }
            });
        }
    }

    /// The wire again, with alpha's end where a machine's ports are found: in its initial namespace,
    /// down and without an address.
    pub fn wire_to_the_port(&self) {
        let [one, other] = &self.machines;
        one.in_plane("underlay", || ip("link del eth1"));
        self.wire_underlays();
        let initial = format!("/proc/{}/fd/{}", std::process::id(), one.initial.as_raw_fd());
        one.in_plane("underlay", || ip(&format!("link set eth1 netns {initial}")));
        other.in_plane("underlay", || ip("link set eth1 up"));
    }

    /// Starts both ends of one tunnel, and gives its devices what the router process would.
    pub fn start(&self, tunnel: &Tunnel) {
        self.start_ends(tunnel, &turned(tunnel));
    }

    /// As [`Bench::start`], where the two ends do not say the same.
    pub fn start_ends(&self, tunnel: &Tunnel, far: &Tunnel) {
        self.machines[0].write_plan(vec![tunnel.clone()]);
        self.machines[1].write_plan(vec![far.clone()]);
        for machine in &self.machines {
            machine.start();
        }
        self.address(tunnel);
    }

    fn address(&self, tunnel: &Tunnel) {
        for index in 0..2 {
            self.address_one(index, tunnel);
        }
    }

    /// Addresses and routes over the tunnel of one machine, once its device is there.
    pub fn address_one(&self, index: usize, tunnel: &Tunnel) {
        let name = tunnel.name.as_str();
        let machine = &self.machines[index];
        let (id, far) = (machine.id, 3 - machine.id);
        machine.wait_for(&format!("the device {name} is up"), || {
            let shown = machine.in_plane("fabric", || run("ip", &format!("-o link show dev {name} up")));
            shown.is_some_and(|text| !text.is_empty())
        });
        machine.in_plane("fabric", || {
            ip(&format!("address add fe80::{id}/64 dev {name} nodad"));
            // Permanent ones have room whatever other namespaces do: the kernel's table of neighbours is one for
            // all, and bounded (gc_thresh3).
            let lladdr =
                if tunnel.mac.is_some() { format!("lladdr 02:00:00:00:00:0{far}") } else { String::new() };
            ip(&format!("neighbour replace fe80::{far} {lladdr} dev {name} nud permanent"));
            ip(&format!("route add 198.18.0.{far}/32 via inet6 fe80::{far} dev {name} src 198.18.0.{id}"));
            ip(&format!("route add 2001:db8:f::{far}/128 via fe80::{far} dev {name} src 2001:db8:f::{id}"));
        });
    }

    pub fn path_mtu(&self) -> usize {
        usize::from(self.path_mtu)
    }

    /// Waits until small packets pass in both families.
    #[track_caller]
    pub fn reachable(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        for ipv6 in [false, true] {
            while !self.try_ping(ipv6, 100, 1) {
                let log = fs::read_to_string(self.machines[0].state.join("log")).unwrap_or_default();
                assert!(
                    Instant::now() < deadline,
                    "no answer within {patience:?}: {}\n{log}",
                    self.status(0)
                );
            }
        }
    }

    /// Sends `count` packets of exactly `len` bytes with DF from alpha to beta's loopback.
    #[track_caller]
    pub fn ping(&self, ipv6: bool, len: usize, count: usize) {
        assert!(
            self.try_ping(ipv6, len, count),
            "{count} packets of {len} bytes: {} {}",
            self.status(0),
            self.status(1)
        );
    }

    pub fn try_ping(&self, ipv6: bool, len: usize, count: usize) -> bool {
        let (address, headers) = if ipv6 { ("2001:db8:f::2", 48) } else { ("198.18.0.2", 28) };
        // One that is tried again soon need not be waited for; several may be late on a busy machine. Once one is
        // answered ping waits no longer for the last one than its interval, or twice the slowest.
        let patience = if count > 1 { 5 } else { 1 };
        let arguments = format!("-n -q -i 0.2 -W {patience} -c {count} -M do -s {} {address}", len - headers);
        self.machines[0]
            .in_plane("fabric", || run("ping", &arguments))
            .is_some_and(|text| text.contains(&format!("{count} received")))
    }

    /// An IPv4 packet from beta's loopback to alpha's, without content.
    pub fn inner_packet(&self) -> Vec<u8> {
        let mut bytes = vec![0; ipv4::HEADER_LEN];
        ipv4::Repr {
            source: [198, 18, 0, 2].into(),
            destination: [198, 18, 0, 1].into(),
            protocol: 59,
            hop_limit: 64,
            traffic_class: 0,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            payload_len: 0,
        }
        .emit(&mut bytes);
        bytes
    }

    /// Sends one packet to alpha's IPv4 outer address from beta's place, with whatever source.
    pub fn forge(&self, source: &str, protocol: u8, payload: &[u8]) {
        let outer =
            Outer::new(source.parse().unwrap(), "192.0.2.1".parse().unwrap(), protocol, 1500).unwrap();
        let packets: Vec<Vec<u8>> = outer
            .fragments(payload, 1)
            .unwrap()
            .map(|fragment| [fragment.header(), fragment.payload].concat())
            .collect();
        self.forge_packets(&packets);
    }

    /// Sends packets of either family as they are to alpha from beta's place.
    pub fn forge_packets(&self, packets: &[Vec<u8>]) {
        let send = || {
            let raw = |family| socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw);
            let (four, six) = (raw(AddressFamily::Inet)?, raw(AddressFamily::Inet6)?);
            let to_four = SockaddrIn::new(192, 0, 2, 1, 0);
            let to_six: SockaddrIn6 = "[2001:db8:101::1]:0".parse::<SocketAddrV6>().unwrap().into();
            for packet in packets {
                if packet[0] >> 4 == 4 {
                    sendto(four.as_raw_fd(), packet, &to_four, MsgFlags::empty())?;
                } else {
                    sendto(six.as_raw_fd(), packet, &to_six, MsgFlags::empty())?;
                }
            }
            Ok(())
        };
        self.machines[1].enter("underlay", send).unwrap();
    }

    /// Waits until alpha's first tunnel has received nothing for a second: IPv6 says a few things of its
    /// own when an interface comes up.
    pub fn quiet(&self) {
        // Kernels ask for routers (RFC 7559) again and again, ever more seldom.
        for machine in &self.machines {
            machine.in_plane("fabric", || {
                for interface in fs::read_dir("/proc/sys/net/ipv6/conf").unwrap().flatten() {
                    fs::write(interface.path().join("router_solicitations"), "0").unwrap();
                }
            });
        }
        let received = || self.status(0)["tunnels"][0]["received"]["packets"].as_u64();
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut last = (received(), Instant::now());
        while last.1.elapsed() < Duration::from_secs(1) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
            if received() != last.0 {
                last = (received(), Instant::now());
            }
        }
    }

    /// The status document of one machine's process.
    pub fn status(&self, machine: usize) -> serde_json::Value {
        self.machines[machine].status()
    }

    /// Sees what passes alpha's end of the wire from now on.
    pub fn capture(&self) -> Capture {
        let open = || {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            Ok(socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)?)
        };
        Capture { socket: self.machines[0].enter("underlay", open).unwrap() }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for machine in &self.machines {
            machine.kill();
            for plane in ["underlay", "fabric"] {
                let _ = nix::mount::umount2(&machine.plane(plane), nix::mount::MntFlags::MNT_DETACH);
            }
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Machine {
    pub fn plane(&self, plane: &str) -> PathBuf {
        self.state.join("planes").join(plane)
    }

    pub fn write_plan(&self, tunnels: Vec<Tunnel>) {
        self.write_plan_with(tunnels, Desired::default());
    }

    pub fn write_plan_with(&self, tunnels: Vec<Tunnel>, underlay: Desired) {
        let mut plan = plan(if self.id == 1 { "alpha" } else { "beta" }, self.id, tunnels);
        plan.underlay = underlay;
        tsumugi_plan::hash::seal(&mut plan);
        fs::write(self.state.join("plan.json"), serde_json::to_vec(&plan).unwrap()).unwrap();
    }

    /// Starts the process as its own machine would: in its initial namespace.
    pub fn start(&self) {
        *self.process.lock().unwrap() = Some(self.start_beside());
    }

    /// Starts one that is not the machine's.
    pub fn start_beside(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.state.join("log")).unwrap();
        let child = on_thread(|| {
            setns(&self.initial, CloneFlags::CLONE_NEWNET)?;
            Command::new(TSUMUGI)
                .args(["datapath", "--state"])
                .arg(&self.state)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
        });
        child.unwrap()
    }

    /// Has the process take a plan with these tunnels, and waits until it has.
    #[track_caller]
    pub fn reload(&self, tunnels: &[Tunnel]) {
        self.write_plan(tunnels.to_vec());
        let plan: RouterPlan =
            serde_json::from_slice(&fs::read(self.state.join("plan.json")).unwrap()).unwrap();
        self.signal(Signal::SIGHUP);
        self.wait_for("the plan is taken", || self.status()["plan"]["hash"] == plan.hash.as_str());
    }

    /// The index of an interface of the fabric; `None` if there is none of the name.
    pub fn index_of(&self, name: &str) -> Option<u32> {
        let shown = self.in_plane("fabric", || run("ip", &format!("-o link show dev {name}")))?;
        shown.split(':').next()?.parse().ok()
    }

    /// All that stands in the fabric: links, addresses, routes. What the kernel says of carriers is left out.
    pub fn fabric(&self) -> String {
        let shown = self.in_plane("fabric", || {
            ["-o link show", "-o address show", "-4 -o route show", "-6 -o route show"].map(ip).concat()
        });
        let mut words: Vec<&str> = shown.split(' ').filter(|word| !word.starts_with('<')).collect();
        words.retain(|word| !["linkdown", "UP", "DOWN", "UNKNOWN", ""].contains(&word.trim()));
        words.join(" ")
    }

    /// The status document of the process.
    pub fn status(&self) -> serde_json::Value {
        let mut text = String::new();
        let asked = UnixStream::connect(self.state.join("datapath.sock"))
            .and_then(|mut stream| stream.read_to_string(&mut text));
        asked.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// Starts somebody else's program in one of the planes, in place of ours.
    pub fn start_other(&self, plane: &str, program: &Path, arguments: &[&str]) {
        let log = File::options().create(true).append(true).open(self.state.join("log")).unwrap();
        let start = || {
            Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
        };
        *self.process.lock().unwrap() = Some(self.enter(plane, start).unwrap());
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &*self.process.lock().unwrap() {
            kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        }
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.lock().unwrap().as_ref().map(Child::id)
    }

    /// Starts the process once more, beside the one that runs, and waits until that one has ended.
    #[track_caller]
    pub fn succeed(&self) {
        let mut before = self.process.lock().unwrap().take().unwrap();
        self.start();
        let deadline = Instant::now() + Duration::from_secs(60);
        while before.try_wait().unwrap().is_none() {
            let log = || fs::read_to_string(self.state.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the old process does not end\n{}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Runs `work` in one of the planes.
    pub fn in_plane<T: Send>(&self, plane: &str, work: impl FnOnce() -> T + Send) -> T {
        self.enter(plane, || Ok(work())).unwrap()
    }

    pub fn enter<T: Send>(&self, plane: &str, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let file = File::open(self.plane(plane))?;
        on_thread(|| {
            setns(&file, CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }

    #[track_caller]
    pub fn wait_for(&self, what: &str, done: impl Fn() -> bool) {
        self.wait_within(Duration::from_secs(40), what, done);
    }

    /// As [`Machine::wait_for`], of what changes by looking.
    #[track_caller]
    pub fn wait_for_mut(&self, what: &str, done: impl FnMut() -> bool) {
        let done = std::cell::RefCell::new(done);
        self.wait_for(what, || (done.borrow_mut())());
    }

    #[track_caller]
    pub fn wait_within(&self, patience: Duration, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + patience;
        while !done() {
            let log = || fs::read_to_string(self.state.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "waited {patience:?} until {what}\n{}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What the key of machine `id` is called.
pub fn key_name(id: u32) -> KeyName {
    KeyName(format!("link.machine{id}.wg-x"))
}

/// Private keys are 32 times the machine's number: fresh ones would test nothing more.
fn write_keys(state: &Path, own: u32) {
    let private = |id: u32| StaticSecret::from([u8::try_from(id).unwrap(); 32]);
    let ring: BTreeMap<String, String> = [1, 2]
        .map(|id| (key_name(id).0, BASE64.encode(PublicKey::from(&private(id)).as_bytes())))
        .into_iter()
        .collect();
    fs::write(state.join("keyring.json"), serde_json::to_vec(&ring).unwrap()).unwrap();
    fs::write(state.join("keys").join(key_name(own).0), BASE64.encode(private(own).to_bytes())).unwrap();
}

fn on_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

fn output(program: &str, arguments: &str) -> io::Result<Output> {
    Command::new(program).args(arguments.split_whitespace()).env("LC_ALL", "C").output()
}

/// What a command that succeeds prints.
pub fn run(program: &str, arguments: &str) -> Option<String> {
    let output = output(program, arguments).ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[track_caller]
pub fn ip(arguments: &str) -> String {
    let output = output("ip", arguments).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Many commands of `ip`, one a line.
pub fn batch(commands: &str) {
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "ip -batch");
}

/// A datagram of the tunnel's as the wire saw it.
#[derive(Debug)]
pub struct Seen {
    pub packets: usize,
    pub source: IpAddr,
    /// Bytes of the largest packet until its last piece.
    pub largest: usize,
}

pub struct Capture {
    socket: OwnedFd,
}

impl Capture {
    /// The packets as they are that have passed until now.
    pub fn packets(&self) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        let read = || {
            recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())
                .ok()
                .map(|len| buffer[..len].to_vec())
        };
        std::iter::from_fn(read).collect()
    }

    /// The datagrams of tunnels with at least `len` bytes of payload until now: what is smaller is
    /// neighbour discovery and the like. `at_least` so many are waited for.
    pub fn finish(self, at_least: usize, len: usize) -> Vec<Seen> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut seen = Vec::new();
        let mut reassembly = Reassembly::new(Limits::default());
        let mut largest = 0;
        let mut buffer = vec![0; 65_536];
        while Instant::now() < deadline {
            let Ok(length) = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) else {
                if seen.len() >= at_least {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            largest = largest.max(length);
            // What is no IP at all, or of another protocol, is not of the tunnel.
            let Ok(Some(datagram)) = reassembly.receive(time::Instant(0), &buffer[..length]) else {
                continue;
            };
            if [17, 47, 97].contains(&datagram.protocol) && datagram.payload.len() >= len {
                seen.push(Seen { packets: datagram.packets, source: datagram.source, largest });
            }
        }
        seen
    }
}
