//! The other ends of `bench/bgp`: feeders with a full table each, a sink that is told everything, and an idle
//! neighbour that wants its KEEPALIVEs in time.
//!
//! A feeder and the sink are two sessions each, IPv4 over IPv4 and IPv6 over IPv6. All of them call
//! the router under test. What the sink hears is kept as bytes with the time of each piece and read
//! afterwards, so that reading costs nothing while the clock runs.

mod load;
mod plan;
mod process;
mod session;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What the command line asks for.
pub struct Options {
    /// Feeders, 1 to 8.
    pub feeders: u8,
    pub ipv4: usize,
    pub ipv6: usize,
    /// Processes of the router under test.
    pub pids: Vec<u32>,
    /// The network namespace whose routing table is counted.
    pub kernel: Option<PathBuf>,
    /// Where what the sink holds at the end is written: a line per prefix.
    pub dump: Option<PathBuf>,
    /// How long any phase may take.
    pub patience: Duration,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((verb, [feeders])) if verb == "plan" => match feeders.parse() {
            Ok(feeders) => {
                println!("{}", plan::of(feeders));
                ExitCode::SUCCESS
            }
            Err(_) => usage(),
        },
        Some((verb, rest)) if verb == "run" => match options(rest) {
            Some(options) => match load::run(&options) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error),
            },
            None => usage(),
        },
        _ => usage(),
    }
}

fn failed(error: &std::io::Error) -> ExitCode {
    eprintln!("bgp_load: {error}");
    ExitCode::FAILURE
}

fn usage() -> ExitCode {
    eprintln!(
        "bgp_load plan FEEDERS\nbgp_load run [--feeders N] [--ipv4 N] [--ipv6 N] [--pids N,N] \
         [--kernel NETNS] [--dump FILE] [--patience SECONDS]"
    );
    ExitCode::from(2)
}

fn options(arguments: &[String]) -> Option<Options> {
    let mut options = Options {
        feeders: 1,
        ipv4: 1_000_000,
        ipv6: 200_000,
        pids: Vec::new(),
        kernel: None,
        dump: None,
        patience: Duration::from_secs(400),
    };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--feeders" => options.feeders = value.parse().ok().filter(|it| (1..=8).contains(it))?,
            "--ipv4" => options.ipv4 = value.parse().ok()?,
            "--ipv6" => options.ipv6 = value.parse().ok()?,
            "--pids" => options.pids = value.split(',').map(str::parse).collect::<Result<_, _>>().ok()?,
            "--kernel" => options.kernel = Some(value.into()),
            "--dump" => options.dump = Some(value.into()),
            "--patience" => options.patience = Duration::from_secs(value.parse().ok()?),
            _ => return None,
        }
    }
    Some(options)
}
