//! Wires: the lines, links and taps of a lab; how they are cut and mended without a change of carrier.

use super::Lab;
use super::changes::Change;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::net::IpAddr;
use std::process::Stdio;
use tsumugi_core::id::{IfName, Plane, Prefix};

/// An access line: from a machine's port through an access router to a network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// The machine that the line serves.
    pub machine: String,
    /// Its name in the file, e.g. "ngn".
    pub name: String,
    /// The machine's port as the file names it.
    pub port: IfName,
    /// The interface that the line is used by once its processes run: the port or its macvlan.
    pub interface: IfName,
    /// The plane that `interface` belongs to.
    pub plane: Plane,
    /// The access router's machine, `MACHINE.LINE`. Its interface to the machine is `line`, the one
    /// to the network is `up`.
    pub access: String,
    /// The network's machine: `internet`, `ngn-east`, `ngn-west`.
    pub network: String,
    pub path_mtu: u16,
    /// The port's own MTU: the path is made narrow behind it.
    pub port_mtu: u16,
    /// Behind carrier NAT: what the network sees of IPv4 is in `outside`.
    pub nat: bool,
    pub passes: Passes,
    /// Addresses on the machine's side, with their prefix lengths: stated or given by the lab.
    pub addresses: Vec<Prefix>,
    /// The addresses that the network sees, one per family.
    pub outside: Vec<IpAddr>,
    /// The access router's addresses towards the machine.
    pub gateways: Vec<IpAddr>,
    /// True where the lab plays the line's client (auto, dhcp, pppoe).
    pub client: bool,
}

/// What a line lets through, besides ICMP and TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passes {
    pub udp: bool,
    pub gre: bool,
    pub etherip: bool,
    pub fragments: bool,
    /// Packets that nobody behind the line asked for.
    pub incoming: bool,
}

impl Passes {
    pub const ALL: Passes = Passes { udp: true, gre: true, etherip: true, fragments: true, incoming: true };
}

/// A machine's port in a site's switch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plug {
    /// The switch's machine, its port and the bridge that the port belongs to: `mgmt`, or one for
    /// each Ethernet link.
    pub switch: String,
    pub interface: IfName,
    pub bridge: IfName,
    /// What hangs there, where its port begins its life, and what the port is called.
    pub machine: String,
    pub plane: Plane,
    pub port: IfName,
    /// Bytes.
    pub mtu: u16,
}

/// A name that is known to be one.
///
/// # Panics
/// If it is not: only for names that the lab itself makes.
pub(super) fn interface(name: &str) -> IfName {
    IfName::new(name).expect("the lab's own names are at most 15 plain letters")
}

/// How a link's packets travel between its two ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wire {
    /// `A-B` for a link of the file (`A-B.2` for a second one), `ROUTER-PEER` for an outside connection.
    pub name: String,
    /// True for an outside connection; its second end is then the stand-in's.
    pub outside: bool,
    pub by: WireKind,
    /// Whether TCP is told to fit one outer packet, where it would not.
    pub clamped: bool,
    /// Inner MTU in bytes.
    pub mtu: u16,
    /// Bytes of the largest outer packet that the path passes whole.
    pub path_mtu: u16,
    pub ends: [WireEnd; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WireKind {
    Ethernet,
    Gre,
    Gretap,
    EtherIp,
    Geneve,
    WireGuard,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WireEnd {
    /// The router or stand-in.
    pub machine: String,
    /// The inner interface in its fabric plane.
    pub interface: IfName,
    /// Where every outer packet of this end passes, both ways, outside the router: a machine and
    /// one of its interfaces. An access router's `line`, or a site switch's port.
    pub tap: Tap,
    /// What tells this link's outer packets from others at `tap`; `None` for Ethernet links, which
    /// have the tap for themselves.
    pub flow: Option<Flow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tap {
    pub machine: String,
    pub interface: IfName,
}

/// Outer packets as they look between a router's port and its access router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// This end's outer address.
    pub local: IpAddr,
    /// The far end's as this end sees it (behind NAT: the NAT's address).
    pub remote: IpAddr,
    /// IP protocol number: 47, 97 or 17.
    pub protocol: u8,
    /// For UDP: this end's port before any NAT, and the far end's where the far end is not behind NAT.
    pub ports: Option<(u16, Option<u16>)>,
}

impl Lab {
    /// Drops what travels over the wire, silently and both ways, outside of its two ends; no carrier
    /// changes. Several wires can be cut at a time.
    ///
    /// # Errors
    /// What nft says.
    pub fn cut(&self, wire: &Wire) -> io::Result<()> {
        for end in &wire.ends {
            let table = cut_table(wire, end);
            self.nft(
                &end.tap.machine,
                &format!("{table}\ndelete {table}\n{table} {{\n{}}}\n", cut_chains(end)),
            )?;
        }
        Ok(())
    }

    /// [`Lab::cut`]s these until the change is put back, whatever happens.
    ///
    /// # Errors
    /// What nft says.
    pub fn cut_for_a_while(&self, wires: &[&Wire]) -> io::Result<Change> {
        let (lab, cut) = (self.clone(), wires.iter().map(|wire| (*wire).clone()).collect::<Vec<_>>());
        let mend = move || {
            // Every one, though another cannot be mended.
            let mended: Vec<io::Result<()>> = cut.iter().map(|wire| lab.mend(wire)).collect();
            mended.into_iter().collect()
        };
        Change::make(mend, || wires.iter().try_for_each(|wire| self.cut(wire)))
    }

    /// Undoes [`Lab::cut`]. Nothing to do for a wire that is whole.
    ///
    /// # Errors
    /// What nft says.
    pub fn mend(&self, wire: &Wire) -> io::Result<()> {
        for end in &wire.ends {
            let table = cut_table(wire, end);
            // Made first, so that deleting it succeeds whether it stood or not.
            self.nft(&end.tap.machine, &format!("{table}\ndelete {table}\n"))?;
        }
        Ok(())
    }

    /// Applies a ruleset in a machine that the lab made (never inside a router).
    ///
    /// # Errors
    /// What nft says.
    pub fn nft(&self, machine: &str, rules: &str) -> io::Result<()> {
        let machine =
            self.machine(machine).ok_or_else(|| io::Error::other(format!("no machine {machine}")))?;
        let mut command = machine.command(Plane::Management, "nft")?;
        command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(rules.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("nft in {}: {}", machine.name, said.trim())))
    }
}

/// The table that holds a cut: mending is deleting it. Ethernet links pass a bridge, all others a
/// router.
fn cut_table(wire: &Wire, end: &WireEnd) -> String {
    let family = if end.flow.is_some() { "inet" } else { "bridge" };
    format!("table {family} cut-{}", wire.name)
}

fn cut_chains(end: &WireEnd) -> String {
    let interface = &end.tap.interface;
    let Some(flow) = &end.flow else {
        return format!(
            " chain forward {{\n  type filter hook forward priority 0\n  \
             iifname \"{interface}\" drop\n  oifname \"{interface}\" drop\n }}\n"
        );
    };
    let ip = if flow.local.is_ipv6() { "ip6" } else { "ip" };
    // A fragment after the first carries no ports: dropping the first is enough.
    let (out_ports, in_ports) = match flow.ports {
        Some((local, Some(remote))) => (
            format!(" udp sport {local} udp dport {remote}"),
            format!(" udp sport {remote} udp dport {local}"),
        ),
        Some((local, None)) => (format!(" udp sport {local}"), format!(" udp dport {local}")),
        None => (String::new(), String::new()),
    };
    let Flow { local, remote, protocol, .. } = flow;
    // Before and after connection tracking and carrier NAT, so that both see the private side.
    format!(
        " chain out {{\n  type filter hook prerouting priority -450\n  iifname \"{interface}\" \
         {ip} saddr {local} {ip} daddr {remote} meta l4proto {protocol}{out_ports} drop\n }}\n \
         chain in {{\n  type filter hook postrouting priority 300\n  oifname \"{interface}\" \
         {ip} saddr {remote} {ip} daddr {local} meta l4proto {protocol}{in_ports} drop\n }}\n"
    )
}
