//! `wsdirect demo`: being written.

use crate::cli::DemoArgs;

pub(crate) fn run(_: &DemoArgs) -> Result<(), Error> {
    Err(Error::Unavailable)
}

/// Why the demonstration failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("this build has no demonstration yet")]
    Unavailable,
}
