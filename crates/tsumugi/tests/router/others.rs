//! The other implementations, each as one router of another network: how each is told the same things,
//! and how each is asked for the same things.

use super::paths;
use super::world::{Machine, World, find, sh, wait};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use tsumugi_core::bgp::config::Role;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bird,
    Frr,
    GoBgp,
    OpenBgpd,
}

impl Kind {
    /// What must be installed.
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Kind::Bird => &["bird", "birdc"],
            Kind::Frr => &["zebra", "bgpd", "vtysh"],
            Kind::GoBgp => &["gobgpd", "gobgp"],
            Kind::OpenBgpd => &["/usr/sbin/bgpd", "bgpctl"],
        }
    }

    /// Whether it can sign TCP segments (RFC 2385) on Linux.
    pub fn signs(self) -> bool {
        self != Kind::OpenBgpd
    }
}

/// What a network is told of itself.
#[derive(Clone)]
pub struct Network {
    pub kind: Kind,
    pub asn: u32,
    /// What it is to us.
    pub role: Role,
    /// Its place: `203.0.113.(4 * number)/30` and `2001:db8:900:number::/64`, we at the second address.
    pub number: u8,
    pub announces: Vec<&'static str>,
    pub password: Option<&'static str>,
    /// It keeps our routes, and asks us to keep its own, through a restart (RFC 4724).
    pub graceful: bool,
    /// It takes several paths to one prefix and tells all of its own (RFC 7911).
    pub add_paths: bool,
    /// A customer of its own at `eth2`, whom it tells everything, by its AS number; in the place 40 further on.
    pub tells: Option<u32>,
}

/// The two ends of a place: the network's and that of whoever is there with it.
fn places(number: u8) -> ([String; 2], [String; 2]) {
    let of = |end: u8| [format!("203.0.113.{}", 4 * number + end), format!("2001:db8:900:{number}::{end}")];
    (of(1), of(2))
}

/// The far address with its length and the network's, for each family.
fn ends_of(number: u8) -> [(String, String); 2] {
    let ([own4, own6], [far4, far6]) = places(number);
    [(format!("{far4}/30"), own4), (format!("{far6}/64"), own6)]
}

impl Network {
    fn own(&self) -> [String; 2] {
        places(self.number).0
    }

    pub fn ours(&self) -> [String; 2] {
        places(self.number).1
    }

    /// Our address with its length and theirs, for each family.
    pub fn ends(&self) -> [(String, String); 2] {
        ends_of(self.number)
    }

    /// The same of the customer that it tells everything.
    pub fn ends_to_customer(&self) -> [(String, String); 2] {
        ends_of(self.number + 40)
    }

    /// Of each session: its family, the own and the far address, the far AS, what it is to the far end, and whether
    /// it is to the customer.
    fn sessions(&self) -> Vec<(&'static str, String, String, u32, &'static str, bool)> {
        let mut all = Vec::new();
        let (own, ours) = places(self.number);
        for (family, (own, ours)) in FAMILIES.into_iter().zip(own.into_iter().zip(ours)) {
            all.push((family, own, ours, 63806, self.says(), false));
        }
        let (own, far) = places(self.number + 40);
        if let Some(asn) = self.tells {
            for (family, (own, far)) in FAMILIES.into_iter().zip(own.clone().into_iter().zip(far.clone())) {
                all.push((family, own, far, asn, "provider", true));
            }
        }
        all
    }

    fn says(&self) -> &'static str {
        match self.role {
            Role::Provider => "provider",
            Role::Peer => "peer",
            _ => "customer",
        }
    }
}

/// A network's router, running.
pub struct Other {
    pub network: Network,
    pub machine: Machine,
    directory: PathBuf,
    pub process: u32,
}

const FAMILIES: [&str; 2] = ["ipv4", "ipv6"];

fn is_ipv4(prefix: &str) -> bool {
    !prefix.contains(':')
}

impl Other {
    /// Its port to us is `eth1`.
    pub fn start(world: &mut World, machine: Machine, network: Network) -> Other {
        let [own4, own6] = network.own();
        machine.run(&format!("ip address add {own4}/30 dev eth1; ip address add {own6}/64 dev eth1 nodad"));
        machine.run("ip link set eth1 up");
        if network.tells.is_some() {
            let [own4, own6] = places(network.number + 40).0;
            machine
                .run(&format!("ip address add {own4}/30 dev eth2; ip address add {own6}/64 dev eth2 nodad"));
            machine.run("ip link set eth2 up");
        }
        let directory = world.directory(&format!("{}-files", machine.name));
        let mut other = Other { network, machine, directory, process: 0 };
        if other.network.kind == Kind::Frr {
            other.daemon(world, "zebra", "");
        }
        other.run(world);
        other
    }

    /// Starts it again after its process was ended, with what `network` says now.
    pub fn run(&mut self, world: &mut World) {
        let d = self.directory.display().to_string();
        match self.network.kind {
            Kind::Bird => {
                self.write("bird.conf", &self.bird());
                let recover = if self.network.graceful && self.process != 0 { "-R" } else { "" };
                let line = format!("exec bird -f {recover} -c {d}/bird.conf -s {d}/ctl");
                self.process = world.run_on(&self.machine, &line);
            }
            Kind::Frr => self.process = self.daemon(world, "bgpd", &self.frr()),
            Kind::GoBgp => {
                let _ = fs::remove_file(self.directory.join("ctl"));
                self.write("gobgpd.toml", &self.gobgp());
                let restarted = if self.process == 0 { "" } else { "-r" };
                let line = format!("exec gobgpd {restarted} -f {d}/gobgpd.toml --api-hosts unix://{d}/ctl");
                self.process = world.run_on(&self.machine, &line);
                wait("gobgpd answers", &[&self.machine], || {
                    self.machine.succeeds(&format!("gobgp --target unix://{d}/ctl global"))
                });
                let identifier = if self.network.add_paths { "identifier 1" } else { "" };
                for prefix in &self.network.announces {
                    let family = if is_ipv4(prefix) { "ipv4" } else { "ipv6" };
                    self.ask(&format!("global rib add -a {family} {prefix} {identifier}"));
                }
            }
            Kind::OpenBgpd => {
                self.write("bgpd.conf", &self.openbgpd());
                self.machine.run(&format!("chmod 600 {d}/bgpd.conf"));
                // Where it locks itself in; seen by this test alone.
                sh("test -d /run/openbgpd || { mount -t tmpfs tsumugi-test /run && mkdir /run/openbgpd; }");
                self.process =
                    world.run_on(&self.machine, &format!("exec /usr/sbin/bgpd -d -f {d}/bgpd.conf"));
            }
        }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.directory.join(file), text).unwrap();
    }

    fn daemon(&self, world: &mut World, daemon: &str, configuration: &str) -> u32 {
        let d = self.directory.display();
        let vty = self.directory.join(format!("{daemon}.vty"));
        let _ = fs::remove_file(&vty);
        self.write(&format!("{daemon}.conf"), configuration);
        self.machine.run(&format!("chown -R frr:frr {d}"));
        let line = format!(
            "exec {} -f {d}/{daemon}.conf --vty_socket {d} -z {d}/zserv.api -i {d}/{daemon}.pid -P 0 --log stdout",
            find(daemon).unwrap().display()
        );
        let process = world.run_on(&self.machine, &line);
        wait(&format!("{daemon} runs"), &[&self.machine], || vty.exists());
        process
    }

    fn bird(&self) -> String {
        let network = &self.network;
        let [own4, _] = network.own();
        let graceful = if network.graceful { "graceful restart wait 5;" } else { "" };
        let mut text =
            format!("log stderr all; router id {own4}; {graceful} protocol device {{ scan time 1; }}\n");
        for family in FAMILIES {
            let routes: String = network
                .announces
                .iter()
                .filter(|prefix| is_ipv4(prefix) == (family == "ipv4"))
                .map(|prefix| format!("route {prefix} blackhole; "))
                .collect();
            writeln!(text, "protocol static s_{family} {{ {family}; {routes} }}").unwrap();
            if network.add_paths {
                text.push_str(&paths::bird_also(network.asn, family, &routes));
            }
        }
        for (family, own, far, asn, role, customer) in network.sessions() {
            let secret = network.password.map(|it| format!("password \"{it}\";")).unwrap_or_default();
            let restart =
                if network.graceful { "graceful restart on; graceful restart time 60;" } else { "" };
            let (name, export) = match (customer, network.add_paths) {
                (true, _) => ("c", "all"),
                (false, true) => ("b", "filter also"),
                (false, false) => ("b", "where source = RTS_STATIC"),
            };
            let paths = if network.add_paths { "add paths on;" } else { "" };
            writeln!(
                text,
                "protocol bgp {name}_{family} {{
                     local {own} as {}; neighbor {far} as {asn}; local role {role}; {secret} {restart}
                     connect retry time 1; error wait time 1, 2;
                     {family} {{ {paths} import all; export {export}; }};
                 }}",
                network.asn,
            )
            .unwrap();
        }
        text
    }

    fn frr(&self) -> String {
        let network = &self.network;
        let [own4, _] = network.own();
        let mut text = format!(
            "router bgp {}\n bgp router-id {own4}\n no bgp ebgp-requires-policy\n \
             no bgp default ipv4-unicast\n no bgp network import-check\n",
            network.asn
        );
        if network.graceful {
            text.push_str(" bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n bgp graceful-restart restart-time 60\n");
        }
        for (_, _, ours, asn, role, _) in network.sessions() {
            write!(
                text,
                " neighbor {ours} remote-as {asn}\n neighbor {ours} timers connect 1\n \
                 neighbor {ours} local-role {role}\n",
            )
            .unwrap();
            if let Some(secret) = network.password {
                writeln!(text, " neighbor {ours} password {secret}").unwrap();
            }
        }
        for family in FAMILIES {
            writeln!(text, " address-family {family} unicast").unwrap();
            for (_, _, far, ..) in network.sessions().iter().filter(|it| it.0 == family) {
                writeln!(text, "  neighbor {far} activate").unwrap();
                if network.add_paths {
                    writeln!(text, "  neighbor {far} addpath-tx-all-paths").unwrap();
                }
            }
            if network.add_paths {
                text.push_str("  redistribute connected route-map also\n");
            }
            for prefix in network.announces.iter().filter(|prefix| is_ipv4(prefix) == (family == "ipv4")) {
                writeln!(text, "  network {prefix}").unwrap();
            }
            text.push_str(" exit-address-family\n");
        }
        text.push_str("exit\n");
        text + &paths::frr_also(network.asn)
    }

    fn gobgp(&self) -> String {
        let network = &self.network;
        let [own4, _] = network.own();
        let mut text = format!("[global.config]\nas = {}\nrouter-id = \"{own4}\"\n", network.asn);
        for (family, _, ours, asn, ..) in network.sessions() {
            write!(
                text,
                "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{ours}\"\npeer-as = {asn}\n"
            )
            .unwrap();
            if let Some(secret) = network.password {
                writeln!(text, "auth-password = \"{secret}\"").unwrap();
            }
            text.push_str("[neighbors.timers.config]\nconnect-retry = 1\nidle-hold-time-after-reset = 1\n");
            if network.graceful {
                text.push_str("[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 60\n");
            }
            write!(text, "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}-unicast\"\n")
                .unwrap();
            if network.add_paths {
                text.push_str("[neighbors.afi-safis.add-paths.config]\nreceive = true\nsend-max = 8\n");
            }
            if network.graceful {
                text.push_str("[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n");
            }
        }
        text
    }

    fn openbgpd(&self) -> String {
        let network = &self.network;
        let [own4, _] = network.own();
        let mut text = format!(
            "AS {}\nrouter-id {own4}\nfib-update no\nsocket \"{}/ctl\"\n",
            network.asn,
            self.directory.display()
        );
        for prefix in &network.announces {
            writeln!(text, "network {prefix}").unwrap();
        }
        for (family, _, ours, asn, role, _) in network.sessions() {
            // As a customer (RFC 9234) OpenBGPD 7.7 does not know the End-of-RIB of IPv6 for what it is, so that it
            // never comes to the end of our restart.
            let role = if network.graceful { "no" } else { role };
            let (family, other) = if family == "ipv4" { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
            let secret = network.password.map(|it| format!("tcp md5sig password {it}")).unwrap_or_default();
            let paths = if network.add_paths { "announce add-path recv yes" } else { "" };
            writeln!(
                text,
                "neighbor {ours} {{\n remote-as {asn}\n announce {family} unicast\n announce {other} none\n \
                 announce policy {role}\n announce enhanced refresh yes\n {secret}\n {paths}\n}}",
            )
            .unwrap();
        }
        text.push_str(
            "deny from any\ndeny to any\nallow from any AS 63806\nallow from any\nallow to any prefix {",
        );
        text.push_str(&network.announces.join(", "));
        text.push_str("}\n");
        if let Some(asn) = network.tells {
            writeln!(text, "allow to AS {asn}").unwrap();
        }
        text
    }

    /// It announces one prefix less, while it runs.
    pub fn withdraw(&mut self, prefix: &str) {
        self.network.announces.retain(|it| *it != prefix);
        let family = if is_ipv4(prefix) { "ipv4" } else { "ipv6" };
        match self.network.kind {
            Kind::Bird => {
                self.write("bird.conf", &self.bird());
                self.ask("configure");
            }
            Kind::Frr => {
                let d = self.directory.display();
                let (bgp, af) = (self.network.asn, format!("address-family {family} unicast"));
                let line = format!(
                    "vtysh --vty_socket {d} -c 'configure terminal' -c 'router bgp {bgp}' -c '{af}' \
                     -c 'no network {prefix}'"
                );
                self.machine.run(&line);
            }
            Kind::GoBgp => drop(self.ask(&format!("global rib del -a {family} {prefix}"))),
            Kind::OpenBgpd => drop(self.ask(&format!("network delete {prefix}"))),
        }
    }

    /// Its own command's answer.
    pub fn ask(&self, words: &str) -> String {
        let d = self.directory.display();
        let line = match self.network.kind {
            Kind::Bird => format!("birdc -s {d}/ctl '{words}'"),
            Kind::Frr => format!("vtysh --vty_socket {d} -c '{words}'"),
            Kind::GoBgp => format!("gobgp --target unix://{d}/ctl {words}"),
            Kind::OpenBgpd => format!("bgpctl -s {d}/ctl {words}"),
        };
        let output = self.machine.command(&line).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The AS path of what we told it of `prefix`, as it stands there; `None`: nothing.
    pub fn path_of(&self, prefix: &str) -> Option<String> {
        // Its own routes have none.
        self.paths_of(prefix)?.into_iter().next().filter(|path| !path.is_empty())
    }

    /// Of every path that it has to `prefix`; `None`: nothing that can be read.
    pub fn paths_of(&self, prefix: &str) -> Option<Vec<String>> {
        let family = if is_ipv4(prefix) { "ipv4" } else { "ipv6" };
        let json = |words: String| serde_json::from_str::<Value>(&self.ask(&words)).unwrap_or_default();
        let texts = |paths: &Value, path: &dyn Fn(&Value) -> Option<String>| {
            Some(paths.as_array()?.iter().filter_map(path).collect::<Vec<_>>())
        };
        Some(match self.network.kind {
            Kind::Bird => {
                let said = self.ask(&format!("show route all protocol b_{family} {prefix}"));
                let path = |line: &str| Some(line.trim().strip_prefix("BGP.as_path:")?.trim().to_owned());
                said.lines().filter_map(path).collect()
            }
            Kind::Frr => {
                let said = json(format!("show bgp {family} unicast {prefix} json"));
                texts(&said["paths"], &|path| Some(path["aspath"]["string"].as_str()?.to_owned()))?
            }
            Kind::GoBgp => {
                let said = json(format!("global rib -a {family} {prefix} -j"));
                let path = |path: &Value| {
                    let attributes = path["attrs"].as_array()?;
                    let path = attributes.iter().find(|it| it["type"] == 2)?["as_paths"][0]["asns"].clone();
                    let numbers: Vec<String> = path.as_array()?.iter().map(Value::to_string).collect();
                    Some(numbers.join(" "))
                };
                texts(said.as_object()?.values().next()?, &path)?
            }
            Kind::OpenBgpd => {
                let said = json(format!("-j show rib {prefix}"));
                texts(&said["rib"], &|path| Some(path["aspath"].as_str()?.to_owned()))?
            }
        })
    }

    /// Has it ask us for everything again (RFC 2918). GoBGP never does.
    pub fn refresh(&self) {
        for (family, ours) in FAMILIES.into_iter().zip(self.network.ours()) {
            self.ask(&match self.network.kind {
                Kind::Bird => format!("reload in b_{family}"),
                Kind::Frr => format!("clear bgp {family} unicast {ours} in"),
                Kind::GoBgp => unreachable!("it keeps what it was told and never asks again"),
                Kind::OpenBgpd => format!("neighbor {ours} refresh"),
            });
        }
    }
}
