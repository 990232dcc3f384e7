//! Sockets of which a program is told by itself (WSAEventSelect, WSAAsyncSelect): once for each kind of event, and again only after it
//! has made the call that enables it again.

use wsd_os::Errno;
use wsd_os::fd::borrow;
use wsd_os::{poll, tcp};

use crate::family::Life;
use crate::front::{PollFd, Socket};
use crate::stream::readiness::{self, ERR, HUP, IN, OUT, RDHUP};
use crate::stream::recv;
use crate::stream::state::Stream;

/// What a program can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes can be received. Enabled by receiving.
    Read,
    /// Bytes can be sent: at first, and after a send that was told to come again.
    Write,
    /// The peer has ended the stream, and all of it has been received; or the connection was reset. Once.
    Close,
}

impl Event {
    fn bit(self) -> u32 {
        match self {
            Self::Read => IN,
            Self::Write => OUT,
            Self::Close => RDHUP,
        }
    }
}

/// Who tells the program.
pub trait Observer: Send {
    /// Tells of an event, without waiting. The error is that of a close.
    fn tell(&mut self, event: Event, error: Option<Errno>);
}

/// What is to be told of a socket.
pub(super) struct Observed {
    observer: Box<dyn Observer>,
    /// What has not been told since it was enabled.
    enabled: u32,
    /// What is enabled again by a call.
    wants: u32,
}

impl Observed {
    pub(super) fn new(observer: Box<dyn Observer>, events: &[Event]) -> Self {
        let wants = events.iter().fold(0, |all, event| all | event.bit());
        Self { observer, enabled: wants, wants }
    }

    /// A call was made that enables an event.
    pub(super) fn enable(&mut self, event: Event) {
        self.enabled |= event.bit() & self.wants;
    }

    /// Tells of what holds. Events that have to be waited for, to look again.
    pub(super) fn look(&mut self, socket: Socket) -> u32 {
        let Some(stream) = Stream::of(socket).filter(|_| self.enabled != 0) else { return 0 };
        match stream.record.life() {
            Life::Connected => {}
            Life::Connecting if tcp::state(stream.borrow()) == Ok(tcp::State::Established) => {}
            // Until it is connected, which makes it writable.
            Life::Connecting if ready(&stream) & (ERR | HUP) == 0 => return OUT,
            _ => return 0,
        }
        let ready = ready(&stream);
        let unread = unread(&stream);
        if unread != 0 {
            self.tell(Event::Read, None);
        }
        if ready & OUT != 0 {
            self.tell(Event::Write, None);
        }
        let ended = ready & (RDHUP | HUP | ERR) != 0;
        if unread == 0 && ended {
            self.tell(Event::Close, (ready & ERR != 0).then_some(Errno::CONNRESET));
        }
        // While there is something to be received, the next that can be told of is enabled by receiving it; and nothing comes behind the end.
        let receiving = if unread == 0 && !ended { IN | RDHUP } else { 0 };
        self.enabled & (OUT | receiving)
    }

    fn tell(&mut self, event: Event, error: Option<Errno>) {
        if self.enabled & event.bit() != 0 {
            self.enabled &= !event.bit();
            self.observer.tell(event, error);
        }
    }
}

/// What holds of a connection now, by whatever path it goes.
fn ready(stream: &Stream) -> u32 {
    let ready = readiness::of(stream);
    let asked = (IN | OUT | RDHUP) & ready.kernel;
    let mut one = [PollFd { fd: stream.fd, events: asked as i16, revents: 0 }];
    let told = asked != 0 && poll::ppoll(&mut one, Some(core::time::Duration::ZERO), None) == Ok(1);
    ready.events | if told { u32::from(one[0].revents as u16) & ready.kernel } else { 0 }
}

fn unread(stream: &Stream) -> usize {
    recv::readable_bytes(stream).unwrap_or_else(|| tcp::unread(borrow(stream.fd)).unwrap_or(0))
}
