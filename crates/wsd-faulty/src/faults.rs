//! What `WSD_FAULTY` asks for.

use wsd_spi::ExtensionFunction;
use wsd_spi::ffi::{SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE, SO_RDMA_THRESHOLD_SIZE};

/// The environment variable.
const VARIABLE: &str = "WSD_FAULTY";

/// See the [crate](crate).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    plain: bool,
    no_read: bool,
    small_messages: bool,
    small_rdma: bool,
    early_rdma: bool,
    pub(crate) late: bool,
    pub(crate) split_rdma: bool,
    pub(crate) no_memory: bool,
    pub(crate) fail_rdma: bool,
    pub(crate) fail_startup: bool,
    pub(crate) fail_socket: bool,
    pub(crate) fail_bind: bool,
    pub(crate) fail_connect: bool,
    pub(crate) fail_send_after: Option<u64>,
}

impl Faults {
    /// As the environment says. An unknown word is told and ignored: a test that misspells one should not pass unnoticed.
    pub(crate) fn from_environment() -> Self {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        Self::parse(&text).unwrap_or_else(|word| {
            eprintln!("wsd-faulty: unknown word `{word}` in {VARIABLE}");
            Self { fail_startup: true, ..Self::default() }
        })
    }

    /// Reads a list of words.
    ///
    /// # Errors
    /// The first word that is unknown.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "plain" => faults.plain = true,
                "no-read" => faults.no_read = true,
                "small-messages" => faults.small_messages = true,
                "small-rdma" => faults.small_rdma = true,
                "early-rdma" => faults.early_rdma = true,
                "late" => faults.late = true,
                "split-rdma" => faults.split_rdma = true,
                "no-memory" => faults.no_memory = true,
                "fail-rdma" => faults.fail_rdma = true,
                "fail-startup" => faults.fail_startup = true,
                "fail-socket" => faults.fail_socket = true,
                "fail-bind" => faults.fail_bind = true,
                "fail-connect" => faults.fail_connect = true,
                _ => {
                    let count = word.strip_prefix("fail-send-after=").and_then(|count| count.parse().ok());
                    faults.fail_send_after = Some(count.ok_or_else(|| word.to_owned())?);
                }
            }
        }
        Ok(faults)
    }

    /// Whether an extension function is concealed.
    pub(crate) fn conceals(&self, function: ExtensionFunction) -> bool {
        use ExtensionFunction::{Allocate, Arm, Free, Map, Progress, RdmaRead, Unmap};
        match function {
            RdmaRead => self.no_read,
            Allocate | Free | Map | Unmap | Arm | Progress => self.plain,
            _ => false,
        }
    }

    /// The size that is told for an option at level `SOL_SOCKET`, of what the inner provider tells.
    pub(crate) fn size(&self, name: i32, told: u32) -> u32 {
        match name {
            SO_MAX_MSG_SIZE if self.small_messages => told.min(512),
            SO_MAX_RDMA_SIZE if self.small_rdma => told.min(1000),
            SO_RDMA_THRESHOLD_SIZE if self.small_messages => told.min(512),
            SO_RDMA_THRESHOLD_SIZE if self.early_rdma => told.min(1024),
            _ => told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_unknown_ones_refused() {
        let faults = Faults::parse("plain, no-read,fail-send-after=7").expect("known words");
        assert!(faults.plain && faults.no_read && faults.fail_send_after == Some(7));
        assert!(faults.conceals(ExtensionFunction::Map) && faults.conceals(ExtensionFunction::RdmaRead));
        assert!(!faults.conceals(ExtensionFunction::RdmaWrite));
        assert_eq!(Faults::parse("plane"), Err("plane".to_owned()));
        assert_eq!(Faults::parse("fail-send-after=x"), Err("fail-send-after=x".to_owned()));
    }

    #[test]
    fn sizes_are_lowered_never_raised() {
        let faults = Faults::parse("small-messages,small-rdma").expect("known words");
        assert_eq!(faults.size(SO_MAX_MSG_SIZE, 4096), 512);
        assert_eq!(faults.size(SO_MAX_RDMA_SIZE, 100), 100);
        assert_eq!(Faults::default().size(SO_MAX_MSG_SIZE, 4096), 4096);
    }
}
