//! Prints the file of a made-up network: `generate ROUTERS LINKS [SEED]`.

mod network;

use std::process::ExitCode;

fn main() -> ExitCode {
    let numbers: Option<Vec<u64>> = std::env::args().skip(1).map(|argument| argument.parse().ok()).collect();
    match numbers.as_deref() {
        Some([routers, links]) => print!("{}", network::network(*routers as usize, *links as usize, 1)),
        Some([routers, links, seed]) => {
            print!("{}", network::network(*routers as usize, *links as usize, *seed));
        }
        _ => {
            eprintln!("usage: generate ROUTERS LINKS [SEED]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
