//! The two ways to connect, and which of them a citation is about.

use super::number::{Family, Mention};
use serde::{Deserialize, Serialize};

/// How a connection comes to a SAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// The switch connects the companion first, TCP is the fallback: the `spi` front end, others by choice.
    SanFirst,
    /// TCP connects, the companion comes later.
    TcpFirst,
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::SanFirst, Self::TcpFirst];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::SanFirst => "SAN first",
            Self::TcpFirst => "TCP first",
        }
    }

    /// The ways that a citation counts for: what stands behind the number, else the file, else both.
    pub(crate) fn of_citation(mention: &Mention<'_>, family: Family, path: &str) -> &'static [Self] {
        const SAN_FIRST: &[Way] = &[Way::SanFirst];
        const TCP_FIRST: &[Way] = &[Way::TcpFirst];
        if family == Family::Provider {
            return &Self::ALL;
        }
        let marked = |way: Self| mention.behind.starts_with(&format!(" ({})", way.title()));
        if marked(Self::SanFirst) || (!marked(Self::TcpFirst) && path.contains("san_first")) {
            return SAN_FIRST;
        }
        if marked(Self::TcpFirst) || TCP_FIRST_CRATES.iter().any(|name| path.starts_with(name)) {
            return TCP_FIRST;
        }
        &Self::ALL
    }
}

/// Crates whose tests run programs in the default way of the `posix` front end.
const TCP_FIRST_CRATES: &[&str] =
    &["crates/wsd-faulty/", "crates/wsd-posix/", "crates/wsd-programs/", "crates/wsdirect/"];

#[cfg(test)]
mod tests {
    use super::super::number::mentions;
    use super::*;

    #[test]
    fn marker_before_file_before_both() {
        let ways = |text: &str, family, path| Way::of_citation(&mentions(text)[0], family, path).to_vec();
        let (both, san, tcp) = (Way::ALL.to_vec(), vec![Way::SanFirst], vec![Way::TcpFirst]);
        assert_eq!(ways("SW-061", Family::Switch, "crates/wsd-session/tests/pump.rs"), both);
        assert_eq!(ways("SW-061", Family::Switch, "crates/wsd-posix/tests/san_first.rs"), san);
        assert_eq!(ways("SW-061", Family::Switch, "crates/wsd-posix/tests/tools.rs"), tcp);
        assert_eq!(ways("SW-061 (SAN first)", Family::Switch, "crates/wsd-posix/tests/tools.rs"), san);
        assert_eq!(ways("SW-061 (TCP first)", Family::Switch, "crates/wsd-posix/tests/san_first.rs"), tcp);
        assert_eq!(ways("SP-085", Family::Provider, "crates/wsd-posix/tests/san_first.rs"), both);
    }
}
