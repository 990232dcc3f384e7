//! What can be typed: every command and option.

use std::ffi::OsString;
#[cfg(target_os = "linux")]
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the command failed
  2    the command could not start: usage, configuration, trace file or library
  126  run: the program cannot be executed
  127  run: the program was not found
  Otherwise `run` ends as the program ends, with its exit code or by its signal.

Environment:
  WSDIRECT_LIBRARY   the library to load, if not the one installed with this command";

#[cfg(windows)]
const INSTALLATION: &str = "\
NOT TESTED ON REAL WINDOWS: where it was made, Winsock has no catalogue.

Enters wsd_shm.dll, which is beside this command, into Winsock's catalogue as a hidden base provider, and into the list \
'TCP on SAN' of the registry, from which a switch takes its providers. The switch of `wsdirect run` needs neither. \
Needs an administrator.

With --layered also the switch itself, wsd_winsock.dll, as a layered provider that comes before Windows' own: every program of \
this machine that is made for x64 then runs under the switch. If that goes wrong the machine may be left without a network; \
`netsh winsock reset` and a restart bring it back.";

/// Runs TCP programs, unmodified, over a system area network.
#[derive(Debug, Parser)]
#[command(name = "wsdirect", version, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program, and everything it starts, under the switch
    Run(RunArgs),
    /// List the connections of programs under the switch: the path each takes, and why it is on TCP
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// List the providers: which there are, what they serve, whether they can be used
    Providers(ProvidersArgs),
    /// Tell Windows of the built-in provider (not tested on real Windows)
    #[cfg(windows)]
    #[command(after_help = INSTALLATION)]
    Install(InstallArgs),
    /// Take back what `install` did (not tested on real Windows)
    #[cfg(windows)]
    #[command(after_help = INSTALLATION)]
    Uninstall,
    /// Measure plain TCP against the switch on this machine, two processes, in alternation
    Bench(BenchArgs),
    /// Show a real program and its client, first over plain TCP, then under the switch
    Demo(DemoArgs),
    #[command(hide = true)]
    BenchServer(PeerArgs),
    #[command(hide = true)]
    BenchClient(PeerArgs),
    #[cfg(target_os = "linux")]
    /// Becomes a program that dies with its parent.
    #[command(hide = true)]
    Child(ChildArgs),
}

#[cfg(windows)]
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Put the switch before every program of this machine, too
    #[arg(long)]
    pub(crate) layered: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ProvidersArgs {
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Option<ProvidersCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProvidersCommand {
    /// Test a provider against every requirement of the interface that can be seen from outside
    #[command(after_help = "Each line: requirement, pass, FAIL or skip, and what was looked at or seen. \
                            Exit code 1 if a check failed; 2 if the provider could not be tested.\n\n\
                            Example: wsdirect providers check ./libother.so --only SP-021")]
    Check(CheckArgs),
    /// A process of the check.
    #[command(hide = true)]
    CheckPeer,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The provider's library
    #[arg(value_name = "LIBRARY")]
    pub(crate) library: PathBuf,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
    /// Only the checks of this requirement, such as SP-021
    #[arg(long, value_name = "REQUIREMENT")]
    pub(crate) only: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "The exit code is the program's own; 127 if it was not found, 126 if it cannot be \
                        executed, 2 if the run could not be prepared.\n\n\
                        Example: wsdirect run -- redis-server --port 7000")]
pub(crate) struct RunArgs {
    /// Use only this provider: a name that `wsdirect providers` shows, or the path of a provider's library
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) provider: Option<OsString>,
    /// Who makes connections: TCP, and the SAN joins in the background, or the SAN, and TCP where it cannot
    /// [default: as the configuration says, else tcp-first]
    #[arg(long, value_enum, value_name = "ORDER")]
    pub(crate) connect: Option<Connect>,
    /// Read the configuration from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Append every SPI call and up-call to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
}

/// The values of `WSDIRECT_CONNECT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Connect {
    TcpFirst,
    SanFirst,
}

impl Connect {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TcpFirst => "tcp-first",
            Self::SanFirst => "san-first",
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "A ratio above 1 means that the switch is better, for every figure. \
                        Exit code 1 if a figure could not be measured.")]
pub(crate) struct BenchArgs {
    /// Shorter: less than 20 seconds
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Measure only the figures whose names contain this
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// Instead, rank the switch on the RDMA device of this address beside raw verbs (perftest) and rsockets
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "only")]
    pub(crate) rdma: Option<IpAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Which programs to show [default: redis if installed, else python, else node]
    #[arg(long, value_enum, value_name = "WORKLOAD")]
    pub(crate) workload: Option<DemoWorkload>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoWorkload {
    /// redis-server and redis-benchmark
    Redis,
    /// Python's http.server and http.client
    Python,
    /// Node's http
    Node,
}

/// One of the two processes of a measurement.
#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    #[arg(long)]
    pub(crate) workload: String,
    #[arg(long)]
    pub(crate) cpu: Option<usize>,
    /// Where the server listens.
    #[arg(long)]
    pub(crate) address: SocketAddr,
}

#[cfg(target_os = "linux")]
#[derive(Debug, Args)]
pub(crate) struct ChildArgs {
    /// Under the switch.
    #[arg(long)]
    pub(crate) switch: bool,
    #[arg(trailing_var_arg = true, required = true)]
    pub(crate) program: Vec<OsString>,
}
