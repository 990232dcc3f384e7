//! Noticing that addresses change.

use rustix::io::Errno;

use crate::fd::{AsFd, BorrowedFd};
use crate::netlink::{Netlink, ROUTE};

/// Tells when an address of this host is added or removed, or an interface goes up or down.
#[derive(Debug)]
pub struct AddressMonitor {
    netlink: Netlink,
}

impl AddressMonitor {
    /// Starts to watch.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE`; `EACCES` or the like in a sandbox.
    pub fn new() -> Result<Self, Errno> {
        let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        Ok(Self { netlink: Netlink::new(ROUTE, groups as u32)? })
    }

    /// Takes all news so far. True if there was any: list the addresses again.
    ///
    /// # Errors
    ///
    /// None that is documented.
    pub fn drain(&self) -> Result<bool, Errno> {
        let mut changed = false;
        let mut buffer = [0; 512];
        loop {
            match self.netlink.receive(&mut buffer) {
                // What they say does not matter; nor that some were lost or cut.
                Ok(_) | Err(Errno::NOBUFS | Errno::MSGSIZE) => changed = true,
                Err(Errno::AGAIN) => return Ok(changed),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for AddressMonitor {
    /// Readable when there is news.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_noticed() {
        let monitor = AddressMonitor::new().expect("rtnetlink");
        assert_eq!(monitor.drain(), Ok(false));
        // A multicast of the same kind that needs no change of this host: bringing a new namespace's loopback up, in a
        // thread of its own. Needs privileges; without them there is nothing to see.
        let noticed = std::thread::spawn(|| {
            // SAFETY: moves only this thread to another network namespace.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                return None;
            }
            let monitor = AddressMonitor::new().expect("rtnetlink");
            let mut request = [0; 16];
            request[4..8].copy_from_slice(&1_u32.to_ne_bytes());
            let up = (libc::IFF_UP as u32).to_ne_bytes();
            request[8..12].copy_from_slice(&up);
            request[12..16].copy_from_slice(&up);
            let netlink = Netlink::new(ROUTE, 0).expect("rtnetlink");
            netlink.request(libc::RTM_NEWLINK, 0, &request).expect("loopback goes up");
            Some((monitor.drain(), monitor.drain()))
        });
        if let Some(noticed) = noticed.join().expect("the thread does not panic") {
            assert_eq!(noticed, (Ok(true), Ok(false)));
        }
    }
}
