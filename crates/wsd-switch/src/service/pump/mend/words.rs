//! The frames: this end's goes to TCP, the peer's is looked for where its stream had left TCP.

use std::io::{IoSlice, IoSliceMut};

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::{clock, tcp};
use wsd_session::fail_over::FRAME_BYTES;
use wsd_session::{Found, Resumption, Standing};

use super::super::super::steps::{Failure, fail, on_descriptor};
use super::super::super::thread::Service;
use super::{LOOK_EVERY, Part};
use crate::family::Attach;
use crate::reason::Reason;
use crate::stream::gate::State;
use crate::stream::state::Stream;
use crate::trace;
use crate::wait::notice;

/// How long the rest of a frame may take whose begin is there (nanoseconds).
const FRAME_WITHIN: u64 = 5_000_000_000;

impl Service {
    /// Puts this end's frame into TCP.
    pub(super) fn speak(&mut self, stream: &Stream) -> Result<Part, Failure> {
        let Some(mend) = self.mending(stream.index).filter(|mend| !mend.frame.is_empty()) else {
            return Ok(Part::Done);
        };
        let mut frame = std::mem::take(&mut mend.frame);
        let is_answer = matches!(mend.standing(), Standing::Unsure { .. });
        let sent = on_descriptor(self.family, stream, |own| {
            tcp::send(own.borrow(), &[IoSlice::new(&frame)], tcp::Flags::NO_SIGNAL)
        });
        let taken = match sent {
            Some(Ok(taken)) => taken,
            Some(Err(Errno::AGAIN)) => 0,
            _ => return Ok(Part::PeerGone),
        };
        stream.record.send.common.kernel_bytes.fetch_add(taken as u64, Ordering::Relaxed);
        frame.drain(..taken);
        let whole = frame.is_empty();
        if let Some(mend) = self.mending(stream.index) {
            mend.frame = frame;
        }
        if !whole {
            return Ok(Part::Wait(None));
        }
        if is_answer {
            self.let_go(stream);
        }
        Ok(Part::Done)
    }

    /// Looks where the peer's stream goes on. Nothing of it is unread before that place.
    pub(super) fn look_for_peer(&mut self, stream: &Stream) -> Result<Part, Failure> {
        let now = clock::now_ns();
        let Some(mend) = self.mending(stream.index).filter(|mend| !mend.found) else {
            return Ok(Part::Done);
        };
        let Some(part) = mend.part.clone() else { return Ok(Part::Done) };
        let waited = mend.begun.is_some_and(|begun| now >= begun + FRAME_WITHIN);
        let mut bytes = [0u8; FRAME_BYTES];
        let length = match self.take_bytes(stream, &mut bytes, tcp::Flags::PEEK) {
            Ok(length) => length,
            Err(part) => return Ok(part),
        };
        let found = part.examine(&bytes[..length], waited).map_err(|_| fail(Reason::BytesAround))?;
        match found {
            Found::More => {
                let Some(mend) = self.mending(stream.index) else { return Ok(Part::Done) };
                if length != 0 {
                    mend.begun.get_or_insert(now);
                }
                return Ok(Part::Wait(mend.begun.map(|begun| begun + FRAME_WITHIN)));
            }
            Found::Plain => self.peer_went_on(stream),
            Found::Frame(word) => {
                let taken = self.take_bytes(stream, &mut bytes, tcp::Flags::NONE);
                if !matches!(taken, Ok(FRAME_BYTES)) {
                    return Ok(Part::PeerGone);
                }
                stream.record.recv.common.kernel_bytes.fetch_add(FRAME_BYTES as u64, Ordering::Relaxed);
                self.peer_said(stream, word)?;
            }
        }
        notice::changed(stream.index);
        Ok(Part::Done)
    }

    /// What is at the front of TCP, 0 if nothing is.
    fn take_bytes(
        &self,
        stream: &Stream,
        bytes: &mut [u8; FRAME_BYTES],
        flags: tcp::Flags,
    ) -> Result<usize, Part> {
        let got = on_descriptor(self.family, stream, |own| {
            tcp::recv(own.borrow(), &mut [IoSliceMut::new(bytes)], flags).map(|got| got.len)
        });
        match got {
            Some(Ok(length)) if length != 0 => Ok(length),
            Some(Err(Errno::AGAIN)) => Ok(0),
            _ => Err(Part::PeerGone),
        }
    }

    /// The peer does not know that the promotion was settled: its stream has gone on by TCP, and it has taken nothing of ours.
    fn peer_went_on(&mut self, stream: &Stream) {
        let Some(mend) = self.mending(stream.index) else { return };
        mend.found();
        if let Standing::Promoted { own, .. } = mend.standing() {
            stream.record.send.common.demoted_at.store(own, Ordering::Release);
        }
        receive_by_tcp(stream, 0);
    }

    fn peer_said(&mut self, stream: &Stream, word: Resumption) -> Result<(), Failure> {
        let kept = self.companions.get(&stream.index).and_then(|companion| companion.pump.as_ref());
        let kept = kept.map_or(0, |pump| pump.outlet.kept_from());
        let Some(mend) = self.mending(stream.index) else { return Ok(()) };
        let standing = mend.standing();
        let (kept, end) = match standing {
            Standing::Unsure { own, .. } => (own, own),
            _ => (kept, stream.record.send.ring.tail()),
        };
        word.check(kept, end, mend.received).map_err(|_| fail(Reason::BytesAround))?;
        mend.found();
        mend.owes_frame = matches!(standing, Standing::Unsure { .. });
        mend.for_good |= word.for_good;
        let (complete, rest) = (mend.complete, word.end - mend.received);
        trace::note(format_args!(
            "connection {}: at the peer {} arrived, {} written",
            stream.index, word.received, word.end
        ));
        if matches!(standing, Standing::Promoted { .. }) {
            stream.record.send.common.demoted_at.store(word.received, Ordering::Release);
        }
        let leaving = stream.record.attach() == Attach::Leaving;
        if word.for_good && !leaving {
            stream.record.set_reason(Some(Reason::PeerWentToTcp));
        }
        if !complete {
            // Who leaves for a program without the switch cannot go on counting.
            receive_by_tcp(stream, if leaving { 0 } else { rest });
        }
        Ok(())
    }

    /// The peer knows that the promotion was settled, and this end did not: it learns so from a frame, or from the stream's going on.
    pub(super) fn answer_peer(&mut self, stream: &Stream) -> Result<Part, Failure> {
        let Some(mend) = self.mending(stream.index).filter(|mend| mend.owes_frame) else {
            return Ok(Part::Done);
        };
        let (Standing::Unsure { own, peer }, Some(part)) = (mend.standing(), &mend.part) else {
            return Ok(Part::Done);
        };
        let common = &stream.record.send.common;
        let has_gone_on = || common.kernel_bytes.load(Ordering::Acquire) != own;
        if !has_gone_on() {
            // Whoever is in the kernel path is counted when he leaves.
            if !common.gate().switch(State::Tcp, State::Rewind) {
                return Ok(Part::Wait(Some(clock::now_ns() + LOOK_EVERY)));
            }
            let word = Resumption { received: peer, end: own, has_end: false, for_good: mend.for_good };
            mend.frame = part.frame(word).to_vec();
        }
        mend.owes_frame = false;
        if has_gone_on() && !mend.frame.is_empty() {
            mend.frame.clear();
            self.let_go(stream);
        }
        Ok(Part::Done)
    }
}

/// The receive direction goes on by TCP; `rest` bytes of it must come.
fn receive_by_tcp(stream: &Stream, rest: u64) {
    let common = &stream.record.recv.common;
    let to = if rest == 0 { State::Tcp } else { State::Rest };
    common
        .promoted_at
        .store(common.kernel_bytes.load(Ordering::Acquire).saturating_add(rest), Ordering::Release);
    common.gate().force_from(State::Rewind, to);
    common.announce_change();
}
