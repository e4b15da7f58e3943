//! A new rule file must be noticed by an incremental build: `automod` reads the folders only when the crate is
//! compiled anew, so cargo has to be told that the folders themselves are inputs.

#[expect(clippy::print_stdout, reason = "a build script speaks to cargo through stdout")]
fn main() {
    println!("cargo::rerun-if-changed=src/rules");
    println!("cargo::rerun-if-changed=build.rs");
}
