//! Programs on the way into and out of an interface: by a link of the kernel's own (tcx, Linux 6.6), which goes
//! with the process, else by a filter (tc-bpf(8)), whose hook costs what the interface has under way when it is
//! made.

use super::Namespace;
use super::bpf;
use super::netlink::{Answer, Netlink, NetlinkError};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Which way packets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    In,
    Out,
}

/// Our place among the filters of an interface; whoever has his own may be before or behind it.
const PRIORITY: u32 = 806;
/// Our only filter there.
const HANDLE: u32 = 1;

/// A program on an interface, by its link if that is how it was put there: it goes when this does.
#[derive(Debug)]
pub struct Placed(Option<OwnedFd>);

impl Placed {
    /// Whether it has to be removed.
    pub fn is_filter(&self) -> bool {
        self.0.is_none()
    }
}

/// Puts a program on an interface of `namespace`, of which `netlink` is. A filter takes the place of the one that
/// we had there.
///
/// # Errors
/// As the kernel says.
pub fn put(
    namespace: &Namespace,
    netlink: &mut Netlink,
    (way, link): (Way, u32),
    (name, program): (&str, &(impl AsFd + Sync)),
) -> io::Result<Placed> {
    match namespace.run(|| bpf::link(program, link, way)) {
        Ok(made) => Ok(Placed(Some(made))),
        // An older kernel does not know of such links.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            netlink.set_classifier(link, way, name, program)?;
            Ok(Placed(None))
        }
        Err(error) => Err(error),
    }
}

impl Netlink {
    /// Puts a program on an interface, in the place of the one that we had there.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn set_classifier(&mut self, link: u32, way: Way, name: &str, program: &impl AsFd) -> Answer<()> {
        let mut hook = TcMessage::with_index(link.cast_signed());
        hook.header.parent = TcHandle::CLSACT;
        hook.header.handle = TcHandle::from(0xffff_0000);
        hook.attributes.push(TcAttribute::Kind("clsact".into()));
        match self.request(RouteNetlinkMessage::NewQueueDiscipline(hook), NLM_F_CREATE | NLM_F_EXCL) {
            Ok(()) => {}
            // Another's, or of an earlier life; the older kind of hook knows of no way out.
            Err(error) if error.is(Errno::EEXIST) => {
                if !self.has_clsact(link)? {
                    return Err(NetlinkError::refused(Errno::EBUSY));
                }
            }
            Err(error) => return Err(error),
        }
        let mut filter = place(link, way);
        filter.attributes.push(TcAttribute::Kind(TcFilterBpf::KIND.into()));
        filter.attributes.push(TcAttribute::Options(vec![
            TcOption::Bpf(TcFilterBpfOption::ProgFd(program.as_fd().as_raw_fd().cast_unsigned())),
            TcOption::Bpf(TcFilterBpfOption::ProgName(name.into())),
            TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
        ]));
        self.request(RouteNetlinkMessage::NewTrafficFilter(filter), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Whether an interface's hook is one for both ways.
    fn has_clsact(&mut self, link: u32) -> Answer<bool> {
        let ask = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::with_index(link.cast_signed()));
        let is_ours = |answer: &RouteNetlinkMessage| {
            let RouteNetlinkMessage::NewQueueDiscipline(found) = answer else { return false };
            found.header.index == link.cast_signed()
                && found.attributes.contains(&TcAttribute::Kind("clsact".into()))
        };
        Ok(self.dump(ask)?.iter().any(is_ours))
    }

    /// Takes our program off an interface, no matter whether it was there. The hook stays: others may use it, and
    /// the kernel sends nothing by the interface while it makes or removes one.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn remove_classifier(&mut self, link: u32, way: Way) -> Answer<()> {
        match self.request(RouteNetlinkMessage::DelTrafficFilter(place(link, way)), 0) {
            Ok(()) => Ok(()),
            // Not there, the link neither, or no such thing in this kernel.
            Err(error)
                if [Errno::ENOENT, Errno::EINVAL, Errno::ENODEV, Errno::EOPNOTSUPP]
                    .iter()
                    .any(|e| error.is(*e)) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn place(link: u32, way: Way) -> TcMessage {
    let mut filter = TcMessage::with_index(link.cast_signed());
    filter.header.handle = TcHandle::from(HANDLE);
    filter.header.parent = TcHandle::from(match way {
        Way::In => 0xffff_fff2,
        Way::Out => 0xffff_fff3,
    });
    // TC_H_MAKE(priority, protocol): every protocol.
    filter.header.info = PRIORITY << 16 | u32::from((libc::ETH_P_ALL as u16).to_be());
    filter
}
