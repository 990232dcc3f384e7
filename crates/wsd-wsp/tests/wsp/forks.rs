//! fork(2) while other threads of the program are at work: a child has nothing of the library (SP-213).

use wsd_os::atomic::{AtomicBool, Ordering};

use crate::support::{Socket, in_own_process, table};

/// What a child keeps of a socket keeps the connection from ending with the parent.
#[test]
fn child_keeps_no_socket() {
    in_own_process("forks::keeping_itself");
}

#[test]
#[ignore = "needs a process of its own: child_keeps_no_socket runs it"]
fn keeping_itself() {
    table();
    let stop = AtomicBool::new(false);
    let kept = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    Socket::datagram().close().expect("an open socket");
                }
            });
        }
        let kept = (0..300).filter(|_| child_has_a_socket()).count();
        stop.store(true, Ordering::Relaxed);
        kept
    });
    assert_eq!(kept, 0, "children of 300 have a copy of a socket");
}

fn child_has_a_socket() -> bool {
    // SAFETY: the child makes system calls and allocates, which the C library permits, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        // Standard input and output may be anything.
        let own = files.filter(|file| file.file_name().len() > 1);
        let mut links = own.filter_map(|file| std::fs::read_link(file.path()).ok());
        let code = links.any(|link| link.to_string_lossy().starts_with("socket:")).into();
        // SAFETY: ends the child only, without what the parent would do at its end.
        unsafe { libc::_exit(code) };
    }
    let mut status = -1;
    // SAFETY: waits for the own child, and writes a live variable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status != 0
}
