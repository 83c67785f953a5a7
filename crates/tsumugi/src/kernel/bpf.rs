//! Maps and programs of the kernel's virtual machine (bpf(2)): no more of them than the shortcut needs.
#![allow(unsafe_code)]

use super::classifier::Way;
use nix::errno::Errno;
use nix::libc;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

// Commands, kinds and marks of linux/bpf.h.
const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP: libc::c_int = 1;
const MAP_UPDATE: libc::c_int = 2;
const MAP_DELETE: libc::c_int = 3;
const PROG_LOAD: libc::c_int = 5;
const LINK_CREATE: libc::c_int = 28;
const TCX_INGRESS: u32 = 46;
const TCX_EGRESS: u32 = 47;
/// The instruction that loads 64 bits, in two halves of eight bytes.
const LOAD_64: u8 = 0x18;
/// Its source register, where the bits are a map's descriptor.
const PSEUDO_MAP: u8 = 1;
/// Bytes of an instruction.
const INSTRUCTION: usize = 8;

/// What a map is.
#[derive(Debug, Clone, Copy)]
pub enum MapKind {
    Hash = 1,
    Array = 2,
}

/// Where a program runs.
#[derive(Debug, Clone, Copy)]
pub enum ProgramKind {
    SocketFilter = 1,
    Classifier = 3,
}

/// A map whose keys are `K` bytes and whose values are `V` bytes.
pub struct Map<const K: usize, const V: usize>(OwnedFd);

impl<const K: usize, const V: usize> Map<K, V> {
    /// # Errors
    /// EPERM where BPF is refused.
    pub fn new(kind: MapKind, entries: u32) -> io::Result<Map<K, V>> {
        Ok(Map(create(kind as u32, (K as u32, V as u32), entries)?))
    }

    /// `None`: there is no such entry.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn get(&self, key: &[u8; K]) -> io::Result<Option<[u8; V]>> {
        let mut value = [0; V];
        match self.element(MAP_LOOKUP, key, value.as_mut_ptr() as u64) {
            Ok(()) => Ok(Some(value)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// # Errors
    /// E2BIG when it is full.
    pub fn set(&self, key: &[u8; K], value: &[u8; V]) -> io::Result<()> {
        Ok(self.element(MAP_UPDATE, key, value.as_ptr() as u64)?)
    }

    /// No matter whether it was there.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn remove(&self, key: &[u8; K]) -> io::Result<()> {
        match self.element(MAP_DELETE, key, 0) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// `value` is the address of `V` bytes that live across the call, or zero to delete.
    fn element(&self, command: libc::c_int, key: &[u8; K], value: u64) -> nix::Result<()> {
        #[repr(C)]
        struct Element {
            map: u32,
            padding: u32,
            key: u64,
            value: u64,
            flags: u64,
        }
        let map = self.0.as_raw_fd().cast_unsigned();
        let mut element = Element { map, padding: 0, key: key.as_ptr() as u64, value, flags: 0 };
        // SAFETY: the map was made with keys of `K` and values of `V` bytes: the kernel reads and writes
        // no more than that behind the two pointers, which live across the call.
        unsafe { bpf(command, &mut element) }.map(drop)
    }
}

impl<const K: usize, const V: usize> AsFd for Map<K, V> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes a map; sizes are of its keys and values, in bytes.
fn create(kind: u32, (key, value): (u32, u32), entries: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Create {
        kind: u32,
        key: u32,
        value: u32,
        entries: u32,
        flags: u32,
    }
    let mut create = Create { kind, key, value, entries, flags: 0 };
    // SAFETY: MAP_CREATE reads the fields of `Create` and no pointer.
    let descriptor = unsafe { bpf(MAP_CREATE, &mut create) }?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// An array of which each processor has one of its own. It is for programs alone: a look at it from outside brings
/// the values of all processors.
pub struct ArrayOfProcessors(OwnedFd);

impl ArrayOfProcessors {
    /// `value`: bytes.
    ///
    /// # Errors
    /// EPERM where BPF is refused.
    pub fn new(value: u32, entries: u32) -> io::Result<ArrayOfProcessors> {
        const KIND: u32 = 6;
        Ok(ArrayOfProcessors(create(KIND, (4, value), entries)?))
    }
}

impl AsFd for ArrayOfProcessors {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Loads a program, after each constant that `marks` pairs with a map was replaced by the map.
///
/// # Errors
/// EPERM where BPF is refused; EINVAL or EACCES where the kernel does not find the program safe.
pub fn load(
    kind: ProgramKind,
    name: &CStr,
    instructions: &[u8],
    marks: &[(u32, &dyn AsFd)],
) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
    }
    let instructions = with_maps(instructions, marks);
    let mut load = Load {
        kind: kind as u32,
        count: (instructions.len() / INSTRUCTION) as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"Dual MIT/GPL".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: [0; 16],
    };
    // The last byte stays zero.
    for (to, from) in load.name[..15].iter_mut().zip(name.to_bytes()) {
        *to = *from;
    }
    // SAFETY: the instructions are `count` times eight bytes, the license ends with a zero, there is no
    // log; the kernel reads them during the call, across which they live.
    let descriptor = unsafe { bpf(PROG_LOAD, &mut load) }?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Puts a program on an interface of the namespace that this thread is in, behind those that are there. It
/// stays for as long as the link is open.
///
/// # Errors
/// EINVAL before Linux 6.6.
pub fn link(program: &impl AsFd, interface: u32, way: Way) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Create {
        program: u32,
        interface: u32,
        place: u32,
        flags: u32,
        beside: u32,
        padding: u32,
        revision: u64,
    }
    let place = match way {
        Way::In => TCX_INGRESS,
        Way::Out => TCX_EGRESS,
    };
    let program = program.as_fd().as_raw_fd().cast_unsigned();
    let mut create = Create { program, interface, place, flags: 0, beside: 0, padding: 0, revision: 0 };
    // SAFETY: LINK_CREATE reads the fields of `Create` and no pointer.
    let descriptor = unsafe { bpf(LINK_CREATE, &mut create) }?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The instructions with maps in the place of their marks.
fn with_maps(instructions: &[u8], marks: &[(u32, &dyn AsFd)]) -> Vec<u8> {
    let mut instructions = instructions.to_vec();
    for instruction in instructions.chunks_exact_mut(INSTRUCTION) {
        let &mut [code, registers, _, _, ref constant @ ..] = instruction else { continue };
        let Ok(constant) = constant.try_into().map(u32::from_ne_bytes) else { continue };
        let map = marks.iter().find(|(mark, _)| code == LOAD_64 && *mark == constant);
        if let Some((_, map)) = map {
            // The source register is the upper half on little-endian machines, else the lower.
            let source = if cfg!(target_endian = "little") { PSEUDO_MAP << 4 } else { PSEUDO_MAP };
            instruction[1] = registers | source;
            instruction[4..].copy_from_slice(&map.as_fd().as_raw_fd().to_ne_bytes());
        }
    }
    instructions
}

/// Has a socket hear what a program lets through, in place of the filter that it had.
///
/// # Errors
/// As the kernel says.
pub fn attach(socket: &impl AsFd, program: &impl AsFd) -> io::Result<()> {
    let program = program.as_fd().as_raw_fd();
    // SAFETY: the option takes one int, which lives across the call; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_BPF,
            (&raw const program).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Ok(Errno::result(result).map(drop)?)
}

/// # Safety
/// `attributes` is what the command takes, and the pointers in it are to what it says.
unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> nix::Result<libc::c_int> {
    let pointer: *mut T = attributes;
    // SAFETY: the kernel reads at most the stated size behind the pointer; the rest the caller promises.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, pointer, size_of::<T>()) };
    Errno::result(result).map(|result| result as libc::c_int)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_gives_way_to_its_map() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let mark: u32 = 0x7453_0001;
        let mut program = vec![LOAD_64, 2, 0, 0];
        program.extend(mark.to_ne_bytes());
        program.extend([0; 8]);
        // The same number in another instruction is just a number.
        program.extend([0xb7, 0, 0, 0]);
        program.extend(mark.to_ne_bytes());
        let patched = with_maps(&program, &[(mark, &file)]);
        assert_eq!(patched[4..8], file.as_raw_fd().to_ne_bytes());
        assert_ne!(patched[1], 2);
        assert_eq!(patched[8..], program[8..]);
    }
}
