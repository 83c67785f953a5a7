//! From the text of one file to what each router must be.

pub mod check;
pub mod compile;
pub mod declaration;
pub mod explain;
pub mod hash;
pub mod problem;
mod suggest;

pub use check::{Checked, check};
pub use declaration::Declaration;
pub use problem::{Problem, ProblemKind, Severity};
