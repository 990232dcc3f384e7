//! What `WSD_FAULTY` asks for.

use wsd_spi::ffi::{SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE, SO_RDMA_THRESHOLD_SIZE};
use wsd_spi::{ExtensionFunction, WsaError};

use crate::death::{Fate, Moment};

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
    pub(crate) qos: bool,
    pub(crate) ipv4: bool,
    pub(crate) connect_data: bool,
    pub(crate) split_rdma: bool,
    pub(crate) no_memory: bool,
    pub(crate) fail_rdma: bool,
    pub(crate) fail_startup: bool,
    pub(crate) fail_socket: bool,
    pub(crate) fail_bind: bool,
    pub(crate) fail_connect: bool,
    pub(crate) connect_silent: bool,
    pub(crate) connect_fails: Option<WsaError>,
    pub(crate) connect_told: Option<WsaError>,
    pub(crate) vain_connects: u64,
    pub(crate) fail_listen: bool,
    pub(crate) slow_accept: bool,
    pub(crate) vain_event: bool,
    pub(crate) mute: bool,
    pub(crate) no_link: bool,
    pub(crate) forge: bool,
    pub(crate) fail_send_after: Option<u64>,
    pub(crate) garble: Option<u64>,
    pub(crate) break_at: Option<u64>,
    pub(crate) break_before: Option<u8>,
    pub(crate) slow_break: bool,
    pub(crate) break_times: Option<u64>,
    pub(crate) fate: Option<Fate>,
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
                "qos" => faults.qos = true,
                "ipv4" => faults.ipv4 = true,
                "connect-data" => faults.connect_data = true,
                "split-rdma" => faults.split_rdma = true,
                "no-memory" => faults.no_memory = true,
                "fail-rdma" => faults.fail_rdma = true,
                "fail-startup" => faults.fail_startup = true,
                "fail-socket" => faults.fail_socket = true,
                "fail-bind" => faults.fail_bind = true,
                "fail-connect" => faults.fail_connect = true,
                "connect-silent" => faults.connect_silent = true,
                "fail-listen" => faults.fail_listen = true,
                "slow-accept" => faults.slow_accept = true,
                "vain-event" => faults.vain_event = true,
                "slow-break" => faults.slow_break = true,
                "mute" => faults.mute = true,
                "no-link" => faults.no_link = true,
                "forge" => faults.forge = true,
                _ => faults.read_number(word).ok_or_else(|| word.to_owned())?,
            }
        }
        Ok(faults)
    }

    /// Reads a word with a number.
    fn read_number(&mut self, word: &str) -> Option<()> {
        let (name, number) = word.split_once('=')?;
        let moment = || Moment::read(number);
        let error = || WsaError::from_code(number.parse().ok()?);
        match name {
            "fail-send-after" => self.fail_send_after = Some(number.parse().ok()?),
            "garble" => self.garble = Some(number.parse().ok()?),
            "break-at" => self.break_at = Some(number.parse().ok()?),
            "break-before" => self.break_before = Some(number.parse().ok()?),
            "break-times" => self.break_times = Some(number.parse().ok()?),
            "vain-connects" => self.vain_connects = number.parse().ok()?,
            "connect-fails" => self.connect_fails = Some(error()?),
            "die-at" => self.fate = Some(Fate::death(moment()?)),
            "stop-at" => self.fate = Some(Fate::stop(moment()?)),
            "connect-told" => self.connect_told = Some(error()?),
            _ => return None,
        }
        Some(())
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
        let faults = Faults::parse("connect-fails=10061,connect-told=10060").expect("known words");
        assert_eq!(faults.connect_fails, Some(WsaError::WSAECONNREFUSED));
        assert_eq!(faults.connect_told, Some(WsaError::WSAETIMEDOUT));
        let faults = Faults::parse("die-at=received:25").expect("known words");
        assert_eq!(faults.fate, Some(Fate::death(Moment::Received(25))));
        assert_eq!(
            Faults::parse("stop-at=duplicated").map(|faults| faults.fate),
            Ok(Some(Fate::stop(Moment::Duplicated)))
        );
        assert_eq!(Faults::parse("die-at=sent"), Err("die-at=sent".to_owned()));
        assert_eq!(Faults::parse("connect-told=0"), Err("connect-told=0".to_owned()));
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
