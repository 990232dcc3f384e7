//! The test bed: where the two ends of a conversation meet, and by which provider.
//!
//! Without a word in the environment that is the loopback network of this host. `cargo xtask test --only rdma` says
//! otherwise, in guests with RDMA.

use crate::program::Program;
use crate::switch::listing;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

/// Where servers listen.
const ADDRESS: &str = "WSD_PROGRAMS_ADDRESS";
/// The provider that promoted connections must travel by, as `wsdirect list` names it.
const PROVIDER: &str = "WSD_PROGRAMS_PROVIDER";
/// Words to put before a client's command, which run it elsewhere: in another network namespace or host.
const CLIENTS: &str = "WSD_PROGRAMS_CLIENTS";
/// `1`: the processors are emulated, so that tests do less.
const EMULATED: &str = "WSD_PROGRAMS_EMULATED";

/// What the environment says of the bed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bed {
    pub(crate) address: IpAddr,
    pub(crate) provider: Option<String>,
    pub(crate) clients: Vec<OsString>,
    pub(crate) emulated: bool,
}

impl Bed {
    /// As the environment says.
    ///
    /// # Panics
    ///
    /// When what it says makes no sense.
    pub(crate) fn from_environment() -> Self {
        Self::of(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of(told: impl Fn(&str) -> Option<String>) -> Self {
        let address = told(ADDRESS).map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |text| {
            text.parse().unwrap_or_else(|_| panic!("{ADDRESS} is no address: {text}"))
        });
        let clients = told(CLIENTS).unwrap_or_default();
        Self {
            address,
            provider: told(PROVIDER),
            clients: clients.split_whitespace().map(OsString::from).collect(),
            emulated: told(EMULATED).is_some_and(|value| value == "1"),
        }
    }

    /// The command that runs a client where clients run. There it gets its user and its environment by words of the
    /// command, since what runs it must be this process's user and may be on another host.
    pub(crate) fn elsewhere(&self, command: &Command, program: &Program) -> Option<Command> {
        let (first, rest) = self.clients.split_first()?;
        let mut whole = Command::new(first);
        whole.args(rest);
        if let Some(user) = &program.user {
            let ids = [format!("--reuid={}", user.uid), format!("--regid={}", user.gid)];
            whole.arg("setpriv").args(ids).args(["--clear-groups", "--"]);
        }
        whole.arg("env");
        for (name, value) in command.get_envs() {
            let mut word = name.to_owned();
            word.push("=");
            word.push(value?);
            whole.arg(word);
        }
        whole.arg(command.get_program()).args(command.get_args());
        Some(whole)
    }

    /// The commands that list connections: here, and where clients run.
    pub(crate) fn listing(&self, wsdirect: &Path) -> Vec<Command> {
        let here = listing(wsdirect);
        let there = self.elsewhere(&here, &Program::at(wsdirect));
        std::iter::once(here).chain(there).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<String> {
        let arguments = command.get_args().map(|word| word.to_string_lossy().into_owned());
        std::iter::once(command.get_program().to_string_lossy().into_owned()).chain(arguments).collect()
    }

    #[test]
    fn is_this_host_if_nothing_is_said() {
        let bed = Bed::of(|_| None);
        assert!(bed.address.is_loopback() && bed.provider.is_none() && !bed.emulated);
        assert_eq!(bed.listing(Path::new("/wsdirect")).len(), 1);
    }

    #[test]
    fn clients_elsewhere_keep_their_environment() {
        let bed = Bed::of(|name| (name == CLIENTS).then(|| "ip netns exec far".to_owned()));
        let mut command = Command::new("/bin/client");
        command.arg("two words").env("NAME", "value");
        let whole = bed.elsewhere(&command, &Program::at(Path::new("/bin/client"))).expect("elsewhere");
        assert_eq!(
            words(&whole),
            ["ip", "netns", "exec", "far", "env", "NAME=value", "/bin/client", "two words"]
        );
        assert_eq!(bed.listing(Path::new("/wsdirect")).len(), 2);
    }
}
