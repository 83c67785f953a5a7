//! Keeping the kernel's stack from packets that we take ourselves: else each would be put together twice,
//! and answered as if nobody wanted it. They are dropped on ingress, which packet sockets see before.

use crate::kernel::Namespace;
use crate::kernel::nft::{NftError, apply_text};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use tsumugi_core::id::IfName;

/// Our table, apart from that of the walls: another owner puts that one up.
const TABLE: &str = "tsumugi-datapath";

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
        // Every fragment of IPv4 has its protocol; in IPv6 nft looks behind the fragment header.
        for (ipv6, keys) in
            [(false, "ip saddr . ip daddr . ip protocol"), (true, "ip6 saddr . ip6 daddr . meta l4proto")]
        {
            let elements: Vec<String> = taken
                .iter()
                .filter(|taken| taken.local.is_ipv6() == ipv6)
                .map(|Taken { remote, local, protocol }| format!("{remote} . {local} . {protocol}"))
                .collect();
            if !elements.is_empty() {
                let _ = writeln!(text, "\t\t{keys} {{ {} }} drop", elements.join(", "));
            }
        }
        text += "\t}\n";
    }
    text += "}\n";
    Ok(text)
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
\t\tip saddr . ip daddr . ip protocol { 192.0.2.2 . 192.0.2.1 . 47 } drop
\t\tip6 saddr . ip6 daddr . meta l4proto { 2001:db8::2 . 2001:db8::1 . 97 } drop
\t}
}
"
        );
        assert_eq!(render(&BTreeMap::new()).unwrap(), "");
    }
}
