//! The providers of this process: started from the configuration (SW-020..023), and which of them serves which address
//! (SW-030..034).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use wsd_os::atomic::Ordering;
use wsd_os::fd::{BorrowedFd, borrow};
use wsd_os::net::{interface_addresses, same_network};
use wsd_spi::ExtensionFunction;
use wsd_spi::client::{Provider, San, SocketArguments, Tracer};
use wsd_spi::ffi::AF_INET;
use wsd_spi::ffi::WSAPROTOCOL_INFOW;
use wsd_spi::provider::Entry;

use crate::config::{Config, Connect, ProviderEntry};
use crate::networks;
use crate::trace::{self, ProviderTracer};
use crate::upcalls::UpCalls;
use crate::wait::spin;

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
    spin::settle(settings.config.spin);
    let _ = SETTINGS.set(settings);
}

/// Whether connections are made by the SAN first.
pub(crate) fn connects_san_first() -> bool {
    SETTINGS.get().is_some_and(|settings| settings.config.connect == Connect::SanFirst)
}

/// Whether rings may lie in memory that both ends map.
pub(crate) fn maps() -> bool {
    SETTINGS.get().is_some_and(|settings| settings.config.map)
}

/// Whether the configuration names networks, and there is a provider to reach them.
pub(crate) fn names_networks() -> bool {
    any() && SETTINGS.get().is_some_and(|settings| !settings.config.networks.is_empty())
}

/// Whether the configuration names a network of this address.
pub(crate) fn names_network_of(address: IpAddr) -> bool {
    let names =
        |settings: &Settings| settings.config.networks.iter().any(|network| network.contains(address));
    SETTINGS.get().is_some_and(names)
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
    /// Networks of these addresses; the masks are TCP's (SW-030).
    subnets: Vec<(IpAddr, u8)>,
    /// Whether it is asked for progress; otherwise it has a thread of its own.
    armed: bool,
}

/// All started providers.
pub(crate) struct Providers {
    list: Vec<Started>,
    pub(crate) upcalls: Arc<UpCalls>,
}

impl Providers {
    /// Starts what is configured; what fails is left out (SW-023).
    pub(crate) fn start() -> Self {
        let configured = SETTINGS.get().into_iter().flat_map(|settings| &settings.config.providers);
        Self::of(configured, &built_in())
    }

    fn of<'a>(
        configured: impl Iterator<Item = &'a ProviderEntry>,
        built_in: &HashMap<&'static str, Entry>,
    ) -> Self {
        let upcalls = Arc::new(UpCalls::default());
        let mut list = Vec::new();
        for entry in configured {
            match start(entry, built_in, upcalls.clone()) {
                Ok(started) => list.push(started),
                Err(problem) => trace::note(format_args!("provider {} is not used: {problem}", entry.name)),
            }
        }
        publish_names(&list);
        let providers = Self { list, upcalls };
        providers.publish_networks();
        providers
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The provider whose name is the right one.
    pub(crate) fn named(&self, right: impl Fn(&str) -> bool) -> Option<usize> {
        self.list.iter().position(|started| right(&started.name))
    }

    /// The name of a provider.
    pub(crate) fn name(&self, number: usize) -> Option<&str> {
        self.list.get(number).map(|started| started.name.as_str())
    }

    pub(crate) fn get(&self, number: usize) -> Option<&Started> {
        self.list.get(number)
    }

    /// The first provider in the list that serves the local address and can reach the peer's: on one host, serves it too.
    pub(crate) fn for_addresses(&self, local: SocketAddr, peer: SocketAddr) -> Option<usize> {
        let (local, peer) = (local.ip().to_canonical(), peer.ip().to_canonical());
        self.list.iter().position(|started| serves(started, local) && serves(started, peer))
    }

    /// The first provider in the list that serves the local address and reaches hosts of the peer's network.
    pub(crate) fn between_hosts(&self, local: SocketAddr, peer: SocketAddr) -> Option<usize> {
        let (local, peer) = (local.ip().to_canonical(), peer.ip().to_canonical());
        let named = names_network_of(peer);
        self.list.iter().position(|started| {
            started.reaches_hosts() && serves(started, local) && (named || started.is_near(peer))
        })
    }

    /// The first provider in the list with a NIC of the address `local` on whose network `peer` is (SW-060, SW-034).
    pub(crate) fn for_destination(&self, local: IpAddr, peer: IpAddr) -> Option<usize> {
        let (local, peer) = (local.to_canonical(), peer.to_canonical());
        self.list.iter().position(|started| serves(started, local) && started.is_near(peer))
    }

    /// The providers that a listener at `local` gets a companion of: of one with that address, or of every one for the
    /// wildcard (SW-081).
    pub(crate) fn for_listener(&self, local: IpAddr) -> Vec<usize> {
        let local = local.to_canonical();
        if local.is_unspecified() {
            return (0..self.list.len()).collect();
        }
        self.list.iter().position(|started| serves(started, local)).into_iter().collect()
    }

    /// What a provider says that its NICs' addresses are.
    pub(crate) fn addresses(&self, number: usize) -> &[IpAddr] {
        self.list.get(number).map_or(&[], |started| &started.addresses)
    }

    /// For the first time: descriptors that say "progress has something to do".
    pub(crate) fn arm(&mut self) -> Vec<BorrowedFd<'static>> {
        let arm = |started: &mut Started| {
            let fd = started.san.arm().ok()?;
            started.armed = true;
            Some(borrow(fd))
        };
        self.list.iter_mut().filter_map(arm).collect()
    }

    /// Before a sleep: whether these descriptors tell what comes from now on.
    pub(crate) fn rearm(&self) -> bool {
        let mut all = true;
        for started in self.list.iter().filter(|started| started.armed) {
            all &= started.san.arm().is_ok();
        }
        all
    }

    /// Lets all providers do what is to do.
    pub(crate) fn progress(&self) {
        for started in self.list.iter().filter(|started| started.armed) {
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
                started.subnets = subnets(&addresses);
                started.addresses = addresses;
            }
        }
        self.publish_networks();
    }

    fn publish_networks(&self) {
        let reaching = self.list.iter().filter(|started| started.reaches_hosts());
        networks::served(reaching.flat_map(|started| started.subnets.iter().copied()));
    }
}

impl Started {
    /// Whether the provider reaches other hosts: one that maps a peer's memory is on the same host as the peer.
    fn reaches_hosts(&self) -> bool {
        !self.san.has(ExtensionFunction::Map)
    }

    /// Whether one of its NICs is on the network of the address.
    fn is_near(&self, peer: IpAddr) -> bool {
        self.subnets.iter().any(|(own, prefix_len)| same_network(*own, peer, *prefix_len))
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
    built_in: &HashMap<&'static str, Entry>,
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
    let subnets = subnets(&addresses);
    Ok(Started { name: entry.name.clone(), san, addresses, subnets, armed: false })
}

/// The networks of a provider's addresses, as TCP has them. Unknown to TCP: that address alone.
fn subnets(addresses: &[IpAddr]) -> Vec<(IpAddr, u8)> {
    let known = interface_addresses().unwrap_or_default();
    let mask = |address: IpAddr| {
        let found = known.iter().find(|entry| entry.address.to_canonical() == address);
        found.map_or(if address.is_ipv4() { 32 } else { 128 }, |entry| entry.prefix_len)
    };
    addresses.iter().map(|address| (*address, mask(*address))).collect()
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
            match start(entry, &known, upcalls.clone()) {
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

#[cfg(test)]
mod tests;
