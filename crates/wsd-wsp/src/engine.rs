//! The one thread that moves what no call waits for: queued requests, non-blocking connects, network events,
//! sockets on their way to another process.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::io::Errno;
use wsd_os::doorbell;
use wsd_os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use wsd_os::poll::{EpollEvent, EpollOperation, epoll_create, epoll_ctl_raw, epoll_pwait};
use wsd_os::thread::{DEFAULT_STACK, spawn_hidden};
use wsd_spi::SwitchSocket;
use wsd_spi::ffi::INVALID_SOCKET;
use wsd_switch::front::{self, Outcome};

use crate::process::Running;
use crate::socket::State;

/// Datum of the descriptor that ends the engine; a socket's is its handle, which is never this.
const STOP: u64 = INVALID_SOCKET as u64;
/// Bit of a datum that belongs to a hand-over. Handles of programs do not have it: they are pointers or small numbers.
pub(crate) const HANDOVER: u64 = 1 << 62;

pub(crate) struct Engine {
    epoll: OwnedFd,
    stop: OwnedFd,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    pub(crate) fn new() -> Result<Self, Errno> {
        let epoll = epoll_create()?;
        let stop = doorbell::event()?;
        let event = EpollEvent { events: libc::EPOLLIN as u32, u64: STOP };
        let engine = Self { epoll, stop, thread: Mutex::new(None) };
        engine.control(EpollOperation::Add, engine.stop.as_raw_fd(), event)?;
        Ok(engine)
    }

    /// Starts the thread.
    pub(crate) fn start(running: &Arc<Running>) -> Result<(), Errno> {
        let process = Arc::clone(running);
        let thread = spawn_hidden("wsd-wsp", DEFAULT_STACK, move || run(&process))?;
        *running.engine.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Ends the thread. Called by the last clean-up; never by the thread itself, which makes no call of the program's
    /// but up-calls.
    pub(crate) fn stop(&self) {
        doorbell::signal(self.stop.as_fd());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }

    /// Watches a socket for what its state asks for. One notice per call: it disarms itself.
    pub(crate) fn arm(&self, handle: SwitchSocket, state: &mut State) {
        let wanted = state.interest();
        if wanted & !state.armed == 0 || handle == SwitchSocket::INVALID {
            return;
        }
        let event = EpollEvent { events: wanted | libc::EPOLLONESHOT as u32, u64: handle.raw() as u64 };
        let operation = if state.registered { EpollOperation::Modify } else { EpollOperation::Add };
        if self.control(operation, state.kernel.raw_fd(), event).is_ok() {
            state.registered = true;
            state.armed = wanted;
        }
    }

    /// Forgets a socket that is being closed.
    pub(crate) fn disarm(&self, state: &mut State) {
        if state.registered {
            self.unwatch(state.kernel.fd());
            state.registered = false;
        }
    }

    /// Watches another descriptor until it is readable.
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>, datum: u64) -> Result<(), Errno> {
        let event = EpollEvent { events: libc::EPOLLIN as u32, u64: datum };
        self.control(EpollOperation::Add, fd.as_raw_fd(), event)
    }

    pub(crate) fn unwatch(&self, fd: BorrowedFd<'_>) {
        let event = EpollEvent { events: 0, u64: 0 };
        // Not registered is as good.
        let _ = self.control(EpollOperation::Delete, fd.as_raw_fd(), event);
    }

    fn control(&self, operation: EpollOperation, fd: RawFd, event: EpollEvent) -> Result<(), Errno> {
        let (set, operation) = (self.epoll.as_raw_fd(), operation as i32);
        front::epoll_ctl(set, operation, fd, Some(event), |event| epoll_ctl_raw(set, operation, fd, event))
    }

    fn wait(&self, events: &mut [EpollEvent]) -> Result<usize, Errno> {
        let set = self.epoll.as_raw_fd();
        match front::epoll_wait(set, events, None, None) {
            Outcome::Served(result) => result,
            Outcome::Pass => epoll_pwait(set, events, None, None),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        front::closing(self.epoll.as_raw_fd());
    }
}

fn run(process: &Running) {
    let mut events = [EpollEvent { events: 0, u64: 0 }; 64];
    loop {
        let count = match process.engine.wait(&mut events) {
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            // The set is ours and open: nothing else can be.
            Err(_) => return,
        };
        for event in &events[..count] {
            let datum = event.u64;
            match datum {
                STOP => return,
                datum if datum & HANDOVER != 0 => process.handovers.serve(datum & !HANDOVER, &process.engine),
                handle => {
                    if let Some(socket) = process.find(handle as usize) {
                        socket.fired();
                    }
                }
            }
        }
    }
}
