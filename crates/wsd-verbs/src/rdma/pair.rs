//! What one connection has: protection domain, queue pair, registered memory.

use std::io;

use wsd_spi::MemoryAccess;

use super::cm::Identifier;
use super::device::Device;
use super::ffi::{
    ACCESS_LOCAL_WRITE, ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, Mr, Pd, QP_ACCESS_FLAGS, QP_MIN_RNR_TIMER,
    QP_STATE, QPS_ERR, QPS_INIT, QPS_RTR, QPS_RTS, QPT_RC, Qp, QpAttr, QpCap, QpInitAttr, RecvWr, SEND_FENCE,
    SEND_INLINE, SEND_SIGNALED, SendWr, Sge, WR_RDMA_READ, WR_RDMA_WRITE, WR_SEND,
};
use super::library::Library;
use super::{check_number, object};

/// How long a peer without a receive waits before it tries again: code of 0.64 ms (InfiniBand's table).
const RNR_TIMER: u8 = 12;
/// Bytes that a send may carry in the work request itself, if the device can.
const INLINE: u32 = 256;

/// A protection domain: keys of its memory are good for its queue pairs only.
pub(crate) struct Domain {
    library: &'static Library,
    raw: *mut Pd,
}

// SAFETY: the libraries may be called on any thread; all calls are made under one lock.
unsafe impl Send for Domain {}

/// Registered memory.
pub(crate) struct Region {
    library: &'static Library,
    raw: *mut Mr,
}

// SAFETY: as for `Domain`.
unsafe impl Send for Region {}

/// What may be done with registered memory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rights {
    /// By work requests of this end.
    Own(MemoryAccess),
    /// By the peer.
    Peer(MemoryAccess),
}

impl Rights {
    /// Exactly what was asked for (SW-208); the device insists that what a peer may write, this end may write too.
    fn flags(self) -> i32 {
        let if_writes = |access: MemoryAccess, flags| if access.writes() { flags } else { 0 };
        match self {
            Self::Own(access) => if_writes(access, ACCESS_LOCAL_WRITE),
            Self::Peer(access) => {
                let read = if access.reads() { ACCESS_REMOTE_READ } else { 0 };
                read | if_writes(access, ACCESS_REMOTE_WRITE | ACCESS_LOCAL_WRITE)
            }
        }
    }
}

impl Domain {
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new(device: &Device) -> io::Result<Self> {
        // SAFETY: the context is valid, and closed after everything that was made of it (see `state`).
        let raw = object(unsafe { (device.library.ibv_alloc_pd)(device.context) })?;
        Ok(Self { library: device.library, raw })
    }

    /// Registers memory, whose first byte has the virtual address `iova`: the same offset in a page.
    ///
    /// # Errors
    /// `EFAULT` if it is not mapped so; `ENOMEM`.
    pub(crate) fn register(
        &self,
        start: *mut u8,
        length: u32,
        iova: u64,
        rights: Rights,
    ) -> io::Result<Region> {
        // SAFETY: the domain is valid; the kernel checks the range, and keeps its pages as long as the region lives.
        let raw = unsafe {
            (self.library.ibv_reg_mr_iova)(self.raw, start.cast(), length as usize, iova, rights.flags())
        };
        Ok(Region { library: self.library, raw: object(raw)? })
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        // SAFETY: its regions and its queue pair are gone (see `socket`).
        unsafe { (self.library.ibv_dealloc_pd)(self.raw) };
    }
}

impl Region {
    /// The key for work requests of this end.
    pub(crate) fn local_key(&self) -> u32 {
        // SAFETY: the region is valid.
        unsafe { (*self.raw).lkey }
    }

    /// The key for the peer.
    pub(crate) fn remote_key(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.raw).rkey }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: deregistered once.
        unsafe { (self.library.ibv_dereg_mr)(self.raw) };
    }
}

/// A queue pair of a reliable connection.
pub(crate) struct Pair {
    library: &'static Library,
    raw: *mut Qp,
    inline: u32,
}

// SAFETY: as for `Domain`.
unsafe impl Send for Pair {}

/// What a work request does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// One message.
    Send,
    /// To the peer's memory at that address, with that key.
    Write(u64, u32),
    /// From there.
    Read(u64, u32),
}

impl Pair {
    /// A queue pair for that connection, which can receive when the peer is known. `depths` and `segments` are for
    /// sending and receiving.
    ///
    /// # Errors
    /// `ENOMEM`, `EINVAL`.
    pub(crate) fn new(
        device: &Device,
        domain: &Domain,
        id: &Identifier,
        depths: [u32; 2],
        segments: [u32; 2],
    ) -> io::Result<Self> {
        let make = |max_inline_data| {
            let mut wanted = QpInitAttr {
                qp_context: core::ptr::null_mut(),
                send_cq: device.queue,
                recv_cq: device.queue,
                srq: core::ptr::null_mut(),
                cap: QpCap {
                    max_send_wr: depths[0],
                    max_recv_wr: depths[1],
                    max_send_sge: segments[0],
                    max_recv_sge: segments[1],
                    max_inline_data,
                },
                qp_type: QPT_RC,
                sq_sig_all: 0,
            };
            // SAFETY: domain and queue are valid, and of one device.
            let raw = object(unsafe { (device.library.ibv_create_qp)(domain.raw, &raw mut wanted) })?;
            Ok::<_, io::Error>(Self { library: device.library, raw, inline: wanted.cap.max_inline_data })
        };
        // What a device cannot do inline it refuses, without saying how much it can.
        let pair = make(INLINE).or_else(|_| make(0))?;
        let (mut attributes, mask) = id.attributes(QPS_INIT)?;
        attributes.qp_access_flags = (ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE) as u32;
        pair.modify(attributes, mask | QP_ACCESS_FLAGS)?;
        Ok(pair)
    }

    /// Now it can send, too: rdma_cm knows the peer.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn ready(&self, id: &Identifier) -> io::Result<()> {
        let (mut attributes, mask) = id.attributes(QPS_RTR)?;
        attributes.min_rnr_timer = RNR_TIMER;
        self.modify(attributes, mask | QP_MIN_RNR_TIMER)?;
        let (attributes, mask) = id.attributes(QPS_RTS)?;
        self.modify(attributes, mask)
    }

    /// Ends it: all work requests that are posted come back, done or not.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn stop(&self) -> io::Result<()> {
        let mut attributes = QpAttr::default();
        attributes.qp_state = QPS_ERR;
        self.modify(attributes, QP_STATE)
    }

    fn modify(&self, mut attributes: QpAttr, mask: i32) -> io::Result<()> {
        // SAFETY: the pair is valid.
        check_number(unsafe { (self.library.ibv_modify_qp)(self.raw, &raw mut attributes, mask) })
    }

    /// Its number, for the peer.
    pub(crate) fn number(&self) -> u32 {
        // SAFETY: the pair is valid.
        unsafe { (*self.raw).qp_num }
    }

    /// Bytes that a send or a write may have so that its segments need no key.
    pub(crate) fn inline(&self) -> u32 {
        self.inline
    }

    /// Posts a work request that completes under `number`. `fenced`: not before the reads that were posted before it.
    ///
    /// # Errors
    /// `ENOMEM` if there is no room, `EINVAL`.
    pub(crate) fn post(&self, number: u64, work: Work, segments: &[Sge], fenced: bool) -> io::Result<()> {
        let total: u32 = segments.iter().map(|segment| segment.length).sum();
        let (opcode, remote_addr, rkey) = match work {
            Work::Send => (WR_SEND, 0, 0),
            Work::Write(address, key) => (WR_RDMA_WRITE, address, key),
            Work::Read(address, key) => (WR_RDMA_READ, address, key),
        };
        let inline = opcode != WR_RDMA_READ && total <= self.inline && total != 0;
        let mut request = SendWr {
            wr_id: number,
            next: core::ptr::null_mut(),
            sg_list: segments.as_ptr(),
            num_sge: segments.len() as i32,
            opcode,
            send_flags: SEND_SIGNALED
                | if inline { SEND_INLINE } else { 0 }
                | if fenced { SEND_FENCE } else { 0 },
            imm_data: 0,
            remote_addr,
            rkey,
            rest: [0; 19],
        };
        let mut bad = core::ptr::null_mut();
        // SAFETY: the pair is valid; the request is copied by the call. Memory is reached by registered keys, or inline
        // during the call, when the caller's buffers are valid.
        let posted = unsafe {
            (*(*self.raw).context).ops.post_send.map(|post| post(self.raw, &raw mut request, &raw mut bad))
        };
        check_number(posted.unwrap_or(libc::ENOSYS))
    }

    /// Posts a receive that completes under `number`.
    ///
    /// # Errors
    /// `ENOMEM` if there is no room, `EINVAL`.
    pub(crate) fn post_receive(&self, number: u64, segments: &[Sge]) -> io::Result<()> {
        let mut request = RecvWr {
            wr_id: number,
            next: core::ptr::null_mut(),
            sg_list: segments.as_ptr(),
            num_sge: segments.len() as i32,
        };
        let mut bad = core::ptr::null_mut();
        // SAFETY: as for `post`.
        let posted = unsafe {
            (*(*self.raw).context).ops.post_recv.map(|post| post(self.raw, &raw mut request, &raw mut bad))
        };
        check_number(posted.unwrap_or(libc::ENOSYS))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // SAFETY: destroyed once. Afterwards the device touches no memory for it any more.
        unsafe { (self.library.ibv_destroy_qp)(self.raw) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SW-208: no right that was not asked for.
    #[test]
    fn rights_are_exactly_those_asked_for() {
        use MemoryAccess::{Read, ReadWrite, Write};
        assert_eq!([Read, Write, ReadWrite].map(|access| Rights::Own(access).flags()), [0, 1, 1]);
        assert_eq!([Read, Write, ReadWrite].map(|access| Rights::Peer(access).flags()), [4, 3, 7]);
    }
}
