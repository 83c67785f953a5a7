//! What is wrong with one thing at the moment, so that the log says it once and not each time that
//! it is tried again.

/// `None`: nothing is.
#[derive(Debug, Default)]
pub struct Trouble(Option<String>);

impl Trouble {
    /// Notes what is wrong. True if that is news.
    pub fn is(&mut self, what: &str) -> bool {
        let news = self.0.as_deref() != Some(what);
        if news {
            self.0 = Some(what.into());
        }
        news
    }

    /// Notes that nothing is wrong. True if something was.
    pub fn is_over(&mut self) -> bool {
        self.0.take().is_some()
    }

    pub fn words(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_news() {
        let mut trouble = Trouble::default();
        assert!(!trouble.is_over());
        assert!(trouble.is("no such device"));
        assert!(!trouble.is("no such device"));
        assert!(trouble.is("permission denied"));
        assert_eq!(trouble.words(), Some("permission denied"));
        assert!(trouble.is_over());
        assert_eq!(trouble.words(), None);
    }
}
