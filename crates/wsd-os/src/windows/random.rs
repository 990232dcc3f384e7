//! Random bytes from the system.

use windows_sys::Win32::Security::Authentication::Identity::RtlGenRandom;

use super::Errno;

/// `N` bytes that nobody can guess.
///
/// # Errors
///
/// `AGAIN` if the system has none, which is not documented to happen.
pub fn bytes<const N: usize>() -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    // SAFETY: exactly the array.
    let done = unsafe { RtlGenRandom(bytes.as_mut_ptr().cast(), N as u32) };
    if done { Ok(bytes) } else { Err(Errno::AGAIN) }
}
