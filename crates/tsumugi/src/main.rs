//! The shell around the core: sockets, clocks, files and the kernel.

mod cli;
mod datapath;
mod frr;
mod kernel;
mod lab;
mod management;
mod node;
mod observe;
mod peering;
mod replay;
mod state;

fn main() -> std::process::ExitCode {
    cli::main()
}
