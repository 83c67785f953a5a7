//! Router processes that speak to each other, to FRR and to BIRD, each in namespaces of its own.

mod bfd;
mod bird;
mod burdens;
mod deaf;
mod eyes;
mod frr;
mod frr_border;
mod frr_engine;
mod frr_vtep;
mod gobgp_relay;
mod hostile;
mod hosts;
mod inside;
mod live;
mod malformed;
mod others;
mod outsiders;
mod paths;
mod plans;
mod restart;
mod rpki;
mod segments;
mod stranger;
mod terms;
mod unnumbered;
mod world;

use libtest_mimic::{Arguments, Trial};
use others::Kind;
use std::process::ExitCode;
use world::{World, in_world, missing};

fn main() -> ExitCode {
    let trial = |name: &str, programs: &[&str], test: fn(&mut World)| {
        let missing = missing(programs);
        if let Some(missing) = &missing {
            eprintln!("skipped: {name}: {missing}");
        }
        Trial::test(name, move || in_world(test)).with_ignored_flag(missing.is_some())
    };
    let basic = ["ip", "ping", "unshare", "nsenter", "setpriv"];
    let with = |more: &[&'static str]| [&basic[..], more].concat();
    let bridged = with(&["bridge", "nft"]);
    let vtep = with(&["bridge", "nft", "zebra", "bgpd", "vtysh"]);
    let relay = with(&["bridge", "nft", "gobgpd", "gobgp"]);
    let trials = vec![
        trial("two_routers_reach_each_other", &basic, inside::two_routers_reach_each_other),
        trial("parallel_links_are_used_together", &basic, inside::parallel_links_are_used_together),
        trial("a_silent_cut_is_routed_around", &basic, inside::a_silent_cut_is_routed_around),
        trial("a_killed_process_costs_nothing", &basic, inside::a_killed_process_costs_nothing),
        trial("what_is_not_confirmed_goes", &basic, inside::what_is_not_confirmed_goes),
        trial("a_new_plan_takes_over_whole_or_not", &basic, inside::a_new_plan_takes_over_whole_or_not),
        trial("what_a_hand_changed_is_put_back", &basic, inside::what_a_hand_changed_is_put_back),
        trial("links_come_and_go", &basic, inside::links_come_and_go),
        trial("strangers_are_refused", &basic, inside::strangers_are_refused),
        trial("hosts_share_a_segment_over_ipv4", &bridged, segments::hosts_share_a_segment_over_ipv4),
        trial("hosts_share_a_segment_over_ipv6", &bridged, segments::hosts_share_a_segment_over_ipv6),
        trial("a_restart_costs_no_frame", &bridged, segments::a_restart_costs_no_frame),
        trial("a_host_moves", &bridged, segments::a_host_moves),
        trial("a_standby_takes_over", &bridged, segments::a_standby_takes_over),
        trial("a_loop_is_blocked_and_reopened", &bridged, segments::a_loop_is_blocked_and_reopened),
        trial(
            "each_site_has_its_own_gateway",
            &with(&["bridge", "nft", "dnsmasq", "busybox"]),
            segments::each_site_has_its_own_gateway,
        ),
        trial(
            "both_engines_reach_each_other",
            &with(&["zebra", "bgpd", "bfdd", "vtysh", "frr-reload.py"]),
            frr_engine::both_engines_reach_each_other,
        ),
        trial(
            "both_engines_tell_strangers_the_same",
            &with(&["zebra", "bgpd", "bfdd"]),
            frr_border::both_engines_tell_strangers_the_same,
        ),
        trial("bfd_repairs_a_silent_cut", &basic, bfd::bfd_repairs_a_silent_cut),
        trial(
            "frr_and_ours_watch_each_other",
            &with(&["zebra", "bgpd", "bfdd", "vtysh"]),
            bfd::frr_and_ours_watch_each_other,
        ),
        trial(
            "bird_and_ours_watch_each_other",
            &with(&["bird", "birdc"]),
            bfd::bird_and_ours_watch_each_other,
        ),
        trial("frr_is_an_inside_neighbour", &with(&["zebra", "bgpd"]), frr::frr_is_an_inside_neighbour),
        trial(
            "bird_is_an_inside_neighbour",
            &with(Kind::Bird.programs()),
            unnumbered::bird_is_an_inside_neighbour,
        ),
        trial(
            "gobgp_is_an_inside_neighbour",
            &with(Kind::GoBgp.programs()),
            unnumbered::gobgp_is_an_inside_neighbour,
        ),
        trial("frr_is_a_vtep_between_ours", &vtep, frr_vtep::frr_is_a_vtep_between_ours),
        trial("a_mac_moves_between_ours_and_frr", &vtep, frr_vtep::a_mac_moves_between_ours_and_frr),
        trial("resets_bring_the_flood_list_back", &vtep, frr_vtep::resets_bring_the_flood_list_back),
        trial("gobgp_is_a_relay_between_ours", &relay, gobgp_relay::gobgp_is_a_relay_between_ours),
        trial("hostile_evpn_costs_only_itself", &bridged, hostile::hostile_evpn_costs_only_itself),
        trial("what_cannot_be_read_ends_evpn_only", &bridged, hostile::what_cannot_be_read_ends_evpn_only),
        trial(
            "hostile_updates_cost_only_their_routes",
            &basic,
            malformed::hostile_updates_cost_only_their_routes,
        ),
        trial(
            "a_hostile_neighbour_delays_nobody",
            &with(&["ss"]),
            burdens::a_hostile_neighbour_delays_nobody,
        ),
        trial("who_stops_reading_is_given_up", &with(&["ss"]), deaf::who_stops_reading_is_given_up),
        trial("malformed_opens_cost_nothing", &basic, burdens::malformed_opens_cost_nothing),
        trial("hostile_capabilities_cost_nothing", &basic, burdens::hostile_capabilities_cost_nothing),
        trial("bird_agrees_on_everything", &with(&["bird", "birdc"]), terms::bird_agrees_on_everything),
        trial(
            "frr_agrees_on_everything",
            &with(&["zebra", "bgpd", "vtysh"]),
            terms::frr_agrees_on_everything,
        ),
        trial("bird_restarts_gracefully", &with(&["bird", "birdc"]), terms::bird_restarts_gracefully),
        trial("bird_keeps_its_sessions", &with(&["bird", "birdc"]), live::bird_keeps_its_sessions),
        trial(
            "what_is_asked_of_packets_changes_under_sessions",
            &with(&["bird", "birdc"]),
            live::what_is_asked_of_packets_changes_under_sessions,
        ),
        trial(
            "a_plan_that_lies_there_says_what_it_would_do",
            &with(&["bird", "birdc"]),
            live::a_plan_that_lies_there_says_what_it_would_do,
        ),
        trial("both_ends_change_under_a_session", &basic, live::both_ends_change_under_a_session),
        trial("policy_costs_bird_nothing", &with(Kind::Bird.programs()), live::policy_costs_bird_nothing),
        trial("policy_costs_frr_nothing", &with(Kind::Frr.programs()), live::policy_costs_frr_nothing),
        trial("bird_is_a_provider", &with(&["bird", "birdc"]), bird::bird_is_a_provider),
        trial("bgpdump_reads_our_table", &with(&["bird", "birdc", "bgpdump"]), eyes::bgpdump_reads_our_table),
        trial(
            "what_bird_dumped_is_told_to_bird",
            &with(Kind::Bird.programs()),
            eyes::what_bird_dumped_is_told_to_bird,
        ),
        trial("our_table_is_told_to_ours", &with(Kind::Bird.programs()), eyes::our_table_is_told_to_ours),
        trial("a_collector_is_told_by_bmp", &with(Kind::Bird.programs()), eyes::a_collector_is_told_by_bmp),
        trial("bird_all_around", &with(Kind::Bird.programs()), outsiders::bird_all_around),
        trial("frr_all_around", &with(Kind::Frr.programs()), outsiders::frr_all_around),
        trial("gobgp_all_around", &with(Kind::GoBgp.programs()), outsiders::gobgp_all_around),
        trial("openbgpd_all_around", &with(Kind::OpenBgpd.programs()), outsiders::openbgpd_all_around),
        trial("frr_restarts_gracefully", &with(Kind::Frr.programs()), outsiders::frr_restarts_gracefully),
        trial(
            "gobgp_restarts_gracefully",
            &with(Kind::GoBgp.programs()),
            outsiders::gobgp_restarts_gracefully,
        ),
        trial(
            "bird_goes_beyond_its_limit",
            &with(Kind::Bird.programs()),
            outsiders::bird_goes_beyond_its_limit,
        ),
        trial("frr_goes_beyond_its_limit", &with(Kind::Frr.programs()), outsiders::frr_goes_beyond_its_limit),
        trial(
            "gobgp_goes_beyond_its_limit",
            &with(Kind::GoBgp.programs()),
            outsiders::gobgp_goes_beyond_its_limit,
        ),
        trial(
            "openbgpd_goes_beyond_its_limit",
            &with(Kind::OpenBgpd.programs()),
            outsiders::openbgpd_goes_beyond_its_limit,
        ),
        trial("bird_tells_and_takes_several_paths", &with(Kind::Bird.programs()), paths::bird_and_bird),
        trial("frr_tells_and_takes_several_paths", &with(Kind::Frr.programs()), paths::frr_and_frr),
        trial("gobgp_tells_and_takes_several_paths", &with(Kind::GoBgp.programs()), paths::gobgp_and_gobgp),
        trial(
            "openbgpd_takes_several_paths",
            &with(&[Kind::Bird.programs(), Kind::OpenBgpd.programs()].concat()),
            paths::bird_and_openbgpd,
        ),
        trial("bird_helps", &with(Kind::Bird.programs()), restart::bird_helps),
        trial("frr_helps", &with(Kind::Frr.programs()), restart::frr_helps),
        trial("gobgp_helps", &with(Kind::GoBgp.programs()), restart::gobgp_helps),
        trial("openbgpd_helps", &with(Kind::OpenBgpd.programs()), restart::openbgpd_helps),
        trial("our_own_restarts_unnoticed", &basic, restart::our_own_restarts_unnoticed),
        trial("it_makes_room_when_told", &basic, restart::it_makes_room_when_told),
        trial(
            "who_is_never_done_is_waited_for_so_long",
            &basic,
            restart::who_is_never_done_is_waited_for_so_long,
        ),
        trial("stayrtr_says_what_is_valid", &with(&["bird", "stayrtr"]), rpki::stayrtr_says_what_is_valid),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
