//! `wsdirect install` and `wsdirect uninstall`: what Windows itself knows of the built-in provider.

use std::io;
use std::path::PathBuf;

use wsd_os::catalogue::Provider;

use crate::output;

const LIBRARY: &str = "wsd_shm.dll";
/// For ever, since machines remember it.
const ID: u128 = 0x6d1f2b0e_8c5a_4e57_9b1d_3f0c7a2e5d41;
const NAME: &str = "wsdirect shared memory";

pub(crate) fn install() -> Result<(), Error> {
    let library = library()?;
    if !library.is_file() {
        return Err(Error::Missing(library));
    }
    Provider { id: ID, name: NAME, library: &library }.install().map_err(Error::Install)?;
    Ok(output::print(&format!("Installed {}", library.display()))?)
}

pub(crate) fn uninstall() -> Result<(), Error> {
    Provider { id: ID, name: NAME, library: &library()? }.uninstall().map_err(Error::Uninstall)?;
    Ok(output::print("Uninstalled")?)
}

fn library() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(LIBRARY))
}

/// Why the machine is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot find {}; put it there", .0.display())]
    Missing(PathBuf),
    #[error("cannot install the provider: {0}; an administrator can, if it is not installed yet")]
    Install(io::Error),
    #[error("cannot uninstall the provider as a whole: {0}; an administrator can, if it is installed")]
    Uninstall(io::Error),
    #[error("cannot find or print something: {0}")]
    Io(#[from] io::Error),
}
