//! Looking at the connections of other processes, from outside and without their help: a stopped or busy process answers
//! too. Needs the rights of ptrace(2) on them. Only used by the command, never inside a program.

#[cfg_attr(windows, path = "inspect/names_windows.rs")]
mod names;

use std::mem::offset_of;
use std::net::SocketAddr;

use self::names::Namespaces;
use wsd_os::process::{self, Visible};

use crate::family::first::decode;
use crate::family::layout::{
    Common, DESCRIPTORS, Header, MAGIC, Member, Name, PROVIDER_NAME, Process, RECORDS, REGION_NAME, Record,
    RecvSide, SLOTS, SanFirst, SendSide,
};
use crate::family::{First, Life};
use crate::reason::Reason;
use crate::stream::gate::{self, State};

/// One end of a connection, as a process under the switch has it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Its descriptor.
    pub fd: i32,
    /// Name of this end.
    pub local: SocketAddr,
    /// Name of the other end.
    pub peer: SocketAddr,
    /// Name of the provider if a direction takes the SAN, else `tcp`.
    pub path: String,
    /// Why not both directions take the SAN.
    pub reason: Option<Reason>,
    /// Bytes by path and direction.
    pub san_bytes_sent: u64,
    /// As above.
    pub san_bytes_received: u64,
    /// As above.
    pub tcp_bytes_sent: u64,
    /// As above.
    pub tcp_bytes_received: u64,
}

/// The connections of all processes under the switch that the caller may look at.
///
/// # Errors
/// `/proc` cannot be read.
pub fn connections() -> Result<Vec<Connection>, wsd_os::Errno> {
    let mut namespaces = Namespaces::default();
    let processes = process::list()?.into_iter();
    Ok(processes.flat_map(|pid| connections_of(pid, &mut namespaces).unwrap_or_default()).collect())
}

/// The connections of one process; `None` if it is not under the switch, or may not be looked at.
fn connections_of(pid: u32, namespaces: &mut Namespaces) -> Option<Vec<Connection>> {
    let region = Region::of(pid)?;
    let slot = region.slot()?;
    let descriptors = region.descriptors(slot)?;
    if descriptors.is_empty() {
        return Some(Vec::new());
    }
    let sockets = namespaces.sockets(pid);
    let comm = process::name(pid).unwrap_or_default();
    let found = descriptors
        .into_iter()
        .filter_map(|(fd, index)| {
            let record = region.record(index)?;
            let (local, peer) = record.names().or_else(|| sockets.names(pid, fd))?;
            record.connection(&region, pid, &comm, fd, local, peer)
        })
        .collect();
    Some(found)
}

/// The family region of another process.
struct Region {
    pid: u32,
    memory: Visible,
    header: Vec<u8>,
}

impl Region {
    fn of(pid: u32) -> Option<Self> {
        let memory = Visible::of(pid, REGION_NAME)?;
        let header = memory.read(0, size_of::<Header>())?;
        let region = Self { pid, memory, header };
        let fits = region.header_u64(offset_of!(Header, magic)) == MAGIC
            && region.header_u64(offset_of!(Header, record_bytes)) == size_of::<Record>() as u64
            && region.header_u64(offset_of!(Header, process_bytes)) == size_of::<Process>() as u64;
        fits.then_some(region)
    }

    fn header_u64(&self, at: usize) -> u64 {
        u64_at(&self.header, at)
    }

    fn slot(&self) -> Option<usize> {
        let members = offset_of!(Header, members);
        (0..SLOTS).find(|slot| u32_at(&self.header, members + slot * size_of::<Member>()) == self.pid)
    }

    /// Descriptor numbers and the records they name. Reads no more of the sparse region than was ever used.
    fn descriptors(&self, slot: usize) -> Option<Vec<(i32, u32)>> {
        let base = self.header_u64(offset_of!(Header, processes_at)) + (slot * size_of::<Process>()) as u64;
        let head = self.memory.read(base, offset_of!(Process, descriptors) + 4)?;
        let highest = (u32_at(&head, offset_of!(Process, descriptors)) as usize).min(DESCRIPTORS);
        let table = self.memory.read(base + offset_of!(Process, table) as u64, highest * 4)?;
        let entries = table.chunks_exact(4).enumerate();
        Some(entries.filter_map(|(fd, entry)| Some((fd as i32, u32_at(entry, 0).checked_sub(1)?))).collect())
    }

    fn record(&self, index: u32) -> Option<Snapshot> {
        let at =
            self.header_u64(offset_of!(Header, records_at)) + u64::from(index) * size_of::<Record>() as u64;
        if index as usize >= RECORDS {
            return None;
        }
        self.memory.read(at, size_of::<Record>()).map(Snapshot)
    }

    fn provider(&self, number: u32) -> Option<String> {
        let at = offset_of!(Header, providers) + (number.checked_sub(1)? as usize) * PROVIDER_NAME;
        let bytes = self.header.get(at..at + PROVIDER_NAME)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8(bytes[..end].to_vec()).ok().filter(|name| !name.is_empty())
    }
}

/// Bytes of a record.
struct Snapshot(Vec<u8>);

impl Snapshot {
    fn first(&self) -> u32 {
        u32_at(&self.0, offset_of!(Record, first) + offset_of!(SanFirst, state))
    }

    /// The names of a connection that the SAN made: the kernel's socket has none.
    fn names(&self) -> Option<(SocketAddr, SocketAddr)> {
        let known = [First::Connecting as u32, First::Connected as u32].contains(&self.first());
        let name = |field: usize| {
            let at = offset_of!(Record, first) + field;
            let words = [
                offset_of!(Name, version),
                offset_of!(Name, port),
                offset_of!(Name, flow),
                offset_of!(Name, scope),
            ];
            let address = [0, 4, 8, 12].map(|byte| offset_of!(Name, address) + byte);
            decode(
                words.map(|word| u32_at(&self.0, at + word)),
                address.map(|word| u32_at(&self.0, at + word)),
            )
        };
        known.then(|| Some((name(offset_of!(SanFirst, local))?, name(offset_of!(SanFirst, peer))?))).flatten()
    }

    fn connection(
        &self,
        region: &Region,
        pid: u32,
        comm: &str,
        fd: i32,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Option<Connection> {
        let life = u32_at(&self.0, offset_of!(Record, life));
        if life != Life::Connected as u32 && life != Life::Connecting as u32 {
            return None;
        }
        let send = offset_of!(Record, send) + offset_of!(SendSide, common);
        let recv = offset_of!(Record, recv) + offset_of!(RecvSide, common);
        let state = |common: usize| gate::decode(u32_at(&self.0, common + offset_of!(Common, gate)));
        let bytes = |common: usize| {
            let at = |field| u64_at(&self.0, common + field);
            (at(offset_of!(Common, san_bytes)), at(offset_of!(Common, kernel_bytes)))
        };
        let on_san = |state: State| matches!(state, State::San | State::Dead);
        let number = u32_at(&self.0, offset_of!(Record, provider));
        let path = if on_san(state(send)) || on_san(state(recv)) {
            region.provider(number).unwrap_or_else(|| "san".to_owned())
        } else {
            "tcp".to_owned()
        };
        let both = state(send) == State::San && state(recv) == State::San;
        let reason = Reason::from_number(u32_at(&self.0, offset_of!(Record, reason)));
        let reason = match reason {
            reason if self.first() == First::Connected as u32 => reason,
            _ if both => None,
            reason => Some(reason.unwrap_or(Reason::AwaitingConsent)),
        };
        let ((san_bytes_sent, tcp_bytes_sent), (san_bytes_received, tcp_bytes_received)) =
            (bytes(send), bytes(recv));
        Some(Connection {
            pid,
            comm: comm.to_owned(),
            fd,
            local,
            peer,
            path,
            reason,
            san_bytes_sent,
            san_bytes_received,
            tcp_bytes_sent,
            tcp_bytes_received,
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}
