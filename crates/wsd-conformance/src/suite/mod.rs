//! The checks, by theme.

mod close;
mod completion;
mod connect;
mod duplicate;
mod events;
mod listen;
mod messages;
mod options;
mod qos;
mod rdma;
mod registration;
mod sockets;
mod startup;
mod upcalls;

use crate::Check;

/// All checks, in the order in which they run.
pub(crate) fn all() -> impl Iterator<Item = &'static Check> {
    [
        startup::CHECKS,
        sockets::CHECKS,
        options::CHECKS,
        connect::CHECKS,
        listen::CHECKS,
        events::CHECKS,
        messages::CHECKS,
        completion::CHECKS,
        registration::CHECKS,
        rdma::CHECKS,
        close::CHECKS,
        duplicate::CHECKS,
        upcalls::CHECKS,
        qos::CHECKS,
    ]
    .into_iter()
    .flatten()
}
