//! A connection.

use wsd_spi::SockAddr;

use super::side::Connecting;
use super::{Peer, Rig, Side};
use crate::check::{Step, fail};

/// Two connected sockets: one of the check, one of the other end.
pub(crate) struct Pair {
    pub(crate) side: Side,
    /// The check's socket.
    pub(crate) s: usize,
    pub(crate) peer: Peer,
    /// The other end's socket.
    pub(crate) theirs: usize,
    /// The listener that it came from, at whichever end that is.
    pub(crate) listener: usize,
    pub(crate) name: SockAddr,
    pub(crate) their_name: SockAddr,
}

impl Pair {
    /// The check's end connects.
    pub(crate) fn connected(rig: &Rig) -> Step<Self> {
        Self::with(rig, rig.peer()?)
    }

    /// The check's end connects to that other end.
    pub(crate) fn with(rig: &Rig, mut peer: Peer) -> Step<Self> {
        let side = rig.side()?;
        let (name, their_name) = (rig.name()?, rig.name()?);
        let listener = peer.listen(&their_name, 5)?;
        let connecting = side.start_connect(&name, &their_name)?;
        under_way(&connecting, &their_name)?;
        let theirs = peer.accept(listener)?;
        if let Some(code) = side.connected(&connecting)? {
            return fail(format!("WSPConnect to {their_name}: expected success got {code}"));
        }
        Ok(Self { side, s: connecting.s, peer, theirs, listener, name, their_name })
    }

    /// The check's end accepts.
    pub(crate) fn accepted(rig: &Rig) -> Step<Self> {
        let side = rig.side()?;
        let mut peer = rig.peer()?;
        let (name, their_name) = (rig.name()?, rig.name()?);
        let listener = side.listen(&name, 5)?;
        let theirs = peer.start_connect(&their_name, &name)?;
        let s = side.accept(&listener)?;
        if let Some(code) = peer.connected(theirs)? {
            return fail(format!("WSPConnect of the other end: expected success got {code}"));
        }
        Ok(Self { side, s, peer, theirs, listener: listener.s, name, their_name })
    }

    /// Another connection between the same two ends: the sockets here and there.
    pub(crate) fn another(&mut self, rig: &Rig) -> Step<(usize, usize)> {
        let (name, their_name) = (rig.name()?, rig.name()?);
        let listener = self.peer.listen(&their_name, 5)?;
        let connecting = self.side.start_connect(&name, &their_name)?;
        under_way(&connecting, &their_name)?;
        let theirs = self.peer.accept(listener)?;
        match self.side.connected(&connecting)? {
            None => Ok((connecting.s, theirs)),
            Some(code) => fail(format!("WSPConnect to {their_name}: expected success got {code}")),
        }
    }
}

/// A connect that failed at once needs no wait for the other end.
fn under_way(connecting: &Connecting, to: &SockAddr) -> Step {
    match connecting.refused_at_once() {
        None => Ok(()),
        Some(code) => fail(format!("WSPConnect to {to}: expected success got {code}")),
    }
}
