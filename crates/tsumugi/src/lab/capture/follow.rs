//! The verb `lab capture`: a link's outer packets as they pass, until somebody ends it.

use super::{PacketSocket, PcapWriter, Piece, Seen, line};
use crate::lab::{Flow, Lab, Wire};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::SystemTime;
use tsumugi_core::id::Plane;

/// Prints a line for each outer packet of a link, seen at both ends; or writes them to `file`. Ends
/// when whoever reads has gone.
///
/// # Errors
/// If the lab has no such link, or its wires cannot be captured.
pub fn follow(lab: &Lab, link: &str, file: Option<File>) -> io::Result<()> {
    let wire = find(lab, link)?;
    let mut sockets = Vec::new();
    for end in &wire.ends {
        let namespace = lab.namespace(&end.tap.machine, Plane::Management)?;
        let device = end.tap.interface.as_str();
        sockets.push(namespace.run(|| PacketSocket::open(Some(device)))?);
    }
    let mut writer = file.map(|file| PcapWriter::new(BufWriter::new(file))).transpose()?;
    let mut out = io::stdout().lock();
    loop {
        for (place, socket) in sockets.iter_mut().enumerate() {
            while let Some((leaving, bytes)) = socket.read()? {
                let seen = Seen { at: SystemTime::now(), place, leaving, bytes };
                let end = &wire.ends[place];
                if !end.flow.as_ref().is_none_or(|flow| is_of(&seen, flow)) {
                    continue;
                }
                match &mut writer {
                    Some(writer) => writer.write(&seen)?,
                    None => match writeln!(out, "{}", line(&seen, &end.machine)) {
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                        result => result?,
                    },
                }
            }
        }
        match &mut writer {
            Some(writer) => writer.flush()?,
            None => out.flush()?,
        }
        let mut fds: Vec<PollFd> =
            sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// By its name in either order of its ends.
fn find<'a>(lab: &'a Lab, link: &str) -> io::Result<&'a Wire> {
    let named = |wire: &&Wire| {
        let [a, b] = &wire.ends;
        wire.name == link
            || link == format!("{}-{}", a.machine, b.machine)
            || link == format!("{}-{}", b.machine, a.machine)
    };
    lab.wires.iter().find(named).ok_or_else(|| {
        let known: Vec<&str> = lab.wires.iter().map(|wire| wire.name.as_str()).collect();
        io::Error::new(io::ErrorKind::NotFound, format!("no such link; there are {}", known.join(", ")))
    })
}

/// Ports are not looked at: later fragments have none, and parallel tunnels are rare.
fn is_of(seen: &Seen, flow: &Flow) -> bool {
    let between = |piece: &Piece, a: IpAddr, b: IpAddr| piece.source == a && piece.destination == b;
    Piece::read(&seen.bytes).is_some_and(|piece| {
        piece.protocol == flow.protocol
            && (between(&piece, flow.local, flow.remote) || between(&piece, flow.remote, flow.local))
    })
}
