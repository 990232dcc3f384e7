//! What there is once per process: start-ups, sockets, the engine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use wsd_os::atomic::{AtomicU64, Ordering};
use wsd_spi::ffi::SOCKET;
use wsd_spi::{SwitchSocket, WsaError};

use crate::engine::Engine;
use crate::handover::Handovers;
use crate::socket::Socket;
use crate::switch;
use crate::upcalls::UpCalls;

/// Between the first start-up and the last clean-up.
pub(crate) struct Running {
    pub(crate) upcalls: UpCalls,
    pub(crate) engine: Engine,
    pub(crate) handovers: Handovers,
    sockets: RwLock<HashMap<SOCKET, Arc<Socket>>>,
    /// How many sockets there have been: the context of a descriptor.
    made: AtomicU64,
}

struct Starts {
    count: usize,
    running: Option<Arc<Running>>,
}

static STARTS: Mutex<Starts> = Mutex::new(Starts { count: 0, running: None });

fn starts() -> MutexGuard<'static, Starts> {
    STARTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `WSPStartup`: the first one starts the engine, the others only count.
///
/// # Errors
/// `WSAEPROVIDERFAILEDINIT`: the process may have no more descriptors or threads, or it is a forked child of one that has
/// started the library.
pub(crate) fn start(upcalls: UpCalls) -> Result<(), WsaError> {
    if switch::is_forked() {
        return Err(WsaError::WSAEPROVIDERFAILEDINIT);
    }
    switch::start();
    let mut starts = starts();
    if starts.running.is_none() {
        let running = Arc::new(Running {
            upcalls,
            engine: Engine::new().map_err(|_| WsaError::WSAEPROVIDERFAILEDINIT)?,
            handovers: Handovers::default(),
            sockets: RwLock::default(),
            made: AtomicU64::new(0),
        });
        Engine::start(&running).map_err(|_| WsaError::WSAEPROVIDERFAILEDINIT)?;
        starts.running = Some(running);
    }
    starts.count += 1;
    Ok(())
}

/// `WSPCleanup`: the last one closes all sockets and ends the engine.
///
/// # Errors
/// `WSANOTINITIALISED` without a matching start-up.
pub(crate) fn clean_up() -> Result<(), WsaError> {
    if switch::is_forked() {
        return Err(WsaError::WSANOTINITIALISED);
    }
    let mut starts = starts();
    if starts.count == 0 {
        return Err(WsaError::WSANOTINITIALISED);
    }
    starts.count -= 1;
    if starts.count > 0 {
        return Ok(());
    }
    let running = starts.running.take();
    // Up-calls may come back in.
    drop(starts);
    if let Some(running) = running {
        // First, so that nothing that is pending ends otherwise than aborted (SP-035).
        running.engine.stop();
        for socket in running.all() {
            socket.end();
        }
        running.handovers.clear();
    }
    Ok(())
}

/// The running process-wide state.
///
/// # Errors
/// `WSANOTINITIALISED`
pub(crate) fn running() -> Result<Arc<Running>, WsaError> {
    // Another thread may have held the lock when the process was forked.
    if switch::is_forked() {
        return Err(WsaError::WSANOTINITIALISED);
    }
    starts().running.clone().ok_or(WsaError::WSANOTINITIALISED)
}

/// The socket behind a descriptor.
///
/// # Errors
/// `WSANOTINITIALISED`, `WSAENOTSOCK`.
pub(crate) fn find(handle: SOCKET) -> Result<Arc<Socket>, WsaError> {
    running()?.find(handle).ok_or(WsaError::WSAENOTSOCK)
}

/// Gives a new socket its descriptor (`WPUCreateSocketHandle`).
///
/// # Errors
/// What the program answers.
pub(crate) fn register(socket: Socket) -> Result<Arc<Socket>, WsaError> {
    let running = Arc::clone(&socket.process);
    let context = running.made.fetch_add(1, Ordering::Relaxed) as usize;
    let handle = running.upcalls.create_socket_handle(context)?;
    socket.named(handle);
    let socket = Arc::new(socket);
    running.sockets.write().unwrap_or_else(PoisonError::into_inner).insert(handle.raw(), Arc::clone(&socket));
    Ok(socket)
}

impl Running {
    pub(crate) fn find(&self, handle: SOCKET) -> Option<Arc<Socket>> {
        self.sockets.read().unwrap_or_else(PoisonError::into_inner).get(&handle).cloned()
    }

    /// No call finds the descriptor any more.
    pub(crate) fn forget(&self, handle: SwitchSocket) {
        self.sockets.write().unwrap_or_else(PoisonError::into_inner).remove(&handle.raw());
    }

    fn all(&self) -> Vec<Arc<Socket>> {
        self.sockets.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
