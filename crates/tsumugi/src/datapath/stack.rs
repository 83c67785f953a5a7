//! Keeping the kernel's stack from packets that we take ourselves: else each would be put together twice,
//! and answered as if nobody wanted it. They are dropped on ingress, which packet sockets see before.

use crate::kernel::Namespace;
use crate::kernel::nft::{NftError, apply_text};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use tsumugi_core::id::IfName;
use tsumugi_core::wire::geneve;
use tsumugi_core::wire::ip::protocol::UDP;

/// Our table, apart from that of the walls: another owner puts that one up.
const TABLE: &str = "tsumugi-datapath";

/// Up to so many are compared one after the other: looking one up in a set costs as much as several
/// comparisons, and it is done for every packet.
const FEW: usize = 8;

/// Packets of one protocol from one end to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taken {
    pub remote: IpAddr,
    pub local: IpAddr,
    pub protocol: u8,
}

/// What is kept from the stack in one namespace.
#[derive(Default)]
pub struct Stack {
    /// As text; `None`: not known, another life may have left something.
    applied: Option<String>,
}

impl Stack {
    /// As another process has left it; `None`: not known.
    pub fn left_by(applied: Option<String>) -> Stack {
        Stack { applied }
    }

    pub fn applied(&self) -> Option<&String> {
        self.applied.as_ref()
    }

    /// Keeps from the stack what is taken on each line, and nothing else. An interface that went took
    /// its rules with it: `anew` puts them up again.
    ///
    /// # Errors
    /// Those of running `nft`.
    pub fn keep_from(
        &mut self,
        underlay: &Namespace,
        taken: &BTreeMap<IfName, Vec<Taken>>,
        anew: bool,
    ) -> Result<(), NftError> {
        let wanted = render(taken)?;
        if !anew && self.applied.as_ref() == Some(&wanted) {
            return Ok(());
        }
        self.applied = None;
        // Deleted in the same transaction; a table has to be there for that.
        let text = format!("table netdev {TABLE}\ndelete table netdev {TABLE}\n{wanted}");
        apply_text(underlay, &text)?;
        self.applied = Some(wanted);
        Ok(())
    }
}

fn render(taken: &BTreeMap<IfName, Vec<Taken>>) -> Result<String, NftError> {
    let lines: Vec<_> = taken.iter().filter(|(_, taken)| !taken.is_empty()).collect();
    if lines.is_empty() {
        return Ok(String::new());
    }
    let mut text = format!("table netdev {TABLE} {{\n");
    for (at, (line, taken)) in lines.into_iter().enumerate() {
        if line.as_str().contains(['"', '\\']) {
            return Err(NftError::Unspeakable(line.clone()));
        }
        let _ = writeln!(text, "\tchain line{at} {{");
        let _ =
            writeln!(text, "\t\ttype filter hook ingress device \"{line}\" priority filter; policy accept;");
        for ipv6 in [false, true] {
            let of_family: Vec<&Taken> = taken.iter().filter(|taken| taken.local.is_ipv6() == ipv6).collect();
            rules(&mut text, ipv6, &of_family);
        }
        text += "\t}\n";
    }
    text += "}\n";
    Ok(text)
}

/// The rules of one family. Every fragment of IPv4 has its protocol; in IPv6 nft looks behind the
/// fragment header. Of UDP it is GENEVE's port, and fragments, of which only the first has a port.
fn rules(text: &mut String, ipv6: bool, taken: &[&Taken]) {
    let (ip, protocol, fragment) = if ipv6 {
        ("ip6", "meta l4proto", "exthdr frag exists")
    } else {
        ("ip", "ip protocol", "ip frag-off & 0x3fff != 0")
    };
    let (datagrams, others): (Vec<&Taken>, Vec<&Taken>) =
        taken.iter().partition(|taken| taken.protocol == UDP);
    if others.len() <= FEW {
        for Taken { remote, local, protocol: number } in others {
            let _ = writeln!(text, "\t\t{ip} saddr {remote} {ip} daddr {local} {protocol} {number} drop");
        }
    } else {
        let element = |taken: &&Taken| format!("{} . {} . {}", taken.remote, taken.local, taken.protocol);
        let elements = others.iter().map(element).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "\t\t{ip} saddr . {ip} daddr . {protocol} {{ {elements} }} drop");
    }
    if !datagrams.is_empty() {
        let element = |taken: &&Taken| format!("{} . {}", taken.remote, taken.local);
        let elements = datagrams.iter().map(element).collect::<Vec<_>>().join(", ");
        let ends = format!("{ip} saddr . {ip} daddr {{ {elements} }}");
        let _ = writeln!(text, "\t\tudp dport {} {ends} drop", geneve::PORT);
        let _ = writeln!(text, "\t\t{protocol} {UDP} {fragment} {ends} drop");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_both_families() {
        let taken = |remote: &str, local: &str, protocol| Taken {
            remote: remote.parse().unwrap(),
            local: local.parse().unwrap(),
            protocol,
        };
        let line = IfName::new("eth1").unwrap();
        let all = BTreeMap::from([
            (line, vec![taken("192.0.2.2", "192.0.2.1", 47), taken("2001:db8::2", "2001:db8::1", 97)]),
            (IfName::new("eth2").unwrap(), Vec::new()),
        ]);
        assert_eq!(
            render(&all).unwrap(),
            "table netdev tsumugi-datapath {
\tchain line0 {
\t\ttype filter hook ingress device \"eth1\" priority filter; policy accept;
\t\tip saddr 192.0.2.2 ip daddr 192.0.2.1 ip protocol 47 drop
\t\tip6 saddr 2001:db8::2 ip6 daddr 2001:db8::1 meta l4proto 97 drop
\t}
}
"
        );
        assert_eq!(render(&BTreeMap::new()).unwrap(), "");
        let line = IfName::new("eth1").unwrap();
        let datagrams = vec![taken("192.0.2.2", "192.0.2.1", 17), taken("2001:db8::2", "2001:db8::1", 17)];
        let text = render(&BTreeMap::from([(line.clone(), datagrams)])).unwrap();
        assert!(
            text.contains(
                "udp dport 6081 ip saddr . ip daddr { 192.0.2.2 . 192.0.2.1 } drop
\t\tip protocol 17 ip frag-off & 0x3fff != 0 ip saddr . ip daddr { 192.0.2.2 . 192.0.2.1 } drop
\t\tudp dport 6081 ip6 saddr . ip6 daddr { 2001:db8::2 . 2001:db8::1 } drop
\t\tmeta l4proto 17 exthdr frag exists ip6 saddr . ip6 daddr { 2001:db8::2 . 2001:db8::1 } drop"
            ),
            "{text}"
        );
        let many = (1..=9).map(|at| taken(&format!("192.0.2.{at}"), "192.0.2.99", 47)).collect();
        let text = render(&BTreeMap::from([(line, many)])).unwrap();
        assert!(text.contains("ip saddr . ip daddr . ip protocol { 192.0.2.1 . 192.0.2.99 . 47, "), "{text}");
    }
}
