//! The parts of the ABI of libibverbs and librdmacm that are used here (rdma-core, `verbs.h` and `rdma_cma.h`).

use core::ffi::{c_int, c_void};

/// `RDMA_PS_TCP`
pub(super) const PS_TCP: u32 = 0x0106;
/// `RDMA_OPTION_ID`
pub(super) const OPTION_LEVEL_ID: c_int = 0;
/// `RDMA_OPTION_ID_REUSEADDR`
pub(super) const OPTION_REUSEADDR: c_int = 1;
/// `RDMA_OPTION_ID_ACK_TIMEOUT`
pub(super) const OPTION_ACK_TIMEOUT: c_int = 3;
/// `IBV_QPT_RC`
pub(super) const QPT_RC: u32 = 2;

pub(super) const QPS_INIT: u32 = 1;
pub(super) const QPS_RTR: u32 = 2;
pub(super) const QPS_RTS: u32 = 3;
pub(super) const QPS_ERR: u32 = 6;

pub(super) const QP_STATE: c_int = 1;
pub(super) const QP_ACCESS_FLAGS: c_int = 1 << 3;
pub(super) const QP_MIN_RNR_TIMER: c_int = 1 << 15;

pub(super) const ACCESS_LOCAL_WRITE: c_int = 1;
pub(super) const ACCESS_REMOTE_WRITE: c_int = 1 << 1;
pub(super) const ACCESS_REMOTE_READ: c_int = 1 << 2;

pub(super) const WR_RDMA_WRITE: u32 = 0;
pub(super) const WR_SEND: u32 = 2;
pub(super) const WR_RDMA_READ: u32 = 4;

pub(super) const SEND_FENCE: u32 = 1;
pub(super) const SEND_SIGNALED: u32 = 1 << 1;
pub(super) const SEND_INLINE: u32 = 1 << 3;

/// `IBV_TRANSPORT_IWARP`
pub(super) const TRANSPORT_IWARP: c_int = 1;

/// `struct ibv_device`, up to the last member that is used.
#[repr(C)]
pub(super) struct DeviceInfo {
    before_transport: [usize; 2],
    node_type: c_int,
    pub(super) transport_type: c_int,
}

/// `struct ibv_context`, up to the last member that is used.
#[repr(C)]
pub(super) struct Context {
    pub(super) device: *mut DeviceInfo,
    pub(super) ops: ContextOps,
    pub(super) cmd_fd: c_int,
    pub(super) async_fd: c_int,
}

/// `struct ibv_context_ops`
#[repr(C)]
pub(super) struct ContextOps {
    before_poll: [usize; 11],
    pub(super) poll_cq: Option<unsafe extern "C" fn(*mut Cq, c_int, *mut Wc) -> c_int>,
    pub(super) req_notify_cq: Option<unsafe extern "C" fn(*mut Cq, c_int) -> c_int>,
    before_post: [usize; 12],
    pub(super) post_send: Option<unsafe extern "C" fn(*mut Qp, *mut SendWr, *mut *mut SendWr) -> c_int>,
    pub(super) post_recv: Option<unsafe extern "C" fn(*mut Qp, *mut RecvWr, *mut *mut RecvWr) -> c_int>,
    rest: [usize; 5],
}

/// `struct ibv_cq`, up to the last member that is used.
#[repr(C)]
pub(super) struct Cq {
    pub(super) context: *mut Context,
    channel: *mut CompChannel,
    cq_context: *mut c_void,
    handle: u32,
    pub(super) cqe: c_int,
}

/// `struct ibv_comp_channel`
#[repr(C)]
pub(super) struct CompChannel {
    context: *mut Context,
    pub(super) fd: c_int,
    refcnt: c_int,
}

/// `struct ibv_pd`, which is not looked into.
#[repr(C)]
pub(super) struct Pd {
    context: *mut Context,
}

/// `struct ibv_qp`, up to the last member that is used.
#[repr(C)]
pub(super) struct Qp {
    pub(super) context: *mut Context,
    objects: [*mut c_void; 5],
    handle: u32,
    pub(super) qp_num: u32,
}

/// `struct ibv_mr`
#[repr(C)]
pub(super) struct Mr {
    context: *mut Context,
    pd: *mut Pd,
    addr: *mut c_void,
    length: usize,
    handle: u32,
    pub(super) lkey: u32,
    pub(super) rkey: u32,
}

/// `struct ibv_wc`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Wc {
    pub(super) wr_id: u64,
    pub(super) status: u32,
    pub(super) opcode: u32,
    vendor_err: u32,
    pub(super) byte_len: u32,
    rest: [u32; 6],
}

/// `struct ibv_sge`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Sge {
    pub(crate) addr: u64,
    pub(crate) length: u32,
    pub(crate) lkey: u32,
}

/// `struct ibv_send_wr` with the member `rdma` of its union.
#[repr(C)]
pub(super) struct SendWr {
    pub(super) wr_id: u64,
    pub(super) next: *mut SendWr,
    pub(super) sg_list: *const Sge,
    pub(super) num_sge: c_int,
    pub(super) opcode: u32,
    pub(super) send_flags: u32,
    pub(super) imm_data: u32,
    pub(super) remote_addr: u64,
    pub(super) rkey: u32,
    pub(super) rest: [u32; 19],
}

/// `struct ibv_recv_wr`
#[repr(C)]
pub(super) struct RecvWr {
    pub(super) wr_id: u64,
    pub(super) next: *mut RecvWr,
    pub(super) sg_list: *const Sge,
    pub(super) num_sge: c_int,
}

/// `struct ibv_qp_cap`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct QpCap {
    pub(super) max_send_wr: u32,
    pub(super) max_recv_wr: u32,
    pub(super) max_send_sge: u32,
    pub(super) max_recv_sge: u32,
    pub(super) max_inline_data: u32,
}

/// `struct ibv_qp_init_attr`
#[repr(C)]
pub(super) struct QpInitAttr {
    pub(super) qp_context: *mut c_void,
    pub(super) send_cq: *mut Cq,
    pub(super) recv_cq: *mut Cq,
    pub(super) srq: *mut c_void,
    pub(super) cap: QpCap,
    pub(super) qp_type: u32,
    pub(super) sq_sig_all: c_int,
}

/// `struct ibv_qp_attr`
#[repr(C)]
#[derive(Default)]
pub(super) struct QpAttr {
    pub(super) qp_state: u32,
    before_access: [u32; 7],
    pub(super) qp_access_flags: u32,
    cap: QpCap,
    ah_attr: [u64; 8],
    pkeys: [u16; 2],
    drain: [u8; 2],
    pub(super) max_rd_atomic: u8,
    pub(super) max_dest_rd_atomic: u8,
    pub(super) min_rnr_timer: u8,
    rest: [u8; 15],
}

/// `struct ibv_device_attr`
#[repr(C)]
pub(super) struct DeviceAttr {
    before_qp: [u64; 14],
    pub(super) max_qp_wr: c_int,
    device_cap_flags: u32,
    pub(super) max_sge: c_int,
    before_cqe: [c_int; 2],
    pub(super) max_cqe: c_int,
    before_reads: [c_int; 2],
    pub(super) max_qp_rd_atom: c_int,
    before_initiated: [c_int; 2],
    pub(super) max_qp_init_rd_atom: c_int,
    rest: [u32; 18],
}

/// `struct rdma_event_channel`
#[repr(C)]
pub(super) struct EventChannel {
    pub(super) fd: c_int,
}

/// `struct rdma_cm_id`, up to the last member that is used.
#[repr(C)]
pub(super) struct CmId {
    pub(super) verbs: *mut Context,
    pub(super) channel: *mut EventChannel,
    pub(super) context: *mut c_void,
    pub(super) qp: *mut Qp,
    pub(super) source: libc::sockaddr_storage,
    pub(super) destination: libc::sockaddr_storage,
}

/// `struct rdma_conn_param`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct ConnParam {
    pub(super) private_data: *const c_void,
    pub(super) private_data_len: u8,
    pub(super) responder_resources: u8,
    pub(super) initiator_depth: u8,
    pub(super) flow_control: u8,
    pub(super) retry_count: u8,
    pub(super) rnr_retry_count: u8,
    pub(super) srq: u8,
    pub(super) qp_num: u32,
}

/// `struct rdma_cm_event`, with the member `conn` of its union.
#[repr(C)]
pub(super) struct CmEvent {
    pub(super) id: *mut CmId,
    pub(super) listen_id: *mut CmId,
    pub(super) event: u32,
    pub(super) status: c_int,
    pub(super) conn: ConnParam,
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::{offset_of, size_of};

    /// Numbers as a C compiler gives them for the headers of rdma-core 44 on x86-64 and AArch64.
    #[test]
    fn structures_are_those_of_the_headers() {
        assert_eq!((size_of::<Wc>(), size_of::<SendWr>(), size_of::<RecvWr>()), (48, 128, 32));
        assert_eq!((size_of::<QpAttr>(), size_of::<QpInitAttr>(), size_of::<DeviceAttr>()), (144, 64, 232));
        assert_eq!((size_of::<Mr>(), size_of::<Sge>(), size_of::<ConnParam>()), (48, 16, 24));
        assert_eq!((size_of::<ContextOps>(), offset_of!(Context, cmd_fd)), (256, 264));
        assert_eq!((offset_of!(ContextOps, poll_cq), offset_of!(ContextOps, req_notify_cq)), (88, 96));
        assert_eq!((offset_of!(ContextOps, post_send), offset_of!(ContextOps, post_recv)), (200, 208));
        assert_eq!((offset_of!(Qp, qp_num), offset_of!(CompChannel, fd), offset_of!(Cq, cqe)), (52, 8, 28));
        assert_eq!((offset_of!(Mr, lkey), offset_of!(Mr, rkey), offset_of!(Wc, byte_len)), (36, 40, 20));
        assert_eq!((offset_of!(SendWr, send_flags), offset_of!(SendWr, remote_addr)), (32, 40));
        assert_eq!((offset_of!(QpInitAttr, cap), offset_of!(QpInitAttr, qp_type)), (32, 52));
        assert_eq!((offset_of!(QpAttr, qp_access_flags), offset_of!(QpAttr, max_rd_atomic)), (32, 126));
        assert_eq!((offset_of!(QpAttr, max_dest_rd_atomic), offset_of!(QpAttr, min_rnr_timer)), (127, 128));
        assert_eq!((offset_of!(DeviceAttr, max_qp_wr), offset_of!(DeviceAttr, max_sge)), (112, 120));
        assert_eq!((offset_of!(DeviceAttr, max_cqe), offset_of!(DeviceAttr, max_qp_rd_atom)), (132, 144));
        assert_eq!(offset_of!(DeviceAttr, max_qp_init_rd_atom), 156);
        assert_eq!(offset_of!(DeviceInfo, transport_type), 20);
        assert_eq!((offset_of!(CmId, source), offset_of!(CmId, destination)), (32, 160));
        assert_eq!((offset_of!(CmEvent, status), offset_of!(CmEvent, conn)), (20, 24));
        assert_eq!(offset_of!(ConnParam, qp_num), 16);
    }
}
