//! Traffic of our own making: what the proofs send, and what they hear of it.
//!
//! Every socket is opened in the network namespace of the calling thread; callers that want another one
//! run the `open` functions inside it.

pub mod bulk;
pub mod dhcp;
pub mod echo;
pub mod forge;
pub mod frame;
pub mod mesh;
pub mod options;
pub mod traceroute;

#[cfg(test)]
mod tests {
    //! ```text
    //! one namespace of the test's own:  lo with 198.18.0.1 and 2001:2::1
    //! ```

    use super::echo::{Answer, EchoSocket, Question, ask_all};
    use super::mesh::Mesh;
    use super::options::Cutting;
    use super::traceroute::{Trace, trace};
    use crate::lab::capture::{PacketSocket, Piece, Recorder, datagrams};
    use nix::sched::{CloneFlags, unshare};
    use std::net::IpAddr;
    use std::process::Command;
    use std::time::{Duration, Instant};

    fn ip(arguments: &str) {
        let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
        assert!(status.success(), "ip {arguments}");
    }

    /// Runs `test` in a network namespace of its own, which ends with the thread.
    fn alone(test: impl FnOnce() + Send + 'static) {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: only root may make a network namespace here");
            return;
        }
        let thread = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            ip("link set lo up mtu 2400");
            ip("address add 198.18.0.1/32 dev lo");
            ip("-6 address add 2001:2::1/128 dev lo nodad");
            test();
        });
        thread.join().unwrap();
    }

    fn addresses() -> [IpAddr; 2] {
        ["198.18.0.1".parse().unwrap(), "2001:2::1".parse().unwrap()]
    }

    #[test]
    fn exact_sizes_are_answered_and_captured_whole() {
        alone(|| {
            for address in addresses() {
                let recorder = Recorder::start(vec![PacketSocket::open(Some("lo")).unwrap()]);
                let mut sockets = [EchoSocket::open(address, None, Cutting::Refused).unwrap()];
                let question = Question { socket: 0, destination: address, length: 2400 };
                let answers =
                    ask_all(&mut sockets, &[question], Duration::from_secs(1), Duration::from_secs(5))
                        .unwrap();
                assert!(answers[0].came(), "{answers:?}");
                // A packet socket on the loopback sees each packet twice: leaving and coming.
                let seen = recorder.finish().unwrap();
                assert!(seen.len() >= 4, "{seen:?}");
                let pieces: Vec<Piece> = seen.iter().filter_map(|seen| Piece::read(&seen.bytes)).collect();
                assert!(datagrams(&pieces).iter().all(|one| one.pieces == [2400]), "{pieces:?}");
                assert!(pieces[0].dont_fragment);
                let large = Question { length: 2401, ..question };
                let answers =
                    ask_all(&mut sockets, &[large], Duration::from_secs(1), Duration::from_millis(50))
                        .unwrap();
                assert!(
                    matches!(&answers[0], Answer::Unsent(why) if why.contains("too long")),
                    "{answers:?}"
                );
            }
        });
    }

    #[test]
    fn the_last_hop_answers_for_itself() {
        alone(|| {
            for address in addresses() {
                let found = trace(address, address, 4, Duration::from_secs(2)).unwrap();
                assert_eq!(found, Trace { hops: vec![Some(address)], arrived: true });
            }
        });
    }

    #[test]
    fn a_mesh_sees_an_outage_begin_and_end() {
        alone(|| {
            let [v4, v6] = addresses();
            let sockets = [v4, v6].map(|address| EchoSocket::open(address, None, Cutting::Allowed).unwrap());
            let flows = vec![
                Question { socket: 0, destination: v4, length: 64 },
                Question { socket: 1, destination: v6, length: 64 },
            ];
            let start = Instant::now();
            let mesh = Mesh::start(sockets.into(), flows, Duration::from_millis(10));
            let until = |what: &dyn Fn(&[super::mesh::Window]) -> bool| {
                while !what(&mesh.since(start).unwrap()) {
                    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", mesh.since(start));
                    std::thread::sleep(Duration::from_millis(5));
                }
            };
            until(&|windows| windows.iter().all(|window| window.decided > 5 && window.lost == 0));
            ip("route del local 198.18.0.1 dev lo table local");
            until(&|windows| windows[0].down);
            ip("route add local 198.18.0.1 dev lo table local");
            until(&|windows| !windows[0].down && windows[0].lost > 0);
            assert!(mesh.since(start).unwrap()[0].longest >= Duration::from_millis(200));
        });
    }
}
