//! The providers of this process: started from the configuration (SW-020..023), and which of them serves which address
//! (SW-030..034).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use wsd_os::atomic::Ordering;
use wsd_os::fd::{BorrowedFd, borrow};
use wsd_spi::ExtensionFunction;
use wsd_spi::client::{Provider, San, SocketArguments, Tracer};
use wsd_spi::ffi::AF_INET;
use wsd_spi::ffi::WSAPROTOCOL_INFOW;
use wsd_spi::provider::Entry;

use crate::config::{Config, ProviderEntry};
use crate::trace::{self, ProviderTracer};
use crate::upcalls::UpCalls;

/// SPI version 2.2.
const VERSION: u16 = 0x0202;

/// A provider that is linked into the program.
#[derive(Clone, Copy)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// Its WSPStartupEx.
    pub entry: Entry,
}

/// What the front end and the environment settled at start.
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) built_in: Vec<BuiltIn>,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// Keeps the settings for the first attach.
pub(crate) fn settle(settings: Settings) {
    let _ = SETTINGS.set(settings);
}

/// Whether any provider is configured.
pub(crate) fn any() -> bool {
    SETTINGS.get().is_some_and(|settings| !settings.config.providers.is_empty())
}

/// One provider as `wsdirect providers` shows it.
#[derive(Clone, Debug)]
pub struct Description {
    /// Name in the configuration.
    pub name: String,
    /// Library; none: built in.
    pub library: Option<String>,
    /// What it says of itself.
    pub description: String,
    /// Addresses that it serves now.
    pub addresses: Vec<String>,
    /// Optional functions that it has.
    pub extensions: Vec<&'static str>,
    /// Why it is not used.
    pub problem: Option<String>,
}

/// A started provider.
pub(crate) struct Started {
    pub(crate) name: String,
    pub(crate) san: San,
    addresses: Vec<IpAddr>,
}

/// All started providers.
pub(crate) struct Providers {
    list: Vec<Started>,
    pub(crate) upcalls: Arc<UpCalls>,
}

impl Providers {
    /// Starts what is configured; what fails is left out (SW-023).
    pub(crate) fn start() -> Self {
        let upcalls = Arc::new(UpCalls::default());
        let mut list = Vec::new();
        for entry in SETTINGS.get().into_iter().flat_map(|settings| &settings.config.providers) {
            match start(entry, built_in(), upcalls.clone()) {
                Ok(started) => list.push(started),
                Err(problem) => trace::note(format_args!("provider {} is not used: {problem}", entry.name)),
            }
        }
        publish_names(&list);
        Self { list, upcalls }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn get(&self, number: usize) -> Option<&Started> {
        self.list.get(number)
    }

    /// The first provider in the list that serves the local address and can reach the peer's: on one host, serves it too.
    pub(crate) fn for_addresses(&self, local: SocketAddr, peer: SocketAddr) -> Option<usize> {
        let (local, peer) = (local.ip().to_canonical(), peer.ip().to_canonical());
        self.list.iter().position(|started| serves(started, local) && serves(started, peer))
    }

    /// Descriptors that say "progress has something to do".
    pub(crate) fn armed(&self) -> impl Iterator<Item = (usize, BorrowedFd<'static>)> + '_ {
        self.list.iter().enumerate().filter_map(|(number, started)| {
            let fd = started.san.arm().ok()?;
            Some((number, borrow(fd)))
        })
    }

    pub(crate) fn progress(&self, number: usize) {
        if let Some(started) = self.list.get(number) {
            let _ = started.san.progress();
        }
    }

    /// Mappings of memory that was registered are about to change (SW-211).
    pub(crate) fn memory_is_changing(&self, ranges: &[(usize, usize)]) {
        for started in &self.list {
            for (address, length) in ranges {
                // A provider that knows nothing of the range says so.
                let _ = started.san.memory_is_changing(*address, *length);
            }
        }
    }

    /// After an address change (SW-031).
    pub(crate) fn refresh_addresses(&mut self) {
        for started in &mut self.list {
            if let Ok(addresses) = addresses(&started.san) {
                started.addresses = addresses;
            }
        }
    }
}

/// Lets an inspector know which provider a number is.
fn publish_names(list: &[Started]) {
    let Some(family) = crate::family::get() else { return };
    for (place, started) in family.header.providers.iter().zip(list) {
        for (byte, value) in place.iter().zip(started.name.bytes()) {
            byte.store(value, Ordering::Relaxed);
        }
    }
}

fn built_in() -> HashMap<&'static str, Entry> {
    SETTINGS
        .get()
        .into_iter()
        .flat_map(|settings| &settings.built_in)
        .map(|built_in| (built_in.name, built_in.entry))
        .collect()
}

/// The whole of 127.0.0.0/8 is local when any of it is.
fn serves(started: &Started, address: IpAddr) -> bool {
    started.addresses.iter().any(|own| {
        *own == address || (own.is_loopback() && address.is_loopback() && own.is_ipv4() == address.is_ipv4())
    })
}

fn start(
    entry: &ProviderEntry,
    built_in: HashMap<&'static str, Entry>,
    upcalls: Arc<UpCalls>,
) -> Result<Started, String> {
    let provider = match &entry.library {
        Some(path) => Provider::load(path).map_err(|error| error.to_string())?,
        None => {
            let known = built_in.get(entry.name.as_str());
            let known = known.ok_or("no built-in provider has this name; give its `library`")?;
            Provider::builtin(&entry.name, *known)
        }
    };
    let tracer =
        trace::enabled().then(|| Arc::new(ProviderTracer { name: entry.name.clone() }) as Arc<dyn Tracer>);
    let info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
    let san = provider.startup(VERSION, &info, upcalls, tracer).map_err(|error| error.to_string())?;
    let addresses = addresses(&san).map_err(|error| format!("its addresses cannot be asked for: {error}"))?;
    Ok(Started { name: entry.name.clone(), san, addresses })
}

/// The probe socket and its address list (SW-020).
fn addresses(san: &San) -> Result<Vec<IpAddr>, wsd_spi::WsaError> {
    let probe = san.socket(&SocketArguments::tcp(AF_INET))?;
    let list = probe.address_list()?;
    Ok(list.into_iter().map(|address| address.socket_addr().ip().to_canonical()).collect())
}

/// Starts each configured provider for a moment and tells what it is.
pub fn describe(config: &Config, built_in: &[BuiltIn]) -> Vec<Description> {
    let known: HashMap<_, _> = built_in.iter().map(|built_in| (built_in.name, built_in.entry)).collect();
    let upcalls = Arc::new(UpCalls::default());
    config
        .providers
        .iter()
        .map(|entry| {
            let library = entry.library.as_ref().map(|path| path.display().to_string());
            let empty = Description {
                name: entry.name.clone(),
                library,
                description: String::new(),
                addresses: Vec::new(),
                extensions: Vec::new(),
                problem: None,
            };
            match start(entry, known.clone(), upcalls.clone()) {
                Ok(started) => Description {
                    description: started.san.description(),
                    addresses: started.addresses.iter().map(ToString::to_string).collect(),
                    extensions: ExtensionFunction::ALL
                        .into_iter()
                        .filter(|function| started.san.has(*function))
                        .map(ExtensionFunction::name)
                        .collect(),
                    ..empty
                },
                Err(problem) => Description { problem: Some(problem), ..empty },
            }
        })
        .collect()
}
