//! What the family region holds, byte by byte. Also what an inspector reads from outside, hence `repr(C)` and a version.

use std::ffi::CStr;

use wsd_os::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};
use wsd_os::lock::FamilyLock;
use wsd_os::ring::{ConsumerState, ProducerState};

/// "wsdirec" and a version digit, little-endian.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"wsdirec3");
/// Name of the region's memfd, by which an inspector finds it.
pub(crate) const REGION_NAME: &CStr = c"wsdirect-family";
/// Member processes of a family. Without forks: one, and nobody.
pub(crate) const SLOTS: usize = if wsd_os::thread::FORKS { 1024 } else { 2 };
/// Descriptor numbers tracked in each process; higher ones pass through.
pub(crate) const DESCRIPTORS: usize = 65_536;
/// Sockets tracked in a family.
pub(crate) const RECORDS: usize = 65_536;

wsd_os::shared! {
    /// A member process in the compact list that others scan; scanning the slots themselves would fill the sparse region.
    pub(crate) struct Member {
        /// Process id; 0: free slot; [`PENDING`]: a fork is under way; [`TAKEN`]: being emptied.
        pub pid: AtomicU32,
        /// Process that reserved a pending slot.
        pub parent: AtomicU32,
        /// Start time, which tells a reused process id.
        pub start: AtomicU64,
    }
}

/// Bytes of a provider's name, and names kept.
pub(crate) const PROVIDER_NAME: usize = 32;
pub(crate) const PROVIDERS: usize = 16;
/// `pid` of a slot reserved for a child about to be forked.
pub(crate) const PENDING: u32 = u32::MAX;
/// `pid` of a slot that is being emptied.
pub(crate) const TAKEN: u32 = u32::MAX - 1;

wsd_os::shared! {
    /// Head of the region.
    #[repr(align(64))]
    pub(crate) struct Header {
        /// [`MAGIC`].
        pub magic: AtomicU64,
        /// Bytes of the region.
        pub length: AtomicU64,
        /// Free records: upper half a tag against reuse, lower half index + 1 of the first, 0 for none.
        pub free: AtomicU64,
        /// Records from this index on were never used.
        pub fresh: AtomicU32,
        /// Allocations so far, which paces the search for dead members.
        pub allocations: AtomicU32,
        /// Bytes of a record and where the arrays begin, for an inspector.
        pub record_bytes: AtomicU64,
        pub records_at: AtomicU64,
        pub processes_at: AtomicU64,
        pub process_bytes: AtomicU64,
        /// Names of the providers in the order of their numbers, padded with zeros.
        pub providers: [[AtomicU8; PROVIDER_NAME]; PROVIDERS],
        /// Who is a member.
        pub members: [Member; SLOTS],
    }
}

wsd_os::shared! {
    /// One member process.
    #[repr(align(64))]
    pub(crate) struct Process {
        /// Not zero: this process has a service thread.
        pub served: AtomicU32,
        /// Its process token, by which its bells are rung.
        pub token: [AtomicU64; 2],
        /// One past the highest tracked descriptor number seen.
        pub descriptors: AtomicU32,
        /// Not zero: the service thread is awake, or the kick event was signalled.
        pub kick_pending: AtomicU32,
        pub pad: [AtomicU32; 1],
        pub pad2: [AtomicU64; 4],
        /// Which words of `kicks` are non-zero.
        pub kick_summary: [AtomicU64; 16],
        /// One bit per record that needs the service thread.
        pub kicks: [AtomicU64; 1024],
        /// Descriptor number -> record index + 1.
        pub table: [AtomicU32; DESCRIPTORS],
        /// Record index -> descriptors of this process.
        pub counts: [AtomicU16; RECORDS],
    }
}

wsd_os::shared! {
    /// One TCP socket (open file description).
    #[repr(align(1024))]
    pub(crate) struct Record {
        /// A [`super::Life`] number.
        pub life: AtomicU32,
        /// Raised when the record is freed.
        pub generation: AtomicU32,
        /// Descriptors in all processes.
        pub references: AtomicU32,
        /// Processes with at least one descriptor.
        pub holders: AtomicU32,
        /// Free list link: index + 1.
        pub next_free: AtomicU32,
        /// A [`super::Role`] number.
        pub role: AtomicU32,
        /// A [`crate::reason::Reason`] number; 0: none.
        pub reason: AtomicU32,
        /// Slot + 1 of the process whose service thread has the companion.
        pub controller: AtomicU32,
        /// Bits of [`super::record`]: mirrored options.
        pub options: AtomicU32,
        /// Descriptor number in the controller, as a hint.
        pub descriptor: AtomicU32,
        /// A [`super::Attach`] number.
        pub attach: AtomicU32,
        /// Calls on the kernel path; with the bytes they make the traffic score that triggers an attach.
        pub calls: AtomicU32,
        /// Score that triggers the next attempt.
        pub trigger: AtomicU32,
        /// Path name index of the provider + 1.
        pub provider: AtomicU32,
        /// SO_RCVLOWAT: bytes that make the socket readable.
        pub low_water: AtomicU32,
        /// Companions in a row that broke soon, or could not be made after one broke.
        pub breaks: AtomicU32,
        /// SO_RCVTIMEO and SO_SNDTIMEO in microseconds, 0: none.
        pub receive_timeout: AtomicU64,
        pub send_timeout: AtomicU64,
        /// After a break: no companion before this moment (monotonic nanoseconds).
        pub attach_after: AtomicU64,
        pub pad2: [AtomicU64; 5],
        /// Towards the peer.
        pub send: SendSide,
        /// From the peer.
        pub recv: RecvSide,
        /// How far a connection that the SAN makes is.
        pub first: SanFirst,
    }
}

wsd_os::shared! {
    /// What a socket has while the SAN connects or listens for it: see [`super::first`].
    #[repr(align(64))]
    pub(crate) struct SanFirst {
        /// A [`super::First`] number.
        pub state: AtomicU32,
        /// Error number of a connect that failed, until the program has been told.
        pub error: AtomicU32,
        /// Not zero: a call of connect has said that the connection stands.
        pub told: AtomicU32,
        /// Listener: not zero when the providers were asked to listen.
        pub listens: AtomicU32,
        /// Listener: connections that may wait.
        pub backlog: AtomicU32,
        /// Listener: connections that count in the backlog.
        pub waiting: AtomicU32,
        /// Listener: whose turn it is, counted up by accept.
        pub turn: AtomicU32,
        /// Listener: index + 1 of the first and the last connection in the queue. Guarded by the lock of `recv`.
        pub queue_first: AtomicU32,
        pub queue_last: AtomicU32,
        /// In a listener's queue: index + 1 of the next connection.
        pub next: AtomicU32,
        /// Not zero: nothing but TCP's turn keeps companions from the socket.
        pub tcps_turn: AtomicU32,
        pub pad: [AtomicU32; 5],
        /// Names of this end and the other, in the form of the program's socket.
        pub local: Name,
        pub peer: Name,
    }
}

wsd_os::shared! {
    /// A socket address: version (4, 6; 0: none), port, flow label, scope, address in network order.
    pub(crate) struct Name {
        pub version: AtomicU32,
        pub port: AtomicU32,
        pub flow: AtomicU32,
        pub scope: AtomicU32,
        pub address: [AtomicU32; 4],
    }
}

wsd_os::shared! {
    /// What both directions have.
    #[repr(align(64))]
    pub(crate) struct Common {
        /// State and kernel-path count: [`crate::stream::gate::Gate`].
        pub gate: AtomicU32,
        /// Guards ring cursors and the copy.
        pub lock: FamilyLock,
        /// Bits of [`super::record`].
        pub flags: AtomicU32,
        /// Word to sleep on for a change of the gate.
        pub change: AtomicU32,
        /// Bytes through the kernel.
        pub kernel_bytes: AtomicU64,
        /// Bytes through the SAN.
        pub san_bytes: AtomicU64,
        /// S of the latest promotion.
        pub promoted_at: AtomicU64,
        /// H of the latest demotion.
        pub demoted_at: AtomicU64,
        /// Receive: offset after the urgent byte that was taken out of line.
        pub urgent_taken: AtomicU64,
        /// Threads asleep on the ring.
        pub sleepers: AtomicU32,
        pub pad: [AtomicU32; 1],
    }
}

wsd_os::shared! {
    /// Send direction.
    #[repr(align(64))]
    pub(crate) struct SendSide {
        pub common: Common,
        pub ring: ProducerState,
    }
}

wsd_os::shared! {
    /// Receive direction.
    #[repr(align(64))]
    pub(crate) struct RecvSide {
        pub common: Common,
        pub ring: ConsumerState,
    }
}

const _: () = assert!(size_of::<Record>() == 1024);
const _: () = assert!(size_of::<Common>() == 64);

/// Offsets of the arrays in the region.
pub(crate) const PROCESSES_AT: usize = size_of::<Header>().next_multiple_of(4096);
pub(crate) const RECORDS_AT: usize = (PROCESSES_AT + SLOTS * size_of::<Process>()).next_multiple_of(4096);
pub(crate) const REGION_BYTES: usize = RECORDS_AT + RECORDS * size_of::<Record>();
