//! The C headers say the same as the Rust definitions: a C program prints what the compiler made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use wsd_spi::ffi::{CONSTANTS, GUID, LAYOUTS, Layout, TABLE_LAYOUTS, UPCALL_LAYOUTS};
use wsd_spi::{ExtensionFunction, WsaError};

/// Names in the headers that are neither constants of the SPI nor identifiers.
const OTHER_NAMES: &[&str] = &[
    "WSDIRECT_WS2SPI_H",
    "WSDIRECT_WS2SAN_H",
    "WSPAPI",
    "WSAAPI",
    "CALLBACK",
    "INVALID_SOCKET",
    "SOCKET_ERROR",
    "WSA_INVALID_EVENT",
    "TRUE",
    "FALSE",
    "WSAID_TRANSMITFILE",
    "WSAID_ACCEPTEX",
    "WSAID_GETACCEPTEXSOCKADDRS",
];

pub(crate) fn include_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include")
}

pub(crate) fn layouts() -> impl Iterator<Item = &'static Layout> {
    LAYOUTS.iter().chain(TABLE_LAYOUTS).chain(UPCALL_LAYOUTS)
}

/// Name of the identifier of a function, as the headers spell it.
pub(crate) fn guid_name(function: ExtensionFunction) -> String {
    let name = function.name();
    format!("WSAID_{}", name.strip_prefix("WSP").unwrap_or(name).to_uppercase())
}

/// All values that both sides have, as (expression in C, value in Rust).
fn expected() -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    for layout in layouts() {
        all.insert(format!("sizeof({})", layout.name), layout.size as i64);
        for (field, offset) in layout.fields {
            all.insert(format!("offsetof({}, {field})", layout.name), *offset as i64);
        }
    }
    all.extend(
        CONSTANTS.iter().copied().flatten().map(|constant| (constant.c_name.to_owned(), constant.value)),
    );
    all.extend(WsaError::ALL.iter().map(|(name, error)| ((*name).to_owned(), i64::from(error.code()))));
    all.extend(ExtensionFunction::ALL.into_iter().flat_map(identifier));
    all.insert("INVALID_SOCKET".into(), -1);
    all.insert("SOCKET_ERROR".into(), -1);
    all.insert("sizeof(LPVOID)".into(), 8);
    all.insert("sizeof(LONG)".into(), 4);
    all.insert("sizeof(SOCKET)".into(), 8);
    all
}

/// The identifier of a function as memory, as C says it.
pub(crate) fn identifier(function: ExtensionFunction) -> impl Iterator<Item = (String, i64)> {
    words(function.guid())
        .into_iter()
        .enumerate()
        .map(move |(index, word)| (format!("word(&(GUID){}, {index})", guid_name(function)), word))
}

/// A GUID as memory.
fn words(guid: GUID) -> [i64; 2] {
    let mut bytes = Vec::new();
    bytes.extend(guid.Data1.to_ne_bytes());
    bytes.extend(guid.Data2.to_ne_bytes());
    bytes.extend(guid.Data3.to_ne_bytes());
    bytes.extend(guid.Data4);
    let word = |at: usize| i64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    [word(0), word(8)]
}

/// A C program that prints each expression after its value.
pub(crate) fn program<'a>(includes: &str, expressions: impl IntoIterator<Item = &'a String>) -> String {
    let mut program = format!(
        "{includes}\n#include <stddef.h>\n#include <stdio.h>\n#include <string.h>\n\
         static long long word(const GUID *guid, int index) {{\n\
             long long value;\n    memcpy(&value, (const char *)guid + 8 * index, 8);\n    return value;\n}}\n\
         int main(void) {{\n"
    );
    for expression in expressions {
        writeln!(program, "    printf(\"%lld {expression}\\n\", (long long)({expression}));")
            .expect("memory");
    }
    program.push_str("    return 0;\n}\n");
    program
}

/// What such a program printed.
pub(crate) fn printed(output: Vec<u8>) -> BTreeMap<String, i64> {
    String::from_utf8(output)
        .expect("text")
        .lines()
        .map(|line| line.split_once(' ').expect("a value and an expression"))
        .map(|(value, expression)| (expression.to_owned(), value.parse().expect("a number")))
        .collect()
}

#[test]
fn layouts_and_constants() {
    let expected = expected();
    // The system's own headers come first, to show that the names do not collide.
    let includes = "#include <sys/socket.h>\n#include <netinet/tcp.h>\n#include <sys/ioctl.h>\n#include <poll.h>\n\
                    #include <wsdirect/ws2san.h>";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, binary) = (folder.path().join("print.c"), folder.path().join("print"));
    std::fs::write(&source, program(includes, expected.keys())).expect("a writable folder");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-std=c99", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(include_folder());
    let compiled = compiler.arg("-o").arg(&binary).arg(&source).status().expect("a C compiler");
    assert!(compiled.success());
    assert_eq!(printed(Command::new(&binary).output().expect("a program").stdout), expected);
}

/// Nothing is defined in the headers that Rust does not know.
#[test]
fn no_other_names() {
    let mut known: BTreeSet<String> = OTHER_NAMES.iter().map(|name| (*name).to_owned()).collect();
    known.extend(CONSTANTS.iter().copied().flatten().map(|constant| constant.c_name.to_owned()));
    known.extend(WsaError::ALL.iter().map(|(name, _)| (*name).to_owned()));
    known.extend(ExtensionFunction::ALL.map(guid_name));
    for header in ["ws2spi.h", "ws2san.h"] {
        let text = std::fs::read_to_string(include_folder().join("wsdirect").join(header)).expect("a header");
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("#define ") {
                let name = name.split([' ', '(']).next().expect("a name");
                assert!(known.contains(name), "{header}: {name}");
            }
            if let Some(name) = line.strip_prefix("} ").and_then(|line| line.strip_suffix(';')) {
                assert!(layouts().any(|layout| layout.name == name), "{header}: structure {name}");
            }
        }
    }
}
