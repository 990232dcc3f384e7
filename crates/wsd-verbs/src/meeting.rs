//! Where peers find the ends of this process again, and what happens when one comes: the peer of a connection has moved
//! to another process, and a new queue pair takes the place of the old one (`docs/verbs.md`, SP-154).

use std::io;

use wsd_engine::MAX_BACKLOG;

use crate::greeting::{Greeting, LENGTH, Meeting, Refusal};
use crate::rdma::{Identifier, Work};
use crate::socket::Rejoin;
use crate::state::{Core, MEETING};

impl Core {
    /// A meeting point for a connection of socket `socket`.
    ///
    /// # Errors
    /// `ENOSYS` if there are no random numbers.
    pub(crate) fn new_meeting(&mut self, id: &Identifier, socket: u32) -> io::Result<Meeting> {
        let secret = u64::from_ne_bytes(wsd_os::random::bytes()?);
        // Without it the connection works, and only its peer cannot move.
        let port = self.meeting_port(id).unwrap_or(0);
        Ok(Meeting { port, socket, secret })
    }

    /// The port at which peers of connections with this own address find us.
    fn meeting_port(&mut self, id: &Identifier) -> Option<u16> {
        let mut own = id.local()?;
        own.set_port(0);
        if !self.meetings.contains_key(&own) {
            let listener = Identifier::new(self.channel.as_ref()?, MEETING).ok()?;
            self.ports.bind_own(&listener, own.into()).ok()?;
            listener.listen(MAX_BACKLOG as i32).ok()?;
            self.meetings.insert(own, listener);
        }
        Some(self.meetings.get(&own)?.local()?.port())
    }

    /// Somebody says that it is the new peer of one of our connections.
    pub(crate) fn hear_rejoin(&mut self, id: Identifier, data: &[u8; LENGTH]) {
        // What the old one has sent comes first.
        self.poll_devices();
        match Greeting::decode(data) {
            Some(Greeting::Rejoin { from, to, arrived }) if self.is_peer(&id, to) => {
                let socket = self.sockets.get_mut(&to.socket);
                let Some(connection) = socket.and_then(|socket| socket.connected().ok()) else { return };
                match connection.stop() {
                    Ok(()) => connection.rejoin = Some(Rejoin { id, from, arrived }),
                    Err(_) => return id.reject(&Refusal::Failed.bytes()),
                }
                self.go_on_rejoining(to.socket);
            }
            _ => id.reject(&Refusal::Failed.bytes()),
        }
    }

    /// Whether a request is from the peer of the connection that it names, and the connection is quiet enough.
    fn is_peer(&mut self, id: &Identifier, to: Meeting) -> bool {
        let Some(socket) = self.sockets.get_mut(&to.socket) else { return false };
        let address = socket.peer.map(|peer| peer.socket_addr().ip());
        let Ok(connection) = socket.connected() else { return false };
        let flow = &connection.flow;
        let at_device = flow.outgoing.iter().take(flow.sent);
        connection.meeting == to
            && id.peer().map(|peer| peer.ip()) == address
            && id.device() == Some(connection.device)
            && flow.stopped.is_none()
            && at_device.into_iter().all(|operation| matches!(operation.work, Work::Send))
    }

    /// Gives the connection its new queue pair, once the old one is drained.
    pub(crate) fn go_on_rejoining(&mut self, id: u32) {
        let connection = self.sockets.get_mut(&id).and_then(|socket| socket.connected().ok());
        let drained = connection.filter(|connection| connection.flow.is_drained());
        if let Some(rejoin) = drained.and_then(|connection| connection.rejoin.take()) {
            match self.rejoin(id, rejoin) {
                Ok(()) => self.post_outgoing(id),
                Err(_) => {
                    // One that is accepted already cannot be refused any more, and ends with the connection.
                    let identifier = self.sockets.get(&id).and_then(|socket| socket.id.as_ref());
                    if let Some(identifier) = identifier {
                        identifier.reject(&Refusal::Failed.bytes());
                    }
                    self.abort(id, None);
                }
            }
        }
    }

    fn rejoin(&mut self, id: u32, rejoin: Rejoin) -> io::Result<()> {
        let Rejoin { id: identifier, from, arrived } = rejoin;
        let meeting = self.new_meeting(&identifier, id)?;
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        let socket = self.sockets.get_mut(&id).ok_or_else(gone)?;
        identifier.set_datum(id);
        let old = socket.id.replace(identifier);
        let mut connection = socket.connection.take().ok_or_else(gone)?;
        let resumed = connection.flow.resume(arrived, &mut connection.memory, &mut self.common.actions);
        let device = self.device(connection.device);
        let identifier = self.sockets.get(&id).and_then(|socket| socket.id.as_ref());
        let renewed = match (resumed, device, identifier) {
            (Some(()), Some(device), Some(identifier)) => connection.renew(device, identifier),
            _ => Err(io::ErrorKind::InvalidData.into()),
        };
        (connection.meeting, connection.peer) = (meeting, from);
        self.sockets.get_mut(&id).ok_or_else(gone)?.connection = Some(connection);
        renewed?;
        // Before the peer can send.
        self.post_receives(id);
        let socket = self.sockets.get(&id).ok_or_else(gone)?;
        let (connection, identifier) = socket.connection.as_ref().zip(socket.id.as_ref()).ok_or_else(gone)?;
        connection.pair.as_ref().ok_or_else(gone)?.ready(identifier)?;
        identifier.accept(&connection.parameters(Greeting::Answer { from: meeting }))?;
        if let Some(old) = old {
            old.disconnect();
        }
        Ok(())
    }
}
