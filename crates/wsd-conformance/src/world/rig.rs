//! Everything that one check has: the provider, the two ends, free addresses.

use std::cell::{OnceCell, RefCell};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wsd_spi::SockAddr;
use wsd_spi::client::UpCallTable;
use wsd_spi::ffi::INVALID_SOCKET;

use super::party::Party;
use super::peer::{Peer, Remote};
use super::side::Side;
use crate::Helper;
use crate::check::{Step, ensure, fail, must, skip};
use crate::helper::Role;
use crate::raw::{Extensions, Library, Startup, Table, recorder};

/// Where the two ends of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ends {
    /// Both in one process.
    OneProcess,
    /// The provider connects no process to itself.
    TwoProcesses,
    /// The provider connects no host to itself: nothing that needs a connection can be checked here.
    NoConnections,
}

/// See the [module](self).
pub(crate) struct Rig {
    path: PathBuf,
    ends: Ends,
    helper: Helper,
    side: OnceCell<Side>,
    /// A socket that is asked for the provider's addresses. It stays open: the end of its handle, which may come late (SP-173), would
    /// be taken for that of another.
    asker: OnceCell<usize>,
    /// Ports in use belong to a TCP socket, as under a switch.
    ports: RefCell<Vec<TcpListener>>,
}

impl Rig {
    pub(crate) fn new(path: &Path, ends: Ends, helper: Helper) -> Self {
        Self {
            path: path.to_owned(),
            ends,
            helper,
            side: OnceCell::new(),
            asker: OnceCell::new(),
            ports: RefCell::default(),
        }
    }

    pub(crate) fn ends(&self) -> Ends {
        self.ends
    }

    /// The library, not started.
    pub(crate) fn library(&self) -> Step<Library> {
        Library::load(&self.path)
            .or_else(|error| fail(format!("{} cannot be loaded: {error}", self.path.display())))
    }

    /// The up-call table of this process.
    pub(crate) fn upcalls(&self) -> Step<&'static UpCallTable> {
        let handler = std::sync::Arc::new(recorder());
        match UpCallTable::new(handler, None) {
            Ok(table) => Ok(Box::leak(Box::new(table))),
            Err(error) => fail(format!("the suite has no up-call table: {error}")),
        }
    }

    /// The provider, started once in this process.
    pub(crate) fn side(&self) -> Step<Side> {
        if let Some(side) = self.side.get() {
            return Ok(*side);
        }
        let mut startup = Startup::usual();
        let code = self.library()?.start(&mut startup, self.upcalls()?);
        ensure(code == 0, || {
            format!("WSPStartupEx: expected success got {}", crate::raw::Code::Number(code))
        })?;
        let Some(procs) = startup.table else { return fail("no table of functions") };
        if let Some(missing) = procs.missing_entry() {
            return fail(format!("the table of functions has no {missing}")).map_err(|stop| match stop {
                crate::check::Stop::Fail { what, .. } => {
                    crate::check::Stop::Fail { requirement: Some("SP-001"), what }
                }
                other => other,
            });
        }
        let table: &'static Table = Box::leak(Box::new(Table::new(procs)));
        let extensions: &'static Extensions = Box::leak(Box::new(Extensions::of(table)));
        Ok(*self.side.get_or_init(|| Side { table, extensions }))
    }

    /// The other end: in this process if the provider can connect a process to itself.
    pub(crate) fn peer(&self) -> Step<Peer> {
        match self.ends {
            Ends::OneProcess => Ok(Peer::Here(Party::new(self.side()?))),
            Ends::TwoProcesses => self.other_process(),
            Ends::NoConnections => {
                skip("the provider openly refuses to connect this host to itself (SP-068)")
            }
        }
    }

    /// The other end, in a process of its own.
    pub(crate) fn other_process(&self) -> Step<Peer> {
        if self.ends == Ends::NoConnections {
            return self.peer();
        }
        let role = Role::Peer { library: self.path.clone() };
        Remote::start(&role, &self.helper)
            .map(Peer::There)
            .or_else(|error| fail(format!("the helper process cannot be started: {error}")))
    }

    /// The provider's addresses (SP-102).
    pub(crate) fn addresses(&self) -> Step<Vec<SockAddr>> {
        let side = self.side()?;
        let s = match self.asker.get() {
            Some(s) => *s,
            None => {
                let s = side.socket()?;
                *self.asker.get_or_init(|| s)
            }
        };
        let needed = match side.table.address_list(s, 0) {
            Ok(_) => 8,
            Err((_, needed)) => needed as usize,
        };
        let list =
            must("SIO_ADDRESS_LIST_QUERY", side.table.address_list(s, needed).map_err(|(code, _)| code))?;
        Ok(list.entries.into_iter().filter_map(|(_, address)| address).collect())
    }

    /// An unused IPv4 name of the provider, which a TCP socket of this process holds meanwhile.
    pub(crate) fn name(&self) -> Step<SockAddr> {
        let all = self.addresses()?;
        let v4: Vec<Ipv4Addr> = all.iter().filter_map(ipv4).collect();
        let chosen = v4.iter().find(|ip| ip.is_loopback()).or(v4.first());
        match chosen {
            Some(ip) => self.reserve((*ip).into()),
            None => fail("the provider lists no IPv4 address"),
        }
    }

    /// An unused port at `ip`.
    pub(crate) fn reserve(&self, ip: std::net::IpAddr) -> Step<SockAddr> {
        let reserved = TcpListener::bind(SocketAddr::new(ip, 0)).and_then(|listener| {
            let name = listener.local_addr()?;
            self.ports.borrow_mut().push(listener);
            Ok(SockAddr::from(name))
        });
        reserved.or_else(|error| fail(format!("no port at {ip}, which the provider lists: {error}")))
    }

    /// A socket that is none.
    pub(crate) fn no_socket(&self) -> usize {
        INVALID_SOCKET
    }
}

fn ipv4(address: &SockAddr) -> Option<Ipv4Addr> {
    match address.socket_addr() {
        SocketAddr::V4(v4) => Some(*v4.ip()),
        SocketAddr::V6(_) => None,
    }
}
