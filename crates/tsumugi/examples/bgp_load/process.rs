//! What the router under test takes of the machine, and how many routes the kernel holds.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Processor time of all threads, in seconds (clock ticks are hundredths on Linux).
pub fn cpu(pids: &[u32]) -> f64 {
    let of = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |at: usize| fields.get(at).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
        (field(11) + field(12)) as f64 / 100.0
    };
    pids.iter().map(of).sum()
}

/// MiB: the largest resident size so far, and the proportional size now.
pub fn memory(pids: &[u32]) -> (f64, f64) {
    let line = |pid: &u32, file: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    };
    let peak = pids.iter().map(|pid| line(pid, "status", "VmHWM:")).sum();
    let now = pids.iter().map(|pid| line(pid, "smaps_rollup", "Pss:")).sum();
    (peak, now)
}

/// Routes of IPv4 and IPv6 in the kernel.
pub fn kernel_routes(space: &Path) -> (usize, usize) {
    let space = fs::File::open(space);
    let count = move || {
        nix::sched::setns(space.ok()?, nix::sched::CloneFlags::CLONE_NEWNET).ok()?;
        let v4 = fs::read_to_string("/proc/thread-self/net/fib_triestat").ok()?;
        let v6 = fs::read_to_string("/proc/thread-self/net/rt6_stats").ok()?;
        let prefixes = v4.lines().filter_map(|line| line.trim().strip_prefix("Prefixes:"));
        let v4 = prefixes.filter_map(|it| it.trim().parse::<usize>().ok()).sum();
        // Nodes, nodes with routes, allocated, entries, ...: hexadecimal.
        let v6 = v6.split_whitespace().nth(3).and_then(|it| usize::from_str_radix(it, 16).ok())?;
        Some((v4, v6))
    };
    // The thread goes there and ends.
    std::thread::spawn(count).join().ok().flatten().unwrap_or_default()
}

/// Between two looks at the kernel's table: a look walks it.
pub const LOOK: Duration = Duration::from_millis(200);
