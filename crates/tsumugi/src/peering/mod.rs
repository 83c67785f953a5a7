//! (its work is under way)
