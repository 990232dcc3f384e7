//! Who gets what a peer says. Nothing in a packet is believed before it has been checked.

use wsd_os::fd::OwnedFd;
use wsd_spi::WsaError;

use crate::pool::Allocation;
use crate::socket::{Request, State};
use crate::state::Core;
use crate::wire::{Ending, Header, Kind, MAX_MESSAGE, Packet, Refusal, addresses, is_hello, u64_at};

impl Core {
    /// Reacts to one packet of a link. `None` if it breaks the rules: then the link has to end.
    pub(crate) fn hear(&mut self, link: u32, packet: &[u8], memory: Option<OwnedFd>) -> Option<()> {
        let (header, body) = Header::decode(packet)?;
        let Header { kind, to, from, arg } = header;
        let open = self.links.get(&link)?.open;
        // A stranger says hello first, and nobody else does.
        if open == (kind == Kind::Hello) || memory.is_some() != matches!(kind, Kind::Chunk | Kind::Move) {
            return None;
        }
        match kind {
            Kind::Hello => is_hello(body).then(|| self.open_link(link)),
            Kind::Connect => {
                let (caller, callee) = addresses(body)?;
                if caller.family() != callee.family() {
                    return None;
                }
                self.hear_connect(Request { link, remote: from, caller, callee }, arg);
                Some(())
            }
            Kind::Accept => {
                self.hear_accept(link, to, from);
                Some(())
            }
            Kind::Refuse => {
                self.hear_refuse(link, to, Refusal::from_number(arg));
                Some(())
            }
            Kind::Withdraw => {
                self.hear_withdraw(link, from);
                Some(())
            }
            Kind::Chunk => {
                let added = self.links.get_mut(&link)?.view.add(from, arg, u64_at(body, 0)?, memory?);
                added.then_some(())
            }
            Kind::Freed => {
                let allocation =
                    Allocation { chunk: from, slot: arg, generation: u64_at(body, 0)?, socket: 0 };
                if self.links.get_mut(&link)?.view.freed(&allocation)? {
                    let packet = Packet::new(Kind::Released, 0, from, arg).with(allocation.generation);
                    self.say(link, packet);
                }
                Some(())
            }
            Kind::Released => {
                let allocation =
                    Allocation { chunk: from, slot: arg, generation: u64_at(body, 0)?, socket: 0 };
                self.links.get_mut(&link)?.store.released(&allocation).then_some(())
            }
            _ if self.is_leaving(to, link) => {
                self.hear_leaving(to, link, kind, body);
                Some(())
            }
            // What is for a socket that has been closed, or is over, is not heard.
            _ if !self.is_connected(to, link) => Some(()),
            Kind::Message if body.len() <= MAX_MESSAGE => {
                self.hear_message(to, body);
                Some(())
            }
            Kind::Write => self.hear_write(to, from, arg, body),
            Kind::Read => self.hear_read(to, from, arg, body),
            Kind::Written => self.hear_written(to, from),
            Kind::Data => self.hear_data(to, from, arg, body),
            Kind::Failed => {
                self.hear_failed(to, from);
                Some(())
            }
            Kind::Close => {
                let aborted = arg == Ending::Aborted as u32;
                let error = if aborted { WsaError::WSAECONNABORTED } else { WsaError::WSAECONNRESET };
                self.broken(to, error, None);
                Some(())
            }
            Kind::Move => self.hear_move(to, memory?),
            Kind::Joined => self.hear_joined(to, from),
            Kind::Message | Kind::Parted | Kind::Parcel => None,
        }
    }

    /// Whether a socket is connected by that link.
    fn is_connected(&self, id: u32, link: u32) -> bool {
        self.sockets.get(&id).is_some_and(|socket| {
            socket.state == State::Connected && socket.wire.is_some_and(|wire| wire.link == link)
        })
    }
}
