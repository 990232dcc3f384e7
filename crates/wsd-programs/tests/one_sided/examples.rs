//! The examples, in C and in Rust, with themselves and with each other.

use std::path::{Path, PathBuf};
use std::process::Command;

use wsd_programs::{Program, Scene, Sides};

/// Compiles the one in C as its users would.
fn in_c(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = folder.join("table");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-I"]);
    compiler.arg(root.join("include")).arg("-o").arg(&program).arg(root.join("examples/one-sided/table.c"));
    assert!(compiler.status().expect("a C compiler is installed").success());
    program
}

fn in_rust() -> PathBuf {
    env!("CARGO_BIN_EXE_wsd-table").into()
}

/// What the owner and the user of a table print, after the port.
fn run(scene: &Scene, owner: &Path, user: &Path) -> [String; 2] {
    let address = scene.address().to_string();
    let mut owner = scene.server(&Program::at(owner).args(["own", &address, "0"]).piped());
    let port = owner.hear();
    let port = port.strip_prefix("port ").expect("the port").to_owned();
    let mut user = scene.client(&Program::at(user).args(["use", &address, &port]).piped());
    [owner.hear(), user.hear()]
}

#[test]
fn every_language_with_every_other() {
    let scene = Scene::new(Sides::Both);
    let programs = [in_c(scene.folder()), in_rust()];
    for owner in &programs {
        for user in &programs {
            let printed = run(&scene, owner, user);
            let expected = ["the peer has written 64 rows", "64 rows written and read back"];
            assert_eq!(printed, expected, "{owner:?} {user:?}");
        }
    }
}

/// On TCP both say so: the one that runs under wsdirect names the reason. It does not wait for a peer that has gone.
#[test]
fn on_tcp() {
    let scene = Scene::new(Sides::Server);
    for program in [in_c(scene.folder()), in_rust()] {
        let [owner, user] = run(&scene, &program, &program);
        assert!(owner.starts_with("no one-sided access: the connection is on TCP: "), "{owner}");
        assert_eq!(user, "no one-sided access: the program does not run under wsdirect");
    }
}
