//! What was built for these tests.

use std::path::{Path, PathBuf};

/// The built command: the one that `WSDIRECT_BIN` names, or the release build of this workspace.
pub fn wsdirect() -> PathBuf {
    let built = || {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
        workspace.join(target).join("release/wsdirect")
    };
    existing(std::env::var_os("WSDIRECT_BIN").map_or_else(built, PathBuf::from))
}

/// The faulty provider beside the command.
pub fn provider(command: &Path) -> PathBuf {
    existing(command.with_file_name("libwsd_shm.so"));
    existing(command.with_file_name("libwsd_faulty.so"))
}

fn existing(path: PathBuf) -> PathBuf {
    let how = "cargo build --release -p wsdirect -p wsd-posix -p wsd-shm -p wsd-faulty";
    assert!(path.is_file(), "no {}: `{how}` builds it", path.display());
    path.canonicalize().expect("it exists")
}
