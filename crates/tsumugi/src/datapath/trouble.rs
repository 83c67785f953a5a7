//! What is wrong with one thing at the moment, so that the log says it once and not each time that
//! it is tried again.

use crate::observe::status::Missing;

/// `None`: nothing is.
#[derive(Debug, Default)]
pub struct Trouble(Option<Missing>);

impl Trouble {
    /// Notes what is wrong. True if that is news.
    pub fn is(&mut self, what: Missing) -> bool {
        let news = self.0.as_ref() != Some(&what);
        self.0 = Some(what);
        news
    }

    /// Notes that nothing is wrong. True if something was.
    pub fn is_over(&mut self) -> bool {
        self.0.take().is_some()
    }

    pub fn get(&self) -> Option<&Missing> {
        self.0.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_news() {
        let mut trouble = Trouble::default();
        assert!(!trouble.is_over());
        let denied = || Missing::System { error: "permission denied".into() };
        assert!(trouble.is(Missing::NoInterface));
        assert!(!trouble.is(Missing::NoInterface));
        assert!(trouble.is(denied()));
        assert_eq!(trouble.get(), Some(&denied()));
        assert!(trouble.is_over());
        assert_eq!(trouble.get(), None);
    }
}
