//! What a machine of the network holds on its disk: the directory that its three processes share.
//!
//! ```text
//! plan.json              what this machine must be (RouterPlan)
//! keyring.json           {name of a key: base64 of its public half}
//! keys/NAME              base64 of the private half, mode 0600
//! secrets/NAME           what was agreed with a neighbour, as text, mode 0600
//! planes/underlay        network namespaces, bind-mounted
//! planes/fabric
//! paths/TUNNEL.json      what was measured of the path under a tunnel
//! router.sock, datapath.sock, management.sock
//! handover.sock          where the datapath lets its successor in, mode 0600
//! show.sock              where the router process is asked why, and for its table
//! probe.sock             where the datapath is asked to measure a path
//! ```

mod paths;

pub use paths::{KeptPath, PathEnds};

use crate::kernel::Namespace;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nix::fcntl::{Flock, FlockArg, OFlag};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tsumugi_core::id::{KeyName, Plane};
use tsumugi_core::router_plan::{RouterPlan, SCHEMA};

/// The variable that says where a machine's folder is to verbs that look at its processes.
pub const STATE_VARIABLE: &str = "TSUMUGI_STATE";

/// 32 bytes of an X25519 key.
pub type KeyBytes = [u8; 32];

/// Bytes of a plan: one of a router with ten thousand links is smaller.
const LARGEST_PLAN: u64 = 64 << 20;
/// Bytes of a secret's file.
const LARGEST_SECRET: u64 = 4096;

/// Why a plan was refused whole. What runs is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum PlanRefused {
    /// The file could not be read.
    NotRead { error: String },
    /// It is no JSON, or not of a plan.
    NotAPlan { error: String },
    /// Its schema is not the one that this program knows.
    Schema { found: u32, known: u32 },
    /// Its content is not what its hash says.
    Hash { stated: String, found: String },
    /// It is for a machine that speaks no BGP, and the router process was given it.
    NoSpeaker,
    /// It has BGP spoken by another engine: who speaks is chosen once in a process's life.
    OtherEngine,
}

impl PlanRefused {
    fn not_a_plan(error: serde_json::Error) -> PlanRefused {
        PlanRefused::NotAPlan { error: error.to_string() }
    }
}

/// The state directory of one machine, opened by a process that stands in the machine's initial
/// namespace.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
    initial: Namespace,
}

impl StateDir {
    /// The calling thread stands in the machine's initial namespace, which is the management plane.
    ///
    /// # Errors
    /// The directory is not there.
    pub fn open(path: &Path) -> io::Result<StateDir> {
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(StateDir { path: path.into(), initial: Namespace::current()? })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The plan, read anew, its schema and hash checked.
    ///
    /// # Errors
    /// A plan that is not understood is refused whole.
    pub fn plan(&self) -> Result<RouterPlan, PlanRefused> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let text = read_plain(&self.path.join("plan.json"), LARGEST_PLAN)
            .map_err(|error| PlanRefused::NotRead { error: error.to_string() })?;
        // The schema first: a later one may have fields that these types cannot hold.
        let Version { schema } = serde_json::from_slice(&text).map_err(PlanRefused::not_a_plan)?;
        if schema != SCHEMA {
            return Err(PlanRefused::Schema { found: schema, known: SCHEMA });
        }
        let plan: RouterPlan = serde_json::from_slice(&text).map_err(PlanRefused::not_a_plan)?;
        let found = tsumugi_plan::hash::hash_of(&plan);
        if plan.hash == found { Ok(plan) } else { Err(PlanRefused::Hash { stated: plan.hash, found }) }
    }

    /// The public halves of the network's keys.
    ///
    /// # Errors
    /// `InvalidData` if the file is no key ring.
    pub fn keyring(&self) -> io::Result<KeyRing> {
        let text = fs::read(self.path.join("keyring.json"))?;
        let names: BTreeMap<String, String> = serde_json::from_slice(&text)?;
        let mut keys = BTreeMap::new();
        for (name, text) in names {
            keys.insert(KeyName(name), decode_key(&text)?);
        }
        Ok(KeyRing(keys))
    }

    /// A private key of this machine.
    ///
    /// # Errors
    /// `NotFound` if it has none of that name; `InvalidData` if the file holds no key.
    pub fn private_key(&self, name: &KeyName) -> io::Result<KeyBytes> {
        decode_key(&fs::read_to_string(self.file_of("keys", name)?)?)
    }

    /// Writes a private key, readable by its owner alone.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_private_key(&self, name: &KeyName, key: &KeyBytes) -> io::Result<()> {
        self.write_for_owner("keys", name, BASE64.encode(key).as_bytes())
    }

    fn write_for_owner(&self, folder: &str, name: &KeyName, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write;
        fs::create_dir_all(self.path.join(folder))?;
        let path = self.file_of(folder, name)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(bytes)
    }

    /// What was agreed with a neighbour: the text of the file, without the end of its line.
    ///
    /// # Errors
    /// `NotFound` if there is none of that name; `InvalidData` if the file is empty.
    pub fn secret(&self, name: &KeyName) -> io::Result<Vec<u8>> {
        let text = read_plain(&self.file_of("secrets", name)?, LARGEST_SECRET)?;
        let secret = text.trim_ascii_end();
        if secret.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an empty secret"));
        }
        Ok(secret.into())
    }

    /// Writes a secret, readable by its owner alone.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_secret(&self, name: &KeyName, secret: &str) -> io::Result<()> {
        self.write_for_owner("secrets", name, secret.as_bytes())
    }

    /// Writes the public halves of the network's keys.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_keyring(&self, ring: &KeyRing) -> io::Result<()> {
        let names: BTreeMap<&str, String> =
            ring.0.iter().map(|(name, key)| (name.0.as_str(), BASE64.encode(key))).collect();
        fs::write(self.path.join("keyring.json"), serde_json::to_vec_pretty(&names)?)
    }

    /// The namespace of a plane; made if nobody has yet, under a lock that all processes hold for it.
    ///
    /// # Errors
    /// EPERM without the right to make namespaces and mounts.
    pub fn plane(&self, plane: Plane) -> io::Result<Namespace> {
        if plane == Plane::Management {
            return Ok(self.initial.clone());
        }
        let directory = self.path.join("planes");
        fs::create_dir_all(&directory)?;
        let lock =
            OpenOptions::new().create(true).write(true).truncate(false).open(directory.join("lock"))?;
        let _lock = lock_file(lock)?;
        Namespace::create_at(&directory.join(plane.name()))
    }

    /// Where a process of this machine answers with its status.
    pub fn socket(&self, process: &str) -> PathBuf {
        self.path.join(format!("{process}.sock"))
    }

    /// A key's name is a file's name; one that would lead out of the directory is no key's name.
    fn file_of(&self, folder: &str, name: &KeyName) -> io::Result<PathBuf> {
        if name.0.is_empty() || name.0.contains(['/', '\0']) || name.0.starts_with('.') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is no name of a key")));
        }
        Ok(self.path.join(folder).join(&name.0))
    }
}

/// Public keys by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRing(pub BTreeMap<KeyName, KeyBytes>);

impl KeyRing {
    /// # Errors
    /// `NotFound`, with the key's name.
    pub fn public_key(&self, name: &KeyName) -> io::Result<KeyBytes> {
        self.0.get(name).copied().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("the key ring has no key named {name}"))
        })
    }
}

fn lock_file(file: File) -> io::Result<Flock<File>> {
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}

fn decode_key(text: &str) -> io::Result<KeyBytes> {
    BASE64
        .decode(text.trim())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not the base64 of a 32-byte key"))
}

/// Reads a whole file of at most `largest` bytes. Never waits: what is no plain file (a pipe that
/// nobody writes to) is refused.
fn read_plain(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NONBLOCK.bits() | OFlag::O_CLOEXEC.bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no plain file"));
    }
    if found.len() > largest {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    file.take(largest).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tsumugi_core::desired::Desired;
    use tsumugi_core::evpn::config::EvpnConfig;
    use tsumugi_core::id::{Asn, IfName};
    use tsumugi_core::router_plan::{ManagementPlan, Overlay};

    pub struct Scratch(pub PathBuf);

    impl Scratch {
        pub fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("tsumugi-state-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            for plane in ["underlay", "fabric"] {
                let _ =
                    nix::mount::umount2(&self.0.join("planes").join(plane), nix::mount::MntFlags::MNT_DETACH);
            }
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn plan() -> RouterPlan {
        let overlay = Overlay {
            device: IfName::new("mgmt").unwrap(),
            alias: "management overlay".into(),
            mtu: 1280,
            space: "fd63:806::/48".parse().unwrap(),
            lines: Vec::new(),
            neighbours: Vec::new(),
        };
        let mut plan = RouterPlan {
            schema: SCHEMA,
            generation: 7,
            hash: String::new(),
            network: "test".into(),
            public_asn: Asn(63806),
            name: "cr0101".into(),
            id: 1,
            site: "ibr1".into(),
            management: ManagementPlan { desired: Desired::default(), overlay },
            underlay: Desired::default(),
            fabric: Desired::default(),
            tunnels: Vec::new(),
            speaker: None,
            routing: tsumugi_core::router_plan::Routing::default(),
            rpki: None,
            bmp: None,
            evpn: EvpnConfig::default(),
        };
        tsumugi_plan::hash::seal(&mut plan);
        plan
    }

    #[test]
    fn a_plan_is_taken_only_whole() {
        let scratch = Scratch::new("plan");
        let state = StateDir::open(&scratch.0).unwrap();
        assert!(matches!(state.plan(), Err(PlanRefused::NotRead { .. })));
        let path = scratch.0.join("plan.json");
        let write = |plan: &RouterPlan| fs::write(&path, serde_json::to_vec_pretty(plan).unwrap()).unwrap();

        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(state.plan(), Err(PlanRefused::NotRead { .. })), "a pipe must not be waited for");
        fs::remove_file(&path).unwrap();
        fs::File::create(&path).unwrap().set_len(LARGEST_PLAN + 1).unwrap();
        assert!(matches!(state.plan(), Err(PlanRefused::NotRead { .. })));

        write(&plan());
        assert_eq!(state.plan().unwrap(), plan());
        write(&RouterPlan { generation: 8, ..plan() });
        assert!(matches!(state.plan(), Err(PlanRefused::Hash { .. })));
        let newer = SCHEMA + 1;
        fs::write(&path, format!(r#"{{"schema": {newer}, "all": "new"}}"#)).unwrap();
        let refused = state.plan();
        assert!(matches!(refused, Err(PlanRefused::Schema { found, known: SCHEMA }) if found == newer));
        // One from before what peers may announce became one list for all: never read with the list missing.
        let older = serde_json::to_string(&RouterPlan { schema: 2, ..plan() }).unwrap();
        let older = older.replacen('{', r#"{"customer_prefixes": ["192.0.2.0/24"], "#, 1);
        fs::write(&path, older).unwrap();
        assert!(matches!(state.plan(), Err(PlanRefused::Schema { found: 2, known: SCHEMA })));
        fs::write(&path, b"{").unwrap();
        assert!(matches!(state.plan(), Err(PlanRefused::NotAPlan { .. })));
    }

    #[test]
    fn keys_are_kept_for_their_owner() {
        let scratch = Scratch::new("keys");
        let state = StateDir::open(&scratch.0).unwrap();
        let name = KeyName("management.cr0101.ngn".into());
        assert_eq!(state.private_key(&name).unwrap_err().kind(), io::ErrorKind::NotFound);
        state.write_private_key(&name, &[7; 32]).unwrap();
        assert_eq!(state.private_key(&name).unwrap(), [7; 32]);
        let mode = fs::metadata(scratch.0.join("keys/management.cr0101.ngn")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let outside = KeyName("../plan.json".into());
        assert_eq!(state.private_key(&outside).unwrap_err().kind(), io::ErrorKind::InvalidInput);

        let agreed = KeyName("bgp-telhi".into());
        assert_eq!(state.secret(&agreed).unwrap_err().kind(), io::ErrorKind::NotFound);
        state.write_secret(&agreed, "a secret\n").unwrap();
        assert_eq!(state.secret(&agreed).unwrap(), b"a secret");
        let mode = fs::metadata(scratch.0.join("secrets/bgp-telhi")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        state.write_secret(&agreed, "\n").unwrap();
        assert_eq!(state.secret(&agreed).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(state.secret(&outside).is_err());

        let ring = KeyRing(BTreeMap::from([(name.clone(), [9; 32])]));
        state.write_keyring(&ring).unwrap();
        assert_eq!(state.keyring().unwrap(), ring);
        assert_eq!(ring.public_key(&name).unwrap(), [9; 32]);
    }

    #[test]
    fn a_plane_is_made_once() {
        let scratch = Scratch::new("planes");
        let state = StateDir::open(&scratch.0).unwrap();
        let first = state.plane(Plane::Fabric).unwrap();
        let again = state.plane(Plane::Fabric).unwrap();
        assert!(first.is(&again));
        assert!(!first.is(&state.plane(Plane::Underlay).unwrap()));
        assert!(state.plane(Plane::Management).unwrap().is(&Namespace::current().unwrap()));
    }
}
