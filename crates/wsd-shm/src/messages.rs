//! Messages: `WSPSend` and `WSPRecv` (SP-085..093), and the order in which a socket sends.

use wsd_spi::WsaError;
use wsd_spi::provider::Submission;

use crate::flow::{MAX_PENDING, Outgoing, Posted, What};
use crate::link::Sent;
use crate::socket::State;
use crate::state::Core;
use crate::wire::{HEADER, Header, Kind, MAX_MESSAGE};

impl Core {
    /// `WSPSend`.
    pub(crate) fn send(&mut self, id: u32, submission: Submission<'_>) -> Result<(), WsaError> {
        let socket = self.socket(id)?;
        socket.connected()?;
        if submission.buffers().total() as usize > MAX_MESSAGE {
            return Err(WsaError::WSAEMSGSIZE);
        }
        if socket.flow.outgoing.len() >= MAX_PENDING {
            return Err(WsaError::WSAENOBUFS);
        }
        let uses = socket.memory.use_by_address(submission.buffers(), false)?;
        self.submit(id, submission, uses, What::Send);
        Ok(())
    }

    /// Takes a request and sends what can be sent.
    pub(crate) fn submit(
        &mut self,
        id: u32,
        submission: Submission<'_>,
        uses: crate::registrations::Uses,
        what: What,
    ) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let number = socket.flow.number();
        let overlapped = submission.start(socket.handle);
        socket.flow.outgoing.push_back(Outgoing { overlapped, uses, what, number, done: 0 });
        self.sends(id);
    }

    /// Sends one packet of a socket, whose turn it is, and queues it for the next turn if it has more.
    pub(crate) fn send_next(&mut self, id: u32) -> Sent {
        let Some(socket) = self.sockets.get_mut(&id) else { return Sent::Yes };
        let flow = &socket.flow;
        let sent = match flow.outgoing.front().map(|operation| operation.what) {
            _ if flow.paused => Sent::Yes,
            _ if !flow.answers.is_empty() => self.send_answer(id),
            _ if flow.reading.is_some() => Sent::Yes,
            None => Sent::Yes,
            Some(What::Send) => self.send_message(id),
            Some(What::Write(remote, offset)) => self.send_write(id, remote, offset),
            Some(What::Read(remote, offset)) => self.send_read(id, remote, offset),
        };
        if sent != Sent::Later
            && let Some(socket) = self.sockets.get_mut(&id)
        {
            let link = socket.wire.and_then(|wire| self.links.get_mut(&wire.link));
            socket.flow.in_turn = socket.flow.has_more();
            match link {
                Some(link) if socket.flow.in_turn => link.senders.push_back(id),
                _ => socket.flow.in_turn = false,
            }
        }
        sent
    }

    fn send_message(&mut self, id: u32) -> Sent {
        let Some(socket) = self.sockets.get_mut(&id) else { return Sent::Yes };
        let Some(wire) = socket.wire else { return Sent::Yes };
        let Some(link) = self.links.get_mut(&wire.link) else { return Sent::Never };
        let Some(operation) = socket.flow.outgoing.front() else { return Sent::Yes };
        let header = Header { kind: Kind::Message, to: wire.remote, from: 0, arg: 0 }.encode();
        let end = HEADER + operation.total() as usize;
        let packet = &mut self.output[..end];
        packet[..HEADER].copy_from_slice(&header);
        let copied = socket
            .memory
            .while_used(&operation.uses, || operation.overlapped.buffers().copy_to(0, &mut packet[HEADER..]));
        if copied.is_err() {
            let culprit = Some(operation.number);
            self.abort(id, culprit);
            return Sent::Yes;
        }
        let sent = link.send(packet);
        if sent == Sent::Yes
            && let Some(operation) = socket.flow.outgoing.pop_front()
        {
            let bytes = operation.total();
            socket.memory.end(operation.uses);
            self.common.actions.complete(operation.overlapped, Ok(()), bytes);
        }
        sent
    }

    /// `WSPRecv`.
    pub(crate) fn recv(&mut self, id: u32, submission: Submission<'_>) -> Result<(), WsaError> {
        let socket = self.socket(id)?;
        if !(matches!(socket.state, State::Broken(_)) && socket.flow.has_early()) {
            socket.connected()?;
        }
        if socket.flow.receives.len() >= MAX_PENDING {
            return Err(WsaError::WSAENOBUFS);
        }
        let uses = socket.memory.use_by_address(submission.buffers(), true)?;
        let posted = Posted { overlapped: submission.start(socket.handle), uses };
        match socket.flow.take_early() {
            Some(message) => self.deliver(id, posted, &message),
            None => socket.flow.receives.push_back(posted),
        }
        Ok(())
    }

    /// A message has arrived.
    pub(crate) fn hear_message(&mut self, id: u32, message: &[u8]) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        match socket.flow.receives.pop_front() {
            Some(posted) => self.deliver(id, posted, message),
            None => {
                if !socket.flow.keep_early(message) {
                    self.abort(id, None);
                }
            }
        }
    }

    /// Fills a posted buffer (SP-090, SP-092).
    fn deliver(&mut self, id: u32, posted: Posted, message: &[u8]) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let fits = message.len() <= posted.overlapped.buffers().total() as usize;
        let copied = socket
            .memory
            .while_used(&posted.uses, || posted.overlapped.buffers().copy_from(0, message) as u32);
        socket.memory.end(posted.uses);
        let (status, bytes) = match copied {
            Ok(bytes) if fits => (Ok(()), bytes),
            Ok(bytes) => (Err(WsaError::WSAEMSGSIZE), bytes),
            Err(error) => (Err(error), 0),
        };
        self.common.actions.complete(posted.overlapped, status, bytes);
        if status.is_err() {
            // The peer has sent more than was agreed, or the program has taken the memory away: a message is lost.
            self.abort(id, None);
        }
    }
}
