//! Identifiers of the extension functions (section 4).

use super::structures::GUID;

impl GUID {
    /// The identifier written as `AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE` is
    /// `GUID::from_parts(0xAAAAAAAA, 0xBBBB, 0xCCCC, 0xDDDD_EEEEEEEEEEEE)`.
    pub const fn from_parts(a: u32, b: u16, c: u16, d: u64) -> Self {
        Self { Data1: a, Data2: b, Data3: c, Data4: d.to_be_bytes() }
    }
}

const TAIL: u64 = 0xAD6C_00C0_4FA3_4A2D;

/// Identifier of `WSPRegisterMemory`.
pub const WSAID_REGISTERMEMORY: GUID = GUID::from_parts(0xC0B4_22F5, 0xF58C, 0x11D1, TAIL);
/// Identifier of `WSPDeregisterMemory`.
pub const WSAID_DEREGISTERMEMORY: GUID = GUID::from_parts(0xC0B4_22F6, 0xF58C, 0x11D1, TAIL);
/// Identifier of `WSPRegisterRdmaMemory`.
pub const WSAID_REGISTERRDMAMEMORY: GUID = GUID::from_parts(0xC0B4_22F7, 0xF58C, 0x11D1, TAIL);
/// Identifier of `WSPDeregisterRdmaMemory`.
pub const WSAID_DEREGISTERRDMAMEMORY: GUID = GUID::from_parts(0xC0B4_22F8, 0xF58C, 0x11D1, TAIL);
/// Identifier of `WSPRdmaWrite`.
pub const WSAID_RDMAWRITE: GUID = GUID::from_parts(0xC0B4_22F9, 0xF58C, 0x11D1, TAIL);
/// Identifier of `WSPRdmaRead`, which is optional.
pub const WSAID_RDMAREAD: GUID = GUID::from_parts(0xC0B4_22FA, 0xF58C, 0x11D1, TAIL);
/// Identifier of `WSPMemoryRegistrationCacheCallback`, required of providers that cache (SP-161).
pub const WSAID_MEMORYREGISTRATIONCACHECALLBACK: GUID =
    GUID::from_parts(0xE5DA_4AF8, 0xD824, 0x48CD, 0xA799_6337_A98E_D2AF);

/// Identifier of `TransmitFile`, answered by the switch itself and never forwarded.
pub const WSAID_TRANSMITFILE: GUID = GUID::from_parts(0xB536_7DF0, 0xCBAC, 0x11CF, 0x95CA_0080_5F48_A192);
/// Identifier of `AcceptEx`, answered by the switch itself and never forwarded.
pub const WSAID_ACCEPTEX: GUID = GUID::from_parts(0xB536_7DF1, 0xCBAC, 0x11CF, 0x95CA_0080_5F48_A192);
/// Identifier of `GetAcceptExSockaddrs`, answered by the switch itself and never forwarded.
pub const WSAID_GETACCEPTEXSOCKADDRS: GUID =
    GUID::from_parts(0xB536_7DF2, 0xCBAC, 0x11CF, 0x95CA_0080_5F48_A192);
