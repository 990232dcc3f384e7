//! Programs in C, compiled against the headers, with the library loaded by the linker.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder with `libwsd_wsp.so`: where this test program is, or above it.
fn library_folder() -> PathBuf {
    let program = std::env::current_exe().expect("this program");
    let found = program.ancestors().find(|folder| folder.join("libwsd_wsp.so").exists());
    found.expect("the library is built with its tests").to_owned()
}

/// Compiles a program, to be run.
fn compile(sources: &[PathBuf], program: &Path) -> impl Fn() -> Command + use<> {
    let library = library_folder();
    let status = Command::new("cc")
        .args(["-std=c99", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"])
        .arg(root().join("include"))
        .arg("-I")
        .arg(root().join("examples/spi-echo"))
        .args(sources)
        .arg("-L")
        .arg(&library)
        .args(["-lwsd_wsp", "-o"])
        .arg(program)
        .status()
        .expect("a C compiler");
    assert!(status.success());
    let program = program.to_owned();
    move || {
        let mut command = Command::new(&program);
        // Not what an earlier build has left elsewhere.
        command.env("LD_LIBRARY_PATH", &library);
        command
    }
}

/// A program in C meets every kind of function once.
#[test]
fn tour_in_c() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("tour");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wsp/tour.c");
    let run = compile(&[own, root().join("examples/spi-echo/ws2_32.c")], &program);
    let output = run().output().expect("a program");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
    assert!(output.status.success());
}

/// The example: two processes, one connection.
#[test]
fn spi_echo() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("spi-echo");
    let sources = ["spi-echo.c", "ws2_32.c"].map(|name| root().join("examples/spi-echo").join(name));
    let run = compile(&sources, &program);
    let mut server = run().args(["serve", "0", "1"]).stdout(Stdio::piped()).spawn().expect("a program");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("text");
    let port = line.trim().strip_prefix("port ").expect("its port");
    let client = run().args(["ask", port, "hello"]).output().expect("a program");
    assert_eq!(String::from_utf8_lossy(&client.stdout), "hello\n");
    assert!(client.status.success());
    assert!(server.wait().expect("a child").success());
}
