//! Events belong to the switch, which alone can set them.

use crate::ffi::{LPWPURESETEVENT, LPWPUSETEVENT};

/// What sets an event of a switch that leaves `WPUSetEvent` empty: nothing.
pub(super) const SET: Option<LPWPUSETEVENT> = None;

/// What resets an event of a switch that leaves `WPUResetEvent` empty: nothing.
pub(super) const RESET: Option<LPWPURESETEVENT> = None;
