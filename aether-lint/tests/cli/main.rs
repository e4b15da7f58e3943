//! The command as its users meet it: the built program, real files, exit codes, both streams.
//!
//! Every test has a folder of its own, with a `.git` in it so that nothing above it counts.

mod bad_input;
mod configuration;
mod discovery;
mod documentation;
mod information;
#[cfg(unix)]
mod measure;
mod options;
mod output;
mod project;
mod third_party;
