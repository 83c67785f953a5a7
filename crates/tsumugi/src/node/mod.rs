//! The router process: one loop, events in, actions out.

mod clock;
mod fib;
mod links;
mod poll;
mod sessions;
