//! What a person sees while a lab comes up: one line that changes on a terminal, lines otherwise.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};
use tsumugi_plan::explain::Lang;

pub struct Progress {
    began: Instant,
    lang: Lang,
    terminal: bool,
    /// The line as it stands, so that an unchanged one is not said twice.
    shown: String,
}

impl Progress {
    pub fn new(lang: Lang) -> Progress {
        Progress { began: Instant::now(), lang, terminal: io::stderr().is_terminal(), shown: String::new() }
    }

    pub fn lang(&self) -> Lang {
        self.lang
    }

    pub fn since(&self) -> Duration {
        self.began.elapsed()
    }

    /// A step that begins or goes on; on a terminal it takes the place of the one before.
    pub fn step(&mut self, what: &str) {
        if self.shown == what {
            return;
        }
        self.shown = what.to_owned();
        let mut err = io::stderr().lock();
        // Nobody is there to be told that telling failed.
        let _ = if self.terminal {
            write!(err, "\r\x1b[K{:5.1} s  {what}", self.began.elapsed().as_secs_f32())
                .and_then(|()| err.flush())
        } else {
            writeln!(err, "{:5.1} s  {what}", self.began.elapsed().as_secs_f32())
        };
    }

    /// The last line, which stays.
    pub fn done(&mut self, what: &str) {
        self.shown.clear();
        self.step(what);
        self.clear_line();
    }

    fn clear_line(&mut self) {
        if self.terminal && !self.shown.is_empty() {
            let _ = writeln!(io::stderr());
        }
        self.shown.clear();
    }
}

impl Drop for Progress {
    /// Whatever is said next begins on a line of its own.
    fn drop(&mut self) {
        self.clear_line();
    }
}
