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
//! | `qos` | quality of service: group options, the four control codes, templates, flows up to 1 GB/s (SP-190) |
//! | `connect-data` | connect data, between sockets of one process |
//! | `ipv4` | its NICs have no address of IPv6 (SP-010) |
//! | `late` | completions, and the ends of sockets, are told some milliseconds after they have happened |
//! | `split-rdma` | RDMA operations are done in several parts |
//! | `no-memory` | WSPRegisterRdmaMemory has no resources |
//! | `fail-rdma` | RDMA operations complete with an error, and the connection lives on |
//! | `fail-startup`, `fail-socket`, `fail-bind`, `fail-listen`, `fail-connect` | these calls fail |
//! | `connect-fails=N`, `connect-told=N` | WSPConnect has the error N: at once, or with the event |
//! | `vain-connects=N` | nobody answers the first N WSPConnect of the process after one of its connections broke |
//! | `connect-silent` | nothing comes of WSPConnect |
//! | `slow-accept` | WSPAccept returns some milliseconds after it has accepted |
//! | `vain-event` | the first event of each listener brings no request (SW-097) |
//! | `garble=N` | the process's message number N, from 0, arrives with other bytes |
//! | `no-link` | the name of the switch link arrives changed, so that no link can be made, as between hosts |
//! | `forge` | the proof by stream hash arrives changed |
//! | `mute` | messages are sent with success and never arrive |
//! | `break-at=N` | a connection breaks when it is to send its message number N, from 0 |
//! | `break-before=K` | a connection breaks when it is to send a message of the session's kind K |
//! | `slow-break` | that takes a while, in which the switch waits |
//! | `break-times=N` | so many connections of the process do, instead of one |
//! | `fail-send-after=N` | the process's WSPSend fails after N of them |
//! | `die-at=send:K`, `sent:K`, `received:K` | the process dies before it sends a message of the session's kind K, after, or when it has come |
//! | `die-at=duplicate`, `duplicated`, `adopt`, `adopted` | it dies before or after WSPDuplicateSocket, or WSPSocket with its value |
//! | `die-at=close`, `closed` | it dies before or after WSPCloseSocket of a socket that it has given away |
//! | `stop-at=...` | as `die-at`, but it only stops, until SIGCONT, and only once |
//!
//! It needs `libwsd_shm.so` in its own folder, or where `WSD_FAULTY_INNER` says.
#![cfg(unix)]

mod death;
mod extras;
mod faults;
mod inner;
mod operations;
mod provider;
mod report;
mod socket;
mod state;
mod tamper;

pub use faults::Faults;
pub use provider::Faulty;

wsd_spi::export_san_provider!(Faulty);
