//! Links between the switches of two processes of one host (session protocol, section 3).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use wsd_os::Errno;
use wsd_os::clock;
use wsd_os::fd::{AsFd, BorrowedFd, OwnedFd};
use wsd_os::link::{Link, Listener, PeerCredentials};
use wsd_os::memory::{AddressArena, RegionOptions, SharedRegion};

use super::patience::MADE_WITHIN;
use crate::wait::pair::{self, PAGE_BYTES, Page};

/// Address ranges of pair pages, never given back.
static ARENA: AddressArena = AddressArena::new();
/// A stranger, who has connected, must say Hello within this time (nanoseconds). A process that we have connected to has
/// longer, as its thread may be busy with other connections: as long as a companion that waits for it.
const HELLO_WITHIN: u64 = 1_000_000_000;
/// Links of strangers.
const HALF_OPEN: usize = 64;
/// What is taken from one descriptor before others have their turn: a peer that never stops talking keeps nobody waiting.
const TURN: usize = 8;
const VERSION: u32 = 1;

const HELLO: u32 = 1;
const HAND: u32 = 2;
const GO_FIRST: u32 = 3;
const NO_PROOF: u32 = 4;

/// 16 random bytes that name a process.
pub(super) type Token = [u8; 16];

/// What arrived on a link for a connection.
pub(super) enum Arrival {
    /// The peer process has introduced itself.
    Peer(Token),
    /// A descriptor for the connection with this key.
    Hand { token: Token, key: u64, fd: OwnedFd },
    /// The peer may not hand over first.
    GoFirst { token: Token, key: u64 },
    /// The peer gives up on the connection.
    NoProof { token: Token, key: u64 },
    /// All links to this process are gone.
    Lost(Token),
}

struct Open {
    link: Link,
    credentials: PeerCredentials,
    token: Option<Token>,
    /// Hello must have come by then.
    deadline: u64,
    /// Our Hello was sent.
    greeted: bool,
    /// Somebody waits until it takes messages again.
    full: bool,
}

/// Another process of this host.
struct Peer {
    /// Page that we read and the peer writes.
    page: SharedRegion,
    /// Page of the peer, kept mapped.
    _outgoing: Option<SharedRegion>,
    pair: Option<u32>,
    links: u32,
}

/// All links of this process.
pub(super) struct Links {
    listener: Listener,
    /// Random part of the listener's name.
    pub(super) name: Token,
    /// This process.
    pub(super) own: Token,
    open: HashMap<u64, Open>,
    peers: HashMap<Token, Peer>,
    next: u64,
}

impl Links {
    pub(super) fn new(own: Token) -> Result<Self, Errno> {
        let name = wsd_os::random::bytes::<16>()?;
        let listener = Listener::bind(&abstract_name(&name), 128)?;
        Ok(Self { listener, name, own, open: HashMap::new(), peers: HashMap::new(), next: 1 })
    }

    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Descriptor of a link.
    pub(super) fn descriptor(&self, id: u64) -> Option<BorrowedFd<'_>> {
        self.open.get(&id).map(|open| open.link.as_fd())
    }

    /// Number of the pair with a process that has introduced itself.
    pub(super) fn pair(&self, token: &Token) -> Option<u32> {
        self.peers.get(token)?.pair
    }

    /// User and process at the other end of the link to `token`.
    pub(super) fn credentials(&self, token: &Token) -> Option<PeerCredentials> {
        self.greeted(token).map(|open| open.credentials)
    }

    fn greeted(&self, token: &Token) -> Option<&Open> {
        self.open.values().find(|open| open.token == Some(*token) && open.greeted)
    }

    /// The link to `token` takes no more, and somebody waits for room; its id.
    pub(super) fn set_full(&mut self, token: &Token) -> Option<u64> {
        let greeted = |open: &Open| open.token == Some(*token) && open.greeted;
        let (id, open) = self.open.iter_mut().find(|(_, open)| greeted(open))?;
        open.full = true;
        Some(*id)
    }

    /// The peer of a link if somebody waits for room on it; nobody does afterwards.
    pub(super) fn take_full(&mut self, id: u64) -> Option<Token> {
        let open = self.open.get_mut(&id)?;
        std::mem::take(&mut open.full).then_some(open.token).flatten()
    }

    /// Sees to it that there is a link to the process `token`, whose switch listens on `name`. The id of a new link.
    pub(super) fn connect(&mut self, token: Token, name: &Token) -> Result<Option<u64>, Errno> {
        if self.open.values().any(|open| open.token == Some(token)) {
            return Ok(None);
        }
        let link = Link::connect(&abstract_name(name))?;
        let id = self.enter(link, Some(token))?;
        self.greet(id, token)?;
        Ok(Some(id))
    }

    /// Accepts what waits at the listener, for one turn; ids of new links.
    pub(super) fn accept(&mut self) -> Vec<u64> {
        let mut ids = Vec::new();
        for _ in 0..TURN {
            let Ok(link) = self.listener.accept() else { break };
            let half_open = self.open.values().filter(|open| open.token.is_none()).count();
            if half_open < HALF_OPEN
                && let Ok(id) = self.enter(link, None)
            {
                ids.push(id);
            }
        }
        ids
    }

    fn enter(&mut self, link: Link, token: Option<Token>) -> Result<u64, Errno> {
        let credentials = link.peer_credentials()?;
        let id = self.next;
        self.next += 1;
        let limit = if token.is_some() { MADE_WITHIN } else { HELLO_WITHIN };
        let deadline = clock::now_ns() + limit;
        self.open.insert(id, Open { link, credentials, token, deadline, greeted: false, full: false });
        if let Some(token) = token {
            self.peer(token)?.links += 1;
        }
        Ok(id)
    }

    fn peer(&mut self, token: Token) -> Result<&mut Peer, Errno> {
        match self.peers.entry(token) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let options = RegionOptions { fixed_size: true, no_dump: true, arena: Some(&ARENA) };
                let page = SharedRegion::create(c"wsdirect-pair", PAGE_BYTES, options)?;
                Ok(new.insert(Peer { page, _outgoing: None, pair: None, links: 0 }))
            }
        }
    }

    fn greet(&mut self, id: u64, token: Token) -> Result<(), Errno> {
        let mut hello = [0u8; 40];
        hello[0..4].copy_from_slice(&HELLO.to_le_bytes());
        hello[4..8].copy_from_slice(&VERSION.to_le_bytes());
        hello[8..24].copy_from_slice(&self.own);
        hello[24..40].copy_from_slice(&token);
        self.peer(token)?;
        let page = self.peers.get(&token).and_then(|peer| peer.page.fd()).ok_or(Errno::BADF)?;
        self.open.get(&id).ok_or(Errno::BADF)?.link.send(&hello, &[page])
    }

    /// Reads what waits on a link, for one turn. The link is gone afterwards if it failed or broke the protocol.
    pub(super) fn read(&mut self, id: u64, arrivals: &mut Vec<Arrival>) {
        for _ in 0..TURN {
            let Some(open) = self.open.get(&id) else { return };
            let mut bytes = [0u8; 64];
            let packet = match open.link.recv(&mut bytes, 1) {
                Ok(Some(packet)) => packet,
                Err(Errno::AGAIN) => return,
                Ok(None) | Err(_) => return self.drop_link(id, arrivals),
            };
            let [fd, ..] = packet.fds;
            if self.handle(id, &bytes[..packet.len], fd, arrivals).is_none() {
                return self.drop_link(id, arrivals);
            }
        }
    }

    fn handle(
        &mut self,
        id: u64,
        bytes: &[u8],
        fd: Option<OwnedFd>,
        arrivals: &mut Vec<Arrival>,
    ) -> Option<()> {
        let kind = u32::from_le_bytes(*bytes.first_chunk()?);
        if kind == HELLO {
            return self.hello(id, bytes, fd?, arrivals);
        }
        let open = self.open.get(&id)?;
        let token = open.token.filter(|_| open.greeted)?;
        if bytes.len() != 12 {
            return None;
        }
        let key = u64::from_le_bytes(*bytes.get(4..12)?.first_chunk()?);
        arrivals.push(match (kind, fd) {
            (HAND, Some(fd)) => Arrival::Hand { token, key, fd },
            (GO_FIRST, None) => Arrival::GoFirst { token, key },
            (NO_PROOF, None) => Arrival::NoProof { token, key },
            _ => return None,
        });
        Some(())
    }

    fn hello(&mut self, id: u64, bytes: &[u8], page: OwnedFd, arrivals: &mut Vec<Arrival>) -> Option<()> {
        let version = u32::from_le_bytes(*bytes.get(4..8)?.first_chunk()?);
        let token: Token = *bytes.get(8..24)?.first_chunk()?;
        let expected: Token = *bytes.get(24..40)?.first_chunk()?;
        let open = self.open.get(&id)?;
        if version != VERSION
            || bytes.len() != 40
            || expected != self.own
            || open.greeted
            || token == self.own
        {
            return None;
        }
        if open.token.is_some_and(|known| known != token) {
            return None;
        }
        let answer = open.token.is_none();
        if answer {
            self.peer(token).ok()?.links += 1;
            self.open.get_mut(&id)?.token = Some(token);
            self.greet(id, token).ok()?;
        }
        let peer = self.peers.get_mut(&token)?;
        if peer.pair.is_none() {
            let options = RegionOptions { fixed_size: true, no_dump: true, arena: Some(&ARENA) };
            let outgoing = SharedRegion::from_fd(page, PAGE_BYTES, options).ok()?;
            let pages = (outgoing.at_forever::<Page>(0)?, peer.page.at_forever::<Page>(0)?);
            peer.pair = pair::add(pages.0, pages.1, words(&token));
            peer._outgoing = Some(outgoing);
            peer.pair?;
        }
        self.open.get_mut(&id)?.greeted = true;
        arrivals.push(Arrival::Peer(token));
        Some(())
    }

    fn drop_link(&mut self, id: u64, arrivals: &mut Vec<Arrival>) {
        let Some(open) = self.open.remove(&id) else { return };
        let Some(token) = open.token else { return };
        let Some(peer) = self.peers.get_mut(&token) else { return };
        peer.links -= 1;
        if peer.links == 0 {
            if let Some(pair) = peer.pair {
                pair::remove(pair);
            }
            self.peers.remove(&token);
            arrivals.push(Arrival::Lost(token));
        }
    }

    /// Drops links that did not say Hello in time; when the next one is due.
    pub(super) fn expire(&mut self, now: u64, arrivals: &mut Vec<Arrival>) -> Option<u64> {
        let late: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| !open.greeted && open.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            // The thread was busy perhaps, and it has come.
            self.read(id, arrivals);
            if self.open.get(&id).is_some_and(|open| !open.greeted) {
                self.drop_link(id, arrivals);
            }
        }
        self.open.values().filter(|open| !open.greeted).map(|open| open.deadline).min()
    }

    /// Hands a descriptor over for the connection that the peer knows by `key`. This and the next two never wait: `AGAIN` while
    /// the peer does not read.
    pub(super) fn hand(&self, token: &Token, key: u64, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        self.send(token, HAND, key, &[fd])
    }

    pub(super) fn go_first(&self, token: &Token, key: u64) -> Result<(), Errno> {
        self.send(token, GO_FIRST, key, &[])
    }

    pub(super) fn no_proof(&self, token: &Token, key: u64) -> Result<(), Errno> {
        self.send(token, NO_PROOF, key, &[])
    }

    fn send(&self, token: &Token, kind: u32, key: u64, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let mut bytes = [0u8; 12];
        bytes[0..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4..12].copy_from_slice(&key.to_le_bytes());
        self.greeted(token).ok_or(Errno::NOTCONN)?.link.send(&bytes, fds)
    }
}

fn abstract_name(name: &Token) -> Vec<u8> {
    let mut text = b"wsd-link-".to_vec();
    for byte in name {
        text.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    text
}

/// A token as the two words that bells use.
fn words(token: &Token) -> [u64; 2] {
    let half = |bytes: &[u8]| bytes.iter().fold(0u64, |n, byte| (n << 8) | u64::from(*byte));
    [half(&token[..8]), half(&token[8..])]
}

/// Two words as a token.
pub(super) fn token_of(words: [u64; 2]) -> Token {
    let mut token = [0; 16];
    token[..8].copy_from_slice(&words[0].to_be_bytes());
    token[8..].copy_from_slice(&words[1].to_be_bytes());
    token
}

#[cfg(test)]
mod fuzz;
