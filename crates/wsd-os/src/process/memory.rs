//! Reading the memory of another process.

use rustix::io::Errno;

use crate::raw;

/// Copies memory of process `pid` from its address `remote` into `into`, and returns how many bytes it was: fewer than
/// asked for where an unmapped page follows (process_vm_readv(2)).
///
/// The other process runs on meanwhile. Numbers of processes are reused: check the identity of the process (its start
/// time, or a pidfd) again afterwards, before the bytes are believed.
///
/// # Errors
///
/// `ESRCH` if there is no such process; `EPERM` if the caller may not inspect it (ptrace(2)); `EFAULT` if nothing is
/// mapped at `remote`.
pub fn read_memory(pid: u32, remote: u64, into: &mut [u8]) -> Result<usize, Errno> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // An address of the other process: as an iovec needs it, never dereferenced here.
    let remote =
        libc::iovec { iov_base: core::ptr::without_provenance_mut(remote as usize), iov_len: into.len() };
    let arguments = [pid as usize, raw::address(&local), 1, raw::address(&remote), 1, 0];
    // SAFETY: the kernel writes only to the caller's buffer, which `local` names.
    unsafe { raw::syscall(libc::SYS_process_vm_readv, arguments) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_child_is_read() {
        let mut secret = Box::new(*b"before");
        let address = secret.as_ptr().expose_provenance() as u64;
        let (read, write) = rustix::pipe::pipe().expect("a pipe");
        // SAFETY: the child only writes memory of its own and makes plain system calls.
        let child = unsafe { libc::fork() };
        if child == 0 {
            *secret = *b"inside";
            let _ = rustix::io::write(&write, b"x");
            loop {
                // SAFETY: sleeps until killed.
                unsafe { libc::pause() };
            }
        }
        rustix::io::read(&read, &mut [0; 1][..]).expect("the child is ready");
        let mut copy = [0; 6];
        let got = read_memory(child as u32, address, &mut copy);
        let unmapped = read_memory(child as u32, 8, &mut [0; 4]);
        // SAFETY: our own child, which has not been waited for.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, core::ptr::null_mut(), 0);
        }
        assert_eq!((got, &copy), (Ok(6), b"inside"));
        assert_eq!(*secret, *b"before");
        assert_eq!(unmapped, Err(Errno::FAULT));
        assert_eq!(read_memory(child as u32, address, &mut copy), Err(Errno::SRCH));
    }
}
