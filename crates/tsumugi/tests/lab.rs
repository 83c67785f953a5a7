//! Labs as a person uses them: brought up, looked into, ended; nothing of them remains.
//!
//! ```text
//!   hana ---- ngn-east ---- ren        (examples/two-homes.toml, twice, side by side)
//! ```

use libtest_mimic::{Arguments, Trial};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const TSUMUGI: &str = env!("CARGO_BIN_EXE_tsumugi");

/// Labs recorded in a directory of the test's own; what is up at its end is taken down.
struct Labs {
    records: PathBuf,
}

impl Labs {
    fn new(name: &str) -> Labs {
        let records = std::env::temp_dir().join(format!("tsumugi-{name}-{}", std::process::id()));
        fs::create_dir_all(&records).expect("a directory");
        Labs { records }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(TSUMUGI);
        command.arg("lab").args(arguments).env("XDG_RUNTIME_DIR", &self.records).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    fn up(&self, name: &str) {
        let file = two_homes();
        let output = self.run(&["up", &file, "--name", name]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn status(&self) -> Vec<Value> {
        let output = self.run(&["status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        status["labs"].as_array().expect("a list").clone()
    }

    /// Proves these of `files/NAME.toml`.
    fn prove(&self, name: &str, proofs: &[&str]) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/files/{name}.toml"));
        let file = file.display().to_string();
        let mut arguments = vec!["verify", &file, "--name", name, "--json"];
        for id in proofs {
            arguments.extend(["--only", id]);
        }
        let output = self.run(&arguments);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let failed: Vec<&Value> =
            report["proofs"].as_array().into_iter().flatten().filter(|row| row["ok"] != true).collect();
        assert!(output.status.success() && report["ok"] == true, "{failed:#?}");
    }

    /// The PID namespace of a lab and its init.
    fn inside(&self, name: &str) -> (PathBuf, i64) {
        let labs = self.status();
        let lab = labs.iter().find(|lab| lab["name"] == name).expect("it is up");
        let init = lab["init"].as_i64().expect("a process id");
        (fs::read_link(format!("/proc/{init}/ns/pid")).expect("init is there"), init)
    }
}

impl Drop for Labs {
    fn drop(&mut self) {
        for lab in self.status() {
            self.run(&["down", lab["name"].as_str().unwrap_or_default()]);
        }
        let _ = fs::remove_dir_all(&self.records);
    }
}

fn two_homes() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/two-homes.toml").to_string_lossy().into_owned()
}

/// What a lab needs that this machine does not let the test's user have, in words.
fn missing() -> Option<&'static str> {
    if fs::File::options().read(true).write(true).open("/dev/net/tun").is_err() {
        return Some("/dev/net/tun cannot be opened");
    }
    let installed =
        |name| ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|at| Path::new(at).join(name).exists());
    if !installed("nft") || !installed("ping") {
        return Some("nft or ping is not installed");
    }
    let namespaces = Command::new("unshare").args(["-Urn", "true"]).stderr(Stdio::null()).status();
    (!namespaces.is_ok_and(|status| status.success())).then_some("no namespaces for this user")
}

fn processes_in(namespace: &Path) -> usize {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries
        .filter(|entry| fs::read_link(entry.path().join("ns/pid")).is_ok_and(|found| found == namespace))
        .count()
}

fn wait_until_empty(namespace: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes_in(namespace) > 0 {
        assert!(Instant::now() < deadline, "processes of an ended lab are left");
        thread::sleep(Duration::from_millis(10));
    }
}

fn two_labs_stand_side_by_side_and_leave_nothing() {
    let labs = Labs::new("side-by-side");
    labs.up("one");
    labs.up("two");
    let again = labs.run(&["up", &two_homes(), "--name", "one"]);
    assert_eq!(again.status.code(), Some(2));
    for name in ["one", "two"] {
        let ping =
            ["exec", "--name", name, "hana", "--", "ping", "-c1", "-W5", "-Mdo", "-s2372", "43.228.174.130"];
        let output = labs.run(&ping);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
    let inner = labs.run(&["exec", "--name", "one", "ren:underlay", "--", "sh", "-c", "exit 7"]);
    assert_eq!(inner.status.code(), Some(7), "the command's own exit status");

    let (one, _) = labs.inside("one");
    assert!(labs.run(&["down", "one"]).status.success());
    wait_until_empty(&one);

    let (two, init) = labs.inside("two");
    let killed = Command::new("kill").args(["-KILL", &init.to_string()]).status().expect("kill runs");
    assert!(killed.success());
    wait_until_empty(&two);
    assert!(labs.status().is_empty(), "a lab whose init is gone is no lab");
    let left = fs::read_dir("/run/netns").map(|entries| {
        let names = entries.flatten().map(|entry| entry.file_name());
        names.filter(|name| name == "hana" || name == "ngn-east").count()
    });
    assert_eq!(left.unwrap_or(0), 0, "nothing stands in the machine's own /run/netns");
}

fn a_lab_ends_with_the_command_that_was_bringing_it_up() {
    let labs = Labs::new("interrupted");
    let file = two_homes();
    let mut up =
        labs.command(&["up", &file, "--name", "half"]).stderr(Stdio::null()).spawn().expect("it begins");
    let outside = fs::metadata("/proc/self/ns/pid").expect("/proc").ino();
    let record = labs.records.join(format!("tsumugi/half.{outside}.json"));
    let deadline = Instant::now() + Duration::from_secs(20);
    let init = loop {
        let found = fs::read(&record).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        if let Some(init) = found.and_then(|found| found["init"].as_i64()) {
            break init;
        }
        assert!(Instant::now() < deadline, "no lab was recorded");
        thread::sleep(Duration::from_millis(1));
    };
    let namespace = fs::read_link(format!("/proc/{init}/ns/pid"));
    up.kill().expect("it is killed");
    up.wait().expect("it ends");
    if let Ok(namespace) = namespace {
        wait_until_empty(&namespace);
    }
    assert!(labs.status().is_empty());
}

fn a_report_that_cannot_be_written_is_said_and_no_panic() {
    let labs = Labs::new("full");
    labs.up("full");
    for arguments in [["verify", "--attach", "full", "--only", "sessions", "--json"].as_slice(), &["status"]]
    {
        let full = fs::File::options().write(true).open("/dev/full").expect("every Linux has it");
        let output = labs.command(arguments).stdout(full).output().expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(output.status.code(), Some(2), "{said}");
    }
}

/// As in `tsumugi lab up FILE 2>&1 <&- | tail -1`, and `tsumugi lab status | head -0`.
fn pipes_may_be_closed() {
    let labs = Labs::new("pipes");
    let piped = Command::new("sh")
        .args(["-c", "\"$0\" lab up \"$1\" --name piped 2>&1 <&- | tail -1", TSUMUGI, &two_homes()])
        .env("XDG_RUNTIME_DIR", &labs.records)
        .output()
        .expect("a shell");
    let last = String::from_utf8_lossy(&piped.stdout);
    assert!(last.contains("piped is up"), "{last}");

    for verb in [&["status"][..], &["status", "--json"], &["down", "nobody"]] {
        let (reader, closed) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = labs.command(verb);
        command.stdout(closed.try_clone().expect("a pipe"));
        // What goes wrong is said on standard error, which may be closed as well.
        let expected = if verb == ["down", "nobody"] {
            command.stderr(closed);
            Some(2)
        } else {
            Some(0)
        };
        assert_eq!(command.status().expect("the program runs").code(), expected, "{verb:?}");
    }
}

/// Inside a lab the directory of records is the same and process ids are others.
fn a_lab_is_not_forgotten_by_who_cannot_see_it() {
    let labs = Labs::new("inside");
    labs.up("outer");
    let inside = labs.run(&["exec", "hana", "--", TSUMUGI, "lab", "status", "--json"]);
    assert_eq!(String::from_utf8_lossy(&inside.stdout).trim(), r#"{"labs":[]}"#);
    assert_eq!(labs.status().len(), 1);
}

/// Connections of one family, homes that translate, path MTUs of any size: `files/odd.toml`.
fn what_is_odd_and_legal_is_proven_like_the_rest() {
    let labs = Labs::new("odd");
    let proofs =
        ["sessions", "loopbacks", "addresses", "traceroute", "two-packets", "one-packet-tcp", "outside"];
    labs.prove("odd", &proofs);
}

/// FRR at the border and inside beside our own speaker: `files/both-engines.toml`.
fn a_network_of_both_engines_is_proven() {
    let proofs = ["sessions", "loopbacks", "addresses", "traceroute", "outside", "planes", "cut"];
    Labs::new("both-engines").prove("both-engines", &proofs);
}

/// FRR's daemons run as a user of their own, whom only root becomes.
fn no_frr() -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    if !fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        return Some("needs root for FRR's own user");
    }
    (!Path::new("/usr/lib/frr/bgpd").exists()).then_some("FRR is not installed")
}

/// Ports of VLANs are proven where the kernel has them; elsewhere they are left out, said, and all the
/// rest is proven.
fn vlans_that_a_kernel_lacks_are_left_out() {
    let labs = Labs::new("vlans");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(here.join(path)).unwrap();
    let file = labs.records.join("vlans.toml");
    let text = read("../../examples/two-homes.toml") + &read("tests/files/vlans.toml");
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let output = labs.run(&["verify", &file, "--name", "vlans", "--only", "sessions", "--only", "segments"]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("no VLANs (802.1Q)") != said.contains("host-work-hana ⇄"), "{said}");
}

/// The path under a tunnel is measured from within a router, by the file's word for its far end.
fn a_path_is_measured_in_a_lab() {
    let labs = Labs::new("path");
    labs.up("path");
    let probe = |arguments: &[&str]| {
        let output = labs.run(&[&["exec", "hana", "--", TSUMUGI, "probe"], arguments].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, page) = probe(&["ren", "--lang", "en"]);
    assert_eq!(code, Some(0), "{page}");
    for said in [
        "gre-ren",
        "to the far end: 1500 bytes pass whole, fragments pass, out of order pass",
        "packets are cut at 1500, as the file says",
        "kept, and in force from now on",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let status = labs.run(&["exec", "hana", "--", TSUMUGI, "status", "--lang", "ja"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("1500バイトまで分割なしで通過"), "{status}");
    let (code, _) = probe(&["rena"]);
    assert_eq!(code, Some(2));
}

fn main() -> ExitCode {
    let missing = missing();
    let trial_where = |missing: Option<&'static str>, name: &str, test: fn()| {
        if let Some(missing) = missing {
            eprintln!("skipped: {name}: {missing}");
        }
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    let trial = |name: &str, test: fn()| trial_where(missing, name, test);
    let trials = vec![
        trial_where(
            missing.or_else(no_frr),
            "a_network_of_both_engines_is_proven",
            a_network_of_both_engines_is_proven,
        ),
        trial("two_labs_stand_side_by_side_and_leave_nothing", two_labs_stand_side_by_side_and_leave_nothing),
        trial(
            "a_lab_ends_with_the_command_that_was_bringing_it_up",
            a_lab_ends_with_the_command_that_was_bringing_it_up,
        ),
        trial(
            "a_report_that_cannot_be_written_is_said_and_no_panic",
            a_report_that_cannot_be_written_is_said_and_no_panic,
        ),
        trial("what_is_odd_and_legal_is_proven_like_the_rest", what_is_odd_and_legal_is_proven_like_the_rest),
        trial("vlans_that_a_kernel_lacks_are_left_out", vlans_that_a_kernel_lacks_are_left_out),
        trial("pipes_may_be_closed", pipes_may_be_closed),
        trial("a_path_is_measured_in_a_lab", a_path_is_measured_in_a_lab),
        trial("a_lab_is_not_forgotten_by_who_cannot_see_it", a_lab_is_not_forgotten_by_who_cannot_see_it),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
