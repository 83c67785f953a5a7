//! From the text of one file to what each router must be.

mod check;
pub mod compile;
pub mod declaration;
pub mod explain;
pub mod hash;
pub mod language;
pub mod lists;
pub mod problem;
pub mod suggest;

pub use declaration::Declaration;
pub use lists::Lists;
pub use problem::{Problem, ProblemKind, Severity};

/// A file in which nothing is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    pub declaration: Declaration,
    /// What somebody should know all the same.
    pub warnings: Vec<Problem>,
}

/// Reads a file and checks it: how it is written, what it means, and what the compiler's
/// arithmetic says of it.
///
/// # Errors
/// All that is wrong, and the warnings beside it, in the order of the file. A list file that it speaks of
/// is missing: see [`check_with`].
pub fn check(text: &str) -> Result<Checked, Vec<Problem>> {
    check_with(text, &Lists::default())
}

/// The same, with the list files that the file speaks of.
///
/// # Errors
/// As [`check`].
pub fn check_with(text: &str, lists: &Lists) -> Result<Checked, Vec<Problem>> {
    let (declaration, mut problems) = declaration::draft(text);
    if let Some(declaration) = &declaration {
        let all_read = problems.is_empty();
        let found = check::meaning(declaration, lists);
        problems.extend(found.problems);
        let fine = problems.iter().all(is_warning);
        if all_read {
            // Of a file in which something else is wrong, only the arithmetic can be trusted.
            let told = |problem: &Problem| fine || is_arithmetic(problem);
            let refusals = compile::refusals(declaration).into_iter().filter(told);
            problems.extend(refusals.filter(|problem| !found.too_large.contains(&problem.span.start)));
        }
    }
    problems.sort_by_key(|problem| (problem.span.start, problem.severity()));
    match declaration {
        Some(declaration) if problems.iter().all(is_warning) => {
            Ok(Checked { declaration, warnings: problems })
        }
        _ => Err(problems),
    }
}

fn is_warning(problem: &Problem) -> bool {
    problem.severity() == Severity::Warning
}

fn is_arithmetic(problem: &Problem) -> bool {
    matches!(problem.kind, ProblemKind::TooManyPackets { .. } | ProblemKind::SegmentTooSmall { .. })
}
