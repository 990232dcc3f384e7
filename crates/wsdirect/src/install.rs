//! `wsdirect install` and `wsdirect uninstall`: what Windows itself knows of the built-in provider, and of the switch.

use std::io;
use std::path::{Path, PathBuf};

use wsd_os::catalogue::{Provider, install_layer, uninstall_layer};

use crate::output;

const LIBRARY: &str = "wsd_shm.dll";
const SWITCH: &str = "wsd_winsock.dll";
/// For ever, since machines remember it.
const ID: u128 = 0x6d1f2b0e_8c5a_4e57_9b1d_3f0c7a2e5d41;
const NAME: &str = "wsdirect shared memory";

/// `layered`: the switch as well, which every program has from then on.
pub(crate) fn install(layered: bool) -> Result<(), Error> {
    let (library, switch) = (beside(LIBRARY)?, beside(SWITCH)?);
    let needed = [Some(&library), layered.then_some(&switch)];
    if let Some(missing) = needed.into_iter().flatten().find(|path| !path.is_file()) {
        return Err(Error::Missing(missing.clone()));
    }
    if layered && !is_protected(&switch)? {
        return Err(Error::Unprotected(switch));
    }
    let provider = Provider { id: ID, name: NAME, library: &library };
    provider.install().map_err(Error::Install)?;
    if layered {
        install_layer(&switch).map_err(|error| {
            // The first error is the one to tell.
            let _ = provider.uninstall();
            Error::Layer(error)
        })?;
        output::print(&format!("Installed {}, before all programs", switch.display()))?;
    }
    Ok(output::print(&format!("Installed {}", library.display()))?)
}

/// The switch first, if it is there.
pub(crate) fn uninstall() -> Result<(), Error> {
    let layer = uninstall_layer();
    let provider = Provider { id: ID, name: NAME, library: &beside(LIBRARY)? }.uninstall();
    layer.map_err(Error::LayerStays)?;
    provider.map_err(Error::Uninstall)?;
    Ok(output::print("Uninstalled")?)
}

/// Whether it is where, as Windows is set up, everybody can read and only administrators can write: all programs are to load it, those of
/// the system too.
fn is_protected(library: &Path) -> io::Result<bool> {
    let library = library.canonicalize()?;
    let roots = ["ProgramFiles", "SystemRoot"].into_iter().filter_map(std::env::var_os);
    Ok(roots.filter_map(|root| Path::new(&root).canonicalize().ok()).any(|root| library.starts_with(root)))
}

fn beside(library: &str) -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(library))
}

/// Why the machine is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot find {}; put it there", .0.display())]
    Missing(PathBuf),
    #[error("{} would be loaded by every program; move all files of wsdirect to a folder below Program Files", .0.display())]
    Unprotected(PathBuf),
    #[error("cannot install the provider: {0}; an administrator can, if it is not installed yet")]
    Install(io::Error),
    #[error("cannot uninstall the provider as a whole: {0}; an administrator can, if it is installed")]
    Uninstall(io::Error),
    #[error(
        "cannot enter the switch: {0}; all is taken back, as far as possible: `wsdirect uninstall` tries again"
    )]
    Layer(io::Error),
    #[error(
        "cannot take the switch out of Winsock's catalogue: {0}; try again as an administrator, or `netsh winsock reset`"
    )]
    LayerStays(io::Error),
    #[error("cannot find or print something: {0}")]
    Io(#[from] io::Error),
}
