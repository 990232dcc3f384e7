//! The table of functions that a provider hands over (section 1.2).

use super::functions::*;
use super::macros::structures;

structures! {
    /// Layout of the table of functions.
    table TABLE_LAYOUTS;

    /// 30 entries, of which 17 are required of a SAN provider (SP-001). Written by the provider into the switch's
    /// memory at every successful start-up (SP-002).
    struct WSPPROC_TABLE = 240 {
        /// Required.
        lpWSPAccept: Option<LPWSPACCEPT> = 0,
        /// Not required.
        lpWSPAddressToString: Option<LPWSPADDRESSTOSTRING> = 8,
        /// Not required.
        lpWSPAsyncSelect: Option<LPWSPASYNCSELECT> = 16,
        /// Required.
        lpWSPBind: Option<LPWSPBIND> = 24,
        /// Not required.
        lpWSPCancelBlockingCall: Option<LPWSPCANCELBLOCKINGCALL> = 32,
        /// Required.
        lpWSPCleanup: Option<LPWSPCLEANUP> = 40,
        /// Required.
        lpWSPCloseSocket: Option<LPWSPCLOSESOCKET> = 48,
        /// Required.
        lpWSPConnect: Option<LPWSPCONNECT> = 56,
        /// Required.
        lpWSPDuplicateSocket: Option<LPWSPDUPLICATESOCKET> = 64,
        /// Required.
        lpWSPEnumNetworkEvents: Option<LPWSPENUMNETWORKEVENTS> = 72,
        /// Required.
        lpWSPEventSelect: Option<LPWSPEVENTSELECT> = 80,
        /// Required.
        lpWSPGetOverlappedResult: Option<LPWSPGETOVERLAPPEDRESULT> = 88,
        /// Not required.
        lpWSPGetPeerName: Option<LPWSPGETPEERNAME> = 96,
        /// Not required.
        lpWSPGetSockName: Option<LPWSPGETSOCKNAME> = 104,
        /// Required.
        lpWSPGetSockOpt: Option<LPWSPGETSOCKOPT> = 112,
        /// Required.
        lpWSPGetQOSByName: Option<LPWSPGETQOSBYNAME> = 120,
        /// Required.
        lpWSPIoctl: Option<LPWSPIOCTL> = 128,
        /// Not required.
        lpWSPJoinLeaf: Option<LPWSPJOINLEAF> = 136,
        /// Required.
        lpWSPListen: Option<LPWSPLISTEN> = 144,
        /// Required.
        lpWSPRecv: Option<LPWSPRECV> = 152,
        /// Not required.
        lpWSPRecvDisconnect: Option<LPWSPRECVDISCONNECT> = 160,
        /// Not required.
        lpWSPRecvFrom: Option<LPWSPRECVFROM> = 168,
        /// Not required.
        lpWSPSelect: Option<LPWSPSELECT> = 176,
        /// Required.
        lpWSPSend: Option<LPWSPSEND> = 184,
        /// Not required.
        lpWSPSendDisconnect: Option<LPWSPSENDDISCONNECT> = 192,
        /// Not required.
        lpWSPSendTo: Option<LPWSPSENDTO> = 200,
        /// Required.
        lpWSPSetSockOpt: Option<LPWSPSETSOCKOPT> = 208,
        /// Not required.
        lpWSPShutdown: Option<LPWSPSHUTDOWN> = 216,
        /// Required.
        lpWSPSocket: Option<LPWSPSOCKET> = 224,
        /// Not required.
        lpWSPStringToAddress: Option<LPWSPSTRINGTOADDRESS> = 232,
    }
}

/// Pointer to the table.
pub type LPWSPPROC_TABLE = *mut WSPPROC_TABLE;

impl WSPPROC_TABLE {
    /// The table without any entry.
    pub const fn empty() -> Self {
        Self {
            lpWSPAccept: None,
            lpWSPAddressToString: None,
            lpWSPAsyncSelect: None,
            lpWSPBind: None,
            lpWSPCancelBlockingCall: None,
            lpWSPCleanup: None,
            lpWSPCloseSocket: None,
            lpWSPConnect: None,
            lpWSPDuplicateSocket: None,
            lpWSPEnumNetworkEvents: None,
            lpWSPEventSelect: None,
            lpWSPGetOverlappedResult: None,
            lpWSPGetPeerName: None,
            lpWSPGetSockName: None,
            lpWSPGetSockOpt: None,
            lpWSPGetQOSByName: None,
            lpWSPIoctl: None,
            lpWSPJoinLeaf: None,
            lpWSPListen: None,
            lpWSPRecv: None,
            lpWSPRecvDisconnect: None,
            lpWSPRecvFrom: None,
            lpWSPSelect: None,
            lpWSPSend: None,
            lpWSPSendDisconnect: None,
            lpWSPSendTo: None,
            lpWSPSetSockOpt: None,
            lpWSPShutdown: None,
            lpWSPSocket: None,
            lpWSPStringToAddress: None,
        }
    }

    /// Name of the first of the 17 required entries that is missing (SP-001).
    pub fn missing_entry(&self) -> Option<&'static str> {
        [
            (self.lpWSPAccept.is_some(), "WSPAccept"),
            (self.lpWSPBind.is_some(), "WSPBind"),
            (self.lpWSPCleanup.is_some(), "WSPCleanup"),
            (self.lpWSPCloseSocket.is_some(), "WSPCloseSocket"),
            (self.lpWSPConnect.is_some(), "WSPConnect"),
            (self.lpWSPDuplicateSocket.is_some(), "WSPDuplicateSocket"),
            (self.lpWSPEnumNetworkEvents.is_some(), "WSPEnumNetworkEvents"),
            (self.lpWSPEventSelect.is_some(), "WSPEventSelect"),
            (self.lpWSPGetOverlappedResult.is_some(), "WSPGetOverlappedResult"),
            (self.lpWSPGetSockOpt.is_some(), "WSPGetSockOpt"),
            (self.lpWSPGetQOSByName.is_some(), "WSPGetQOSByName"),
            (self.lpWSPIoctl.is_some(), "WSPIoctl"),
            (self.lpWSPListen.is_some(), "WSPListen"),
            (self.lpWSPRecv.is_some(), "WSPRecv"),
            (self.lpWSPSend.is_some(), "WSPSend"),
            (self.lpWSPSetSockOpt.is_some(), "WSPSetSockOpt"),
            (self.lpWSPSocket.is_some(), "WSPSocket"),
        ]
        .into_iter()
        .find_map(|(present, name)| (!present).then_some(name))
    }
}
