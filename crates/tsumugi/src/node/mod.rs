//! The router process: one loop, events in, actions out.

mod clock;
mod poll;
