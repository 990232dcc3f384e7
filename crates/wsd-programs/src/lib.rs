//! Tests only: a harness that runs real programs with and without the switch, and judges which way their data went.
//!
//! A test makes a [`Scene`], which says which [`Sides`] of the conversation are switched. The scene starts servers and
//! clients as guarded [`Process`]es, watches their connections with a [`Sampler`] while they are alive, and judges what
//! was seen against what is [`Expected`].
//!
//! With `WSD_PROGRAMS_PLAIN=1` in the environment nothing is switched, and only the programs and the measuring are
//! tested: the kernel must then have carried what otherwise it must not.

mod bed;
mod cleanup;
mod kernel;
mod ports;
mod process;
mod program;
mod sampler;
mod scene;
mod state;
mod stream;
mod switch;
mod user;
mod verdict;
mod wait;

pub use kernel::{Counts, Kernel};
pub use process::Process;
pub use program::{Program, find, find_beside};
pub use sampler::{Observed, Sampler, Seen};
pub use scene::Scene;
pub use state::{Effort, Holdings};
pub use stream::{RandomStream, copy_hashed, sha256, sha256_of};
pub use switch::{Connection, Mode, Sides, connections, plain_only, run_under, wsdirect};
pub use user::User;
pub use verdict::{
    Expected, assert_kernel_carried_less_than, assert_promoted, assert_reasons, assert_travelled_by,
};
pub use wait::{until, wait_listening};

/// Tests of one workload in all three arrangements: both ends switched, only the server, only the client.
///
/// The workload is a function that takes a `&Scene`.
#[macro_export]
macro_rules! three_ways {
    ($($workload:ident),+ $(,)?) => {$(
        mod $workload {
            #[test]
            fn both_switched() {
                super::$workload(&$crate::Scene::new($crate::Sides::Both));
            }

            #[test]
            fn server_switched() {
                super::$workload(&$crate::Scene::new($crate::Sides::Server));
            }

            #[test]
            fn client_switched() {
                super::$workload(&$crate::Scene::new($crate::Sides::Client));
            }
        }
    )+};
}
