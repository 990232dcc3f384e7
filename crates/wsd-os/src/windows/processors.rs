//! On which processors this process runs, of the first 64.

use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessAffinityMask, SetProcessAffinityMask,
};

use super::Errno;

/// Those that it may use.
///
/// # Errors
///
/// The system does not tell.
pub fn allowed() -> Result<Vec<usize>, Errno> {
    let (mut own, mut all) = (0, 0);
    // SAFETY: local variables; the handle needs no closing.
    let told = unsafe { GetProcessAffinityMask(GetCurrentProcess(), &raw mut own, &raw mut all) };
    if told == 0 {
        return Err(Errno::last());
    }
    Ok((0..usize::BITS as usize).filter(|id| own >> id & 1 != 0).collect())
}

/// All its threads run there only.
///
/// # Errors
///
/// `INVAL` if it is none that it may use.
pub fn pin(id: usize) -> Result<(), Errno> {
    let mask = u32::try_from(id).ok().and_then(|id| 1_usize.checked_shl(id)).ok_or(Errno::INVAL)?;
    // SAFETY: no pointers; the handle needs no closing.
    let done = unsafe { SetProcessAffinityMask(GetCurrentProcess(), mask) };
    if done == 0 { Err(Errno::last()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_used_is_refused() {
        let ids = allowed().expect("told");
        assert!(!ids.is_empty());
        pin(64).expect_err("there is none");
        if let Some(other) = (0..64).find(|id| !ids.contains(id)) {
            pin(other).expect_err("not ours");
        }
        assert_eq!(allowed().expect("told"), ids);
    }
}
