//! The functions that the program would reach without us: the next definition of each symbol after this library.

use core::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use core::marker::PhantomData;
use core::sync::atomic::{AtomicPtr, Ordering};
use core::{mem, ptr};

use libc::{
    FILE, epoll_event, fd_set, iovec, mmsghdr, msghdr, off64_t, pid_t, pollfd, posix_spawn_file_actions_t,
    posix_spawnattr_t, pthread_t, sigaction, sigset_t, size_t, sockaddr, socklen_t, ssize_t, timespec,
    timeval,
};

/// One function of another library, of type `F`, once it has been looked up.
pub(crate) struct Symbol<F> {
    address: AtomicPtr<c_void>,
    _function: PhantomData<F>,
}

impl<F: Copy> Symbol<F> {
    pub(crate) const fn new() -> Self {
        Self { address: AtomicPtr::new(ptr::null_mut()), _function: PhantomData }
    }

    /// The function; `None` before the library is set up, or when no library defines it.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<F> {
        let address = self.address.load(Ordering::Relaxed);
        if address.is_null() {
            return None;
        }
        const { assert!(mem::size_of::<F>() == mem::size_of::<*mut c_void>()) };
        // SAFETY: F is a function pointer type (the table below has no others), and the address is that of the symbol
        // whose type the table states.
        Some(unsafe { mem::transmute_copy::<*mut c_void, F>(&address) })
    }

    /// Looks the symbol up.
    fn resolve(&self, name: &CStr) {
        // SAFETY: dlsym takes a handle (here the pseudo handle "after the caller's library") and a C string.
        self.address.store(unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }, Ordering::Relaxed);
    }

    /// The function, looked up now if the library is not set up yet. For calls that no single system call replaces.
    pub(crate) fn force(&self, name: &CStr) -> Option<F> {
        if self.address.load(Ordering::Relaxed).is_null() {
            self.resolve(name);
        }
        self.get()
    }
}

macro_rules! functions {
    ($($name:ident($($argument:ty),* $(; $variadic:tt)?) $(-> $result:ty)?;)*) => {
        /// The functions that this library replaces.
        #[allow(non_snake_case)]
        pub(crate) struct Next {
            $(pub(crate) $name: Symbol<unsafe extern "C-unwind" fn($($argument,)* $($variadic)?) $(-> $result)?>,)*
        }

        /// The next definition of each.
        pub(crate) static NEXT: Next = Next { $($name: Symbol::new(),)* };

        /// Looks all of them up. Called once, from the constructor.
        pub(crate) fn resolve_all() {
            $(NEXT.$name.resolve(name_of(concat!(stringify!($name), "\0")));)*
        }
    };
}

/// A symbol's name, written with its final NUL.
pub(crate) fn name_of(with_nul: &'static str) -> &'static CStr {
    CStr::from_bytes_with_nul(with_nul.as_bytes()).unwrap_or(c"")
}

type Path = *const c_char;
type Array = *const *const c_char;

functions! {
    // Data.
    read(c_int, *mut c_void, size_t) -> ssize_t;
    __read_chk(c_int, *mut c_void, size_t, size_t) -> ssize_t;
    readv(c_int, *const iovec, c_int) -> ssize_t;
    preadv2(c_int, *const iovec, c_int, off64_t, c_int) -> ssize_t;
    preadv64v2(c_int, *const iovec, c_int, off64_t, c_int) -> ssize_t;
    write(c_int, *const c_void, size_t) -> ssize_t;
    writev(c_int, *const iovec, c_int) -> ssize_t;
    pwritev2(c_int, *const iovec, c_int, off64_t, c_int) -> ssize_t;
    pwritev64v2(c_int, *const iovec, c_int, off64_t, c_int) -> ssize_t;
    recv(c_int, *mut c_void, size_t, c_int) -> ssize_t;
    __recv_chk(c_int, *mut c_void, size_t, size_t, c_int) -> ssize_t;
    recvfrom(c_int, *mut c_void, size_t, c_int, *mut sockaddr, *mut socklen_t) -> ssize_t;
    __recvfrom_chk(c_int, *mut c_void, size_t, size_t, c_int, *mut sockaddr, *mut socklen_t) -> ssize_t;
    send(c_int, *const c_void, size_t, c_int) -> ssize_t;
    sendto(c_int, *const c_void, size_t, c_int, *const sockaddr, socklen_t) -> ssize_t;
    recvmsg(c_int, *mut msghdr, c_int) -> ssize_t;
    sendmsg(c_int, *const msghdr, c_int) -> ssize_t;
    recvmmsg(c_int, *mut mmsghdr, c_uint, c_int, *mut timespec) -> c_int;
    sendmmsg(c_int, *mut mmsghdr, c_uint, c_int) -> c_int;
    sendfile(c_int, c_int, *mut off64_t, size_t) -> ssize_t;
    sendfile64(c_int, c_int, *mut off64_t, size_t) -> ssize_t;
    splice(c_int, *mut off64_t, c_int, *mut off64_t, size_t, c_uint) -> ssize_t;
    tee(c_int, c_int, size_t, c_uint) -> ssize_t;
    vmsplice(c_int, *const iovec, size_t, c_uint) -> ssize_t;
    copy_file_range(c_int, *mut off64_t, c_int, *mut off64_t, size_t, c_uint) -> ssize_t;

    // Sockets.
    socket(c_int, c_int, c_int) -> c_int;
    socketpair(c_int, c_int, c_int, *mut c_int) -> c_int;
    accept(c_int, *mut sockaddr, *mut socklen_t) -> c_int;
    accept4(c_int, *mut sockaddr, *mut socklen_t, c_int) -> c_int;
    connect(c_int, *const sockaddr, socklen_t) -> c_int;
    getsockname(c_int, *mut sockaddr, *mut socklen_t) -> c_int;
    getpeername(c_int, *mut sockaddr, *mut socklen_t) -> c_int;
    listen(c_int, c_int) -> c_int;
    shutdown(c_int, c_int) -> c_int;
    getsockopt(c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int;
    setsockopt(c_int, c_int, c_int, *const c_void, socklen_t) -> c_int;
    sockatmark(c_int) -> c_int;
    ioctl(c_int, c_ulong; ...) -> c_int;

    // Descriptors.
    close(c_int) -> c_int;
    close_range(c_uint, c_uint, c_int) -> c_int;
    closefrom(c_int);
    dup(c_int) -> c_int;
    dup2(c_int, c_int) -> c_int;
    dup3(c_int, c_int, c_int) -> c_int;
    fcntl(c_int, c_int; ...) -> c_int;
    fcntl64(c_int, c_int; ...) -> c_int;
    open(Path, c_int; ...) -> c_int;
    open64(Path, c_int; ...) -> c_int;
    openat(c_int, Path, c_int; ...) -> c_int;
    openat64(c_int, Path, c_int; ...) -> c_int;
    __open_2(Path, c_int) -> c_int;
    __open64_2(Path, c_int) -> c_int;
    __openat_2(c_int, Path, c_int) -> c_int;
    __openat64_2(c_int, Path, c_int) -> c_int;
    creat(Path, c_uint) -> c_int;
    creat64(Path, c_uint) -> c_int;
    pipe(*mut c_int) -> c_int;
    pipe2(*mut c_int, c_int) -> c_int;
    eventfd(c_uint, c_int) -> c_int;
    timerfd_create(c_int, c_int) -> c_int;
    signalfd(c_int, *const sigset_t, c_int) -> c_int;
    inotify_init() -> c_int;
    inotify_init1(c_int) -> c_int;
    memfd_create(Path, c_uint) -> c_int;
    pidfd_open(pid_t, c_uint) -> c_int;
    pidfd_getfd(c_int, c_int, c_uint) -> c_int;
    fdopen(c_int, Path) -> *mut FILE;
    fclose(*mut FILE) -> c_int;
    freopen(Path, Path, *mut FILE) -> *mut FILE;
    freopen64(Path, Path, *mut FILE) -> *mut FILE;
    fopen(Path, Path) -> *mut FILE;
    fopen64(Path, Path) -> *mut FILE;
    vdprintf(c_int, Path, *mut c_void) -> c_int;
    __vdprintf_chk(c_int, c_int, Path, *mut c_void) -> c_int;
    dprintf(c_int, Path; ...) -> c_int;
    __dprintf_chk(c_int, c_int, Path; ...) -> c_int;

    // Waiting.
    poll(*mut pollfd, c_ulong, c_int) -> c_int;
    __poll_chk(*mut pollfd, c_ulong, c_int, size_t) -> c_int;
    ppoll(*mut pollfd, c_ulong, *const timespec, *const sigset_t) -> c_int;
    __ppoll_chk(*mut pollfd, c_ulong, *const timespec, *const sigset_t, size_t) -> c_int;
    select(c_int, *mut fd_set, *mut fd_set, *mut fd_set, *mut timeval) -> c_int;
    pselect(c_int, *mut fd_set, *mut fd_set, *mut fd_set, *const timespec, *const sigset_t) -> c_int;
    epoll_create(c_int) -> c_int;
    epoll_create1(c_int) -> c_int;
    epoll_ctl(c_int, c_int, c_int, *mut epoll_event) -> c_int;
    epoll_wait(c_int, *mut epoll_event, c_int, c_int) -> c_int;
    epoll_pwait(c_int, *mut epoll_event, c_int, c_int, *const sigset_t) -> c_int;
    epoll_pwait2(c_int, *mut epoll_event, c_int, *const timespec, *const sigset_t) -> c_int;

    // Processes and signals.
    pthread_cancel(pthread_t) -> c_int;
    fork() -> pid_t;
    _Fork() -> pid_t;
    execve(Path, Array, Array) -> c_int;
    execv(Path, Array) -> c_int;
    execvp(Path, Array) -> c_int;
    execvpe(Path, Array, Array) -> c_int;
    fexecve(c_int, Array, Array) -> c_int;
    execveat(c_int, Path, Array, Array, c_int) -> c_int;
    posix_spawn(
        *mut pid_t, Path, *const posix_spawn_file_actions_t, *const posix_spawnattr_t, Array, Array
    ) -> c_int;
    posix_spawnp(
        *mut pid_t, Path, *const posix_spawn_file_actions_t, *const posix_spawnattr_t, Array, Array
    ) -> c_int;
    posix_spawn_file_actions_adddup2(*mut posix_spawn_file_actions_t, c_int, c_int) -> c_int;
    system(Path) -> c_int;
    popen(Path, Path) -> *mut FILE;
    sigaction(c_int, *const sigaction, *mut sigaction) -> c_int;
}
