//! libibverbs and librdmacm, loaded when they are needed.

use core::ffi::{c_int, c_uint, c_void};
use std::sync::OnceLock;

use super::ffi::{
    CmEvent, CmId, CompChannel, ConnParam, Context, Cq, DeviceAttr, DeviceInfo, EventChannel, Mr, Pd, Qp,
    QpAttr, QpInitAttr,
};

macro_rules! functions {
    ($( $library:ident $name:ident: fn($($argument:ty),*) $(-> $result:ty)?; )*) => {
        /// The functions that are called. Never unloaded.
        pub(super) struct Library {
            $( pub(super) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?, )*
        }

        impl Library {
            fn load() -> Option<Self> {
                // SAFETY: the libraries' constructors only prepare the libraries themselves.
                let (verbs, cm) = unsafe {
                    (libloading::Library::new("libibverbs.so.1").ok()?, libloading::Library::new("librdmacm.so.1").ok()?)
                };
                let loaded = Self {
                    // SAFETY: the types are those of the headers, and the libraries are never unloaded.
                    $( $name: *unsafe { $library!(verbs, cm).get(stringify!($name).as_bytes()) }.ok()?, )*
                };
                std::mem::forget((verbs, cm));
                Some(loaded)
            }
        }
    };
}

macro_rules! verbs {
    ($verbs:ident, $cm:ident) => {
        $verbs
    };
}

macro_rules! cm {
    ($verbs:ident, $cm:ident) => {
        $cm
    };
}

functions! {
    verbs ibv_open_device: fn(*mut DeviceInfo) -> *mut Context;
    verbs ibv_close_device: fn(*mut Context) -> c_int;
    verbs ibv_query_device: fn(*mut Context, *mut DeviceAttr) -> c_int;
    verbs ibv_create_comp_channel: fn(*mut Context) -> *mut CompChannel;
    verbs ibv_destroy_comp_channel: fn(*mut CompChannel) -> c_int;
    verbs ibv_create_cq: fn(*mut Context, c_int, *mut c_void, *mut CompChannel, c_int) -> *mut Cq;
    verbs ibv_resize_cq: fn(*mut Cq, c_int) -> c_int;
    verbs ibv_destroy_cq: fn(*mut Cq) -> c_int;
    verbs ibv_get_cq_event: fn(*mut CompChannel, *mut *mut Cq, *mut *mut c_void) -> c_int;
    verbs ibv_ack_cq_events: fn(*mut Cq, c_uint);
    verbs ibv_alloc_pd: fn(*mut Context) -> *mut Pd;
    verbs ibv_dealloc_pd: fn(*mut Pd) -> c_int;
    verbs ibv_create_qp: fn(*mut Pd, *mut QpInitAttr) -> *mut Qp;
    verbs ibv_modify_qp: fn(*mut Qp, *mut QpAttr, c_int) -> c_int;
    verbs ibv_destroy_qp: fn(*mut Qp) -> c_int;
    verbs ibv_reg_mr_iova: fn(*mut Pd, *mut c_void, usize, u64, c_int) -> *mut Mr;
    verbs ibv_dereg_mr: fn(*mut Mr) -> c_int;
    cm rdma_create_event_channel: fn() -> *mut EventChannel;
    cm rdma_destroy_event_channel: fn(*mut EventChannel);
    cm rdma_get_cm_event: fn(*mut EventChannel, *mut *mut CmEvent) -> c_int;
    cm rdma_ack_cm_event: fn(*mut CmEvent) -> c_int;
    cm rdma_create_id: fn(*mut EventChannel, *mut *mut CmId, *mut c_void, u32) -> c_int;
    cm rdma_destroy_id: fn(*mut CmId) -> c_int;
    cm rdma_set_option: fn(*mut CmId, c_int, c_int, *mut c_void, usize) -> c_int;
    cm rdma_bind_addr: fn(*mut CmId, *mut libc::sockaddr) -> c_int;
    cm rdma_resolve_addr: fn(*mut CmId, *mut libc::sockaddr, *mut libc::sockaddr, c_int) -> c_int;
    cm rdma_resolve_route: fn(*mut CmId, c_int) -> c_int;
    cm rdma_init_qp_attr: fn(*mut CmId, *mut QpAttr, *mut c_int) -> c_int;
    cm rdma_connect: fn(*mut CmId, *mut ConnParam) -> c_int;
    cm rdma_establish: fn(*mut CmId) -> c_int;
    cm rdma_listen: fn(*mut CmId, c_int) -> c_int;
    cm rdma_accept: fn(*mut CmId, *mut ConnParam) -> c_int;
    cm rdma_reject: fn(*mut CmId, *const c_void, u8) -> c_int;
    cm rdma_disconnect: fn(*mut CmId) -> c_int;
}

/// The libraries; `None` if they are not installed.
pub(super) fn library() -> Option<&'static Library> {
    static LOADED: OnceLock<Option<Library>> = OnceLock::new();
    LOADED.get_or_init(Library::load).as_ref()
}
