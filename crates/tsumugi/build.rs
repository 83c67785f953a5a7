//! Compiles the shortcut's programs where clang is present: without it the binary has none, says so, and
//! every packet goes through the process.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

const SOURCE: &str = "src/datapath/shortcut/shortcut.c";
/// Each program stands in a section of its name.
const PROGRAMS: [&str; 5] = ["leave", "push", "pop", "hear", "arrive"];

fn main() {
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-env-changed=CLANG");
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    let object = Path::new(&out).join("shortcut.o");
    let bytes = compile(&object).unwrap_or_else(|why| {
        println!("cargo:warning=tsumugi is built without the shortcut through the kernel: {why}");
        Vec::new()
    });
    for name in PROGRAMS {
        let program = section(&bytes, name).unwrap_or_default();
        if let Err(error) = fs::write(Path::new(&out).join(format!("{name}.bpf")), program) {
            panic!("the build directory cannot be written: {error}");
        }
    }
}

/// The object file.
///
/// # Errors
/// Why there is none, in words: no clang, or no headers of the kernel.
fn compile(object: &Path) -> Result<Vec<u8>, String> {
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let machine = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let big = env::var("CARGO_CFG_TARGET_ENDIAN").is_ok_and(|endian| endian == "big");
    let compiled = Command::new(&clang)
        .args(["-O2", "-target", if big { "bpfeb" } else { "bpfel" }, "-mcpu=v3", "-c", SOURCE, "-o"])
        .arg(object)
        // Where Debian keeps <asm/types.h>: clang does not look there for this target.
        .arg(format!("-I/usr/include/{machine}-linux-gnu"))
        .output()
        .map_err(|error| format!("{} cannot be run ({error})", clang.display()))?;
    if !compiled.status.success() {
        let said = String::from_utf8_lossy(&compiled.stderr);
        let first = said.lines().find(|line| line.contains("error")).or_else(|| said.lines().next());
        return Err(format!("clang does not compile it ({})", first.unwrap_or("and says nothing")));
    }
    fs::read(object).map_err(|error| format!("what clang made cannot be read ({error})"))
}

/// The bytes of a section of a 64-bit ELF file of this machine's byte order (System V ABI, chapter 4).
/// `None` where there is no such section, or where it needs to be relocated, which nobody here does.
fn section(file: &[u8], name: &str) -> Option<Vec<u8>> {
    let number = |at: usize, len: usize| {
        let bytes = file.get(at..at + len)?;
        let little = file.get(5) == Some(&1);
        let add = |value: usize, byte: &u8| value << 8 | usize::from(*byte);
        Some(if little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    };
    let (headers, size, count) = (number(40, 8)?, number(58, 2)?, number(60, 2)?);
    let header = |index: usize| headers + index * size;
    let content = |index: usize| {
        let (start, len) = (number(header(index) + 24, 8)?, number(header(index) + 32, 8)?);
        file.get(start..start + len)
    };
    let names = content(number(62, 2)?)?;
    let name_of = |index: usize| {
        let rest = names.get(number(header(index), 4)?..)?;
        rest.split(|byte| *byte == 0).next()
    };
    let find = |name: &str| (0..count).find(|index| name_of(*index) == Some(name.as_bytes()));
    if find(&format!(".rel{name}")).is_some() {
        return None;
    }
    content(find(name)?).map(<[u8]>::to_vec)
}
