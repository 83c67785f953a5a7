//! A route map, entry by entry.
//!
//! FRR takes each line of a map anew against all that it has: 1200 lines take it ten seconds, 300 half of
//! one. So what neighbours have in common stands in maps that theirs call, and stands before them: a map
//! that is called and not there yet would take everything.

use crate::frr::configuration::Text;

pub struct Map<'a> {
    text: &'a mut Text,
    name: String,
    next: u32,
}

impl<'a> Map<'a> {
    pub fn new(text: &'a mut Text, name: &str, words: &str) -> Map<'a> {
        text.comment(words);
        Map { text, name: name.into(), next: 10 }
    }

    pub fn entry(&mut self, verdict: &str, lines: &[&str]) {
        self.text.line(format!("route-map {} {verdict} {}", self.name, self.next));
        for line in lines {
            self.text.line(format!(" {line}"));
        }
        self.text.line("exit");
        self.next += 10;
    }

    pub fn deny(&mut self, matches: &str) {
        self.entry("deny", &[matches]);
    }

    /// What matches, if there is anything to match, is set so, and goes on.
    pub fn set(&mut self, matches: Option<&str>, sets: &[&str]) {
        let lines: Vec<&str> = matches.into_iter().chain(sets.iter().copied()).collect();
        self.entry("permit", &[&lines[..], &["on-match next"]].concat());
    }

    /// What matches is set so, goes through another map, and if that takes it is taken.
    pub fn call(&mut self, matches: &[&str], sets: &[&str], map: &str) {
        let call = format!("call {map}");
        self.entry("permit", &[matches, sets, &[&call]].concat());
    }

    /// What another map takes goes on.
    pub fn through(&mut self, map: &str) {
        let call = format!("call {map}");
        self.entry("permit", &[&call, "on-match next"]);
    }

    /// What matches goes on after the entry that follows.
    pub fn skip_one(&mut self, matches: &str) {
        let goto = format!("on-match goto {}", self.next + 20);
        self.entry("permit", &[matches, &goto]);
    }

    /// What matches is set so and goes on at an entry further down.
    pub fn skip(&mut self, matches: &[&str], sets: &[&str], to: u32) {
        let goto = format!("on-match goto {to}");
        self.entry("permit", &[matches, sets, &[&goto]].concat());
    }

    /// The next entry has this number.
    pub fn continue_at(&mut self, number: u32) {
        debug_assert!(self.next <= number, "{}: {} of {number}", self.name, self.next);
        self.next = number;
    }

    /// What has come so far is taken.
    pub fn end(mut self) {
        self.entry("permit", &[]);
    }
}
