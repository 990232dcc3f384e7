//! Watching calls and up-calls.

use core::fmt;

use crate::error::WsaError;

/// Receives one line per SPI call and per up-call, on the thread that makes it, after it has returned: an up-call
/// from inside a call is reported before that call. Polling that finds an operation still pending is not reported.
/// `WPUSetEvent` and `WPUCompleteOverlappedRequest` are reported before they take effect, so that what another thread does
/// then comes later; if one fails, it is reported once more, with the error.
///
/// Nothing is formatted when there is no tracer.
pub trait Tracer: Send + Sync {
    /// A call of the provider: its name as in the SPI, its arguments, and its result: `0`, a value, or the name of
    /// the error.
    fn call(&self, function: &'static str, arguments: fmt::Arguments<'_>, result: fmt::Arguments<'_>);

    /// A call by the provider. By default reported like the others; the names (`WPU...`) tell them apart.
    fn up_call(&self, function: &'static str, arguments: fmt::Arguments<'_>, result: fmt::Arguments<'_>) {
        self.call(function, arguments, result);
    }
}

/// How a result is written.
pub(super) struct Shown<'a, T>(pub(super) &'a Result<T, WsaError>);

impl<T: fmt::Debug> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(_) if size_of::<T>() == 0 => f.write_str("0"),
            Ok(value) => write!(f, "{value:?}"),
            Err(error) => fmt::Display::fmt(error, f),
        }
    }
}

/// Reports a call to an optional tracer: `trace!(tracer, "Name", result, "arguments {}", ...)`.
macro_rules! trace {
    ($tracer:expr, $function:expr, $result:expr, $($arguments:tt)*) => {
        if let Some(tracer) = $tracer {
            tracer.call(
                $function,
                format_args!($($arguments)*),
                format_args!("{}", $crate::client::tracer::Shown(&$result)),
            );
        }
    };
}

pub(super) use trace;
