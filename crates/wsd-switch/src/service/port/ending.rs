//! How a port ends: its memory first, as far as nothing uses it, then its socket.

use wsd_spi::WsaError;
use wsd_spi::client::Socket;

use super::{Port, RDMA_SLOT, SEND_SLOT};

impl Port {
    /// Breaks the connection, so that the peer learns of the end. Before it goes what memory no message uses (SW-161).
    pub(in super::super) fn hang_up(&mut self) {
        self.give_back();
        if let Some(socket) = &self.socket {
            let _ = socket.close();
        }
        self.failed = self.failed.or(Some(WsaError::WSAENOTCONN));
    }

    /// As [`Port::all_sent`], where nothing is sent or received any more: nobody else takes completions.
    pub(in super::super) fn has_parted(&mut self) -> bool {
        for slot in self.upcalls.told(self.number) {
            if (SEND_SLOT..RDMA_SLOT).contains(&slot) {
                self.sent |= 1 << (slot - SEND_SLOT);
            }
        }
        self.all_sent()
    }

    /// Deregisters what memory no message uses any more (SW-203). Nothing is sent or received afterwards.
    fn give_back(&mut self) {
        self.has_parted();
        let Some(messages) = &mut self.messages else { return };
        if self.sending.is_empty() {
            messages.send_registration = None;
        }
        let told = self.upcalls.told(self.number);
        if told.iter().filter(|slot| **slot < SEND_SLOT).count() == self.posted {
            messages.receive_registration = None;
        }
    }

    /// After [`Port::hang_up`]: whether everything that was under way has ended, also what the peer had begun, so that nothing
    /// comes into this end's memory any more (SP-170).
    pub(in super::super) fn is_over(&self) -> bool {
        let handle = self.socket.as_ref().and_then(Socket::handle);
        handle.is_none_or(|handle| !self.upcalls.has_handle(handle))
    }

    /// Closes the companion: first the memory that no transfer uses (SW-161), then the socket, which ends the others. Their memory
    /// goes with the port.
    pub(in super::super) fn close(mut self) {
        self.access.end();
        self.own_ring = None;
        self.peer_ring = None;
        self.hang_up();
    }
}
