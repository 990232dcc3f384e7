//! Providers as Windows knows them: entries of Winsock's catalogue, and the list of those that a switch may use.

mod layer;

use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::Path;

use windows_sys::Win32::Networking::WinSock as ws;
use windows_sys::Win32::System::Registry::{
    HKEY_LOCAL_MACHINE, REG_BINARY, RegDeleteKeyValueW, RegSetKeyValueW,
};
use windows_sys::core::GUID;

pub use layer::{Obstacle, below};

/// The list (SW-012).
const LIST: &str = r"System\CurrentControlSet\Services\Winsock\Parameters\TCP on SAN";

/// A provider of the interface's extended part.
#[derive(Clone, Copy, Debug)]
pub struct Provider<'a> {
    /// Its identity.
    pub id: u128,
    /// What people call it.
    pub name: &'a str,
    /// Its library, by its full path.
    pub library: &'a Path,
}

impl Provider<'_> {
    /// Enters it into the catalogue, hidden from programs, then into the list (SW-011, SW-012).
    ///
    /// # Errors
    /// As WSCInstallProvider and RegSetKeyValue; nothing is changed then. Both need an administrator.
    pub fn install(&self) -> io::Result<()> {
        enter(self.library, &self.info())?;
        self.enlist().inspect_err(|_| {
            // The first error is the one to tell.
            let _ = withdraw(&self.guid());
        })
    }

    /// Takes it out of the list, then out of the catalogue.
    ///
    /// # Errors
    /// As RegDeleteKeyValue and WSCDeinstallProvider; both are tried.
    pub fn uninstall(&self) -> io::Result<()> {
        let unlisted = self.unlist();
        withdraw(&self.guid()).and(unlisted)
    }

    fn enlist(&self) -> io::Result<()> {
        let (list, name, id) = (wide(LIST), wide(self.value()), self.guid());
        let (bytes, length) = ((&raw const id).cast(), size_of::<GUID>() as u32);
        // SAFETY: names that end with zeros; exactly the identity is read, as it is in memory.
        let code = unsafe {
            RegSetKeyValueW(HKEY_LOCAL_MACHINE, list.as_ptr(), name.as_ptr(), REG_BINARY, bytes, length)
        };
        outcome(code)
    }

    fn unlist(&self) -> io::Result<()> {
        let (list, name) = (wide(LIST), wide(self.value()));
        // SAFETY: names that end with zeros.
        outcome(unsafe { RegDeleteKeyValueW(HKEY_LOCAL_MACHINE, list.as_ptr(), name.as_ptr()) })
    }

    fn guid(&self) -> GUID {
        GUID::from_u128(self.id)
    }

    /// The name of its value in the list, which is free: the text of its identity.
    fn value(&self) -> String {
        let GUID { data1, data2, data3, data4 } = self.guid();
        let [a, b, rest @ ..] = data4;
        let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{{{data1:08x}-{data2:04x}-{data3:04x}-{a:02x}{b:02x}-{rest}}}")
    }

    /// Messages, whole and in order, between addresses of TCP's family (SP-024).
    fn info(&self) -> ws::WSAPROTOCOL_INFOW {
        let mut info = ws::WSAPROTOCOL_INFOW {
            dwServiceFlags1: ws::XP1_GUARANTEED_DELIVERY
                | ws::XP1_GUARANTEED_ORDER
                | ws::XP1_MESSAGE_ORIENTED
                | ws::XP1_GRACEFUL_CLOSE,
            dwProviderFlags: ws::PFL_HIDDEN,
            ProviderId: self.guid(),
            iVersion: 2,
            iAddressFamily: ws::AF_INET.into(),
            iMaxSockAddr: size_of::<ws::SOCKADDR_IN>() as i32,
            iMinSockAddr: size_of::<ws::SOCKADDR_IN>() as i32,
            iSocketType: ws::SOCK_STREAM,
            iProtocol: ws::IPPROTO_TCP,
            dwMessageSize: u32::MAX,
            szProtocol: layer::wide_name(self.name),
            ..Default::default()
        };
        info.ProtocolChain.ChainLen = 1;
        info
    }
}

/// Enters the switch, which is in the library at that full path, as a layer on top of TCP, before everything else (SW-010). A
/// process that makes its first socket from now on has it.
///
/// # Errors
/// [`Obstacle`]; else as WSCInstallProvider and WSCWriteProviderOrder. What was entered is taken back then. All of it needs an
/// administrator.
pub fn install_layer(library: &Path) -> io::Result<()> {
    let bases = layer::bases(&entries()?).map_err(io::Error::other)?;
    enter_layer(library, &bases).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = uninstall_layer();
    })
}

fn enter_layer(library: &Path, bases: &[ws::WSAPROTOCOL_INFOW]) -> io::Result<()> {
    enter(library, &layer::own_entry(&bases[0]))?;
    let chains = layer::chains(&entries()?, bases).map_err(io::Error::other)?;
    chains.iter().try_for_each(|chain| enter(library, chain))?;
    let mut order = layer::order(&entries()?, chains.len()).map_err(io::Error::other)?;
    // SAFETY: as many numbers as there are.
    let error = unsafe { ws::WSCWriteProviderOrder(order.as_mut_ptr(), order.len() as u32) };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// Takes the switch out of the catalogue, chains first, if it is there, or a part of it.
///
/// # Errors
/// As WSCDeinstallProvider; the rest is taken out all the same.
pub fn uninstall_layer() -> io::Result<()> {
    let present: Vec<_> = entries()?.into_iter().filter(layer::is_ours).collect();
    let mut outcome = Ok(());
    for id in layer::identities() {
        if present.iter().any(|entry| layer::same(&entry.ProviderId, &id))
            && let Err(error) = withdraw(&id)
        {
            outcome = outcome.and(Err(error));
        }
    }
    outcome
}

/// All entries of the catalogue, in their order.
///
/// # Errors
/// As WSCEnumProtocols.
pub fn entries() -> io::Result<Vec<ws::WSAPROTOCOL_INFOW>> {
    let mut entries: Vec<ws::WSAPROTOCOL_INFOW> = Vec::new();
    loop {
        let (mut error, mut bytes) = (0, size_of_val(&entries[..]) as u32);
        let (place, count) = (entries.as_mut_ptr(), &raw mut bytes);
        // SAFETY: room for that many bytes; local variables.
        let found = unsafe { ws::WSCEnumProtocols(core::ptr::null(), place, count, &raw mut error) };
        match usize::try_from(found) {
            Ok(found) => {
                entries.truncate(found);
                return Ok(entries);
            }
            // The catalogue may grow while it is read.
            Err(_) if error == ws::WSAENOBUFS && bytes as usize > size_of_val(&entries[..]) => {
                let needed = (bytes as usize).div_ceil(size_of::<ws::WSAPROTOCOL_INFOW>());
                entries.resize(needed, ws::WSAPROTOCOL_INFOW::default());
            }
            Err(_) => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

fn enter(library: &Path, entry: &ws::WSAPROTOCOL_INFOW) -> io::Result<()> {
    let (library, mut error) = (wide(library.as_os_str()), 0);
    // SAFETY: a path that ends with a zero, one entry, and a local variable.
    let failed = unsafe {
        ws::WSCInstallProvider(&raw const entry.ProviderId, library.as_ptr(), entry, 1, &raw mut error)
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

fn withdraw(id: &GUID) -> io::Result<()> {
    let mut error = 0;
    // SAFETY: local variables.
    let failed = unsafe { ws::WSCDeinstallProvider(id, &raw mut error) };
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

fn outcome(code: u32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code.cast_signed())) }
}

fn wide(text: impl AsRef<std::ffi::OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_is_a_hidden_base_provider() {
        let library = Path::new(r"C:\a.dll");
        let provider = Provider { id: 0x00112233_4455_6677_8899_aabbccddeeff, name: "any", library };
        let info = provider.info();
        assert_eq!((info.ProtocolChain.ChainLen, info.dwProviderFlags), (1, 0x4));
        assert_eq!((info.dwServiceFlags1, info.iMaxSockAddr, info.dwMessageSize), (0x2e, 16, u32::MAX));
        assert_eq!(info.szProtocol[..4], [97, 110, 121, 0]);
        assert_eq!(provider.value(), "{00112233-4455-6677-8899-aabbccddeeff}");
    }
}
