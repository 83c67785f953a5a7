//! Kernel settings of the calling thread's namespace, below /proc/sys.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use tsumugi_core::desired::Sysctl;

/// The values of those settings that exist, by key.
pub fn read(sysctls: &[Sysctl]) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for sysctl in sysctls {
        if let Ok(value) = path(&sysctl.key).and_then(std::fs::read_to_string) {
            values.insert(sysctl.key.clone(), value.trim().into());
        }
    }
    values
}

/// Writes one. Of an optional one, a refusal is no error.
///
/// # Errors
/// EACCES, EPERM or EROFS where an ordinary user's namespace forbids it.
pub fn write(sysctl: &Sysctl) -> io::Result<()> {
    match path(&sysctl.key).and_then(|path| std::fs::write(path, &sysctl.value)) {
        Err(_) if sysctl.optional => Ok(()),
        result => result,
    }
}

fn path(key: &str) -> io::Result<PathBuf> {
    let plain = Path::new(key).components().all(|part| matches!(part, Component::Normal(_)));
    if plain && key.starts_with("net/") {
        Ok(Path::new("/proc/sys").join(key))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a setting of a network namespace"))
    }
}
