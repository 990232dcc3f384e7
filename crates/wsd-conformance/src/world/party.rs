//! The other end of a connection: what a check can have it do. The same code serves in the process of the check and in
//! a helper process.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use wsd_spi::SockAddr;
use wsd_spi::ffi::{AF_INET, IPPROTO_TCP, SOCK_STREAM, WSA_FLAG_OVERLAPPED, WSAPROTOCOL_INFOW};

use super::side::{Connecting, Listener, Side};
use super::transfers::{Exposed, Posted};
use crate::check::{Step, fail};
use crate::raw::{Code, Finished, Mode, Target};

/// What is asked of the other end. Sockets are the provider's descriptors there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    Listen {
        name: SocketAddr,
        backlog: i32,
    },
    /// Waits for a request and answers it.
    Accept {
        listener: usize,
        decision: i32,
    },
    StartConnect {
        from: SocketAddr,
        to: SocketAddr,
    },
    Connected {
        s: usize,
    },
    Close {
        s: usize,
    },
    /// Posts that many receives, each of `size` bytes.
    Post {
        s: usize,
        count: usize,
        size: usize,
    },
    Send {
        s: usize,
        bytes: Vec<u8>,
    },
    /// Waits for the end of a message or receive.
    Finish {
        posted: usize,
    },
    Expose {
        s: usize,
        bytes: Vec<u8>,
        access: u32,
    },
    Conceal {
        s: usize,
        descriptor: Vec<u8>,
    },
    /// Content of exposed memory.
    Content {
        exposed: usize,
    },
    Rdma {
        s: usize,
        write: bool,
        bytes: Vec<u8>,
        descriptor: Vec<u8>,
        offset: u32,
    },
    Duplicate {
        s: usize,
        process: u32,
    },
    Adopt {
        value: u32,
    },
    Process,
}

/// What it tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    Done,
    /// A socket, a number of an operation or of exposed memory, a process number.
    Number(usize),
    /// Outcome of a call.
    Outcome(Option<Code>),
    /// The end of an operation, and what is in its memory.
    Ended(Finished, Vec<u8>),
    Exposed(usize, Vec<u8>),
    Bytes(Vec<u8>),
    /// How an RDMA operation ended, and what is in its local memory.
    Moved(Result<u32, Code>, Vec<u8>),
    /// A call that has to give a number failed.
    Refused(Code),
}

/// See the [module](self).
pub(crate) struct Party {
    side: Side,
    listeners: HashMap<usize, Listener>,
    connecting: HashMap<usize, Connecting>,
    posted: Vec<Posted>,
    exposed: Vec<Exposed>,
}

impl Party {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            side,
            listeners: HashMap::new(),
            connecting: HashMap::new(),
            posted: Vec::new(),
            exposed: Vec::new(),
        }
    }

    /// Does it.
    pub(crate) fn serve(&mut self, ask: Ask) -> Step<Told> {
        let side = self.side;
        match ask {
            Ask::Listen { name, backlog } => {
                let listener = side.listen(&SockAddr::from(name), backlog)?;
                self.listeners.insert(listener.s, listener);
                Ok(Told::Number(listener.s))
            }
            Ask::Accept { listener, decision } => {
                let Some(listener) = self.listeners.get(&listener) else { return fail("no such listener") };
                side.await_request(listener)?;
                let (accepted, _) = side.answer(listener.s, decision);
                Ok(accepted.map_or_else(Told::Refused, |(s, _)| Told::Number(s)))
            }
            Ask::StartConnect { from, to } => {
                let connecting = side.start_connect(&from.into(), &to.into())?;
                self.connecting.insert(connecting.s, connecting);
                Ok(Told::Number(connecting.s))
            }
            Ask::Connected { s } => match self.connecting.remove(&s) {
                Some(connecting) => side.connected(&connecting).map(Told::Outcome),
                None => fail("no such connect"),
            },
            Ask::Close { s } => side.close(s).map(|()| Told::Done),
            Ask::Post { s, count, size } => {
                let first = self.posted.len();
                for _ in 0..count {
                    self.posted.push(side.post(s, size, Mode::Polled)?);
                }
                Ok(Told::Number(first))
            }
            Ask::Send { s, bytes } => {
                self.posted.push(side.send(s, &bytes, Mode::Polled)?);
                Ok(Told::Number(self.posted.len() - 1))
            }
            Ask::Finish { posted } => match self.posted.get(posted) {
                Some(posted) => {
                    let finished = side.finished("an operation of the other end", posted)?;
                    let length = posted.memory.len().min(finished.bytes as usize);
                    Ok(Told::Ended(finished, posted.memory.part(0, length).read()))
                }
                None => fail("no such operation"),
            },
            Ask::Expose { s, bytes, access } => {
                let exposed = side.expose(s, &bytes, access)?;
                self.exposed.push(exposed.clone());
                Ok(Told::Exposed(self.exposed.len() - 1, exposed.descriptor))
            }
            Ask::Conceal { s, descriptor } => {
                Ok(Told::Outcome(side.extensions.conceal(s, &descriptor).err()))
            }
            Ask::Content { exposed } => match self.exposed.get(exposed) {
                Some(exposed) => Ok(Told::Bytes(exposed.memory.read())),
                None => fail("no such memory"),
            },
            Ask::Rdma { s, write, bytes, descriptor, offset } => {
                let target = Target { descriptor: &descriptor, offset };
                side.rdma(s, write, &bytes, target).map(|(ended, bytes)| Told::Moved(ended, bytes))
            }
            Ask::Duplicate { s, process } => {
                let value = side.table.duplicate(s, process);
                Ok(value.map_or_else(Told::Refused, |value| Told::Number(value as usize)))
            }
            Ask::Adopt { value } => {
                let adopted = adopt(&side, value);
                Ok(adopted.map_or_else(Told::Refused, Told::Number))
            }
            Ask::Process => Ok(Told::Number(std::process::id() as usize)),
        }
    }
}

/// `WSPSocket` with a value of `WSPDuplicateSocket` (SP-041).
pub(crate) fn adopt(side: &Side, value: u32) -> Result<usize, Code> {
    let mut info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
    info.dwProviderReserved = value;
    side.table.socket([AF_INET, SOCK_STREAM, IPPROTO_TCP], Some(&info), WSA_FLAG_OVERLAPPED)
}
