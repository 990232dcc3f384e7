//! AcceptEx and ConnectEx with data, in two stages of which the program is told once: the kernel makes the connection, for an OVERLAPPED
//! of our own; then the data is an operation of the connection's, as every other.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::null_mut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Networking::WinSock::WSA_IO_PENDING;
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::Threading::{
    INFINITE, RegisterWaitForSingleObject, UnregisterWait, UnregisterWaitEx, WT_EXECUTEINWAITTHREAD,
    WT_EXECUTEONLYONCE,
};
use windows_sys::core::BOOL;
use wsd_os::Errno;
use wsd_os::thread::Inside;
use wsd_switch::front::{self, Operation, Socket, Way, Which};

use crate::notice::{Notice, Routine, Work};
use crate::original;
use crate::overlapped::{Piece, Transfer};
use crate::own_event::Event;
use crate::result::succeeded;

/// One that is not over.
struct Staged {
    /// What the program knows it by: the socket, its OVERLAPPED, and the thread that has asked for it.
    file: i32,
    key: usize,
    thread: u32,
    /// The connection that is made; that socket itself, or the one that is accepted into.
    connection: Socket,
    way: Way,
    /// The kernel's in the first stage.
    inner: UnsafeCell<OVERLAPPED>,
    event: Event,
    stage: Mutex<Stage>,
    /// Taken by whoever tells the program.
    notice: Mutex<Option<Notice>>,
}

// SAFETY: the kernel alone writes the OVERLAPPED, which is read when it has set the event; all else is behind locks.
unsafe impl Sync for Staged {}
// SAFETY: as for Sync: handles and memory of the process.
unsafe impl Send for Staged {}

enum Stage {
    /// The kernel makes the connection; the thread pool waits for that.
    Connecting { data: Transfer, wait: usize, taken_back: bool },
    /// The data is moved, or all is over.
    Connected,
}

/// All that are not over. Whoever holds it takes no lock of sockets.
static ALL: Mutex<Vec<Arc<Staged>>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins one on `file`: `kernel` makes the call without data, then `data` is moved. What the call returns: an error, which is that it
/// is pending.
///
/// # Safety
///
/// `data` and `overlapped` are the operation's until the program is told of its end.
pub(crate) unsafe fn begin(
    file: Socket,
    connection: Socket,
    (way, data): (Way, Piece),
    overlapped: *mut OVERLAPPED,
    kernel: impl FnOnce(*mut OVERLAPPED) -> BOOL,
) -> Result<(), Errno> {
    let event = Event::new()?;
    // SAFETY: the contract.
    let data = unsafe { Transfer::of(way, data) };
    // SAFETY: the contract.
    let notice = unsafe { Notice::new(file.descriptor(), overlapped, Routine::Winsock(None)) };
    let staged = Arc::new(Staged {
        file: file.descriptor(),
        key: notice.key(),
        thread: notice.thread(),
        connection,
        way,
        inner: UnsafeCell::new(OVERLAPPED { hEvent: event.without_port(), ..OVERLAPPED::default() }),
        event,
        stage: Mutex::new(Stage::Connected),
        notice: Mutex::new(Some(notice)),
    });
    staged.connect(data, kernel)?;
    Err(Errno::Winsock(WSA_IO_PENDING))
}

impl Staged {
    fn connect(
        self: &Arc<Self>,
        data: Transfer,
        kernel: impl FnOnce(*mut OVERLAPPED) -> BOOL,
    ) -> Result<(), Errno> {
        let mut stage = lock(&self.stage);
        let mut wait: HANDLE = null_mut();
        let flags = WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD;
        // SAFETY: `wait` is a local variable. The context is in the list until `connected` has been called, or will not be any more.
        let waits = unsafe {
            let context = Arc::as_ptr(self).cast();
            let event = self.event.handle();
            RegisterWaitForSingleObject(&raw mut wait, event, Some(connected), context, INFINITE, flags)
        };
        if waits == 0 {
            return Err(Errno::NOBUFS);
        }
        *stage = Stage::Connecting { data, wait: wait as usize, taken_back: false };
        lock(&ALL).push(self.clone());
        match succeeded(kernel(self.inner.get())) {
            Ok(()) => {
                self.event.set();
                Ok(())
            }
            Err(Errno::Winsock(WSA_IO_PENDING)) => Ok(()),
            Err(error) => {
                *stage = Stage::Connected;
                drop(stage);
                // SAFETY: our own wait, taken back once. Waits for `connected`, if that was called, which finds nothing to do.
                unsafe { UnregisterWaitEx(wait, INVALID_HANDLE_VALUE) };
                self.forget(&mut lock(&ALL));
                Err(error)
            }
        }
    }

    fn forget(&self, all: &mut Vec<Arc<Self>>) {
        all.retain(|one| !core::ptr::eq(&raw const **one, self));
    }

    /// The first stage is over.
    fn go_on(self: &Arc<Self>) {
        let mut stage = lock(&self.stage);
        let Stage::Connecting { data, wait, taken_back } = core::mem::replace(&mut *stage, Stage::Connected)
        else {
            return;
        };
        // SAFETY: our own wait, which is over.
        unsafe { UnregisterWait(wait as HANDLE) };
        // SAFETY: the kernel has set the event, and writes no more.
        let status = unsafe { (&raw const (*self.inner.get()).Internal).read_volatile() } as i32;
        if taken_back {
            return self.end(|notice| notice.give(Err(Errno::CANCELED), false));
        }
        if status < 0 {
            return self.end(|notice| notice.pass_on(status));
        }
        let operation = Box::new(Data { work: data, whole: self.clone() });
        match front::submit(self.connection, self.way, operation) {
            None | Some(Ok(_)) => {}
            // It was closed while the connection was made.
            Some(Err(Errno::NOTSOCK)) => self.end(|notice| notice.give(Err(Errno::CANCELED), false)),
            Some(Err(error)) => self.end(|notice| notice.give(Err(error), false)),
        }
    }

    /// Tells the program, once. Who asks whether it is pending learns that it is not when it has been told.
    fn end(&self, tell: impl FnOnce(Notice)) {
        let mut all = lock(&ALL);
        self.forget(&mut all);
        if let Some(notice) = lock(&self.notice).take() {
            tell(notice);
        }
    }

    fn is_meant(&self, file: i32, which: Which) -> bool {
        self.file == file
            && match which {
                Which::All => true,
                Which::Key(key) => self.key == key,
                Which::Thread(thread) => self.thread == thread,
            }
    }

    /// Takes it back; it ends by what follows from that. Whether there was something to take back.
    fn cancel(&self) -> bool {
        if let Stage::Connecting { taken_back, .. } = &mut *lock(&self.stage) {
            *taken_back = true;
            // SAFETY: only compared with those that are pending; what is over already is answered with an error.
            unsafe { original::CancelIoEx(self.file as u32 as usize as HANDLE, self.inner.get()) };
            return true;
        }
        front::cancel(self.connection, Which::Key(self.key)) != 0
    }
}

/// The second stage.
struct Data {
    work: Transfer,
    whole: Arc<Staged>,
}

impl Operation for Data {
    fn attempt(&mut self, socket: Socket) -> Option<Result<usize, Errno>> {
        let result = self.work.go_on(socket);
        (result != Err(Errno::AGAIN)).then_some(result)
    }

    fn finish(self: Box<Self>, result: Result<usize, Errno>, _: bool) {
        self.whole.end(|notice| notice.give(result, false));
    }

    fn key(&self) -> usize {
        self.whole.key
    }

    fn thread(&self) -> u32 {
        self.whole.thread
    }
}

/// # Safety
/// `context` is a [`Staged`] that is in the list.
unsafe extern "system" fn connected(context: *mut c_void, _: bool) {
    let _inside = Inside::enter();
    let staged = context.cast::<Staged>().cast_const();
    // SAFETY: the contract: the list has one reference, and this is one more.
    let staged = unsafe {
        Arc::increment_strong_count(staged);
        Arc::from_raw(staged)
    };
    staged.go_on();
}

/// Whether one that the program knows by `key` is not over.
pub(crate) fn is_pending(file: i32, key: usize) -> bool {
    lock(&ALL).iter().any(|one| one.is_meant(file, Which::Key(key)))
}

/// Takes back what was asked for on a socket; how many there were.
pub(crate) fn cancel(file: i32, which: Which) -> usize {
    let all = lock(&ALL);
    let meant: Vec<_> = all.iter().filter(|one| one.is_meant(file, which)).cloned().collect();
    drop(all);
    meant.iter().filter(|one| one.cancel()).count()
}
