//! A lab that stands for the tests, from the outside: commands in it, other plans for its processes,
//! proofs of it.

use libtest_mimic::Failed;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tsumugi_core::router_plan::RouterPlan;

const TSUMUGI: &str = env!("CARGO_BIN_EXE_tsumugi");
/// How long the network may take to follow a change.
const PATIENCE: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(50);

/// What a lab needs here and has not, in words.
pub fn missing() -> Option<String> {
    if !Path::new("/dev/net/tun").exists() {
        return Some("there is no /dev/net/tun".into());
    }
    let usual = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = |program: &&str| {
        std::env::split_paths(&path).chain(usual.clone()).any(|folder| folder.join(program).exists())
    };
    ["nft", "ip"]
        .iter()
        .find(|program| !installed(program))
        .map(|program| format!("{program} is not installed"))
}

/// Ends with its value.
pub struct Lab {
    name: String,
}

impl Lab {
    pub fn up(file: &str) -> Result<Lab, Failed> {
        let lab = Lab { name: format!("proofs-{}", std::process::id()) };
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
        let output = Command::new(TSUMUGI).args(["lab", "up", "--name", &lab.name]).arg(file).output()?;
        if output.status.success() { Ok(lab) } else { Err(said("lab up", &output)) }
    }

    /// Runs a command in a machine; what it printed.
    pub fn exec(&self, machine: &str, command: &[&str]) -> Result<String, Failed> {
        self.exec_with(machine, command, "")
    }

    fn exec_with(&self, machine: &str, command: &[&str], input: &str) -> Result<String, Failed> {
        let mut child = Command::new(TSUMUGI)
            .args(["lab", "exec", "--name", &self.name, machine, "--"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(said(&format!("{machine}: {}", command.join(" ")), &output))
        }
    }

    pub fn nft(&self, machine: &str, rules: &str) -> Result<(), Failed> {
        self.exec_with(machine, &["nft", "-f", "-"], rules).map(drop)
    }

    /// Waits until a command in a machine prints `wanted`.
    pub fn until(&self, machine: &str, command: &[&str], wanted: &str) -> Result<(), Failed> {
        self.wait(machine, command, |text| text.contains(wanted))
    }

    pub fn until_not(&self, machine: &str, command: &[&str], unwanted: &str) -> Result<(), Failed> {
        self.wait(machine, command, |text| !text.contains(unwanted))
    }

    fn wait(&self, machine: &str, command: &[&str], enough: impl Fn(&str) -> bool) -> Result<(), Failed> {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = self.exec(machine, command)?;
            if enough(&text) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("{machine}: {} still prints:\n{text}", command.join(" ")).into());
            }
            std::thread::sleep(PACE);
        }
    }

    /// Gives a router's processes another plan. Dropping what is returned gives them the old one again
    /// and waits until the network stands as before.
    pub fn replan(
        &self,
        router: &str,
        change: impl FnOnce(&mut RouterPlan),
    ) -> Result<Replanned<'_>, Failed> {
        let path = format!("/run/tsumugi/state/{router}/plan.json");
        let before = self.exec(&format!("{router}:management"), &["cat", &path])?;
        let mut plan: RouterPlan = serde_json::from_str(&before)?;
        change(&mut plan);
        tsumugi_plan::hash::seal(&mut plan);
        let replanned = Replanned { lab: self, router: router.into(), before };
        self.give(router, &serde_json::to_string(&plan)?)?;
        Ok(replanned)
    }

    fn give(&self, router: &str, plan: &str) -> Result<(), Failed> {
        let script = format!(
            "cd /run/tsumugi/state/{router} && cat > plan.new && mv plan.new plan.json && \
             kill -HUP $(cat router.pid datapath.pid management.pid)"
        );
        self.exec_with(&format!("{router}:management"), &["sh", "-c", &script], plan).map(drop)
    }

    /// What these proofs say, or all of them.
    pub fn prove(&self, only: &[&str]) -> Result<Found, Failed> {
        let mut command = Command::new(TSUMUGI);
        command.args(["--lang", "en", "lab", "verify", "--attach", &self.name, "--json"]);
        for id in only {
            command.args(["--only", id]);
        }
        let output = command.stdin(Stdio::null()).output()?;
        let report: Value =
            serde_json::from_slice(&output.stdout).map_err(|_| said("lab verify", &output))?;
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let rows: Vec<Row> = report["proofs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| Row {
                id: text(row, "id"),
                subject: text(row, "subject"),
                ok: row["ok"] == true,
                measured: text(row, "measured"),
            })
            .collect();
        let ok = rows.iter().all(|row| row.ok);
        if report["ok"] != ok || output.status.code() != Some(i32::from(!ok)) {
            return Err(format!("the report contradicts itself: {report}, {}", output.status).into());
        }
        Ok(Found(rows))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = Command::new(TSUMUGI).args(["lab", "down", &self.name]).output();
    }
}

pub struct Replanned<'a> {
    lab: &'a Lab,
    router: String,
    before: String,
}

impl Drop for Replanned<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.lab.give(&self.router, &self.before) {
            eprintln!("{} keeps the broken plan: {error:?}", self.router);
        }
        // `sessions` waits for what it proves.
        if let Err(error) = self.lab.prove(&["sessions"]).and_then(|found| found.only_fails(&[])) {
            eprintln!("not as before: {error:?}");
        }
    }
}

struct Row {
    id: String,
    subject: String,
    ok: bool,
    measured: String,
}

/// The rows of a report.
pub struct Found(Vec<Row>);

impl Found {
    /// Exactly these proofs have a row that fails.
    pub fn only_fails(&self, expected: &[&str]) -> Result<(), Failed> {
        let failed: Vec<&Row> = self.0.iter().filter(|row| !row.ok).collect();
        let right = expected.iter().all(|id| failed.iter().any(|row| row.id == *id))
            && failed.iter().all(|row| expected.contains(&row.id.as_str()));
        if right && !self.0.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> =
            failed.iter().map(|row| format!("{} {}: {}", row.id, row.subject, row.measured)).collect();
        Err(format!(
            "expected {expected:?} to fail and no other, of {} rows:\n{}",
            self.0.len(),
            lines.join("\n")
        )
        .into())
    }

    /// A row that fails gives this reason.
    pub fn says(&self, id: &str, subject: &str, reason: &str) -> Result<(), Failed> {
        let rows: Vec<&Row> =
            self.0.iter().filter(|row| !row.ok && row.id == id && row.subject.contains(subject)).collect();
        if rows.iter().any(|row| row.measured.contains(reason)) {
            return Ok(());
        }
        let lines: Vec<String> =
            rows.iter().map(|row| format!("{}: {}", row.subject, row.measured)).collect();
        Err(format!("no row of {id} about {subject} says {reason:?}:\n{}", lines.join("\n")).into())
    }
}

fn said(what: &str, output: &Output) -> Failed {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{what}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)).into()
}
