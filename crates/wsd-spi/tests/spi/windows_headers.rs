//! The true headers say the same as the Rust definitions: a C program for Windows prints what the compiler made of them.
//!
//! That the Rust definitions are the same for Windows as they are here the compiler asserts (`ffi`).

use std::collections::BTreeMap;
use std::process::Command;

use wsd_spi::ffi::CONSTANTS;
use wsd_spi::{ExtensionFunction, WsaError};

use crate::headers::{identifier, layouts, printed, program};

/// What runs a Windows program.
const RUNNER: &str = "WSD_WINDOWS_RUNNER";

/// The structures that Windows' headers name otherwise.
const NAMES: &[(&str, &str)] = &[("WS_FD_SET", "fd_set"), ("WS_TIMEVAL", "struct timeval")];

/// Constants of Windows that mingw-w64 (10.0) lacks.
const ABSENT: &[&str] = &["MSG_PUSH_IMMEDIATE"];

/// All values that both sides have, as (expression in C, value in Rust).
fn expected() -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    for layout in layouts() {
        let name =
            NAMES.iter().find(|(ours, _)| *ours == layout.name).map_or(layout.name, |(_, theirs)| theirs);
        all.insert(format!("sizeof({name})"), layout.size as i64);
        for (field, offset) in layout.fields {
            all.insert(format!("offsetof({name}, {field})"), *offset as i64);
        }
    }
    let constants = CONSTANTS.iter().copied().flatten().filter(|constant| !ABSENT.contains(&constant.name));
    all.extend(constants.map(|constant| (constant.name.to_owned(), constant.value)));
    all.extend(WsaError::ALL.iter().map(|(name, error)| ((*name).to_owned(), i64::from(error.code()))));
    all.extend(
        ExtensionFunction::ALL.into_iter().filter(|function| !is_ours(*function)).flat_map(identifier),
    );
    all
}

/// Windows does not know the functions that this project adds.
fn is_ours(function: ExtensionFunction) -> bool {
    function.name().starts_with("Wsd")
}

#[test]
#[ignore = "compiles for Windows, and runs there: cargo xtask windows"]
fn layouts_constants_and_identifiers() {
    let runner = std::env::var_os(RUNNER).expect("cargo xtask windows names what runs Windows programs");
    let expected = expected();
    let includes = "#define _WIN32_WINNT 0x0601\n#define IN\n#define OUT\n#define OPTIONAL\n\
                    #include <winsock2.h>\n#include <ws2tcpip.h>\n#include <mswsock.h>\n#include <ws2spi.h>\n\
                    #include <ddk/ws2san.h>";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, binary) = (folder.path().join("print.c"), folder.path().join("print.exe"));
    std::fs::write(&source, program(includes, expected.keys())).expect("a writable folder");
    let mut compiler = Command::new("x86_64-w64-mingw32-gcc");
    compiler.args(["-std=c99", "-D__USE_MINGW_ANSI_STDIO=1", "-Wall", "-Werror", "-o"]);
    assert!(compiler.arg(&binary).arg(&source).status().expect("a C compiler for Windows").success());
    let output = Command::new(runner).arg(&binary).output().expect("a program").stdout;
    assert_eq!(printed(output), expected);
}
