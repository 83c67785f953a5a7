//! Many speakers joined by virtual wires under virtual time.

mod bfd;
mod border;
mod converge;
mod dump;
mod evpn;
mod faults;
mod fsm;
mod leaks;
mod monitor;
mod net;
mod policy;
mod show;
mod stranger;
mod validation;
