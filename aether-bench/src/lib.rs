//! Measurements of Aether itself: the criterion benches of the linter live beside this file.
