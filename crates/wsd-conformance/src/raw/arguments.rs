//! Arguments that may be wrong on purpose.

use wsd_spi::ffi::QOS;

/// Bytes with a length that the caller may misstate, or NULL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(super) bytes: Option<&'a [u8]>,
    pub(super) stated: i32,
}

impl<'a> Text<'a> {
    /// Bytes with their true length.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes: Some(bytes), stated: bytes.len() as i32 }
    }

    /// NULL with that length.
    pub(crate) fn null(stated: i32) -> Self {
        Self { bytes: None, stated }
    }

    /// The same bytes with another length: not above the true one.
    ///
    /// # Panics
    /// If it is above.
    pub(crate) fn stated(self, length: i32) -> Self {
        let there = self.bytes.map_or(0, <[u8]>::len);
        assert!(usize::try_from(length).is_ok_and(|length| length <= there), "{length} of {there}");
        Self { stated: length, ..self }
    }

    pub(super) fn pointer(&self) -> *const u8 {
        self.bytes.map_or(core::ptr::null(), <[u8]>::as_ptr)
    }
}

/// What a connect may carry beside the name.
#[derive(Clone, Default)]
pub(crate) struct Extras {
    /// `lpCallerData`.
    pub(crate) caller_data: Option<Vec<u8>>,
    /// `lpSQOS`.
    pub(crate) qos: Option<QOS>,
}
