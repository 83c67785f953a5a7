//! Not only against ourselves: Debian's kernel in a virtual machine, an ordinary user's lab.
//!
//! What a test needs beyond Rust stands beside it; where that is missing, the test is counted as
//! skipped (ignored) and says what was missing.

use libtest_mimic::{Arguments, Failed, Trial};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const TSUMUGI: &str = env!("CARGO_BIN_EXE_tsumugi");

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// A test that is skipped, in words, where something that it needs is missing.
fn trial(name: &str, missing: Option<String>, run: fn() -> Result<(), Failed>) -> Trial {
    if let Some(missing) = &missing {
        eprintln!("skipped: {name}: {missing}");
    }
    Trial::test(name, run).with_ignored_flag(missing.is_some())
}

fn no_virtual_machine() -> Option<String> {
    let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/vm/kernel/ready");
    if !kernel.exists() {
        return Some("Debian's kernel is not unpacked (tests/vm/fetch-kernel)".into());
    }
    ["qemu-system-x86_64", "busybox", "cpio", "depmod", "nft", "wg", "ping", "ip"]
        .into_iter()
        .find(|program| !is_installed(program))
        .map(|program| format!("{program} is not installed"))
}

fn is_installed(program: &str) -> bool {
    let usual = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(usual).any(|folder| folder.join(program).exists())
}

fn no_other_user() -> Option<String> {
    if !nix_is_root() {
        return Some("needs root to become another user".into());
    }
    ["setpriv", "unshare", "nft"]
        .into_iter()
        .find(|program| !is_installed(program))
        .map(|program| format!("{program} is not installed"))
}

fn nix_is_root() -> bool {
    // The owner of a process's own entry is its effective user.
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Boots the guest with a script and files; its console, or why it did not end well.
fn boot(script: &str, files: &[(PathBuf, &str)]) -> Result<String, Failed> {
    let mut command = Command::new(here("vm/boot"));
    command.arg(here(script)).arg(format!("{TSUMUGI}=/usr/bin/tsumugi"));
    for (source, destination) in files {
        command.arg(format!("{}={destination}", source.display()));
    }
    let output = command.stdin(Stdio::null()).output()?;
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    if console.contains("guest: exit 0") {
        Ok(console)
    } else {
        Err(format!("the guest failed:\n{console}\n{}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

fn engines_against_the_kernel() -> Result<(), Failed> {
    let console = boot("vm/engines.sh", &[(here("files/engines.toml"), "/engines.toml")])?;
    // `auto` takes the kernel's devices there; `userspace` never does.
    let expected = [
        "gre-beta=gre wg-beta=wireguard wg-beta.2=wireguard gre-gamma=gre wg-gamma=wireguard devices of alpha",
        "gre-alpha=tun wg-alpha=tun wg-alpha.2=tun devices of beta",
        "gre-alpha=gre wg-alpha=wireguard devices of gamma",
    ];
    for line in expected {
        if !console.lines().any(|shown| shown.trim_end() == line) {
            return Err(format!("not seen: {line}\n{console}").into());
        }
    }
    let measured = |words: &str| console.lines().filter(|shown| shown.contains(words)).count();
    for words in ["bytes pass whole, fragments pass, out of order pass", "the kernel cuts packets at"] {
        if measured(words) != 2 {
            return Err(format!("not said of both tunnels that the kernel moves: {words}\n{console}").into());
        }
    }
    Ok(())
}

/// Boots the guest with the plan of one router of a file.
fn boot_with_plan(script: &str, file: &Path, router: &str) -> Result<String, Failed> {
    let plan = std::env::temp_dir().join(format!("tsumugi-{router}-{}.json", std::process::id()));
    let output = Command::new(TSUMUGI).args(["plan", "--router", router, "--json"]).arg(file).output()?;
    if !output.status.success() {
        let words = [output.stdout, output.stderr].concat();
        return Err(format!("{} has no plan: {}", file.display(), String::from_utf8_lossy(&words)).into());
    }
    fs::write(&plan, &output.stdout)?;
    let result = boot(script, &[(plan.clone(), &format!("/{router}.json"))]);
    fs::remove_file(&plan)?;
    result
}

fn gre_over_ipv6_into_the_kernel() -> Result<(), Failed> {
    let console = boot_with_plan("vm/gre6.sh", &example("two-homes.toml"), "hana")?;
    if console.contains("packets of 2400 reassembled from two") {
        Ok(())
    } else {
        Err(format!("no packets counted:\n{console}").into())
    }
}

fn gretap_and_geneve_against_the_kernel() -> Result<(), Failed> {
    let console = boot_with_plan("vm/ethernet.sh", &here("files/ethernet.toml"), "hana")?;
    if console.contains("Ethernet in GRE and in GENEVE speaks with the kernel") {
        Ok(())
    } else {
        Err(format!("they do not speak:\n{console}").into())
    }
}

fn vlans_are_ports_of_segments() -> Result<(), Failed> {
    let file = std::env::temp_dir().join(format!("tsumugi-vlans-{}.toml", std::process::id()));
    let segments = fs::read_to_string(here("files/vlans.toml"))?;
    fs::write(&file, fs::read_to_string(example("two-homes.toml"))? + &segments)?;
    let result = boot_with_plan("vm/vlans.sh", &file, "hana");
    fs::remove_file(&file)?;
    let console = result?;
    if console.contains("VLAN 7 crosses, VLAN 8 does not") {
        Ok(())
    } else {
        Err(format!("VLANs do not cross as they should:\n{console}").into())
    }
}

/// uid 65534 with a /dev/net/tun of mode 0666, as usual distributions have it, in a mount namespace of its own.
fn lab_of_an_ordinary_user() -> Result<(), Failed> {
    let home = std::env::temp_dir().join(format!("tsumugi-user-{}", std::process::id()));
    fs::create_dir_all(&home)?;
    let binary = home.join("tsumugi");
    fs::copy(TSUMUGI, &binary)?;
    fs::copy(example("two-homes.toml"), home.join("two-homes.toml"))?;
    let script = format!(
        "mount -t tmpfs tmpfs /dev/net && mknod -m 0666 /dev/net/tun c 10 200 && chmod -R a+rX {home} && cd {home} && \
         exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all env HOME={home} \
         XDG_RUNTIME_DIR= ./tsumugi lab verify two-homes.toml",
        home = home.display()
    );
    let output =
        Command::new("unshare").args(["--mount", "sh", "-c", &script]).stdin(Stdio::null()).output()?;
    fs::remove_dir_all(&home)?;
    if output.status.success() {
        return Ok(());
    }
    let told = [output.stdout, output.stderr].concat();
    Err(format!("{}:\n{}", output.status, String::from_utf8_lossy(&told)).into())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tests = vec![
        trial("engines_against_the_kernel", no_virtual_machine(), engines_against_the_kernel),
        trial("gre_over_ipv6_into_the_kernel", no_virtual_machine(), gre_over_ipv6_into_the_kernel),
        trial(
            "gretap_and_geneve_against_the_kernel",
            no_virtual_machine(),
            gretap_and_geneve_against_the_kernel,
        ),
        trial("vlans_are_ports_of_segments", no_virtual_machine(), vlans_are_ports_of_segments),
        trial("lab_of_an_ordinary_user", no_other_user(), lab_of_an_ordinary_user),
    ];
    libtest_mimic::run(&arguments, tests).exit_code()
}
