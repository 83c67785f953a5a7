//! What others see of our table.

use super::others::Kind;
use super::outsiders::{networks, scene};
use super::world::{Machine, World, wait};
use serde_json::Value;

const TSUMUGI: &str = env!("CARGO_BIN_EXE_tsumugi");

/// What bgpdump says against a file counts; not where else it says so.
const COMPLAINTS: &str = "2>&1 | grep -v 'logging to syslog'";

fn dump(machine: &Machine, file: &str) -> Value {
    let said = machine.run(&format!("{TSUMUGI} dump {file} --json --state {}", machine.state.display()));
    serde_json::from_str(&said).unwrap()
}

/// Debian's bgpdump reads what we wrote: every route, whose it is, its path and its next hop.
pub fn bgpdump_reads_our_table(world: &mut World) {
    let (r1, others) = scene(world, &networks(Kind::Bird));
    let machines: Vec<&Machine> = [&r1].into_iter().chain(others.iter().map(|it| &it.machine)).collect();
    let directory = world.directory("dump");
    let file = format!("{}/table.mrt", directory.display());
    // TYPE | time | B | peer | AS | prefix | path | origin | next hop | local preference | ...
    let expected = [
        "B|203.0.113.5|150369|8.8.8.0/24|150369|IGP|203.0.113.5|100|",
        "B|2001:db8:900:1::1|150369|2620:fe::/48|150369|IGP|2001:db8:900:1::1|100|",
        "B|203.0.113.13|38632|45.0.4.0/24|38632|IGP|203.0.113.13|300|",
        "B|2001:db8:900:3::1|38632|2a00:45::/48|38632|IGP|2001:db8:900:3::1|300|",
    ];
    wait("everything is in the dump", &machines, || {
        dump(&r1, &file);
        let read = r1.run(&format!("bgpdump -m {file} {COMPLAINTS}"));
        expected.iter().all(|line| read.contains(line))
    });
    let said = dump(&r1, &file);
    let read = r1.run(&format!("bgpdump -m {file} {COMPLAINTS}"));
    let lines: Vec<&str> = read.lines().collect();
    assert!(lines.iter().all(|line| line.starts_with("TABLE_DUMP2|")), "bgpdump complains: {read}");
    assert_eq!(said["routes"], lines.len(), "{said} {read}");
    for own in ["43.228.174.0/24", "2402:3160::/32"] {
        assert!(
            lines.iter().any(|line| line.contains(&format!("|0.0.0.0|4200000001|{own}||"))),
            "{own}: {read}"
        );
    }
    // What is refused is no part of the table.
    assert!(!read.contains("10.1.0.0/16") && !read.contains("46.0.4.0/24"), "{read}");
    // To a pipe it is the same, and no piece of it stays where it cannot be finished.
    let piped =
        r1.run(&format!("{TSUMUGI} dump - --state {} | bgpdump -m - {COMPLAINTS}", r1.state.display()));
    let without_time = |text: &str| {
        let strip = |line: &str| line.splitn(3, '|').nth(2).map(str::to_owned);
        text.lines().map(strip).collect::<Vec<_>>()
    };
    assert_eq!(without_time(&piped), without_time(&read));
    let nowhere = directory.display();
    assert!(!r1.succeeds(&format!("{TSUMUGI} dump {nowhere}/none.mrt --state {nowhere}")));
    assert_eq!(r1.run(&format!("ls {nowhere}")), "table.mrt\n");
}
