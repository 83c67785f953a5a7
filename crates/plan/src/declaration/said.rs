//! A value together with where in the file it was said.

use std::fmt;
use std::ops::{Deref, Range};

/// A value of the file. It derefs to the value; two are equal if their values are.
#[derive(Clone)]
pub struct Said<T> {
    value: T,
    /// Bytes of the file.
    span: Range<usize>,
    comment: Option<Box<Comment>>,
    sound: bool,
}

/// What people wrote beside a value: `fmt` keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comment {
    /// The lines above, without line ends, each beginning with `#`; an empty one is an empty line
    /// between two of them.
    pub above: Vec<String>,
    /// At the end of the same line.
    pub beside: Option<String>,
}

impl<T> Said<T> {
    pub fn new(value: T, span: Range<usize>) -> Said<T> {
        Said { value, span, comment: None, sound: true }
    }

    /// Stands for a value that could not be read; the problem has been told. Checks look only at
    /// what is sound, so that one mistake is told once.
    pub(crate) fn unsound(placeholder: T, span: Range<usize>) -> Said<T> {
        Said { value: placeholder, span, comment: None, sound: false }
    }

    pub(crate) fn with_comment(mut self, comment: Option<Box<Comment>>) -> Said<T> {
        self.comment = comment;
        self
    }

    /// Another value said at the same place.
    pub(crate) fn with<U>(self, value: U) -> Said<U> {
        Said { value, span: self.span, comment: self.comment, sound: self.sound }
    }

    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub fn comment(&self) -> Option<&Comment> {
        self.comment.as_deref()
    }

    pub fn get(&self) -> &T {
        &self.value
    }

    /// The value, if it could be read.
    pub fn sound(&self) -> Option<&T> {
        self.sound.then_some(&self.value)
    }
}

/// For declarations that are made by programs: said nowhere.
impl<T> From<T> for Said<T> {
    fn from(value: T) -> Said<T> {
        Said::new(value, 0..0)
    }
}

impl<T> Deref for Said<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Said<T> {
    fn eq(&self, other: &Said<T>) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Said<T> {}

impl<T: fmt::Debug> fmt::Debug for Said<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Said<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
