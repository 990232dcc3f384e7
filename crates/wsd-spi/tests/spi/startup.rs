//! Start-up, clean-up, and what a client refuses.

use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Kind, Plain, Raw, Switch, entry};
use wsd_spi::client::{LoadError, Provider, San, StartupError};
use wsd_spi::ffi::*;
use wsd_spi::provider::Entry;
use wsd_spi::{ExtensionFunction, SPI_VERSION, WsaError};

/// SP-030, SP-035: start-ups are counted; the last clean-up ends it. SP-001, SP-002: every
/// one fills the table.
#[test]
fn reference_count() {
    let mut raw = Raw::start(entry!(Plain), SPI_VERSION).expect("it starts");
    let s = raw.socket();
    raw.procs = WSPPROC_TABLE::empty();
    assert_eq!(raw.start_again(SPI_VERSION), 0);
    assert_eq!(raw.procs.missing_entry(), None);
    assert_eq!(raw.cleanup(), (0, 0));
    assert_eq!(raw.switch.open_handles(), 1);
    let (name, length) = crate::support::address(1).encode();
    let bind = raw.procs.lpWSPBind.expect("filled");
    assert_eq!(crate::support::call!(bind, s, name.as_ptr().cast(), length as i32), (0, 0), "still running");
    assert_eq!(raw.cleanup(), (0, 0));
    assert_eq!(raw.switch.open_handles(), 0, "the last clean-up closes what is open");
    assert_eq!(raw.cleanup(), (SOCKET_ERROR, WsaError::WSANOTINITIALISED.code()));
    let after = crate::support::call!(bind, s, name.as_ptr().cast(), length as i32);
    assert_eq!(after, (SOCKET_ERROR, WsaError::WSANOTINITIALISED.code()));

    assert_eq!(raw.start_again(SPI_VERSION), 0, "it can be started again");
    let after = crate::support::call!(bind, s, name.as_ptr().cast(), length as i32);
    assert_eq!(after, (SOCKET_ERROR, WsaError::WSAENOTSOCK.code()));
    assert_eq!(raw.cleanup(), (0, 0));
}

/// SP-031: version and description; older versions are refused.
#[test]
fn versions() {
    let entry = entry!(Plain);
    for old in [0x0000, 0x0001, 0x0101, 0x0002, 0x0102] {
        assert_eq!(Raw::start(entry, old).err(), Some(WsaError::WSAVERNOTSUPPORTED.code()), "{old:#x}");
    }
    for new in [0x0202, 0x0302, 0x0003] {
        let raw = Raw::start(entry, new).unwrap_or_else(|code| panic!("{new:#x}: {code}"));
        assert_eq!((raw.data.wVersion, raw.data.wHighVersion), (0x0202, 0x0202));
        assert_eq!(raw.data.szDescription[0], u16::from(b'c'));
        assert_eq!(raw.data.szDescription[255], 0);
        assert_eq!(raw.cleanup(), (0, 0));
    }
}

#[test]
fn null_arguments() {
    let entry = entry!(Plain);
    let (mut data, mut info) = (WSPDATA::zeroed(), WSAPROTOCOL_INFOW::tcp_ip(AF_INET));
    let (mut up, mut procs) = (WSPUPCALLTABLEEX::empty(), WSPPROC_TABLE::empty());
    for missing in 0..4 {
        let chosen = |index: usize| missing != index;
        // SAFETY: pointers are NULL or to local variables.
        let code = unsafe {
            entry.function()(
                SPI_VERSION,
                if chosen(0) { &raw mut data } else { null_mut() },
                if chosen(1) { &raw mut info } else { null_mut() },
                if chosen(2) { &raw mut up } else { null_mut() },
                if chosen(3) { &raw mut procs } else { null_mut() },
            )
        };
        assert_eq!(code, WsaError::WSAEFAULT.code(), "argument {missing}");
    }
}

static ATTEMPTS: AtomicUsize = AtomicUsize::new(0);

struct Failing;

impl Kind for Failing {
    fn startup() -> Result<(), WsaError> {
        match ATTEMPTS.fetch_add(1, Ordering::Relaxed) {
            0 => Err(WsaError::WSASYSNOTREADY),
            1 => panic!("asked to panic"),
            _ => Ok(()),
        }
    }
}

/// SP-032: a failed start-up leaves no reference; a panic is a failure.
#[test]
fn a_provider_that_fails_to_start() {
    let entry = entry!(Failing);
    assert_eq!(client(entry).expect_err("refused"), StartupError::Refused(WsaError::WSASYSNOTREADY));
    assert_eq!(client(entry).expect_err("refused"), StartupError::Refused(WsaError::WSASYSCALLFAILURE));
    assert_eq!(client(entry).expect("ready now").cleanup(), Some(Ok(())), "one reference");
    assert_eq!(ATTEMPTS.load(Ordering::Relaxed), 3);
}

struct WithoutRdmaWrite;

impl Kind for WithoutRdmaWrite {
    fn lacks(function: ExtensionFunction) -> bool {
        matches!(function, ExtensionFunction::RdmaWrite | ExtensionFunction::RdmaRead)
    }
}

struct WithoutRdmaRead;

impl Kind for WithoutRdmaRead {
    fn lacks(function: ExtensionFunction) -> bool {
        function == ExtensionFunction::RdmaRead
    }
}

/// SW-022: without a mandatory extension function the provider is not used, and cleaned up (SW-026); without an
/// optional one it is.
#[test]
fn missing_extension_functions() {
    let entry = entry!(WithoutRdmaWrite);
    let missing = StartupError::MissingExtension("WSPRdmaWrite", WsaError::WSAEOPNOTSUPP);
    assert_eq!(client(entry).expect_err("refused"), missing);
    let raw = Raw::start(entry, SPI_VERSION).expect("it starts");
    assert_eq!(raw.cleanup(), (0, 0));
    assert_eq!(
        raw.cleanup(),
        (SOCKET_ERROR, WsaError::WSANOTINITIALISED.code()),
        "no reference is left over"
    );

    let san = client(entry!(WithoutRdmaRead)).expect("it starts");
    assert!(!san.has(ExtensionFunction::RdmaRead));
    let (s, _peer) = crate::support::pair(&san, 10);
    let remote = wsd_spi::client::Remote { descriptor: &[0; 8], offset: 0 };
    assert_eq!(s.rdma_read(&[], remote).expect_err("missing"), WsaError::WSAEOPNOTSUPP);
}

/// SP-101: unknown identifiers and functions that are not offered.
#[test]
fn extension_identifiers() {
    let raw = Raw::start(entry!(WithoutRdmaRead), SPI_VERSION).expect("it starts");
    assert!(raw.extension(WSAID_RDMAWRITE).is_ok());
    assert_eq!(raw.extension(WSAID_RDMAREAD), Err(WsaError::WSAEOPNOTSUPP.code()));
    assert_eq!(raw.extension(WSAID_MEMORYREGISTRATIONCACHECALLBACK), Err(WsaError::WSAEOPNOTSUPP.code()));
    assert_eq!(raw.extension(WSAID_TRANSMITFILE), Err(WsaError::WSAEINVAL.code()));
}

/// A provider whose table has every entry but one.
unsafe extern "system" fn without_an_entry(
    version: WORD,
    data: LPWSPDATA,
    info: LPWSAPROTOCOL_INFOW,
    upcalls: LPWSPUPCALLTABLEEX,
    procs: LPWSPPROC_TABLE,
) -> i32 {
    // SAFETY: the arguments are passed on; a successful call has filled the table.
    unsafe {
        let code = incomplete().function()(version, data, info, upcalls, procs);
        if code == 0 {
            (*procs).lpWSPGetQOSByName = None;
        }
        code
    }
}

fn incomplete() -> Entry {
    entry!(Plain)
}

/// A table with a missing entry is refused, and the provider is cleaned up (SW-026).
#[test]
fn a_missing_entry() {
    // SAFETY: it keeps to the SPI, except that an entry is missing.
    let entry = unsafe { Entry::from_raw(without_an_entry) };
    assert_eq!(client(entry).expect_err("refused"), StartupError::MissingEntry("WSPGetQOSByName"));
    assert_eq!(
        client(incomplete()).expect("complete").cleanup(),
        Some(Ok(())),
        "it was not running any more"
    );
}

/// Calls of WSPCancelBlockingCall.
static CANCELLED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "system" fn cancel(_: LPINT) -> i32 {
    CANCELLED.fetch_add(1, Ordering::Relaxed);
    0
}

/// A provider that could be asked to cancel.
unsafe extern "system" fn with_cancelling(
    version: WORD,
    data: LPWSPDATA,
    info: LPWSAPROTOCOL_INFOW,
    upcalls: LPWSPUPCALLTABLEEX,
    procs: LPWSPPROC_TABLE,
) -> i32 {
    // SAFETY: the arguments are passed on; a successful call has filled the table.
    unsafe {
        let code = entry!(Plain).function()(version, data, info, upcalls, procs);
        (*procs).lpWSPCancelBlockingCall = Some(cancel);
        code
    }
}

/// SW-153: what is under way is ended by a close, never by WSPCancelBlockingCall.
#[test]
fn nothing_is_cancelled() {
    // SAFETY: it keeps to the SPI.
    let san = client(unsafe { Entry::from_raw(with_cancelling) }).expect("it starts");
    let (connected, server) = crate::support::pair(&san, 10);
    let mut receive = server.recv(&[crate::support::memory(b"x")]).expect("a connected socket");
    let connecting = crate::support::socket(&san);
    connecting.bind(&crate::support::address(20)).expect("an own address");
    // Refused or not: the close ends it.
    let _ = connecting.connect(&crate::support::address(30));
    drop((connecting, server));
    assert_eq!(crate::support::done(&mut receive), Err(WsaError::WSA_OPERATION_ABORTED));
    drop((receive, connected));
    assert_eq!(san.cleanup(), Some(Ok(())));
    assert_eq!(CANCELLED.load(Ordering::Relaxed), 0);
}

/// A provider that speaks an older version.
unsafe extern "system" fn of_another_version(
    version: WORD,
    data: LPWSPDATA,
    info: LPWSAPROTOCOL_INFOW,
    upcalls: LPWSPUPCALLTABLEEX,
    procs: LPWSPPROC_TABLE,
) -> i32 {
    // SAFETY: the arguments are passed on; a successful call has filled the description.
    unsafe {
        let code = entry!(Plain).function()(version, data, info, upcalls, procs);
        (*data).wVersion = 0x0102;
        code
    }
}

#[test]
fn another_version() {
    // SAFETY: it keeps to the SPI, except for the version.
    let entry = unsafe { Entry::from_raw(of_another_version) };
    assert_eq!(client(entry).expect_err("refused"), StartupError::Version(0x0102));
}

mod exported {
    wsd_spi::export_san_provider!(crate::support::Loop<crate::support::Plain>);
}

/// The exported function is the entry of the same provider.
#[test]
fn an_exported_provider() {
    // SAFETY: it is the start-up function of a provider.
    let entry = unsafe { Entry::from_raw(exported::WSPStartupEx) };
    let raw = Raw::start(entry, SPI_VERSION).expect("it starts");
    let s = raw.socket();
    let inside = Raw::start(exported::SAN_PROVIDER_ENTRY, SPI_VERSION).expect("it starts");
    let close = inside.procs.lpWSPCloseSocket.expect("filled");
    assert_eq!(crate::support::call!(close, s), (0, 0));
    assert_eq!((raw.cleanup(), inside.cleanup()), ((0, 0), (0, 0)));
}

/// A library that every system has.
const OTHER_LIBRARY: &str = if cfg!(windows) { "kernel32.dll" } else { "libc.so.6" };

#[test]
fn a_library_that_is_no_provider() {
    assert!(matches!(Provider::load("/nonexistent.so"), Err(LoadError::Library { .. })));
    assert!(matches!(Provider::load(OTHER_LIBRARY), Err(LoadError::Entry { .. })));
}

static RUNNING: AtomicUsize = AtomicUsize::new(0);

struct Slow;

impl Kind for Slow {
    fn startup() -> Result<(), WsaError> {
        assert_eq!(RUNNING.fetch_add(1, Ordering::SeqCst), 0, "one start-up at a time");
        std::thread::sleep(std::time::Duration::from_millis(20));
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

/// SP-030 with start-ups and clean-ups on many threads of one switch.
#[test]
fn concurrent_startups() {
    let entry = entry!(Slow);
    let switch = Arc::new(Switch::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let san = crate::support::startup(entry, switch.clone(), None).expect("it starts");
                    assert_eq!(crate::support::socket(&san).close(), Ok(()));
                    assert_eq!(san.cleanup(), Some(Ok(())));
                }
            });
        }
    });
    let raw = Raw::start(entry, SPI_VERSION).expect("it starts");
    assert_eq!(raw.cleanup(), (0, 0));
    assert_eq!(raw.cleanup().0, SOCKET_ERROR, "no reference is left over");
}

fn client(entry: Entry) -> Result<San, StartupError> {
    crate::support::startup(entry, Arc::new(Switch::default()), None)
}
