//! `cargo xtask rdma`: a command in a guest with a real RDMA stack, for machines that have none.
//!
//! The guest is a stock Debian kernel under QEMU's emulation, with soft RoCE over a network device of its own. It sees
//! the host's files, so what was built on the host just runs; what it writes to them vanishes. Kernels are kept in a
//! cache folder of the user.

mod guest;
mod kernel;
mod script;
pub(crate) mod suite;

use crate::command::Failure;
use crate::packages::{self, Package, package};
use clap::{Args, ValueEnum};
use guest::{Cable, Guest, Output};
use kernel::Suite;
use script::Script;
use std::path::Path;

/// What makes and runs the guest, and what RDMA programs need inside.
pub(crate) const PACKAGES: &[Package] = &[
    package("qemu-system-x86", "qemu-system-x86_64"),
    package("busybox-static", "busybox"),
    package("kmod", "depmod"),
    package("cpio", "cpio"),
    package("xz-utils", "xz"),
    package("iproute2", "rdma"),
    package("ibverbs-utils", "ibv_devinfo"),
    package("ibverbs-providers", "ibv_devinfo"),
    package("rdmacm-utils", "rping"),
    package("perftest", "ib_send_lat"),
];

/// What runs in the guest, and where in it.
#[derive(Args)]
#[command(
    after_help = "In the environment of COMMAND: WSD_ADDRESS and WSD_PEER, the addresses of both ends, and \
                        WSD_HOST, 1 or 2.\n\nThe exit status is COMMAND's; of two hosts, the first one's, with \
                        whose end the other ends too."
)]
pub(crate) struct Run {
    /// What the command finds there
    #[arg(long, value_enum, default_value_t = Bed::Device)]
    bed: Bed,
    /// The kernel is that of this Debian suite [default: one that the bed works with]
    #[arg(long, value_enum)]
    suite: Option<Suite>,
    /// The guest is ended after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    limit: u32,
    /// The guest's processors run at the same time: for measuring. Now and then its kernel dies of it
    #[arg(long)]
    parallel: bool,
    /// Program and arguments; found as on the host
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Networks with RDMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bed {
    /// One device; both ends have its address
    Device,
    /// Two network namespaces, `near` and `far`, with a device each; one of a hundred packets between them is lost.
    /// COMMAND runs in `near`
    Namespaces,
    /// Two guests with a cable between them. COMMAND runs in both
    Hosts,
}

impl Bed {
    fn script(self) -> &'static str {
        match self {
            Self::Device => include_str!("bed_device.sh"),
            Self::Namespaces => include_str!("bed_namespaces.sh"),
            Self::Hosts => include_str!("bed_hosts.sh"),
        }
    }

    /// Soft RoCE of Linux 6.12 does not work in network namespaces.
    fn suite(self) -> Suite {
        if self == Self::Namespaces { Suite::TrixieBackports } else { Suite::BookwormBackports }
    }
}

/// Runs the command; its exit status is this one's.
pub(crate) fn run(run: &Run) -> Result<(), Failure> {
    packages::provide(PACKAGES)?;
    let kernel = kernel::folder(run.suite.unwrap_or_else(|| run.bed.suite()))?;
    let ((first, output), second) = booted(run, &kernel)?;
    // It shows what there is to show until its output has ended.
    let second = second.map(|(guest, output)| (guest, std::thread::spawn(move || output.show("host 2: "))));
    let ended = first.end(output.show(""));
    if let Some((guest, shown)) = second {
        drop(guest);
        let _ = shown.join();
    }
    ended
}

/// A guest that was started, and what it prints.
type Started = (Guest, Output);

/// How often a guest is booted until its shell runs: with processors that run at the same time one kernel of ten dies when it changes
/// its own code, before anything of ours runs.
const BOOTS: usize = 3;

/// The guests of the bed, whose shells run.
fn booted(run: &Run, kernel: &Path) -> Result<(Started, Option<Started>), Failure> {
    for _ in 0..BOOTS {
        let (mut first, mut second) = started(run, kernel)?;
        if first.1.is_up() && second.as_mut().is_none_or(|second| second.1.is_up()) {
            return Ok((first, second));
        }
        println!("xtask: a guest's kernel ended before its shell ran");
    }
    Err(Failure::new(format!("the guest did not come up in {BOOTS} attempts: see what its kernel says")))
}

fn started(run: &Run, kernel: &Path) -> Result<(Started, Option<Started>), Failure> {
    let start = |host, cable| {
        let script = Script::new(kernel, run.bed, host, &run.command)?;
        Guest::start(kernel, script, cable, run)
    };
    if run.bed != Bed::Hosts {
        return Ok((start(1, None)?, None));
    }
    let [one, other] = Cable::new()?;
    Ok((start(1, Some(one))?, Some(start(2, Some(other))?)))
}
