//! A provider that answers with any lengths and any bytes: the client believes none that it has not checked.

use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use wsd_spi::client::{San, Socket};
use wsd_spi::ffi::*;
use wsd_spi::provider::Entry;
use wsd_spi::{SockAddr, WsaError};

use crate::support::{Plain, Switch, entry, socket, startup};

/// What the provider answers, on this thread.
#[derive(Clone, Debug, Default)]
struct Lie {
    /// Written as far as there is room.
    bytes: Vec<u8>,
    /// Where `bytes` has an address, 8 bytes each: that of the buffer and this.
    pointers: Vec<(usize, usize)>,
    length: u32,
    error: Option<WsaError>,
    /// Asks for as much room as `bytes` need before anything else (SP-102).
    asks: bool,
    /// The most room it was given.
    room: usize,
}

thread_local! {
    static LIE: RefCell<Option<Lie>> = const { RefCell::new(None) };
}

/// The functions of an honest provider, for everything else.
static HONEST: OnceLock<WSPPROC_TABLE> = OnceLock::new();

/// Answers with the lie, if there is one.
///
/// # Safety
/// `target` is valid for `room` bytes, and `length` for writes.
unsafe fn answer(target: *mut u8, room: usize, length: *mut u32, errno: LPINT) -> Option<c_int> {
    LIE.with_borrow_mut(|lie| {
        let lie = lie.as_mut()?;
        lie.room = lie.room.max(room);
        if lie.asks && room < lie.bytes.len() {
            // SAFETY: by the contract of this function.
            unsafe {
                length.write(lie.bytes.len() as u32);
                errno.write(WsaError::WSAEFAULT.code());
            }
            return Some(SOCKET_ERROR);
        }
        for (at, offset) in std::mem::take(&mut lie.pointers) {
            lie.bytes[at..at + 8].copy_from_slice(&target.addr().wrapping_add(offset).to_ne_bytes());
        }
        let used = lie.bytes.len().min(room);
        // SAFETY: by the contract of this function.
        unsafe {
            if used != 0 {
                target.copy_from_nonoverlapping(lie.bytes.as_ptr(), used);
            }
            length.write(lie.length);
            if let Some(error) = lie.error {
                errno.write(error.code());
            }
        }
        Some(if lie.error.is_some() { SOCKET_ERROR } else { 0 })
    })
}

#[allow(non_snake_case, reason = "names are those of the SPI")]
unsafe extern "system" fn ioctl(
    s: SOCKET,
    code: DWORD,
    input: LPVOID,
    input_length: DWORD,
    output: LPVOID,
    room: DWORD,
    written: LPDWORD,
    overlapped: LPWSAOVERLAPPED,
    routine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    thread: LPWSATHREADID,
    errno: LPINT,
) -> c_int {
    // SAFETY: the client's arguments, unchanged.
    unsafe {
        answer(output.cast(), room as usize, written, errno).unwrap_or_else(|| {
            let honest = HONEST.get().and_then(|table| table.lpWSPIoctl).expect("set at start-up");
            honest(s, code, input, input_length, output, room, written, overlapped, routine, thread, errno)
        })
    }
}

unsafe extern "system" fn get_sock_opt(
    s: SOCKET,
    level: c_int,
    name: c_int,
    value: *mut c_char,
    length: LPINT,
    errno: LPINT,
) -> c_int {
    // SAFETY: the client's arguments, unchanged.
    unsafe {
        let room = usize::try_from(*length).unwrap_or(0);
        answer(value.cast(), room, length.cast(), errno).unwrap_or_else(|| {
            let honest = HONEST.get().and_then(|table| table.lpWSPGetSockOpt).expect("set at start-up");
            honest(s, level, name, value, length, errno)
        })
    }
}

unsafe extern "system" fn start_liar(
    version: WORD,
    data: LPWSPDATA,
    info: LPWSAPROTOCOL_INFOW,
    upcalls: LPWSPUPCALLTABLEEX,
    procs: LPWSPPROC_TABLE,
) -> c_int {
    // SAFETY: the client's arguments, unchanged.
    unsafe {
        let code = entry!(Plain).function()(version, data, info, upcalls, procs);
        if code == 0 {
            HONEST.get_or_init(|| *procs);
            (*procs).lpWSPIoctl = Some(ioctl);
            (*procs).lpWSPGetSockOpt = Some(get_sock_opt);
        }
        code
    }
}

fn liar() -> (San, Socket) {
    static SWITCH: OnceLock<Arc<Switch>> = OnceLock::new();
    let switch = SWITCH.get_or_init(Arc::default).clone();
    // SAFETY: the functions keep to the SPI as far as memory goes; they are code of this program.
    let entry = unsafe { Entry::from_raw(start_liar) };
    let san = startup(entry, switch, None).expect("it starts");
    let socket = socket(&san);
    (san, socket)
}

/// Runs `body` with a provider that lies; what it returned, and the lie as it was told.
fn believing<T>(lie: &Lie, body: impl FnOnce() -> T) -> (T, Lie) {
    LIE.set(Some(lie.clone()));
    let result = body();
    (result, LIE.take().expect("set above"))
}

/// An address list: some of its entries point into the buffer.
fn list() -> impl Strategy<Value = Lie> {
    let entry = (
        prop_oneof![4 => 0..200_usize, 1 => any::<usize>()],
        prop_oneof![
            4 => Just(16), 2 => Just(28), 1 => any::<i32>()
        ],
    );
    let count = prop_oneof![4 => Just(None), 1 => any::<i32>().prop_map(Some)];
    let length = prop_oneof![2 => 0..400_u32, 1 => any::<u32>()];
    let error = prop_oneof![4 => Just(None), 1 => Just(Some(WsaError::WSAEFAULT)), 1 => Just(Some(WsaError::WSAEINVAL))];
    (prop::collection::vec(entry, 0..6), count, length, error).prop_map(|(entries, count, length, error)| {
        let mut bytes = vec![0; 8];
        bytes[0..4].copy_from_slice(&count.unwrap_or(entries.len() as i32).to_ne_bytes());
        let mut pointers = Vec::new();
        for (offset, length) in &entries {
            pointers.push((bytes.len(), *offset));
            bytes.extend([0; 8]);
            bytes.extend(length.to_ne_bytes());
            bytes.extend([0; 4]);
        }
        for port in 0..8_u8 {
            bytes.extend(SockAddr::from(std::net::SocketAddr::from(([10, 0, 0, 1], port.into()))).encode().0);
        }
        Lie { bytes, pointers, length, error, asks: true, room: 0 }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(500), failure_persistence: None, ..ProptestConfig::default() })]

    /// SP-102, SP-103: addresses are read inside of the buffer only.
    #[test]
    fn any_address_list_is_read_or_refused(lie in list()) {
        let (_san, socket) = liar();
        let (result, told) = believing(&lie, || socket.address_list());
        prop_assert!((lie.bytes.len()..=1 << 20).contains(&told.room));
        if let Ok(list) = result {
            prop_assert_eq!(lie.error, None);
            prop_assert!(list.len() <= told.room / size_of::<SOCKET_ADDRESS>());
            for address in list {
                let (encoded, length) = address.encode();
                // The last 8 bytes of an IPv4 name mean nothing.
                let meaning = &encoded[..if length == 16 { 8 } else { length }];
                prop_assert!(told.bytes.windows(meaning.len()).any(|part| part == meaning), "made up");
            }
        }
    }

    /// SP-051: a value is as long as it was said to be, or it is none.
    #[test]
    fn any_length_of_an_option_is_believed_if_it_can_be(
        room in 0..40_usize,
        length in prop_oneof![0..45_u32, any::<u32>()],
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let (_san, socket) = liar();
        let lie = Lie { bytes, length, ..Lie::default() };
        let (value, _) = believing(&lie, || socket.get_option(SOL_SOCKET, SO_DEBUG, room));
        let possible = if length as usize <= room { Ok(length as usize) } else { Err(WsaError::WSAEFAULT) };
        prop_assert_eq!(value.map(|value| value.len()), possible);
        let (number, _) = believing(&lie, || socket.get_option_u32(SO_MAX_MSG_SIZE));
        prop_assert_eq!(number.is_ok(), length == 4);
    }
}

/// A provider that asks for more room than any list needs does not get it.
#[test]
fn nobody_gets_gigabytes_of_room() {
    let (_san, socket) = liar();
    let lie = Lie { length: u32::MAX, error: Some(WsaError::WSAEFAULT), ..Lie::default() };
    let (result, told) = believing(&lie, || socket.address_list());
    assert_eq!((result, told.room), (Err(WsaError::WSAEFAULT), 0));
}
