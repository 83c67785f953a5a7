//! What a file means, as far as it can be wrong: everything at once.

use crate::declaration::{self, Declaration};
use crate::problem::{Problem, Severity};

/// A file in which nothing is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    pub declaration: Declaration,
    /// What somebody should know all the same.
    pub warnings: Vec<Problem>,
}

/// Reads a file and checks it.
///
/// # Errors
/// All that is wrong, and the warnings beside it, in the order of the file.
pub fn check(text: &str) -> Result<Checked, Vec<Problem>> {
    let (declaration, problems) = declaration::parse(text);
    match declaration {
        Some(declaration) if problems.iter().all(|problem| problem.severity() == Severity::Warning) => {
            Ok(Checked { declaration, warnings: problems })
        }
        _ => Err(problems),
    }
}
