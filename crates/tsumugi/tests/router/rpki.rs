//! Debian's stayrtr says what is valid, and BIRD as a provider announces both kinds.
//!
//! r1 --eth1-- bird (AS150369); two caches in r1's management plane

use super::inside::start;
use super::plans::{originate, provider, router};
use super::world::{Machine, World, sh, wait};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tsumugi_core::id::Plane;
use tsumugi_core::rpki::config::RpkiConfig;

const BIRD: &str = "
log stderr all;
router id 203.0.113.1;
protocol device { scan time 1; }
protocol static s4 { ipv4; ROUTES }
filter announce {
    if source != RTS_STATIC then reject;
    if net = 6.6.6.0/24 then { bgp_path.prepend(174); bgp_path.prepend(3356); }
    accept;
}
protocol bgp p4 {
    local 203.0.113.1 as 150369; neighbor 203.0.113.2 as 63806;
    connect retry time 1; error wait time 1, 2;
    ipv4 { import all; export filter announce; };
}
";

const ROUTES: [&str; 4] = ["8.8.8.0/24", "9.9.9.0/24", "7.7.7.0/24", "6.6.6.0/24"];

/// A cache's data; whoever reads the file sees all of it or what was there before.
fn write(path: &Path, roas: &[(&str, u32)], aspas: &[(u32, &[u32])]) {
    let expires = 4_000_000_000_u64;
    let roas: Vec<Value> = roas
        .iter()
        .map(|(prefix, asn)| json!({ "prefix": prefix, "maxLength": 24, "asn": asn, "ta": "test", "expires": expires }))
        .collect();
    let aspas: Vec<Value> = aspas
        .iter()
        .map(|(customer, providers)| json!({ "customer_asid": customer, "providers": providers, "expires": expires }))
        .collect();
    let document = json!({
        "metadata": { "buildtime": "2026-01-01T00:00:00Z" },
        "roas": roas,
        "provider_authorizations": { "ipv4": aspas, "ipv6": [] },
    });
    fs::write(path.with_extension("new"), document.to_string()).unwrap();
    fs::rename(path.with_extension("new"), path).unwrap();
}

fn stayrtr(world: &mut World, machine: &Machine, port: u16, version: u8, data: &Path) -> u32 {
    let data = data.display();
    let line = format!(
        "exec stayrtr -bind 127.0.0.1:{port} -cache {data} -protocol {version} -refresh 1 -checktime=false -metrics.addr ''"
    );
    world.run_on(machine, &line)
}

fn rpki(machine: &Machine) -> Value {
    machine.status()["running"]["rpki"].clone()
}

fn has(machine: &Machine, prefix: &str) -> bool {
    machine.run("ip route show").lines().any(|line| line.starts_with(&format!("{prefix} ")))
}

fn refused(machine: &Machine, prefix: &str, words: &str) -> bool {
    let refusals = machine.status()["running"]["bgp"]["refusals"].as_array().cloned().unwrap_or_default();
    let is = |it: &Value| it["prefix"] == prefix && it["words"].as_str().is_some_and(|it| it.contains(words));
    refusals.iter().any(is)
}

fn own(machine: &Machine) -> Value {
    let all = machine.status()["running"]["bgp"]["originations"].as_array().cloned().unwrap_or_default();
    let of_own = all.iter().find(|it| it["prefix"] == "43.228.174.0/24");
    of_own.map(|it| it["validity"]["validity"].clone()).unwrap_or_default()
}

pub fn stayrtr_says_what_is_valid(world: &mut World) {
    let [r1, bird] = ["r1", "bird"].map(|name| world.machine(name));
    world.wire((&r1, "eth1"), (&bird, "eth1"));
    bird.run("ip address add 203.0.113.1/30 dev eth1; ip link set eth1 up");
    let directory = world.directory("files");
    let d = directory.display();
    let routes: String = ROUTES.iter().map(|prefix| format!("route {prefix} blackhole;")).collect();
    fs::write(directory.join("bird.conf"), BIRD.replace("ROUTES", &routes)).unwrap();
    world.run_on(&bird, &format!("exec bird -f -c {d}/bird.conf -s {d}/bird.ctl"));

    let [first, second] = ["first.json", "second.json"].map(|name| directory.join(name));
    let ours = ("43.228.174.0/24", 63806);
    write(&first, &[("8.8.8.0/24", 150_369), ("9.9.9.0/24", 666), ours], &[]);
    // Version 1, of which we learn only by asking for 2.
    let cache = stayrtr(world, &r1, 3323, 1, &first);

    let mut plan = router(1);
    provider(&mut plan, "eth1", 150_369, &[("203.0.113.2/30", "203.0.113.1")]);
    originate(&mut plan, &[]);
    plan.rpki = Some(RpkiConfig {
        caches: ["127.0.0.1:3323", "127.0.0.1:3324"].map(|it| it.parse().unwrap()).to_vec(),
        plane: Plane::Management,
        expire: None,
        slurm: Some("slurm.json".into()),
    });
    start(world, &r1, plan);

    let cache_is = |at: usize, version: u8| {
        let cache = &rpki(&r1)["caches"][at];
        cache["state"] == "synchronised" && cache["version"] == version && cache["in_force"] == true
    };
    wait("the first cache is in force, version 1", &[&r1], || cache_is(0, 1));
    wait("9.9.9.0/24 is invalid", &[&r1, &bird], || refused(&r1, "9.9.9.0/24", "9.9.9.0/24-24 AS666"));
    wait("the others are there", &[&r1, &bird], || {
        ["8.8.8.0/24", "7.7.7.0/24", "6.6.6.0/24"].iter().all(|prefix| has(&r1, prefix))
    });
    assert!(!has(&r1, "9.9.9.0/24"));
    wait("our own prefix is valid", &[&r1], || own(&r1) == "valid");
    assert_eq!(rpki(&r1)["in_force"]["ipv4"], 3);

    // The cache's data changes: it notifies, and exactly what is concerned changes.
    write(&first, &[("8.8.8.0/24", 666), ("9.9.9.0/24", 150_369)], &[]);
    wait("9.9.9.0/24 has become valid and 8.8.8.0/24 invalid", &[&r1], || {
        has(&r1, "9.9.9.0/24") && !has(&r1, "8.8.8.0/24") && refused(&r1, "8.8.8.0/24", "AS666")
    });
    assert!(has(&r1, "7.7.7.0/24"));
    wait("our own prefix is not found", &[&r1], || own(&r1) == "not-found");

    // For people, in both languages.
    let page = |lang: &str| {
        let program = env!("CARGO_BIN_EXE_tsumugi");
        // It fails because the machine's other two processes do not run here.
        sh(&format!("{program} status --lang {lang} --state {} || true", r1.state.display()))
    };
    for (lang, words) in [
        (
            "en",
            [
                "127.0.0.1:3323  synchronised, version 1",
                "8.8.8.0/24-24 AS666",
                "WARNING, RPKI: no ROA covers it",
            ],
        ),
        ("ja", ["127.0.0.1:3323  同期済み、バージョン1", "8.8.8.0/24-24 AS666", "警告、RPKI: ROAがなく"]),
    ] {
        let page = page(lang);
        assert!(words.iter().all(|words| page.contains(words)), "{page}");
    }

    // Exceptions of our own, on the router.
    let slurm = json!({
        "slurmVersion": 1,
        "validationOutputFilters": { "prefixFilters": [{ "prefix": "8.8.8.0/24" }], "bgpsecFilters": [] },
        "locallyAddedAssertions": {
            "prefixAssertions": [{ "asn": 1, "prefix": "7.7.7.0/24" }], "bgpsecAssertions": [],
        },
    });
    fs::write(r1.state.join("slurm.json"), slurm.to_string()).unwrap();
    wait("the exceptions count", &[&r1], || has(&r1, "8.8.8.0/24") && refused(&r1, "7.7.7.0/24", "AS1"));

    // Lost: what it said counts, until the next cache has answered; that one knows a leaked path too.
    world.kill(cache);
    wait("the first cache is lost", &[&r1], || rpki(&r1)["caches"][0]["state"] != "synchronised");
    assert!(rpki(&r1)["caches"][0]["in_force"] == true && has(&r1, "9.9.9.0/24"));
    write(&second, &[("9.9.9.0/24", 666)], &[(174, &[1]), (150_369, &[1])]);
    let other = stayrtr(world, &r1, 3324, 2, &second);
    wait("the second cache is in force, version 2", &[&r1], || cache_is(1, 2));
    wait("9.9.9.0/24 is invalid again", &[&r1], || refused(&r1, "9.9.9.0/24", "AS666"));
    wait("the path of 6.6.6.0/24 is no way", &[&r1], || refused(&r1, "6.6.6.0/24", "ASPA"));

    // The preferred one is back, and speaks nothing but version 0.
    stayrtr(world, &r1, 3323, 0, &first);
    wait("the first cache is in force again, version 0", &[&r1], || cache_is(0, 0));
    wait("what it says counts", &[&r1], || has(&r1, "9.9.9.0/24") && has(&r1, "6.6.6.0/24"));
    wait("the second rests", &[&r1], || rpki(&r1)["caches"][1]["state"] == "standby");
    world.kill(other);

    // All of that in one session with the neighbour.
    let sessions = r1.status()["running"]["bgp"]["sessions"].clone();
    assert_eq!(sessions[0]["established_count"], 1, "{sessions}");
}
