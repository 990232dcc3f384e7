//! A device: its context, and the completion queue that all connections on it share.

use std::io;

use wsd_engine::Tracked;
use wsd_os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::ffi::{CompChannel, Context, Cq, DeviceAttr, DeviceInfo, TRANSPORT_IWARP, Wc};
use super::library::{Library, library};
use super::{check_number, object};

/// Entries that the completion queue has at first.
const FIRST: i32 = 512;
/// Completions that are taken at a time.
const BATCH: usize = 16;

/// Which device, as the libraries name it. Valid as long as the libraries are loaded: for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct DeviceKey(usize);

impl DeviceKey {
    pub(super) fn new(device: *mut DeviceInfo) -> Self {
        Self(device.expose_provenance())
    }

    /// Whether the end of a queue pair ends its connection, too.
    pub(crate) fn is_iwarp(self) -> bool {
        let device = core::ptr::with_exposed_provenance::<DeviceInfo>(self.0);
        // SAFETY: a device of the libraries (see `new`), which is valid as long as they are loaded.
        unsafe { (*device).transport_type == TRANSPORT_IWARP }
    }
}

/// An opened device.
pub(crate) struct Device {
    pub(super) library: &'static Library,
    pub(super) context: *mut Context,
    channel: *mut CompChannel,
    pub(super) queue: *mut Cq,
    /// Entries that connections may need at once.
    reserved: i32,
    limits: DeviceAttr,
    /// Dropped before what they are the descriptors of.
    tracked: Vec<Tracked<BorrowedFd<'static>>>,
    /// Events that have not been acknowledged.
    events: u32,
    /// What the channel tells of next. `None`: nothing.
    armed: Option<Armed>,
}

/// Since the queue was armed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Armed {
    /// Nothing has come.
    Quiet,
    /// Something has: the channel is readable, or will be in a moment.
    Fired,
}

// SAFETY: the libraries may be called on any thread; all calls are made under one lock.
unsafe impl Send for Device {}

/// How a work request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Done.
    Done,
    /// Not done, because the connection had ended.
    Flushed,
    /// A message was longer than the buffer for it, here or there.
    TooLong,
    /// The peer does not allow it.
    Denied,
    /// Anything else: the peer does not answer, the memory has gone.
    Failed,
}

/// One entry of the completion queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub(crate) number: u64,
    pub(crate) outcome: Outcome,
    /// Of a receive that is done.
    pub(crate) bytes: u32,
}

impl Device {
    /// Opens it.
    ///
    /// # Errors
    /// Those of the libraries.
    pub(crate) fn open(key: DeviceKey) -> io::Result<Self> {
        let library = library().ok_or(io::ErrorKind::Unsupported)?;
        let none = core::ptr::null_mut();
        // SAFETY: the key is a device of the libraries.
        let context =
            object(unsafe { (library.ibv_open_device)(core::ptr::with_exposed_provenance_mut(key.0)) })?;
        let mut device = Self {
            library,
            context,
            channel: core::ptr::null_mut(),
            queue: core::ptr::null_mut(),
            reserved: 0,
            // SAFETY: any bytes are one.
            limits: unsafe { core::mem::zeroed() },
            tracked: Vec::new(),
            events: 0,
            armed: None,
        };
        // SAFETY: the context is valid; what is made of it is destroyed before it.
        unsafe {
            check_number((library.ibv_query_device)(context, &raw mut device.limits))?;
            device.channel = object((library.ibv_create_comp_channel)(context))?;
            device.queue = object((library.ibv_create_cq)(context, FIRST, none, device.channel, 0))?;
            let numbers = [(*device.channel).fd, (*context).cmd_fd, (*context).async_fd];
            device.tracked = numbers.map(|fd| Tracked::new(BorrowedFd::borrow_raw(fd))).into();
        }
        let fd = &device.tracked[0];
        rustix::fs::fcntl_setfl(**fd, rustix::fs::fcntl_getfl(**fd)? | rustix::fs::OFlags::NONBLOCK)?;
        device.arm()?;
        Ok(device)
    }

    /// Readable after the next completion, once it is armed.
    pub(crate) fn fd(&self) -> RawFd {
        self.tracked[0].as_raw_fd()
    }

    /// Work requests that one queue may hold, at most `wanted`.
    pub(crate) fn depth(&self, wanted: u32) -> u32 {
        wanted.min(u32::try_from(self.limits.max_qp_wr).unwrap_or(1).max(1))
    }

    /// Segments of one work request, at most `wanted`.
    pub(crate) fn segments(&self, wanted: u32) -> u32 {
        wanted.min(u32::try_from(self.limits.max_sge).unwrap_or(1).max(1))
    }

    /// RDMA reads that a queue pair can have under way at once, in both directions.
    pub(crate) fn reads(&self) -> u8 {
        let least = self.limits.max_qp_rd_atom.min(self.limits.max_qp_init_rd_atom);
        u8::try_from(least.clamp(0, 16)).unwrap_or(0)
    }

    /// Makes room for the completions of a new connection.
    ///
    /// # Errors
    /// `ENOMEM` if the device has no more.
    pub(crate) fn reserve(&mut self, entries: u32) -> io::Result<()> {
        let needed = self.reserved + entries as i32;
        // SAFETY: the queue is valid.
        let room = unsafe { (*self.queue).cqe };
        if needed > room {
            let size = needed.max(2 * room).min(self.limits.max_cqe);
            if needed > size {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            // SAFETY: the queue is valid.
            check_number(unsafe { (self.library.ibv_resize_cq)(self.queue, size) })?;
        }
        self.reserved = needed;
        Ok(())
    }

    /// The connection has gone.
    pub(crate) fn release(&mut self, entries: u32) {
        self.reserved -= entries as i32;
    }

    /// The channel is readable: if there are no completions, those that it tells of were taken before.
    pub(crate) fn has_fired(&mut self) {
        self.armed = self.armed.map(|_| Armed::Fired);
    }

    /// The channel is readable from the next completion on, and not for those that were taken. Poll afterwards.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn arm(&mut self) -> io::Result<()> {
        match self.armed {
            Some(Armed::Quiet) => return Ok(()),
            Some(Armed::Fired) => self.take_event(),
            None => {}
        }
        // SAFETY: the queue and its context are valid.
        let armed = unsafe { (*self.context).ops.req_notify_cq.map(|function| function(self.queue, 0)) };
        check_number(armed.unwrap_or(libc::ENOSYS))?;
        self.armed = Some(Armed::Quiet);
        Ok(())
    }

    /// There is one event each time that the queue was armed. It may come after the completion, and then wakes somebody for nothing.
    fn take_event(&mut self) {
        let (mut queue, mut datum) = (core::ptr::null_mut(), core::ptr::null_mut());
        // SAFETY: the channel is valid; does not block, because the descriptor does not.
        if unsafe { (self.library.ibv_get_cq_event)(self.channel, &raw mut queue, &raw mut datum) } == 0 {
            self.events += 1;
        }
    }

    /// Takes completions: none if there are none.
    pub(crate) fn poll(&mut self) -> impl Iterator<Item = Completion> + use<> {
        let mut entries = [Wc::default(); BATCH];
        // SAFETY: the queue and its context are valid, and there is room for so many.
        let count = unsafe {
            (*self.context).ops.poll_cq.map(|poll| poll(self.queue, BATCH as i32, entries.as_mut_ptr()))
        };
        let count = usize::try_from(count.unwrap_or(0)).unwrap_or(0);
        if count != 0 {
            self.has_fired();
        }
        entries.into_iter().take(count).map(|entry| Completion {
            number: entry.wr_id,
            outcome: outcome(entry.status),
            bytes: entry.byte_len,
        })
    }
}

/// The meaning of an `ibv_wc_status`.
fn outcome(status: u32) -> Outcome {
    match status {
        0 => Outcome::Done,
        5 => Outcome::Flushed,
        1 | 9 => Outcome::TooLong,
        10 => Outcome::Denied,
        _ => Outcome::Failed,
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.tracked.clear();
        // SAFETY: each is destroyed once, in the opposite order of making; the queue pairs are gone (see `state`).
        unsafe {
            if !self.queue.is_null() {
                (self.library.ibv_ack_cq_events)(self.queue, self.events);
                (self.library.ibv_destroy_cq)(self.queue);
            }
            if !self.channel.is_null() {
                (self.library.ibv_destroy_comp_channel)(self.channel);
            }
            (self.library.ibv_close_device)(self.context);
        }
    }
}
