//! Links the library so that it stays loaded: its threads, and handlers of forks, run on when a program is done with it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
