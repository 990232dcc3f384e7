//! RDMA (SP-130..133): performed by the engine that owns the exposed memory, at the request of the other one.
//!
//! So access ends exactly with the registration, and needs no right to the other process's memory. A write travels as
//! parts that the owner checks and copies one by one, and confirms after the last. A read is asked for, and answered in
//! parts, each of which is checked anew. Everything of one socket goes by one link, in order: what was written is in
//! place before a later message is delivered; and nothing is sent behind a read before its data are here (SP-022).
//! Any violation ends the connection, since what follows would tell of data that are not there.

use wsd_spi::WsaError;
use wsd_spi::provider::{RemoteBuffer, Submission};

use crate::flow::{Answer, MAX_PENDING, What};
use crate::link::Sent;
use crate::registrations::Remote;
use crate::socket::State;
use crate::state::Core;
use crate::wire::{HEADER, Header, Kind, MAX_MESSAGE, Packet, WRITE_BODY, u64_at};

/// Most bytes of one RDMA operation.
pub(crate) const MAX_RDMA: u32 = 1 << 30;
/// Most reads of a peer that wait on one socket; we have never more than one under way.
const MAX_ANSWERS: usize = 64;

impl Core {
    /// `WSPRdmaWrite` and `WSPRdmaRead`.
    pub(crate) fn rdma(
        &mut self,
        id: u32,
        write: bool,
        remote: RemoteBuffer<'_>,
        submission: Submission<'_>,
    ) -> Result<(), WsaError> {
        let socket = self.socket(id)?;
        socket.connected()?;
        let total = submission.buffers().total();
        let target = Remote::decode(remote.descriptor)?;
        if total > MAX_RDMA {
            return Err(WsaError::WSAEMSGSIZE);
        }
        target.check(write, remote.offset, total)?;
        if socket.flow.outgoing.len() + socket.flow.unconfirmed.len() >= MAX_PENDING {
            return Err(WsaError::WSAENOBUFS);
        }
        let uses = socket.memory.use_by_handle(submission.buffers(), !write)?;
        let what = if write { What::Write(target, remote.offset) } else { What::Read(target, remote.offset) };
        self.submit(id, submission, uses, what);
        Ok(())
    }

    /// Sends the next part of the write that is first in the queue.
    pub(crate) fn send_write(&mut self, id: u32, remote: Remote, offset: u32) -> Sent {
        let Some(socket) = self.sockets.get_mut(&id) else { return Sent::Yes };
        let Some(wire) = socket.wire else { return Sent::Yes };
        let Some(link) = self.links.get_mut(&wire.link) else { return Sent::Never };
        let Some(operation) = socket.flow.outgoing.front_mut() else { return Sent::Yes };
        let part = (operation.total() - operation.done).min(MAX_MESSAGE as u32);
        let last = operation.done + part == operation.total();
        let arg = offset + operation.done;
        let header = Header { kind: Kind::Write, to: wire.remote, from: operation.number, arg };
        let packet = &mut self.output[..HEADER + WRITE_BODY + part as usize];
        packet[..HEADER].copy_from_slice(&header.encode());
        for (index, number) in [remote.number, remote.key, u64::from(last)].into_iter().enumerate() {
            packet[HEADER + 8 * index..][..8].copy_from_slice(&number.to_ne_bytes());
        }
        let data = &mut packet[HEADER + WRITE_BODY..];
        let copied = socket
            .memory
            .while_used(&operation.uses, || operation.overlapped.buffers().copy_to(operation.done, data));
        if copied.is_err() {
            let culprit = Some(operation.number);
            self.abort(id, culprit);
            return Sent::Yes;
        }
        let sent = link.send(packet);
        if sent == Sent::Yes {
            operation.done += part;
            if last {
                let operation = socket.flow.outgoing.pop_front();
                socket.flow.unconfirmed.extend(operation);
            }
        }
        sent
    }

    /// Asks for the data of the read that is first in the queue.
    pub(crate) fn send_read(&mut self, id: u32, remote: Remote, offset: u32) -> Sent {
        let Some(socket) = self.sockets.get_mut(&id) else { return Sent::Yes };
        let Some(wire) = socket.wire else { return Sent::Yes };
        let Some(link) = self.links.get_mut(&wire.link) else { return Sent::Never };
        let Some(operation) = socket.flow.outgoing.front() else { return Sent::Yes };
        let packet = Packet::new(Kind::Read, wire.remote, operation.number, offset)
            .with(remote.number)
            .with(remote.key)
            .with(u64::from(operation.total()));
        let sent = link.send(packet.bytes());
        if sent == Sent::Yes {
            socket.flow.reading = socket.flow.outgoing.pop_front();
        }
        sent
    }

    /// Sends the next part of the answer to a read of the peer.
    pub(crate) fn send_answer(&mut self, id: u32) -> Sent {
        let Some(socket) = self.sockets.get_mut(&id) else { return Sent::Yes };
        let Some(wire) = socket.wire else { return Sent::Yes };
        let Some(link) = self.links.get_mut(&wire.link) else { return Sent::Never };
        let Some(answer) = socket.flow.answers.front_mut() else { return Sent::Yes };
        let part = (answer.length - answer.done).min(MAX_MESSAGE as u32);
        let header = Header { kind: Kind::Data, to: wire.remote, from: answer.operation, arg: answer.done };
        let packet = &mut self.output[..HEADER + part as usize];
        packet[..HEADER].copy_from_slice(&header.encode());
        let offset = answer.offset + answer.done;
        if !socket.memory.read_exposed(answer.number, answer.key, offset, &mut packet[HEADER..]) {
            let operation = answer.operation;
            self.violated(id, operation);
            return Sent::Yes;
        }
        let sent = link.send(packet);
        if sent == Sent::Yes {
            answer.done += part;
            if answer.done == answer.length {
                socket.flow.answers.pop_front();
            }
        }
        sent
    }

    /// The peer writes. `None` if that is no such packet.
    pub(crate) fn hear_write(&mut self, id: u32, operation: u32, offset: u32, body: &[u8]) -> Option<()> {
        let (number, key, last) = (u64_at(body, 0)?, u64_at(body, 8)?, u64_at(body, 16)?);
        let data = body.get(WRITE_BODY..)?;
        let socket = self.sockets.get_mut(&id)?;
        if !socket.memory.write_exposed(number, key, offset, data) {
            self.violated(id, operation);
        } else if last != 0
            && let Some(wire) = socket.wire
        {
            self.say(wire.link, Packet::new(Kind::Written, wire.remote, operation, 0));
        }
        Some(())
    }

    /// The peer reads. `None` if that is no such packet.
    pub(crate) fn hear_read(&mut self, id: u32, operation: u32, offset: u32, body: &[u8]) -> Option<()> {
        let (number, key) = (u64_at(body, 0)?, u64_at(body, 8)?);
        let length = u32::try_from(u64_at(body, 16)?).ok()?;
        let socket = self.sockets.get_mut(&id)?;
        if socket.flow.answers.len() >= MAX_ANSWERS {
            return None;
        }
        if socket.memory.may_read(number, key, offset, length) {
            socket.flow.answers.push_back(Answer { operation, number, key, offset, length, done: 0 });
            self.sends(id);
        } else {
            self.violated(id, operation);
        }
        Some(())
    }

    /// A write has been confirmed. `None` if it was not that one's turn.
    pub(crate) fn hear_written(&mut self, id: u32, number: u32) -> Option<()> {
        let socket = self.sockets.get_mut(&id)?;
        let operation = socket.flow.unconfirmed.pop_front_if(|operation| operation.number == number)?;
        let bytes = operation.total();
        socket.memory.end(operation.uses);
        self.common.actions.complete(operation.overlapped, Ok(()), bytes);
        Some(())
    }

    /// Data of our read have arrived. `None` if they are not what was asked for.
    pub(crate) fn hear_data(&mut self, id: u32, number: u32, offset: u32, data: &[u8]) -> Option<()> {
        let socket = self.sockets.get_mut(&id)?;
        let operation = socket.flow.reading.as_mut()?;
        let left = operation.total() - operation.done;
        let expected = operation.number == number && operation.done == offset;
        let nothing = data.is_empty() && left != 0;
        if !expected || nothing || data.len() > left as usize {
            return None;
        }
        let copied = socket
            .memory
            .while_used(&operation.uses, || operation.overlapped.buffers().copy_from(offset, data));
        if copied.is_err() {
            self.abort(id, Some(number));
            return Some(());
        }
        operation.done += data.len() as u32;
        if operation.done == operation.total()
            && let Some(operation) = socket.flow.reading.take()
        {
            let bytes = operation.total();
            socket.memory.end(operation.uses);
            self.common.actions.complete(operation.overlapped, Ok(()), bytes);
            self.sends(id);
        }
        Some(())
    }

    /// The peer says that an operation of ours broke the rules.
    pub(crate) fn hear_failed(&mut self, id: u32, number: u32) {
        self.broken(id, WsaError::WSAECONNABORTED, Some(number));
    }

    /// The peer has broken the rules with its operation (SP-132).
    fn violated(&mut self, id: u32, operation: u32) {
        let Some(socket) = self.sockets.get(&id) else { return };
        debug_assert_eq!(socket.state, State::Connected);
        if let Some(wire) = socket.wire {
            self.say(wire.link, Packet::new(Kind::Failed, wire.remote, operation, 0));
        }
        self.broken(id, WsaError::WSAECONNABORTED, None);
    }
}
