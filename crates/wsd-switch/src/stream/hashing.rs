//! The hash of what TCP carries of a connection that may be to another host, until that is proven or given up (session protocol,
//! section 9).
//!
//! It is in private memory of the process that moves the bytes. It counts what it hashes, and the family counts what the kernel
//! moves, in one critical section, which makes no system call: where the two differ, bytes were moved that this process has not seen.

use std::net::IpAddr;
use std::sync::OnceLock;

use wsd_os::atomic::Ordering;
use wsd_os::memory::{PageCell, SparseArray};
use wsd_session::stream_hash::MOST;
use wsd_session::{Checkpoints, Direction, StreamHash};

use super::state::Stream;
use crate::family::layout::{Common, RECORDS};
use crate::family::record::{HASHED, UNSEEN};
use crate::networks;

/// Of the direction of one connection.
struct Hashed {
    /// The record's: what is left from an earlier connection counts for nothing.
    generation: u32,
    hash: StreamHash,
}

const _: () = assert!(size_of::<PageCell<Hashed>>() == 4096);

/// Two of each record.
static HASHES: OnceLock<SparseArray<[PageCell<Hashed>; 2]>> = OnceLock::new();

/// Makes the table, which takes addresses but no memory; whether there is one.
pub(crate) fn start() -> bool {
    if HASHES.get().is_none()
        && let Ok(table) = SparseArray::new(RECORDS)
    {
        // Another thread's is as good.
        let _ = HASHES.set(table);
    }
    HASHES.get().is_some()
}

/// The connection's peer is known, and no byte has been moved yet: is it to be hashed?
pub(crate) fn peer_known(stream: &Stream, peer: IpAddr) {
    let wanted = networks::may_reach(peer);
    for common in [&stream.record.send.common, &stream.record.recv.common] {
        if common.kernel_bytes.load(Ordering::Relaxed) != 0 {
            continue;
        }
        if wanted {
            common.flag(HASHED);
        } else {
            common.unflag(HASHED);
        }
    }
}

/// Whether this end has seen the whole stream so far, as far as is known yet.
pub(crate) fn is_seen(stream: &Stream) -> bool {
    stream.record.send.common.flagged(HASHED) && stream.record.recv.common.flagged(HASHED)
}

/// Whether the next bytes of the direction have to be shown to [`count`].
pub(super) fn wants_bytes(common: &Common) -> bool {
    common.flagged(HASHED) && common.kernel_bytes.load(Ordering::Relaxed) < MOST
}

/// Counts and hashes `bytes` bytes that the kernel has moved: the first ones of `pieces`.
#[cold]
pub(super) fn count<'a>(
    stream: &Stream,
    direction: Direction,
    bytes: usize,
    pieces: impl Iterator<Item = &'a [u8]>,
) {
    if bytes == 0 {
        return;
    }
    let common = common(stream, direction);
    let add = || common.kernel_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    let hashed = with(stream, direction, |hash| {
        let at = add();
        at >= MOST || (hash.length() == at && update(hash, bytes, pieces))
    });
    if hashed.is_none() {
        add();
    }
    if hashed != Some(true) {
        common.flag(UNSEEN);
        common.unflag(HASHED);
    }
}

/// Adds the first `bytes` of `pieces`; whether there are so many.
fn update<'a>(hash: &mut StreamHash, bytes: usize, pieces: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut left = bytes;
    for piece in pieces {
        let seen = piece.len().min(left);
        hash.update(&piece[..seen]);
        left -= seen;
    }
    left == 0
}

/// The checkpoints of both directions as they are now: towards the peer, from the peer. `None`: not all bytes were seen.
pub(crate) fn checkpoints(stream: &Stream) -> Option<[Checkpoints; 2]> {
    let of = |direction| {
        let common = common(stream, direction);
        let counted = || common.kernel_bytes.load(Ordering::Relaxed).min(MOST);
        if !common.flagged(HASHED) {
            return None;
        }
        if counted() == 0 {
            return Some(StreamHash::default().checkpoints());
        }
        with(stream, direction, |hash| (hash.length() == counted()).then(|| hash.checkpoints()))?
    };
    Some([of(Direction::Send)?, of(Direction::Receive)?])
}

/// The hash is not needed any more: its memory is given back.
pub(crate) fn end(stream: &Stream) {
    for direction in [Direction::Send, Direction::Receive] {
        let common = common(stream, direction);
        if (common.unflag(HASHED) || common.flagged(UNSEEN))
            && let Some(cell) = cell(stream, direction)
        {
            cell.vacate();
        }
    }
}

fn with<R>(stream: &Stream, direction: Direction, act: impl FnOnce(&mut StreamHash) -> R) -> Option<R> {
    let fresh = || Hashed { generation: stream.generation, hash: StreamHash::default() };
    cell(stream, direction)?.with(fresh, |hashed| {
        if hashed.generation != stream.generation {
            *hashed = fresh();
        }
        act(&mut hashed.hash)
    })
}

fn cell(stream: &Stream, direction: Direction) -> Option<&'static PageCell<Hashed>> {
    let cells = HASHES.get()?.get(stream.index as usize)?;
    Some(match direction {
        Direction::Send => &cells[0],
        Direction::Receive => &cells[1],
    })
}

fn common(stream: &Stream, direction: Direction) -> &'static Common {
    match direction {
        Direction::Send => &stream.record.send.common,
        Direction::Receive => &stream.record.recv.common,
    }
}
