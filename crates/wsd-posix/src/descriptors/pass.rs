//! Descriptors that travel in messages between processes (`SCM_RIGHTS`).

use std::ffi::c_int;

use libc::{CMSG_DATA, CMSG_FIRSTHDR, CMSG_NXTHDR, SCM_RIGHTS, SOL_SOCKET, cmsghdr, msghdr};
use wsd_switch::front;
use wsd_switch::reason::Reason;

use crate::notice;

/// A message with the sender's process as a descriptor (linux/socket.h).
const SCM_PIDFD: c_int = 4;

/// Before a message is sent: what it passes on goes back to TCP.
///
/// # Safety
/// Null or a message of the program as sendmsg(2) wants it.
pub(crate) unsafe extern "C" fn sending(message: *const msghdr) {
    // SAFETY: the caller's promise.
    unsafe {
        each(message, SCM_RIGHTS, |fd| {
            if front::find(fd).is_some() {
                // A connection that had to be given up: whoever receives it learns it.
                let _ = notice::leave(fd, Reason::PassedOn);
            }
        });
    }
}

/// After a message was received: the descriptors in it are new.
///
/// # Safety
/// A message that recvmsg(2) filled.
pub(crate) unsafe extern "C" fn received(message: *const msghdr) {
    // SAFETY: the caller's promise.
    unsafe {
        each(message, SCM_RIGHTS, |fd| notice::reused(fd));
        each(message, SCM_PIDFD, |fd| notice::reused(fd));
    }
}

/// Calls `body` with every descriptor in the message's control messages of this kind.
///
/// # Safety
/// Null or a message whose control part has the length that it says.
unsafe fn each(message: *const msghdr, kind: c_int, mut body: impl FnMut(c_int)) {
    // SAFETY: the caller's promise; CMSG_FIRSTHDR and CMSG_NXTHDR stay within the control part.
    unsafe {
        if message.is_null() || (*message).msg_control.is_null() || (*message).msg_controllen == 0 {
            return;
        }
        let mut control = CMSG_FIRSTHDR(message);
        while !control.is_null() {
            let header = control.read_unaligned();
            if header.cmsg_level == SOL_SOCKET && header.cmsg_type == kind {
                let data = CMSG_DATA(control).cast::<c_int>();
                let end = (*message).msg_control.cast::<u8>().add((*message).msg_controllen);
                let room = (end.addr()).saturating_sub(data.addr());
                let length = header.cmsg_len.saturating_sub(size_of::<cmsghdr>()).min(room);
                for i in 0..length / size_of::<c_int>() {
                    body(data.add(i).read_unaligned());
                }
            }
            control = CMSG_NXTHDR(message, control);
        }
    }
}
