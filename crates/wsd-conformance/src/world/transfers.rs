//! One process's use of a provider: messages and RDMA.

use wsd_spi::WsaError;
use wsd_spi::ffi::{MEM_READ, MEM_WRITE};

use super::side::Side;
use super::wait::{pending, wait};
use crate::check::{Step, Stop, fail, must};
use crate::raw::{Answer, Finished, Memory, Mode, Part, Request, Target, recorder};

/// Room for descriptors of `WSPRegisterRdmaMemory` at first.
const USUAL_DESCRIPTOR: usize = 64;

/// A message or a receive that is under way.
#[derive(Clone, Copy)]
pub(crate) struct Posted {
    pub(crate) s: usize,
    pub(crate) request: Request,
    pub(crate) memory: Memory,
    mode: Mode,
}

/// Memory that the peer may use.
#[derive(Clone, Debug)]
pub(crate) struct Exposed {
    pub(crate) memory: Memory,
    pub(crate) descriptor: Vec<u8>,
}

/// Memory of the suite itself.
pub(crate) fn memory_of(bytes: &[u8]) -> Step<Memory> {
    Memory::of(bytes).or_else(|error| fail(format!("the suite has no memory: {error}")))
}

impl Side {
    /// Registered memory with that content: the memory and the handle.
    pub(crate) fn registered(&self, s: usize, bytes: &[u8], access: u32) -> Step<Part> {
        let memory = memory_of(bytes)?;
        let handle = must("WSPRegisterMemory", self.extensions.register(s, Some(memory), access))?;
        Ok(Part { memory, handle })
    }

    /// `WSPRecv` into registered memory.
    pub(crate) fn post_into(&self, s: usize, memory: Memory, mode: Mode) -> Answer<Posted> {
        let request = Request::new(mode);
        self.table.recv(s, &[memory], request)?;
        Ok(self.under_way(s, request, memory, mode))
    }

    /// `WSPRecv` with fresh memory of `size` bytes.
    pub(crate) fn post(&self, s: usize, size: usize, mode: Mode) -> Step<Posted> {
        let part = self.registered(s, &vec![0; size], MEM_WRITE)?;
        must("WSPRecv", self.post_into(s, part.memory, mode))
    }

    /// `WSPSend` of registered memory.
    pub(crate) fn send_from(&self, s: usize, memory: Memory, mode: Mode) -> Answer<Posted> {
        let request = Request::new(mode);
        self.table.send(s, &[memory], request)?;
        Ok(self.under_way(s, request, memory, mode))
    }

    /// `WSPSend` with fresh memory.
    pub(crate) fn send(&self, s: usize, bytes: &[u8], mode: Mode) -> Step<Posted> {
        let part = self.registered(s, bytes, MEM_READ)?;
        must("WSPSend", self.send_from(s, part.memory, mode))
    }

    fn under_way(&self, s: usize, request: Request, memory: Memory, mode: Mode) -> Posted {
        if mode == Mode::Polled {
            pending(*self, s, request);
        }
        Posted { s, request, memory, mode }
    }

    /// Waits for the end of an operation.
    pub(crate) fn finished(&self, what: &str, posted: &Posted) -> Step<Finished> {
        if posted.mode == Mode::Notified {
            let what = format!("the WPUCompleteOverlappedRequest of {what}");
            let completion = wait(&what, || recorder().completion(posted.request))?;
            let error = completion.error.map(Into::into);
            return Ok(Finished { error, bytes: completion.bytes, flags: 0 });
        }
        let mut odd = None;
        let finished = wait(&format!("the result of {what}"), || {
            match self.table.result(posted.s, posted.request, false) {
                Ok(finished) => finished.map(Ok),
                Err(code) => Some(Err(*odd.insert(code))),
            }
        })?;
        finished.or_else(|code| fail(format!("WSPGetOverlappedResult of {what}: {code}")))
    }

    /// Waits for the success of an operation: its byte count.
    pub(crate) fn success(&self, what: &str, posted: &Posted) -> Step<u32> {
        match self.finished(what, posted)? {
            Finished { error: None, bytes, .. } => Ok(bytes),
            Finished { error: Some(code), .. } => fail(format!("{what}: expected success got {code}")),
        }
    }

    /// Waits for a message: its bytes.
    pub(crate) fn message(&self, what: &str, posted: &Posted) -> Step<Vec<u8>> {
        let bytes = self.success(what, posted)? as usize;
        if bytes > posted.memory.len() {
            return fail(format!("{what}: {bytes} bytes in a buffer of {}", posted.memory.len()));
        }
        Ok(posted.memory.part(0, bytes).read())
    }

    /// `WSPRegisterRdmaMemory`, with as much room for the descriptor as the provider wants.
    pub(crate) fn expose_memory(&self, s: usize, memory: Memory, access: u32) -> Answer<Vec<u8>> {
        match self.extensions.expose(s, Some(memory), access, USUAL_DESCRIPTOR) {
            Err((code, needed))
                if code.is(WsaError::WSAEFAULT) && needed as usize > USUAL_DESCRIPTOR && needed <= 4096 =>
            {
                self.extensions.expose(s, Some(memory), access, needed as usize).map_err(|(code, _)| code)
            }
            answer => answer.map_err(|(code, _)| code),
        }
    }

    /// Fresh memory for the peer.
    pub(crate) fn expose(&self, s: usize, bytes: &[u8], access: u32) -> Step<Exposed> {
        let memory = memory_of(bytes)?;
        let descriptor = must("WSPRegisterRdmaMemory", self.expose_memory(s, memory, access))?;
        Ok(Exposed { memory, descriptor })
    }

    /// Starts an RDMA operation.
    pub(crate) fn rdma_from(
        &self,
        s: usize,
        write: bool,
        parts: &[Part],
        target: Target<'_>,
        mode: Mode,
    ) -> Answer<Posted> {
        let request = Request::new(mode);
        self.extensions.rdma(s, write, parts, target, request)?;
        let memory = parts.first().map(|part| part.memory);
        let memory = memory.ok_or(WsaError::WSAEINVAL)?;
        Ok(self.under_way(s, request, memory, mode))
    }

    /// An RDMA operation with fresh local memory that begins as `bytes`: how it was refused or ended, and what is in
    /// the local memory then.
    pub(crate) fn rdma(
        &self,
        s: usize,
        write: bool,
        bytes: &[u8],
        target: Target<'_>,
    ) -> Step<(Answer<u32>, Vec<u8>)> {
        let part = self.registered(s, bytes, if write { MEM_READ } else { MEM_WRITE })?;
        let posted = match self.rdma_from(s, write, &[part], target, Mode::Polled) {
            Ok(posted) => posted,
            Err(code) => return Ok((Err(code), part.memory.read())),
        };
        let what = if write { "WSPRdmaWrite" } else { "WSPRdmaRead" };
        let ended = match self.finished(what, &posted) {
            Ok(Finished { error: None, bytes, .. }) => Ok(bytes),
            Ok(Finished { error: Some(code), .. }) => Err(code),
            Err(stop @ (Stop::Fail { .. } | Stop::Skip(_))) => return Err(stop),
        };
        Ok((ended, part.memory.read()))
    }
}
