//! Why a connection, or one direction of it, is on TCP. One list for the whole project: what `wsdirect list` shows.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Why a connection is on TCP.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Reason {
            $($(#[$doc])* $name = $number,)*
        }

        impl Reason {
            /// The reason with this number, as kept in a socket's record.
            pub fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The name that `wsdirect list` shows.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

reasons! {
    /// Too little traffic so far to be worth a companion.
    LittleTraffic = 1,
    /// The companion is being set up.
    Attaching = 2,
    /// Set up, waiting for the other end's consent to change the path.
    AwaitingConsent = 3,
    /// No process at the other end offered a companion: it runs without wsdirect, or not on this host.
    PeerWithoutCompanion = 4,
    /// No provider serves the local or the peer's address.
    NoProviderForAddress = 5,
    /// No provider could be started.
    NoProvider = 6,
    /// The provider refused to make, bind or connect the companion.
    ProviderFailed = 7,
    /// Another socket has the companion's address.
    AddressTaken = 8,
    /// The session negotiation failed or was refused.
    NegotiationFailed = 9,
    /// The other end could not prove that it holds this very TCP connection.
    NoProof = 10,
    /// Bytes were read or written around the switch.
    BytesAround = 11,
    /// Several processes hold the socket.
    SharedByProcesses = 12,
    /// The descriptor came or went by a way that the switch cannot follow.
    HistoryUnknown = 13,
    /// The descriptor is used through stdio.
    Stdio = 14,
    /// The descriptor was passed to another process.
    PassedOn = 15,
    /// The socket survives into a program started by exec.
    Exec = 16,
    /// An option that only kernel TCP has (kTLS, zero copy, repair, filters).
    KernelOption = 17,
    /// Urgent data was pending.
    UrgentData = 18,
    /// No memory for rings, or a limit of the process forbids it.
    NoMemory = 19,
    /// The companion broke.
    CompanionLost = 20,
    /// Half of the connection was already shut down.
    ShutDown = 21,
    /// The stream is used by a call that only the kernel can do (splice, io_uring).
    KernelCall = 22,
    /// Both ends are in one process.
    SameProcess = 23,
    /// The other end needed the connection on TCP.
    PeerWentToTcp = 24,
    /// SAN first: the SAN could not connect, or the other end came by TCP.
    ConnectedByTcp = 25,
    /// The other end is on another host, and this process has not seen all bytes so far, by which it could be proven.
    StreamUnseen = 26,
    /// The program asks the kernel's driver itself what is ready, which knows nothing of the SAN.
    DriverAsked = 27,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    /// Whoever reads a reason in `wsdirect list` finds it explained.
    #[test]
    fn every_reason_is_explained() {
        let page = include_str!("../../../docs/staying-on-tcp.md");
        let reasons: Vec<Reason> = (1..=64).filter_map(Reason::from_number).collect();
        assert!(reasons.len() >= 24, "the list is read to its end");
        for reason in reasons {
            assert!(page.contains(&format!("| `{reason}` |")), "{reason} is not explained");
        }
    }
}
