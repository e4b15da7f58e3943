//! A new rule file must be noticed by an incremental build: `automod` reads the folders only when the crate is
//! compiled anew, so cargo has to be told that the folders themselves are inputs.

fn main() {
    println!("cargo::rerun-if-changed=src/rules");
    println!("cargo::rerun-if-changed=build.rs");
}
