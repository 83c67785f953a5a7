//! EtherIP with another implementation: the operators' own `etherip` 0.3.0 (its program is etheripd) at
//! beta's end. It does IPv6 outside only, and drops frames below 82 bytes, ARP and the SYN of IPv4 among
//! them: what is smaller is not tried.
//!
//! ```text
//!   alpha  fabric eip-x (ours) ── underlay eth1 ═ IPv6, 1500 ═ eth1 underlay (etheripd) ── eip-x fabric  beta
//! ```

use crate::bench::{Bench, Outside, ip, run, tunnel};
use crate::bulk::stream;
use crate::full_packets_pass;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tsumugi_core::router_plan::{Encapsulation, Tunnel, TunnelClamp};

/// Where `./test` puts it.
fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin/etheripd")
}

/// What is missing for it, in words.
pub fn missing() -> Option<String> {
    (!program().exists()).then(|| "etheripd is not there (./test installs it)".into())
}

/// Frames that fit, and frames that leave in two: pings of exactly that size both ways, and TCP both ways.
pub fn etheripd_speaks_with_us() {
    for (mtu, packets) in [(1430, 1), (2400, 2)] {
        let bench = Bench::new("etheripd", 1500);
        let plan = Tunnel {
            clamp: TunnelClamp::Off,
            ..tunnel("eip-x", Encapsulation::EtherIp, Outside::V6, 1500, mtu)
        };
        let [alpha, beta] = &bench.machines;
        alpha.write_plan(vec![plan.clone()]);
        alpha.start();
        let config = beta.state.join("etheripd.toml");
        let words =
            "log_level = \"Error\"\n[links.eip-x]\nremote = \"2001:db8:101::1\"\nip_version = \"V6\"\n";
        fs::write(&config, words).unwrap();
        beta.start_other("underlay", &program(), &["-c", &config.to_string_lossy()]);
        beta.wait_for("etheripd has made its device", || {
            beta.in_plane("underlay", || run("ip", "-o link show dev eip-x")).is_some()
        });
        let fabric = beta.plane("fabric");
        beta.in_plane("underlay", || ip(&format!("link set eip-x netns {}", fabric.display())));
        beta.in_plane("fabric", || ip(&format!("link set eip-x mtu {mtu} address 02:00:00:00:00:02 up")));
        for machine in 0..2 {
            bench.address_one(machine, &plan);
        }
        bench.reachable(Duration::from_secs(10));
        full_packets_pass(&bench, usize::from(mtu), packets);
        for from in 0..2 {
            stream(&bench, true, from);
        }
        let status = bench.status(0);
        assert_eq!(status["lines"][0]["drops"], serde_json::json!({}), "{status}");
    }
}
