//! Receiving by a ring that the kernel writes packets into (PACKET_RX_RING, version 2): no call for a
//! packet, and none for a batch. Version 3 would hand over blocks, and lets a lone packet wait for a
//! millisecond until its block is due.
#![allow(unsafe_code)]

use super::batch::{BATCH, Inbox};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, getsockopt, recv, sockopt};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of the whole ring.
const LEN: usize = 4 << 20;
/// What the kernel allocates at once.
const BLOCK: usize = 64 << 10;
/// What stands in a frame before the packet: its header and an address.
const BEFORE: usize = 128;
/// A frame for packets of an ordinary line; a larger line has larger ones.
const SMALLEST_FRAME: usize = 2048;

/// A packet socket with its ring. Frames belong to the kernel or to us, by the status in their header.
pub struct Ring {
    socket: OwnedFd,
    memory: NonNull<u8>,
    /// Bytes of one frame: a power of two.
    frame: usize,
    frames: usize,
    /// The frame that the kernel fills next.
    next: usize,
}

impl Ring {
    /// Gives a packet socket that is not bound yet a ring for packets of an interface of this MTU.
    ///
    /// # Errors
    /// As the kernel says; ENOMEM where the ring cannot be had.
    pub fn new(socket: OwnedFd, mtu: u32) -> io::Result<Ring> {
        let frame = (mtu as usize + BEFORE).next_power_of_two().clamp(SMALLEST_FRAME, BLOCK);
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: (LEN / BLOCK) as u32,
            tp_frame_size: frame as u32,
            tp_frame_nr: (LEN / frame) as u32,
        };
        let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
        set(&socket, libc::PACKET_VERSION, &version)?;
        // What is larger than a frame, which only the kernel's own merging makes, comes whole by the socket.
        set(&socket, libc::PACKET_COPY_THRESH, &(frame as libc::c_int))?;
        set(&socket, libc::PACKET_RX_RING, &request)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of the ring that was just made, of exactly its length; the kernel chooses
        // the place.
        let memory =
            unsafe { libc::mmap(ptr::null_mut(), LEN, protection, libc::MAP_SHARED, socket.as_raw_fd(), 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(Errno::ENOMEM)?;
        Ok(Ring { socket, memory, frame, frames: LEN / frame, next: 0 })
    }

    /// Copies what is there into the inbox and returns how many packets it is.
    ///
    /// # Errors
    /// What is wrong with the socket: ENETDOWN once the interface has been down.
    pub fn receive(&mut self, inbox: &mut Inbox) -> nix::Result<usize> {
        let mut count = 0;
        while count < BATCH {
            // SAFETY: `next` is below `frames`, so the frame lies within the mapping.
            let frame = unsafe { self.memory.as_ptr().add(self.next * self.frame) };
            // SAFETY: a frame begins with its header, whose first word is the status; it is aligned to
            // the frame's length. The kernel writes it concurrently, as one word.
            let status = unsafe { AtomicU32::from_ptr(frame.cast()) };
            let said = status.load(Ordering::Acquire);
            if said & libc::TP_STATUS_USER == 0 {
                break;
            }
            // SAFETY: the status says that the frame is ours until we give it back: the kernel has
            // written a header there and does not touch it.
            let header = unsafe { frame.cast::<libc::tpacket2_hdr>().read() };
            let (start, len) = (usize::from(header.tp_net), header.tp_snaplen as usize);
            if said & libc::TP_STATUS_COPY != 0 {
                let socket = self.socket.as_raw_fd();
                inbox.put(count, |room| recv(socket, room, MsgFlags::MSG_DONTWAIT).ok());
            } else if header.tp_len as usize != len || start + len > self.frame {
                inbox.put(count, |_| None);
            } else {
                // SAFETY: `start + len` is within the frame, which is ours as above.
                let packet = unsafe { std::slice::from_raw_parts(frame.add(start), len) };
                inbox.put(count, |room| {
                    room.get_mut(..len)?.copy_from_slice(packet);
                    Some(len)
                });
            }
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.next = (self.next + 1) % self.frames;
            count += 1;
        }
        if count == 0 {
            match getsockopt(&self.socket, sockopt::SocketError)? {
                0 => {}
                error => return Err(Errno::from_raw(error)),
            }
        }
        Ok(count)
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, and nothing points into it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), LEN) };
    }
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: each of the options set here takes the very type it is given; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, ptr::from_ref(value).cast(), length)
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
