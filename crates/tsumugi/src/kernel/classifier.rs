//! Programs on the way into and out of an interface (tc-bpf(8)).

use super::netlink::{Answer, Netlink};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// Which way packets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    In,
    Out,
}

/// Our place among the filters of an interface; whoever has his own may be before or behind it.
const PRIORITY: u32 = 806;
/// Our only filter there.
const HANDLE: u32 = 1;

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
            // Another's, or of an earlier life.
            Err(error) if error.is(Errno::EEXIST) => {}
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

    /// Takes our program off an interface, no matter whether it was there.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn remove_classifier(&mut self, link: u32, way: Way) -> Answer<()> {
        match self.request(RouteNetlinkMessage::DelTrafficFilter(place(link, way)), 0) {
            Ok(()) => Ok(()),
            Err(error) if [Errno::ENOENT, Errno::EINVAL, Errno::ENODEV].iter().any(|e| error.is(*e)) => {
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
