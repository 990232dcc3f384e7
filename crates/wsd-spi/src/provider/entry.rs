//! `WSPStartupEx`, and the macros that make one.

#![allow(non_snake_case, reason = "parameters are named as in the SPI")]

use core::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::trampoline::proc_table;
use super::{Instance, SanProvider, Startup};
use crate::SPI_VERSION;
use crate::error::WsaError;
use crate::ffi::{
    LPWSAPROTOCOL_INFOW, LPWSPDATA, LPWSPPROC_TABLE, LPWSPSTARTUPEX, LPWSPUPCALLTABLEEX, WORD, WSPDATA,
    WSPDESCRIPTION_LEN,
};

/// The start-up function of a provider that is linked into the program, as safe to use as that provider is.
#[derive(Clone, Copy, Debug)]
pub struct Entry(LPWSPSTARTUPEX);

impl Entry {
    /// The entry of a provider of this crate's trait.
    pub const fn of<I: Instance>() -> Self {
        Self(startup_ex::<I>)
    }

    /// The entry of any other provider.
    ///
    /// # Safety
    /// `function` is a `WSPStartupEx` that keeps to the SPI, and so are the functions that it hands over; the code
    /// stays loaded.
    pub const unsafe fn from_raw(function: LPWSPSTARTUPEX) -> Self {
        Self(function)
    }

    /// The function.
    pub const fn function(self) -> LPWSPSTARTUPEX {
        self.0
    }
}

/// `WSPStartupEx` of a provider (section 6.1): 0 or the error code.
///
/// # Safety
/// Pointers are NULL or valid for what the SPI says. The functions of the up-call table stay callable until the last
/// `WSPCleanup` has returned. The caller keeps to the SPI in using the table it gets: memory that it names in a call
/// is valid for as long as section 14 says.
pub unsafe extern "system" fn startup_ex<I: Instance>(
    wVersionRequested: WORD,
    lpWSPData: LPWSPDATA,
    lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    lpUpcallTable: LPWSPUPCALLTABLEEX,
    lpProcTable: LPWSPPROC_TABLE,
) -> c_int {
    if lpWSPData.is_null() || lpProcTable.is_null() || lpUpcallTable.is_null() || lpProtocolInfo.is_null() {
        return WsaError::WSAEFAULT.code();
    }
    if wVersionRequested.swap_bytes() < SPI_VERSION.swap_bytes() {
        return WsaError::WSAVERNOTSUPPORTED.code();
    }
    // SAFETY: not NULL, hence valid by the contract of this function; copied here and not kept (SP-003).
    let (table, protocol_info) = unsafe { (lpUpcallTable.read(), lpProtocolInfo.read()) };
    let startup = Startup { version: wVersionRequested, protocol_info };
    let started = catch_unwind(AssertUnwindSafe(|| {
        I::door().enter(&table, |upcalls| I::Provider::startup(&startup, upcalls))
    }));
    match started {
        Ok(Ok(())) => {
            // SAFETY: not NULL, hence valid by the contract of this function.
            unsafe {
                lpWSPData.write(description::<I::Provider>());
                lpProcTable.write(proc_table::<I>());
            }
            0
        }
        Ok(Err(error)) => error.code(),
        Err(_) => WsaError::WSASYSCALLFAILURE.code(),
    }
}

/// What a provider says about itself (SP-031).
fn description<P: SanProvider>() -> WSPDATA {
    let mut data = WSPDATA { wVersion: SPI_VERSION, wHighVersion: SPI_VERSION, szDescription: [0; 256] };
    for (slot, unit) in data.szDescription[..WSPDESCRIPTION_LEN].iter_mut().zip(P::DESCRIPTION.encode_utf16())
    {
        *slot = unit;
    }
    data
}

/// Makes the constant `SAN_PROVIDER_ENTRY`, an [`Entry`](crate::provider::Entry), of a type that implements
/// [`SanProvider`](crate::provider::SanProvider): for providers that are linked into the switch. Use it once per
/// module; every use has a provider value of its own.
#[macro_export]
macro_rules! san_provider {
    ($provider:ty) => {
        /// The start-up function of the provider.
        pub const SAN_PROVIDER_ENTRY: $crate::provider::Entry = {
            struct Instance;

            impl $crate::provider::Instance for Instance {
                type Provider = $provider;

                fn door() -> &'static $crate::provider::Door<$provider> {
                    static DOOR: $crate::provider::Door<$provider> = $crate::provider::Door::new();
                    &DOOR
                }
            }

            $crate::provider::Entry::of::<Instance>()
        };
    };
}

/// Exports a type that implements [`SanProvider`](crate::provider::SanProvider) as the C symbol `WSPStartupEx`: for
/// the one provider of a shared library (`crate-type = ["cdylib"]`). Also does what
/// [`san_provider!`](crate::san_provider) does.
#[macro_export]
macro_rules! export_san_provider {
    ($provider:ty) => {
        $crate::san_provider!($provider);

        /// Start-up entry of the provider (section 6.1 of the SPI reference).
        ///
        /// # Safety
        /// As `wsd_spi::provider::startup_ex`.
        #[unsafe(no_mangle)]
        pub unsafe extern "system" fn WSPStartupEx(
            version_requested: $crate::ffi::WORD,
            wsp_data: $crate::ffi::LPWSPDATA,
            protocol_info: $crate::ffi::LPWSAPROTOCOL_INFOW,
            upcall_table: $crate::ffi::LPWSPUPCALLTABLEEX,
            proc_table: $crate::ffi::LPWSPPROC_TABLE,
        ) -> ::core::ffi::c_int {
            // SAFETY: the contract is the same.
            unsafe {
                SAN_PROVIDER_ENTRY.function()(
                    version_requested,
                    wsp_data,
                    protocol_info,
                    upcall_table,
                    proc_table,
                )
            }
        }
    };
}
