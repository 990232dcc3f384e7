//! `WSAEventSelect` and `WSAAsyncSelect`: the kernel tells of connections that are made, the switch of what goes on in them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use windows_sys::Win32::Foundation::{
    CloseHandle, DUPLICATE_SAME_ACCESS, DuplicateHandle, HANDLE, LPARAM, WPARAM,
};
use windows_sys::Win32::Networking::WinSock::{
    FD_CLOSE, FD_CLOSE_BIT, FD_READ, FD_READ_BIT, FD_WRITE, FD_WRITE_BIT, SOCKET, WSANETWORKEVENTS,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, ResetEvent, SetEvent};
use windows_sys::core::BOOL;
use wsd_os::Errno;
use wsd_switch::front::{self, Event, Observer, Socket};

use crate::original;
use crate::result::{answer, done, number, tracked};

/// What the switch tells of.
const OURS: u32 = FD_READ | FD_WRITE | FD_CLOSE;

/// What has happened and was not asked for yet: bits, and an error for each.
#[derive(Default)]
struct Recorded {
    events: u32,
    errors: [i32; 10],
}

type Record = Arc<Mutex<Recorded>>;

/// What a socket's program wants.
#[derive(Clone)]
struct Wish {
    record: Record,
    events: u32,
    place: Place,
}

/// Where it is told.
#[derive(Clone, Copy)]
enum Place {
    Event(usize),
    Window(usize, u32),
}

/// By sockets.
static WISHES: Mutex<Option<HashMap<i32, Wish>>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wish(socket: i32) -> Option<Wish> {
    lock(&WISHES).as_ref()?.get(&socket).cloned()
}

/// Whether the program is told of events of the socket, which is non-blocking as long as it is.
pub(crate) fn are_told(socket: Socket) -> bool {
    wish(socket.descriptor()).is_some_and(|wish| wish.events != 0)
}

/// The socket is closed.
pub(crate) fn forget(socket: i32) {
    if let Some(wishes) = lock(&WISHES).as_mut() {
        wishes.remove(&socket);
    }
}

/// An event by its number, its bit and what the switch calls it.
fn number_of(event: Event) -> (usize, u32) {
    match event {
        Event::Read => (FD_READ_BIT as usize, FD_READ),
        Event::Write => (FD_WRITE_BIT as usize, FD_WRITE),
        Event::Close => (FD_CLOSE_BIT as usize, FD_CLOSE),
    }
}

/// Records, and sets the program's event, of which this is a handle of our own: the program may close its.
struct ByEvent {
    record: Record,
    event: HANDLE,
}

// SAFETY: handles belong to the process.
unsafe impl Send for ByEvent {}

impl ByEvent {
    fn new(record: Record, event: usize) -> Result<Self, Errno> {
        let mut own: HANDLE = core::ptr::null_mut();
        // SAFETY: this process; a local variable. What is no handle is answered with an error.
        let made = unsafe {
            let process = GetCurrentProcess();
            let event = event as HANDLE;
            DuplicateHandle(process, event, process, &raw mut own, 0, 0, DUPLICATE_SAME_ACCESS)
        };
        if made == 0 { Err(Errno::INVAL) } else { Ok(Self { record, event: own }) }
    }
}

impl Observer for ByEvent {
    fn tell(&mut self, event: Event, error: Option<Errno>) {
        let (place, bit) = number_of(event);
        let mut record = lock(&self.record);
        record.events |= bit;
        record.errors[place] = error.map_or(0, Errno::raw_os_error);
        // SAFETY: owned; set after the record was written, which is read after the event was reset.
        unsafe { SetEvent(self.event) };
    }
}

impl Drop for ByEvent {
    fn drop(&mut self) {
        // SAFETY: owned here alone.
        unsafe { CloseHandle(self.event) };
    }
}

type PostMessage = unsafe extern "system" fn(HANDLE, u32, WPARAM, LPARAM) -> BOOL;

/// Posts messages to a window.
struct ByMessage {
    post: PostMessage,
    window: usize,
    message: u32,
    socket: usize,
}

impl ByMessage {
    fn new(socket: i32, window: usize, message: u32) -> Result<Self, Errno> {
        // SAFETY: both names end with a zero.
        let post = unsafe {
            let module = GetModuleHandleA(c"user32.dll".as_ptr().cast());
            if module.is_null() { None } else { GetProcAddress(module, c"PostMessageW".as_ptr().cast()) }
        };
        // Who has a window has the library.
        let post = post.ok_or(Errno::INVAL)?;
        // SAFETY: that function's type.
        let post = unsafe { core::mem::transmute::<unsafe extern "system" fn() -> isize, PostMessage>(post) };
        Ok(Self { post, window, message, socket: socket as usize })
    }
}

impl Observer for ByMessage {
    fn tell(&mut self, event: Event, error: Option<Errno>) {
        let error = error.map_or(0, Errno::raw_os_error) as isize;
        let datum = number_of(event).1 as isize | error << 16;
        // SAFETY: numbers only; a window that is gone is answered with an error.
        unsafe { (self.post)(self.window as HANDLE, self.message, self.socket, datum) };
    }
}

/// Tells the program of a socket as it wishes.
fn observe(socket: Socket, wish: Wish) -> Result<(), Errno> {
    let all = [Event::Read, Event::Write, Event::Close];
    let events: Vec<Event> = all.into_iter().filter(|event| number_of(*event).1 & wish.events != 0).collect();
    let record = wish.record.clone();
    let observer: Option<Box<dyn Observer>> = match wish.place {
        _ if events.is_empty() => None,
        Place::Event(event) => Some(Box::new(ByEvent::new(record, event)?)),
        Place::Window(window, message) => {
            Some(Box::new(ByMessage::new(socket.descriptor(), window, message)?))
        }
    };
    lock(&WISHES).get_or_insert_default().insert(socket.descriptor(), wish);
    front::observe(socket, observer, &events)
}

/// The socket is another connection's than before, of which the program is told as it was.
pub(crate) fn renew(socket: Socket) {
    if let Some(wish) = wish(socket.descriptor()) {
        // As for a connection that was accepted.
        let _ = observe(socket, Wish { record: Record::default(), ..wish });
    }
}

/// A connection that was accepted is told of as its listener is.
pub(crate) fn inherit(listener: Socket, socket: Socket) {
    if let Some(wish) = wish(listener.descriptor()) {
        // Without a thread that tells the program waits, as it would without the kernel's.
        let _ = observe(socket, Wish { record: Record::default(), ..wish });
    }
}

/// What both functions do: `kernel` is asked to tell of the rest.
fn select(socket: SOCKET, events: i32, place: Place, kernel: impl Fn(i32) -> Result<(), Errno>) -> i32 {
    let serve = |found| {
        // What was told before is forgotten, also by the kernel, and the socket is non-blocking from now on.
        kernel(events & !(OURS as i32))?;
        front::nonblocking_changed(found, true);
        let events = events as u32 & OURS;
        observe(found, Wish { record: Record::default(), events, place })
    };
    answer(tracked(socket, |found, _| serve(found)).unwrap_or_else(|| kernel(events)))
}

/// # Safety
/// As WSAEventSelect.
pub(crate) unsafe extern "system" fn event_select(socket: SOCKET, event: HANDLE, events: i32) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = |events| done(unsafe { original::WSAEventSelect(socket, event, events) });
    select(socket, events, Place::Event(event as usize), kernel)
}

/// # Safety
/// As WSAAsyncSelect.
pub(crate) unsafe extern "system" fn async_select(
    socket: SOCKET,
    window: HANDLE,
    message: u32,
    events: i32,
) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = |events| done(unsafe { original::WSAAsyncSelect(socket, window, message, events) });
    select(socket, events, Place::Window(window as usize, message), kernel)
}

/// # Safety
/// As WSAEnumNetworkEvents.
pub(crate) unsafe extern "system" fn enum_events(
    socket: SOCKET,
    event: HANDLE,
    place: *mut WSANETWORKEVENTS,
) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || done(unsafe { original::WSAEnumNetworkEvents(socket, event, place) });
    let serve = |_: Socket| {
        kernel()?;
        let Some(wish) = wish(number(socket)) else { return Ok(()) };
        if !event.is_null() {
            // The kernel knows of no event if it tells of nothing.
            // SAFETY: the program's own event.
            unsafe { ResetEvent(event) };
        }
        let recorded = core::mem::take(&mut *lock(&wish.record));
        // SAFETY: the kernel has just written there.
        let told = unsafe { &mut *place };
        told.lNetworkEvents |= recorded.events as i32;
        for number in [FD_READ_BIT, FD_WRITE_BIT, FD_CLOSE_BIT] {
            if recorded.events & 1 << number != 0 {
                told.iErrorCode[number as usize] = recorded.errors[number as usize];
            }
        }
        Ok::<(), Errno>(())
    };
    answer(tracked(socket, |found, _| serve(found)).unwrap_or_else(kernel))
}
