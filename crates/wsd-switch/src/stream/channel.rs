//! What this process needs to reach the rings of a promoted connection: one entry per record, private to the process,
//! copied by fork. Entries are never freed and ring addresses never unmapped, so a thread that raced with a close
//! reads stale bytes at worst, and learns under the direction's lock that the path changed.

use std::sync::OnceLock;

use wsd_os::Errno;
use wsd_os::atomic::{AtomicU32, AtomicU64, Ordering};
use wsd_os::fd::BorrowedFd;
use wsd_os::memory::{FdSlot, SharedSlot, SparseArray};
use wsd_os::ring::RingSlot;
use wsd_os::tcp;

use crate::family::layout::RECORDS;
use crate::sharing::page::Page;

wsd_os::zeroable! {
    /// Reachability of one connection's rings.
    #[repr(align(64))]
    pub(crate) struct Channel {
        /// Ring that the program's sends go into.
        pub send: RingSlot,
        /// Ring that the program's receives come from.
        pub recv: RingSlot,
        /// Number of the pair + 1 through which the peer's sleepers are reached; 0: the other end of the rings is this
        /// process's own service thread.
        pub pair: AtomicU32,
        /// This connection's bit in the pair page of the peer.
        pub peer_bit: AtomicU32,
        /// This connection's bit in our own pair page.
        pub own_bit: AtomicU32,
        /// What the processes have in common that share a pumped connection.
        pub page: SharedSlot<Page>,
        /// The descriptor of the pump's memory, where it may be given to other processes. Guarded by the lock of `send`.
        pub memory: FdSlot,
        /// First half of the token of the process whose descriptor that is.
        pub memory_token: AtomicU64,
        /// The kernel's socket of a pumped connection that the program has closed: bytes may still have to go there.
        pub kernel: FdSlot,
        /// Not 0: a thread of this process has asked for control of a shared connection, and has not used it since.
        pub owed: AtomicU32,
        /// Listener that several processes have: lanes (bits 0..) in which threads of this process wait in poll for a connection.
        pub accepting: AtomicU32,
        /// Lanes (bits 0..) in which threads of this process watch the connection in sets.
        pub lanes: AtomicU32,
    }
}

static CHANNELS: OnceLock<SparseArray<Channel>> = OnceLock::new();

/// Makes the table.
pub(crate) fn start() -> Result<(), Errno> {
    let table = SparseArray::new(RECORDS)?;
    CHANNELS.set(table).map_err(|_| Errno::ALREADY)
}

/// The entry of a record.
#[inline]
pub(crate) fn of(index: u32) -> Option<&'static Channel> {
    CHANNELS.get()?.get(index as usize)
}

/// One past the highest record whose kernel's socket was kept by this process.
static HIGHEST_KEPT: AtomicU32 = AtomicU32::new(0);

/// In the child of a fork: kept sockets are the parent's, and what has their numbers here next is somebody else's.
#[cfg(target_os = "linux")]
pub(crate) fn restart_in_child() {
    let highest = HIGHEST_KEPT.swap(0, Ordering::Relaxed) as usize;
    let channels = CHANNELS.get().into_iter().flat_map(|channels| channels.iter());
    channels.take(highest).for_each(|channel| channel.kernel.forget());
}

/// Keeps the kernel's socket of a pumped connection, which the program is about to close by its last descriptor `fd`.
///
/// # Errors
///
/// `EMFILE`.
pub(crate) fn keep_kernel(index: u32, fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let channel = of(index).ok_or(Errno::BADF)?;
    HIGHEST_KEPT.fetch_max(index + 1, Ordering::Relaxed);
    channel.kernel.get_or_make(|| wsd_os::fd::duplicate_high(fd)).map(|_| ())
}

impl Channel {
    /// Whether this process's service thread is the other end of the rings.
    #[inline]
    pub(crate) fn is_pumped(&self) -> bool {
        self.pair.load(Ordering::Acquire) == 0 && self.send.load().is_some()
    }

    /// Forgets the rings.
    pub(crate) fn clear(&self) {
        self.send.clear();
        self.recv.clear();
        self.page.clear();
        self.pair.store(0, Ordering::Release);
        self.peer_bit.store(0, Ordering::Relaxed);
        self.own_bit.store(0, Ordering::Relaxed);
    }

    /// Closes the kernel's socket that was kept. Its program has closed already: nobody waits until the peer has read.
    pub(crate) fn close_kernel(&self) {
        if let Some(fd) = self.kernel.get() {
            // Without the option the close may wait; nothing is lost.
            let _ = tcp::stop_lingering(fd);
        }
        self.kernel.close();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsFd, OwnedFd};
    use std::time::Duration;

    use rustix::net::sockopt::set_socket_linger;

    use super::*;

    /// The service thread closes the kept socket, and must not wait for the peer (socket(7), SO_LINGER).
    #[test]
    fn kept_socket_is_closed_without_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut socket = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let peer = listener.accept().expect("accepted").0;
        socket.set_nonblocking(true).expect("an open socket");
        while socket.write(&[0; 65536]).is_ok() {}
        set_socket_linger(&socket, Some(Duration::from_secs(600))).expect("an open socket");

        let channels = SparseArray::<Channel>::new(1).expect("memory");
        let channel = channels.first().expect("one");
        channel.kernel.get_or_make(|| Ok(OwnedFd::from(socket).into())).expect("made");
        std::thread::scope(|scope| {
            let closing = scope.spawn(|| channel.close_kernel());
            let end = std::time::Instant::now() + Duration::from_secs(10);
            while !closing.is_finished() && std::time::Instant::now() < end {
                std::thread::yield_now();
            }
            let done = closing.is_finished();
            // Ends the close in any case.
            drop(peer);
            assert!(done, "the close does not wait until the peer has read");
        });
    }

    /// The numbers belong to other files of the child, which must not be closed with the record's next connection.
    #[test]
    fn child_forgets_sockets_that_its_parent_kept() {
        start().expect("the only start");
        let socket = TcpListener::bind("127.0.0.1:0").expect("a listener");
        for index in [0, 7] {
            keep_kernel(index, socket.as_fd()).expect("kept");
        }
        let kept = [0, 7].map(|index| of(index).and_then(|channel| channel.kernel.get()).expect("kept"));
        restart_in_child();
        let left = [0, 7].map(|index| of(index).and_then(|channel| channel.kernel.get()).is_none());
        assert_eq!(left, [true; 2], "forgotten");
        of(7).expect("an entry").close_kernel();
        assert!(kept.iter().all(|fd| rustix::io::fcntl_getfd(fd).is_ok()), "but not closed");
    }
}
