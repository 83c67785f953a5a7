//! The datapath process against itself, by the real binary in network namespaces of the test's own.
//!
//! ```text
//!   alpha                                                        beta
//!   fabric    lo 198.18.0.1, 2001:db8:f::1                       lo 198.18.0.2, 2001:db8:f::2
//!             tunnel (MTU 2400) fe80::1                          tunnel fe80::2
//!   underlay  eth1 2001:db8:101::1, 192.0.2.1  ── veth, MTU P ── eth1 2001:db8:101::2, 192.0.2.2
//! ```
//!
//! Needs root and iproute2, ping: without them the tests say so and are counted as ignored.

mod bench;
mod bulk;
mod duties;
mod etheripd;
mod geneve;
mod handover;
mod hostile;
mod keepalive;
mod live;
mod many;
mod paths;
mod probe;
mod shortcut;
mod stream;

use bench::{Bench, Outside, ip, key_name, run, tunnel, turned};
use libtest_mimic::{Arguments, Trial};
use nix::sys::signal::Signal;
use std::process::ExitCode;
use std::time::Duration;
use tsumugi_core::desired::{Address, Desired, Link, LinkKind, NextHop, Route, RouteTarget};
use tsumugi_core::id::Vni;
use tsumugi_core::router_plan::{Encapsulation, Engine, Tunnel};

fn gre() -> Encapsulation {
    Encapsulation::Gre { key: None }
}

/// A packet of exactly `mtu` bytes with DF passes in both families and both directions, and each
/// is exactly `packets` outer packets, none larger than the path.
#[track_caller]
fn full_packets_pass(bench: &Bench, mtu: usize, packets: usize) {
    bench.reachable(Duration::from_secs(10));
    for ipv6 in [false, true] {
        let capture = bench.capture();
        bench.ping(ipv6, mtu, 5);
        let seen = capture.finish(10, mtu);
        assert_eq!(seen.len(), 10, "5 requests and 5 answers: {seen:?}");
        let from_one_end = seen.iter().filter(|datagram| datagram.source == seen[0].source).count();
        assert_eq!(from_one_end, 5, "as many each way: {seen:?}");
        for datagram in seen {
            assert_eq!(datagram.packets, packets, "{datagram:?}");
            assert!(datagram.largest <= bench.path_mtu(), "{datagram:?}");
        }
    }
}

fn gre_over_ipv6_is_two_packets_on_every_path() {
    for path in [1500, 1454, 1280] {
        let bench = Bench::new("gre6", path);
        bench.start(&tunnel("gre-x", gre(), Outside::V6, path, 2400));
        full_packets_pass(&bench, 2400, 2);
    }
}

fn gre_over_ipv4_is_two_packets_on_every_path() {
    for path in [1500, 1454, 1280] {
        let bench = Bench::new("gre4", path);
        bench.start(&tunnel("gre-x", Encapsulation::Gre { key: Some(7) }, Outside::V4, path, 2400));
        full_packets_pass(&bench, 2400, 2);
    }
}

fn ethernet_tunnels_carry_1500_and_2400() {
    for (encapsulation, outside, mtu) in [
        (Encapsulation::EtherIp, Outside::V6, 1500),
        (Encapsulation::EtherIp, Outside::V4, 2400),
        (Encapsulation::Gretap { key: Some(1) }, Outside::V6, 1500),
        (Encapsulation::Geneve { vni: Vni(1) }, Outside::V6, 2400),
        (Encapsulation::Geneve { vni: Vni(0xff_ffff) }, Outside::V4, 1500),
    ] {
        let bench = Bench::new("eth", 1500);
        bench.start(&tunnel("eip-x", encapsulation, outside, 1500, mtu));
        full_packets_pass(&bench, usize::from(mtu), 2);
    }
}

fn wireguard() -> Encapsulation {
    Encapsulation::WireGuard {
        local_key: key_name(1),
        remote_key: key_name(2),
        local_port: 20008,
        remote_port: 20004,
    }
}

fn wireguard_is_two_packets_on_every_path() {
    for (outside, path) in [(Outside::V6, 1500), (Outside::V6, 1280), (Outside::V4, 1454)] {
        let bench = Bench::new("wg", path);
        bench.start(&tunnel("wg-x", wireguard(), outside, path, 2400));
        full_packets_pass(&bench, 2400, 2);
    }
}

/// Beta stands behind a line whose address nobody knows before: it looks its own up and calls, and
/// alpha learns where it is. Alpha's process is killed and learns it again.
fn a_far_end_without_an_address_is_learned() {
    for outside in [Outside::V6, Outside::V4] {
        let bench = Bench::new("roam", 1500);
        let near = tunnel("wg-x", wireguard(), outside, 1500, 2400);
        let far = Tunnel { local: None, ..turned(&near) };
        let near = Tunnel { remote: None, ..near };
        bench.start_ends(&near, &far);
        full_packets_pass(&bench, 2400, 2);
        bench.machines[0].kill();
        bench.machines[0].start();
        // Beta notices the silence after 3 s because it sends: a router's BGP speaks each second.
        let beta = &bench.machines[1];
        beta.wait_for("the session is there again", || {
            beta.in_plane("fabric", || run("ping", "-n -q -c 1 -W 1 198.18.0.1")).is_some()
        });
    }
}

/// The kernel may take the address of a line away and give it another one.
fn a_line_may_change_its_address() {
    let bench = Bench::new("renumber", 1500);
    let near = tunnel("wg-x", wireguard(), Outside::V4, 1500, 2400);
    let far = Tunnel { local: None, ..turned(&near) };
    bench.start_ends(&Tunnel { remote: None, ..near }, &far);
    bench.reachable(Duration::from_secs(10));
    for machine in &bench.machines {
        machine.in_plane("underlay", || {
            ip("neighbour replace 192.0.2.3 lladdr 02:00:00:00:01:02 dev eth1 nud permanent")
        });
    }
    bench.machines[1].in_plane("underlay", || {
        ip("address del 192.0.2.2/24 dev eth1");
        ip("address add 192.0.2.3/24 dev eth1");
    });
    let beta = &bench.machines[1];
    beta.wait_for("beta calls from its new address", || {
        let _ = beta.in_plane("fabric", || run("ping", "-n -q -c 1 -W 1 198.18.0.1"));
        bench.status(0)["tunnels"][0]["remote"] == "192.0.2.3"
    });
    bench.reachable(Duration::from_secs(10));
}

/// What strangers send is counted and never seen inside.
fn wrong_sources_keys_and_garbage_are_counted() {
    let bench = Bench::new("strangers", 1500);
    let plan = tunnel("gre-x", Encapsulation::Gre { key: Some(7) }, Outside::V4, 1500, 2400);
    bench.start(&plan);
    bench.reachable(Duration::from_secs(10));
    bench.quiet();
    let before = bench.status(0)["tunnels"][0]["received"]["packets"].as_u64();
    let inner = bench.inner_packet();
    let keyed = |key: u8| [&[0x20, 0, 8, 0, 0, 0, 0, key][..], &inner].concat();
    bench.forge("192.0.2.77", 47, &keyed(7));
    bench.forge("192.0.2.2", 47, &keyed(8));
    bench.forge("192.0.2.2", 47, &[0x20, 0, 8]);
    bench.forge("192.0.2.2", 47, &[0x20, 0, 8, 6, 0, 0, 0, 7, 1, 2, 3]);
    let alpha = &bench.machines[0];
    alpha.wait_for("all four are counted", || {
        let status = bench.status(0);
        let drops = &status["lines"][0]["drops"];
        ["unknown-source", "unknown-tunnel", "malformed", "wrong-inner"]
            .iter()
            .all(|reason| drops[reason] == 1)
    });
    assert_eq!(bench.status(0)["tunnels"][0]["received"]["packets"].as_u64(), before);
    // The same packet from the right source with the right key comes through.
    bench.forge("192.0.2.2", 47, &keyed(7));
    alpha.wait_for("the right one arrives", || {
        bench.status(0)["tunnels"][0]["received"]["packets"].as_u64() > before
    });
}

/// The process is killed: device, address and route stay, and the next life attaches to them.
fn what_stands_in_the_fabric_survives_the_process() {
    let bench = Bench::new("killed", 1500);
    bench.start(&tunnel("gre-x", gre(), Outside::V6, 1500, 2400));
    bench.reachable(Duration::from_secs(10));
    let alpha = &bench.machines[0];
    let stands = || {
        alpha.in_plane("fabric", || {
            let link = run("ip", "-o link show dev gre-x").unwrap_or_default();
            let index = link.split(':').next().unwrap_or_default().to_owned();
            let words = ["fe80::1", "mtu 2400", "alias tsumugi: test tunnel gre-x"];
            let link = format!("{link}{}", ip("-o address show dev gre-x"));
            assert!(words.iter().all(|word| link.contains(word)), "{link}");
            let v4 = ip("-o -4 route show 198.18.0.2");
            let v6 = ip("-o -6 route show 2001:db8:f::2");
            assert!(v4.contains("fe80::2") && v6.contains("fe80::2"), "{v4}{v6}");
            (index, v4.contains("linkdown"), v6.contains("linkdown"))
        })
    };
    let (index, ..) = stands();
    alpha.kill();
    let (same, v4_down, v6_down) = stands();
    // Without a process attached there is no carrier: routing is told that nobody is there.
    assert_eq!((&same, v4_down, v6_down), (&index, true, true));
    alpha.start();
    full_packets_pass(&bench, 2400, 2);
    assert_eq!(stands(), (index, false, false));
}

/// A new plan changes one tunnel, removes one and adds one; the fourth is not touched.
fn a_new_plan_touches_only_what_it_changes() {
    let bench = Bench::new("reload", 1500);
    let keyed =
        |name: &str, key| tunnel(name, Encapsulation::Gre { key: Some(key) }, Outside::V6, 1500, 2400);
    let stays = keyed("gre-x", 1);
    bench.start(&stays);
    let alpha = &bench.machines[0];
    let reload = |tunnels: Vec<Tunnel>| {
        alpha.write_plan(tunnels);
        alpha.signal(Signal::SIGHUP);
    };
    let indices = || alpha.in_plane("fabric", || ip("-br link show type tun"));
    reload(vec![stays.clone(), keyed("gre-a", 2), keyed("gre-b", 3)]);
    alpha.wait_for("three devices", || indices().lines().count() == 3);
    bench.reachable(Duration::from_secs(10));
    let sent = bench.status(0)["tunnels"][0]["sent"]["packets"].as_u64();
    let changed = Tunnel { mtu: 1400, ..keyed("gre-a", 2) };
    reload(vec![changed, stays, tunnel("eip-c", Encapsulation::EtherIp, Outside::V6, 1500, 1500)]);
    alpha.wait_for("one more, one less, one other", || {
        let links = alpha.in_plane("fabric", || ip("-o link show"));
        links.contains("eip-c") && !links.contains("gre-b") && links.contains("mtu 1400")
    });
    let status = bench.status(0);
    let kept = status["tunnels"].as_array().unwrap().iter().find(|tunnel| tunnel["name"] == "gre-x").unwrap();
    assert!(kept["sent"]["packets"].as_u64() >= sent, "its counters went on: {kept}");
    bench.reachable(Duration::from_secs(10));

    // A plan that is not understood changes nothing and is told.
    std::fs::write(alpha.state.join("plan.json"), r#"{"schema": 99}"#).unwrap();
    alpha.signal(Signal::SIGHUP);
    alpha.wait_for("the refusal is told", || bench.status(0)["plan"]["refused"].is_object());
    assert_eq!(bench.status(0)["tunnels"].as_array().map(Vec::len), Some(3));
    bench.reachable(Duration::from_secs(10));
}

/// A line that vanishes (a pulled USB stick, a PPPoE session) and comes back.
fn lines_and_devices_may_vanish() {
    let bench = Bench::new("vanish", 1500);
    let plan = tunnel("gre-x", gre(), Outside::V6, 1500, 2400);
    bench.start(&plan);
    bench.reachable(Duration::from_secs(10));
    bench.machines[0].in_plane("underlay", || ip("link del eth1"));
    bench.machines[0].wait_for("the line is missed", || bench.status(0)["tunnels"][0]["state"] == "no-line");
    bench.wire_underlays();
    bench.reachable(Duration::from_secs(10));
    bench.machines[0].in_plane("fabric", || ip("link del gre-x"));
    bench.machines[0].wait_for("the device is made again", || {
        bench.machines[0]
            .in_plane("fabric", || run("ip", "-o link show dev gre-x up"))
            .is_some_and(|text| !text.is_empty())
    });
    bench.address_one(0, &plan);
    bench.reachable(Duration::from_secs(10));
}

/// The process takes the port from the initial namespace and makes the underlay what the plan says.
fn the_underlay_is_made_as_planned() {
    let bench = Bench::new("underlay", 1500);
    bench.wire_to_the_port();
    let plan = tunnel("gre-x", gre(), Outside::V6, 1454, 2400);
    let port = plan.uplink.clone();
    let next_hops = vec![NextHop { link: port.clone(), via: None }];
    let underlay = Desired {
        links: vec![Link {
            name: port.clone(),
            alias: "line of the test".into(),
            kind: LinkKind::Port,
            mtu: 1500,
            mac: None,
            master: None,
        }],
        addresses: vec![Address { link: port, prefix: "2001:db8:101::1/64".parse().unwrap() }],
        routes: vec![Route {
            prefix: "2001:db8:101::2/128".parse().unwrap(),
            target: RouteTarget::NextHops { next_hops },
            source: None,
            mtu: Some(1454),
            metric: None,
        }],
        ..Desired::default()
    };
    let [alpha, beta] = &bench.machines;
    alpha.write_plan_with(vec![plan.clone()], underlay);
    beta.write_plan(vec![turned(&plan)]);
    alpha.start();
    beta.start();
    bench.address_one(0, &plan);
    bench.address_one(1, &plan);
    full_packets_pass(&bench, 2400, 2);
    let route = alpha.in_plane("underlay", || ip("-6 route get 2001:db8:101::2"));
    assert!(route.contains("mtu lock 1454") || route.contains("mtu 1454"), "{route}");
}

/// With `auto` the reason is told; GRE over IPv4 and WireGuard are the kernel's where it has them,
/// and speak with our own.
fn engines_are_told_with_their_reason() {
    for (encapsulation, outside, why) in [
        (gre(), Outside::V6, "cannot-fragment"),
        (Encapsulation::EtherIp, Outside::V6, "no-device"),
        (gre(), Outside::V4, "refused"),
        (Encapsulation::Gre { key: Some(7) }, Outside::V4, "refused"),
        (wireguard(), Outside::V4, "refused"),
        (wireguard(), Outside::V6, "refused"),
    ] {
        for far_engine in [Engine::Userspace, Engine::Auto] {
            let bench = Bench::new("engine", 1500);
            let plan = tunnel("gre-x", encapsulation.clone(), outside, 1500, 2400);
            let far = Tunnel { engine: far_engine, ..turned(&plan) };
            bench.start_ends(&Tunnel { engine: Engine::Auto, ..plan }, &far);
            full_packets_pass(&bench, 2400, 2);
            let status = bench.status(0);
            let tunnel = &status["tunnels"][0];
            assert_eq!(tunnel["state"], "up", "{status}");
            let by_the_kernel = why == "refused" && tunnel["engine"] == "kernel";
            println!("{}: {} {}", tunnel["by"], tunnel["engine"], tunnel["why"]);
            assert!(by_the_kernel || tunnel["engine"] == "userspace" && tunnel["why"] == why, "{status}");
        }
    }
}

/// The next life finds the kernel's device as it left it; a change of engine replaces the device.
fn engines_may_change() {
    for (encapsulation, outside) in [(gre(), Outside::V4), (wireguard(), Outside::V6)] {
        let bench = Bench::new("change", 1500);
        let plan = Tunnel { engine: Engine::Auto, ..tunnel("gre-x", encapsulation, outside, 1500, 2400) };
        bench.start(&plan);
        bench.reachable(Duration::from_secs(10));
        let alpha = &bench.machines[0];
        let index =
            || alpha.in_plane("fabric", || ip("-o link show dev gre-x")).split(':').next().map(str::to_owned);
        let before = index();
        alpha.kill();
        alpha.start();
        bench.reachable(Duration::from_secs(10));
        assert_eq!(index(), before);

        alpha.write_plan(vec![Tunnel { engine: Engine::Userspace, ..plan.clone() }]);
        alpha.signal(Signal::SIGHUP);
        alpha.wait_for("our own engine", || bench.status(0)["tunnels"][0]["why"] == "stated");
        if index() != before {
            bench.address_one(0, &plan);
        }
        full_packets_pass(&bench, 2400, 2);
    }
}

fn main() -> ExitCode {
    let missing = bench::missing();
    let trial_with = |name: &str, missing: Option<&String>, test: fn()| {
        if let Some(missing) = missing {
            eprintln!("skipped: {name}: {missing}");
        }
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    let trial = |name: &str, test: fn()| trial_with(name, missing.as_ref(), test);
    let no_shortcut = missing.clone().or_else(shortcut::missing);
    let by_shortcut = |name: &str, test: fn()| trial_with(name, no_shortcut.as_ref(), test);
    let no_etheripd = missing.clone().or_else(etheripd::missing);
    let trials = vec![
        trial("gre_over_ipv6_is_two_packets_on_every_path", gre_over_ipv6_is_two_packets_on_every_path),
        trial("gre_over_ipv4_is_two_packets_on_every_path", gre_over_ipv4_is_two_packets_on_every_path),
        trial("ethernet_tunnels_carry_1500_and_2400", ethernet_tunnels_carry_1500_and_2400),
        trial("wireguard_is_two_packets_on_every_path", wireguard_is_two_packets_on_every_path),
        trial("a_far_end_without_an_address_is_learned", a_far_end_without_an_address_is_learned),
        trial("a_line_may_change_its_address", a_line_may_change_its_address),
        trial("wrong_sources_keys_and_garbage_are_counted", wrong_sources_keys_and_garbage_are_counted),
        trial(
            "what_stands_in_the_fabric_survives_the_process",
            what_stands_in_the_fabric_survives_the_process,
        ),
        trial("a_new_plan_touches_only_what_it_changes", a_new_plan_touches_only_what_it_changes),
        trial("lines_and_devices_may_vanish", lines_and_devices_may_vanish),
        trial("the_underlay_is_made_as_planned", the_underlay_is_made_as_planned),
        trial("engines_are_told_with_their_reason", engines_are_told_with_their_reason),
        trial("engines_may_change", engines_may_change),
        trial("bulk_passes_every_kind_of_tunnel_unharmed", bulk::bulk_passes_every_kind_of_tunnel_unharmed),
        trial("tcp_is_told_to_fit_one_packet", bulk::tcp_is_told_to_fit_one_packet),
        trial("segments_are_cut_anew_to_fit_one_packet", bulk::segments_are_cut_anew_to_fit_one_packet),
        trial("etherip_is_strict", bulk::etherip_is_strict),
        trial("hundreds_share_a_line", many::hundreds_share_a_line),
        trial_with("etheripd_speaks_with_us", no_etheripd.as_ref(), etheripd::etheripd_speaks_with_us),
        trial("geneve_is_strict", geneve::geneve_is_strict),
        trial(
            "geneve_beside_wireguard_leaves_datagrams_to_the_stack",
            geneve::geneve_beside_wireguard_leaves_datagrams_to_the_stack,
        ),
        trial(
            "geneve_beside_a_learned_far_end_leaves_datagrams_to_the_stack",
            geneve::geneve_beside_a_learned_far_end_leaves_datagrams_to_the_stack,
        ),
        trial(
            "a_line_that_merges_datagrams_leaves_them_to_the_stack",
            geneve::a_line_that_merges_datagrams_leaves_them_to_the_stack,
        ),
        trial("the_stack_is_passed_by_where_it_can_be", paths::the_stack_is_passed_by_where_it_can_be),
        trial("a_next_hop_may_change", paths::a_next_hop_may_change),
        trial("what_the_line_merges_arrives", paths::what_the_line_merges_arrives),
        trial("pieces_may_come_in_any_order", paths::pieces_may_come_in_any_order),
        trial("floods_hurt_nobody_else", hostile::floods_hurt_nobody_else),
        trial("congestion_outside_is_told_inside", hostile::congestion_outside_is_told_inside),
        trial("a_line_may_go_down_and_up", paths::a_line_may_go_down_and_up),
        trial(
            "a_far_end_that_hangs_takes_the_carrier_with_it",
            keepalive::a_far_end_that_hangs_takes_the_carrier_with_it,
        ),
        trial(
            "a_way_that_is_cut_in_one_direction_is_dead_at_both_ends",
            keepalive::a_way_that_is_cut_in_one_direction_is_dead_at_both_ends,
        ),
        trial("who_never_answered_keeps_the_carrier", keepalive::who_never_answered_keeps_the_carrier),
        trial(
            "a_neighbour_of_others_is_asked_by_arp_and_by_solicitation",
            keepalive::a_neighbour_of_others_is_asked_by_arp_and_by_solicitation,
        ),
        trial(
            "who_is_not_asked_any_more_has_the_carrier_back",
            keepalive::who_is_not_asked_any_more_has_the_carrier_back,
        ),
        trial(
            "a_forgotten_session_is_renewed_before_the_far_end_is_given_up",
            keepalive::a_forgotten_session_is_renewed_before_the_far_end_is_given_up,
        ),
        trial("a_flood_does_not_take_the_carrier_down", keepalive::a_flood_does_not_take_the_carrier_down),
        by_shortcut("both_ways_send_the_same_outer_packets", duties::both_ways_send_the_same_outer_packets),
        by_shortcut("a_narrow_path_narrows_the_shortcut", duties::a_narrow_path_narrows_the_shortcut),
        by_shortcut("the_shortcut_follows_the_next_hop", duties::the_shortcut_follows_the_next_hop),
        by_shortcut("a_dead_far_end_closes_the_shortcut", duties::a_dead_far_end_closes_the_shortcut),
        by_shortcut(
            "others_on_the_line_close_the_shortcut_and_open_it_again",
            duties::others_on_the_line_close_the_shortcut_and_open_it_again,
        ),
        by_shortcut(
            "datagrams_in_segments_arrive_beside_the_shortcut",
            duties::datagrams_in_segments_arrive_beside_the_shortcut,
        ),
        by_shortcut(
            "a_flood_by_the_shortcut_does_not_take_the_carrier_down",
            keepalive::a_flood_by_the_shortcut_does_not_take_the_carrier_down,
        ),
        by_shortcut(
            "frames_that_fit_take_the_shortcut_while_the_process_lives",
            shortcut::frames_that_fit_take_the_shortcut_while_the_process_lives,
        ),
        by_shortcut("only_what_is_plain_takes_the_shortcut", shortcut::only_what_is_plain_takes_the_shortcut),
        by_shortcut("streams_arrive_whole_by_the_shortcut", shortcut::streams_arrive_whole_by_the_shortcut),
        by_shortcut(
            "strangers_do_not_get_in_by_the_shortcut",
            shortcut::strangers_do_not_get_in_by_the_shortcut,
        ),
        by_shortcut(
            "the_shortcut_comes_and_goes_and_the_device_stays",
            shortcut::the_shortcut_comes_and_goes_and_the_device_stays,
        ),
        by_shortcut(
            "a_pair_that_is_taken_away_is_no_loss_for_long",
            shortcut::a_pair_that_is_taken_away_is_no_loss_for_long,
        ),
        by_shortcut(
            "without_the_shortcut_packets_pass_as_ever",
            shortcut::without_the_shortcut_packets_pass_as_ever,
        ),
        trial(
            "questions_do_not_wait_behind_bulk_on_a_raw_line",
            keepalive::questions_do_not_wait_behind_bulk_on_a_raw_line,
        ),
        trial("a_killed_process_is_back_within_a_second", paths::a_killed_process_is_back_within_a_second),
        trial("no_change_of_one_tunnel_is_felt_by_another", live::no_change_of_one_tunnel_is_felt_by_another),
        trial("a_line_changes_its_way_without_loss", live::a_line_changes_its_way_without_loss),
        trial("a_device_stays_while_its_kind_does", live::a_device_stays_while_its_kind_does),
        trial("a_planned_restart_loses_nothing", handover::a_planned_restart_loses_nothing),
        trial("what_is_known_of_a_far_end_goes_over", handover::what_is_known_of_a_far_end_goes_over),
        trial("who_does_not_take_over_changes_nothing", handover::who_does_not_take_over_changes_nothing),
        trial("a_process_that_hangs_is_replaced", handover::a_process_that_hangs_is_replaced),
        trial("a_narrow_path_is_found_kept_and_used", probe::a_narrow_path_is_found_kept_and_used),
        trial("a_path_that_drops_fragments_is_said", probe::a_path_that_drops_fragments_is_said),
        trial("pieces_out_of_order_are_told_apart", probe::pieces_out_of_order_are_told_apart),
        trial("loss_is_not_taken_for_a_size", probe::loss_is_not_taken_for_a_size),
        trial("a_neighbour_of_others_tells_of_the_path", probe::a_neighbour_of_others_tells_of_the_path),
        trial(
            "the_machine_at_the_far_end_tells_of_the_path",
            probe::the_machine_at_the_far_end_tells_of_the_path,
        ),
        trial("a_path_is_measured_by_raw_sockets_too", probe::a_path_is_measured_by_raw_sockets_too),
        trial("a_changed_file_makes_a_measurement_void", probe::a_changed_file_makes_a_measurement_void),
        trial(
            "what_cannot_be_measured_is_refused_with_a_reason",
            probe::what_cannot_be_measured_is_refused_with_a_reason,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
