//! A SAN provider for tests of a switch: it hands every call to the shared-memory provider, and fails, delays, splits or
//! conceals as the environment variable `WSD_FAULTY` says, a list of words separated by commas.
//!
//! | word | what it does |
//! |---|---|
//! | `plain` | only the 25 documented functions: no shared memory, threads of its own |
//! | `no-read` | no WSPRdmaRead |
//! | `small-messages` | SO_MAX_MSG_SIZE 512, and RDMA from 513 bytes on |
//! | `small-rdma` | SO_MAX_RDMA_SIZE 1,000 |
//! | `early-rdma` | SO_RDMA_THRESHOLD_SIZE 1,024 |
//! | `late` | completions come some milliseconds after they have happened |
//! | `split-rdma` | RDMA operations are done in several parts |
//! | `no-memory` | WSPRegisterRdmaMemory has no resources |
//! | `fail-rdma` | RDMA operations complete with an error, and the connection lives on |
//! | `fail-startup`, `fail-socket`, `fail-bind`, `fail-connect` | these calls fail |
//! | `fail-send-after=N` | the process's WSPSend fails after N of them |
//!
//! It needs `libwsd_shm.so` in its own folder, or where `WSD_FAULTY_INNER` says.
#![cfg(unix)]

mod faults;
mod inner;
mod late;
mod operations;
mod provider;
mod socket;

pub use faults::Faults;
pub use provider::Faulty;

wsd_spi::export_san_provider!(Faulty);
