//! Whether peers' hosts are there. Who sends learns it from its device; who only receives asks now and then, by an RDMA
//! write of no bytes, of which the peer's program sees nothing. Without an answer the connection has failed.

use crate::flow::Kind;
use crate::rdma::Work;
use crate::socket::State;
use crate::state::Core;

impl Core {
    /// There is a connection: peers are asked from now on. The engine wakes up once for all connections.
    pub(crate) fn probe_from_now_on(&mut self) {
        if self.probes.is_empty() {
            self.probes.add((), &self.common);
        }
    }

    /// Asks where nothing has been heard of since the last time.
    pub(crate) fn probe_all(&mut self) {
        self.probes.time_is_up();
        if self.probes.expired().is_some() {
            let connected = self.sockets.iter().filter(|(_, socket)| socket.state == State::Connected);
            let all: Vec<u32> = connected.map(|(id, _)| *id).collect();
            all.iter().for_each(|id| self.probe(*id));
            if !all.is_empty() {
                self.probe_from_now_on();
            }
        }
        self.probes.arm(&self.common);
    }

    fn probe(&mut self, id: u32) {
        let connection = self.sockets.get_mut(&id).and_then(|socket| socket.connected().ok());
        let Some(connection) = connection else { return };
        let flow = &mut connection.flow;
        let asked =
            std::mem::take(&mut flow.heard) || flow.sent != 0 || flow.probing || flow.stopped.is_some();
        if let (Some(pair), false) = (&connection.pair, asked) {
            let number = connection.name.number(Kind::Probe, flow.order.post(Kind::Probe));
            match pair.post(number, Work::Write(0, 0), &[], false) {
                Ok(()) => flow.probing = true,
                Err(_) => self.abort(id, None),
            }
        }
    }
}
