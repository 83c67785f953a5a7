//! A client of DHCP (RFC 2131) as far as a host needs one: it asks, takes the first offer, and has its
//! address.

use super::frame;
use crate::lab::capture::PacketSocket;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tsumugi_core::id::Mac;
use tsumugi_core::wire::ethernet;
use tsumugi_core::wire::ip::{Packet, protocol};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// RFC 2131 2: the fixed part, then the magic cookie, then options.
const FIXED: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Options of RFC 2132.
const SUBNET_MASK: u8 = 1;
const ROUTER: u8 = 3;
const REQUESTED: u8 = 50;
const MESSAGE_TYPE: u8 = 53;
const SERVER: u8 = 54;
const PARAMETERS: u8 = 55;
const DNS: u8 = 6;
const END: u8 = 255;
/// Message types.
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
/// A server may look for a moment whether the address is free.
const AGAIN: Duration = Duration::from_secs(4);

/// What a host was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub address: Ipv4Addr,
    pub prefix_len: u8,
    pub router: Option<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
}

/// Asks by `socket`, which sees the frames of the host's port, until an address is given; `None` if
/// none was before `until`.
///
/// # Errors
/// If the socket fails.
pub fn ask(socket: &mut PacketSocket, mac: Mac, until: Instant) -> io::Result<Option<Lease>> {
    let transaction: u32 = rand::random();
    let mut message = message(DISCOVER, transaction, mac, &[]);
    let mut due = Instant::now();
    while Instant::now() < until {
        if Instant::now() >= due {
            socket.send(&frame::udp_to_everybody(mac, CLIENT_PORT, SERVER_PORT, &message))?;
            due = Instant::now() + AGAIN;
        }
        let left = due.min(until).saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], timeout)?;
        while let Some((leaving, bytes)) = socket.read()? {
            let answer = if leaving { None } else { Answer::read(&bytes, transaction) };
            match answer {
                Some(answer) if answer.kind == ACK => return Ok(Some(answer.lease)),
                Some(answer) if answer.kind == OFFER => {
                    let server = answer.server.unwrap_or(Ipv4Addr::UNSPECIFIED);
                    let options = [(REQUESTED, answer.lease.address.octets()), (SERVER, server.octets())];
                    message = self::message(REQUEST, transaction, mac, &options);
                    due = Instant::now();
                }
                _ => {}
            }
        }
    }
    Ok(None)
}

fn message(kind: u8, transaction: u32, mac: Mac, options: &[(u8, [u8; 4])]) -> Vec<u8> {
    let mut bytes = vec![0; FIXED];
    // A request on Ethernet, of six octets.
    bytes[..3].copy_from_slice(&[1, 1, 6]);
    bytes[4..8].copy_from_slice(&transaction.to_be_bytes());
    // The broadcast flag: there is no address yet that an answer could come to.
    bytes[10] = 0x80;
    bytes[28..34].copy_from_slice(&mac.0);
    bytes.extend(COOKIE);
    bytes.extend([MESSAGE_TYPE, 1, kind]);
    for (option, value) in options {
        bytes.extend([*option, 4]);
        bytes.extend(value);
    }
    bytes.extend([PARAMETERS, 3, SUBNET_MASK, ROUTER, DNS, END]);
    // BOOTP's least length (RFC 1542 2.1).
    bytes.resize(bytes.len().max(300), 0);
    bytes
}

struct Answer {
    kind: u8,
    server: Option<Ipv4Addr>,
    lease: Lease,
}

impl Answer {
    /// From a frame; `None`: no answer to this transaction.
    fn read(frame: &[u8], transaction: u32) -> Option<Answer> {
        let frame = ethernet::Frame::new_checked(frame).ok()?;
        let Packet::V4(packet) = Packet::new_checked(frame.payload()).ok()? else { return None };
        let udp = packet.payload();
        if packet.protocol() != protocol::UDP || udp.get(2..4)? != CLIENT_PORT.to_be_bytes() {
            return None;
        }
        let bytes = udp.get(8..)?;
        let is_answer = bytes.first() == Some(&2) && bytes.get(4..8)? == transaction.to_be_bytes();
        let four = |bytes: &[u8]| bytes.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes));
        let address = four(bytes.get(16..20)?)?;
        let mut options = bytes.get(FIXED..)?.strip_prefix(&COOKIE)?;
        let mut answer = Answer {
            kind: 0,
            server: None,
            lease: Lease { address, prefix_len: 32, router: None, dns: Vec::new() },
        };
        while let Some((option, rest)) = options.split_first() {
            if *option == END {
                break;
            }
            if *option == 0 {
                options = rest;
                continue;
            }
            let (length, rest) = rest.split_first()?;
            let value = rest.get(..usize::from(*length))?;
            options = rest.get(usize::from(*length)..)?;
            match *option {
                MESSAGE_TYPE => answer.kind = *value.first()?,
                SERVER => answer.server = four(value),
                SUBNET_MASK => {
                    answer.lease.prefix_len = four(value)?.to_bits().leading_ones() as u8;
                }
                ROUTER => answer.lease.router = four(value),
                DNS => answer.lease.dns = value.chunks(4).filter_map(four).collect(),
                _ => {}
            }
        }
        is_answer.then_some(answer)
    }
}

impl Lease {
    /// As the host has it on its port.
    pub fn address(&self) -> IpAddr {
        self.address.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_read_and_others_are_not() {
        let mac = Mac([2, 0, 0, 0, 0, 9]);
        let mut offer =
            message(DISCOVER, 7, mac, &[(SERVER, [192, 0, 2, 1]), (SUBNET_MASK, [255, 255, 255, 240])]);
        offer[0] = 2;
        offer[16..20].copy_from_slice(&[192, 0, 2, 5]);
        let frame = frame::udp_to_everybody(mac, SERVER_PORT, CLIENT_PORT, &offer);
        let answer = Answer::read(&frame, 7).unwrap();
        assert_eq!((answer.lease.address, answer.lease.prefix_len), (Ipv4Addr::new(192, 0, 2, 5), 28));
        assert_eq!(answer.server, Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert!(Answer::read(&frame, 8).is_none());
        for length in 0..frame.len() {
            // No panic, whatever is missing.
            let _ = Answer::read(&frame[..length], 7);
        }
    }
}
