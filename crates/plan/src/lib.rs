//! From the text of one file to what each router must be.

pub mod hash;
