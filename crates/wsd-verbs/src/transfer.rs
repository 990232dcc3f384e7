//! `WSPSend`, `WSPRecv`, `WSPRdmaWrite`, `WSPRdmaRead`, and their completion.

use wsd_spi::WsaError;
use wsd_spi::provider::{RemoteBuffer, Submission, UserBuffers};

use crate::flow::{Culprit, Kind, MAX_PENDING, Outgoing, PairName, Posted};
use crate::memory::{Remote, Uses};
use crate::rdma::{Completion, Outcome, Work};
use crate::socket::Socket;
use crate::state::Core;

/// Longest message: the early receives hold it.
pub(crate) const MAX_MESSAGE: u32 = 16 << 10;
/// Longest RDMA operation. Every device can do more; a longer one would hold up the connection's messages.
pub(crate) const MAX_RDMA: u32 = 4 << 20;

impl Core {
    /// `WSPSend`.
    pub(crate) fn send(&mut self, id: u32, submission: Submission<'_>) -> Result<(), WsaError> {
        let connection = self.socket(id)?.connected()?;
        let total = submission.buffers().total();
        if total > MAX_MESSAGE {
            return Err(WsaError::WSAEMSGSIZE);
        }
        check_segments(submission.buffers(), connection.segments[0])?;
        let inline = connection.pair.as_ref().is_some_and(|pair| total <= pair.inline());
        let uses = match inline {
            true => Uses::inline(submission.buffers()),
            false => connection.memory.use_by_address(submission.buffers(), false)?,
        };
        self.submit(id, submission, uses, Work::Send)
    }

    /// `WSPRdmaWrite` and `WSPRdmaRead`.
    pub(crate) fn rdma(
        &mut self,
        id: u32,
        write: bool,
        remote: RemoteBuffer<'_>,
        submission: Submission<'_>,
    ) -> Result<(), WsaError> {
        let connection = self.socket(id)?.connected()?;
        let total = submission.buffers().total();
        let descriptor = Remote::decode(remote.descriptor)?;
        if total > MAX_RDMA {
            return Err(WsaError::WSAEMSGSIZE);
        }
        let address = descriptor.target(write, remote.offset, total)?;
        check_segments(submission.buffers(), connection.segments[0])?;
        let uses = connection.memory.use_by_handle(submission.buffers(), !write)?;
        let key = descriptor.key;
        self.submit(
            id,
            submission,
            uses,
            if write { Work::Write(address, key) } else { Work::Read(address, key) },
        )
    }

    /// Takes a request and posts what the device takes.
    fn submit(
        &mut self,
        id: u32,
        submission: Submission<'_>,
        uses: Uses,
        work: Work,
    ) -> Result<(), WsaError> {
        let socket = self.socket(id)?;
        let handle = socket.handle;
        let connection = socket.connected()?;
        if connection.flow.outgoing.len() >= MAX_PENDING {
            connection.memory.end(&uses);
            return Err(WsaError::WSAENOBUFS);
        }
        let overlapped = submission.start(handle);
        connection.flow.outgoing.push_back(Outgoing { overlapped, uses, work });
        self.post_outgoing(id);
        Ok(())
    }

    /// Gives the device what waits, as far as there is room.
    pub(crate) fn post_outgoing(&mut self, id: u32) {
        let Some(connection) = self.sockets.get_mut(&id).and_then(|socket| socket.connected().ok()) else {
            return;
        };
        let (Some(pair), name) = (&connection.pair, connection.name) else { return };
        let flow = &mut connection.flow;
        if flow.stopped.is_some() {
            return;
        }
        while flow.sent + usize::from(flow.probing) < connection.depths[0] as usize
            && let Some(next) = flow.outgoing.get(flow.sent)
        {
            let reads = matches!(next.work, Work::Read(..));
            // SP-022.
            let fenced = flow.reading != 0 && !reads;
            let number = name.number(Kind::Outgoing, flow.order.post(Kind::Outgoing));
            if pair.post(number, next.work, &next.uses.segments, fenced).is_err() {
                return self.abort(id, None);
            }
            flow.sent += 1;
            flow.reading += usize::from(reads);
        }
    }

    /// `WSPRecv`.
    pub(crate) fn recv(&mut self, id: u32, submission: Submission<'_>) -> Result<(), WsaError> {
        let socket = self.socket(id)?;
        let handle = socket.handle;
        let arrived = socket.connection.as_ref().is_some_and(|connection| !connection.flow.early.is_empty());
        let connection = match socket.connected() {
            // What arrived before the end is still delivered.
            Err(_) if arrived => socket.connection.as_mut().ok_or(WsaError::WSAENOTCONN)?,
            other => other?,
        };
        let flow = &mut connection.flow;
        if flow.receives.len() >= MAX_PENDING {
            return Err(WsaError::WSAENOBUFS);
        }
        check_segments(submission.buffers(), connection.segments[1])?;
        let uses = connection.memory.use_by_address(submission.buffers(), true)?;
        let posted = Posted { overlapped: submission.start(handle), uses };
        if flow.still_early == 0 {
            flow.receives.push_back(posted);
            self.post_receives(id);
            return Ok(());
        }
        flow.still_early -= 1;
        match flow.early.pop_front() {
            Some(message) => self.deliver(id, posted, &message),
            None => {
                flow.for_early += 1;
                flow.receives.push_back(posted);
            }
        }
        Ok(())
    }

    /// Gives the device the receives that wait, as far as there is room.
    pub(crate) fn post_receives(&mut self, id: u32) {
        let Some(connection) = self.sockets.get_mut(&id).and_then(|socket| socket.connected().ok()) else {
            return;
        };
        let (Some(pair), name) = (&connection.pair, connection.name) else { return };
        let flow = &mut connection.flow;
        if flow.stopped.is_some() {
            return;
        }
        while flow.at_device + flow.inboxes.len() < connection.depths[1] as usize
            && let Some(next) = flow.receives.get(flow.for_early + flow.at_device)
        {
            let number = name.number(Kind::Receive, flow.order.post(Kind::Receive));
            if pair.post_receive(number, &next.uses.segments).is_err() {
                return self.abort(id, None);
            }
            flow.at_device += 1;
        }
    }

    /// A work request has ended.
    pub(crate) fn completed(&mut self, completion: Completion) {
        let (name, kind, place) = PairName::of_number(completion.number);
        let id = name.socket;
        let carried = self.sockets.get_mut(&id).and_then(Socket::carried);
        let Some(connection) = carried.filter(|connection| connection.name == name) else { return };
        connection.flow.heard = true;
        match (completion.outcome, &mut connection.flow.stopped) {
            (Outcome::Done, _) if !connection.flow.order.complete(kind, place) => {
                return self.abort(id, None);
            }
            (Outcome::Done, _) => self.done(id, kind, completion.bytes),
            (_, Some(undone)) => *undone += 1,
            (outcome, None) => return self.undone(id, kind, outcome),
        }
        self.go_on_rejoining(id);
    }

    /// A work request could not be done.
    fn undone(&mut self, id: u32, kind: Kind, outcome: Outcome) {
        let receive = matches!(kind, Kind::Receive | Kind::Early);
        let error = match outcome {
            Outcome::TooLong if receive => Some(WsaError::WSAEMSGSIZE),
            Outcome::Denied => Some(WsaError::WSAEFAULT),
            _ => None,
        };
        let culprit = error.map(|error| Culprit { receive, error });
        self.abort(id, culprit);
    }

    /// A work request has been done.
    fn done(&mut self, id: u32, kind: Kind, received: u32) {
        let Some(connection) = self.sockets.get_mut(&id).and_then(Socket::carried) else { return };
        let flow = &mut connection.flow;
        match kind {
            Kind::Outgoing => {
                let Some(operation) = flow.outgoing.pop_front() else { return };
                flow.sent -= 1;
                flow.reading -= usize::from(matches!(operation.work, Work::Read(..)));
                flow.delivered = flow.delivered.wrapping_add(u16::from(matches!(operation.work, Work::Send)));
                connection.memory.end(&operation.uses);
                let bytes = operation.overlapped.buffers().total();
                self.common.actions.complete(operation.overlapped, Ok(()), bytes);
                self.post_outgoing(id);
            }
            Kind::Probe => flow.probing = false,
            Kind::Receive => {
                let Some(posted) = flow.receives.pop_front() else { return };
                flow.at_device -= 1;
                flow.arrived = flow.arrived.wrapping_add(1);
                connection.memory.end(&posted.uses);
                self.common.actions.complete(posted.overlapped, Ok(()), received);
                self.post_receives(id);
            }
            Kind::Early => {
                let Some(inbox) = flow.inboxes.pop_front() else { return };
                flow.arrived = flow.arrived.wrapping_add(1);
                let message = inbox.take(received);
                if flow.for_early == 0 {
                    flow.early.push_back(message);
                } else if let Some(posted) = flow.receives.pop_front() {
                    flow.for_early -= 1;
                    self.deliver(id, posted, &message);
                }
            }
        }
    }

    /// Fills a receive with a message that came early (SP-021, SP-092).
    fn deliver(&mut self, id: u32, posted: Posted, message: &[u8]) {
        let Some(connection) = self.sockets.get_mut(&id).and_then(|socket| socket.connection.as_mut()) else {
            return;
        };
        connection.memory.end(&posted.uses);
        let fits = message.len() <= posted.overlapped.buffers().total() as usize;
        let bytes = posted.overlapped.buffers().copy_from(0, message) as u32;
        let status = if fits { Ok(()) } else { Err(WsaError::WSAEMSGSIZE) };
        self.common.actions.complete(posted.overlapped, status, bytes);
        if !fits {
            self.abort(id, None);
        }
    }

    /// Ends a connection that has failed, or whose rules were broken.
    pub(crate) fn abort(&mut self, id: u32, culprit: Option<Culprit>) {
        self.broken(id, WsaError::WSAECONNABORTED, culprit);
    }
}

/// # Errors
/// `WSAEINVAL` if the device takes fewer segments.
fn check_segments(buffers: &UserBuffers, most: u32) -> Result<(), WsaError> {
    let filled = buffers.segments().iter().filter(|buffer| !buffer.is_empty()).count();
    if filled <= most as usize { Ok(()) } else { Err(WsaError::WSAEINVAL) }
}
