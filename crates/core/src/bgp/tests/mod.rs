//! Many speakers joined by virtual wires under virtual time.

mod add_path;
mod bfd;
mod border;
mod change;
mod clearance;
mod converge;
mod dump;
mod evpn;
mod faults;
mod fsm;
mod leaks;
mod monitor;
mod net;
mod policy;
mod restart;
mod send_hold;
mod show;
mod stranger;
mod validation;
