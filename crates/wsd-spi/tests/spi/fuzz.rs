//! Doors that are called with any lengths and any bytes.

use std::ptr::null_mut;

use proptest::prelude::*;
use wsd_spi::ffi::*;
use wsd_spi::{SPI_VERSION, WsaError};

use crate::support::{Plain, Raw, call, entry};

/// What a program may lie about in one call. The memory behind each pointer is as long as the call says, so what the door
/// writes beyond it is found by the guards around it.
#[derive(Clone, Debug)]
enum Call {
    Bind(Vec<u8>, bool),
    SetOption(i32, i32, Vec<u8>, bool),
    GetOption(i32, i32, usize, i32),
    Ioctl(u32, Vec<u8>, usize, bool),
    Send(Vec<usize>, u32, bool),
    RdmaWrite(Vec<usize>, Vec<u8>, u32),
    Map(Vec<u8>),
}

fn call() -> impl Strategy<Value = Call> {
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    let name = prop_oneof![
        bytes(40),
        bytes(40).prop_map(|mut name| {
            name.splice(0..name.len().min(2), [2, 0]);
            name
        })
    ];
    let level = || prop_oneof![Just(SOL_SOCKET), any::<i32>()];
    let option = || prop_oneof![Just(SO_DEBUG), Just(SO_MAX_MSG_SIZE), any::<i32>()];
    let code =
        prop_oneof![Just(SIO_ADDRESS_LIST_QUERY), Just(SIO_GET_EXTENSION_FUNCTION_POINTER), any::<u32>()];
    let lengths = || prop::collection::vec(0..300_usize, 0..40);
    prop_oneof![
        (name, any::<bool>()).prop_map(|(name, null)| Call::Bind(name, null)),
        (level(), option(), bytes(20), any::<bool>())
            .prop_map(|(l, o, b, null)| Call::SetOption(l, o, b, null)),
        (level(), option(), 0..20_usize, -3..1_i32)
            .prop_map(|(l, o, room, less)| Call::GetOption(l, o, room, less)),
        (code, bytes(40), 0..100_usize, any::<bool>())
            .prop_map(|(c, b, room, null)| Call::Ioctl(c, b, room, null)),
        (lengths(), any::<u32>(), any::<bool>())
            .prop_map(|(lengths, count, lie)| Call::Send(lengths, count, lie)),
        (lengths(), bytes(20), any::<u32>()).prop_map(|(l, d, offset)| Call::RdmaWrite(l, d, offset)),
        bytes(300).prop_map(Call::Map),
    ]
}

/// Room for output between guards.
struct Guarded(Vec<u8>);

const GUARD: usize = 64;

impl Guarded {
    fn new(room: usize) -> Self {
        Self(vec![0xC5; GUARD + room + GUARD])
    }

    fn start(&mut self) -> *mut u8 {
        self.0[GUARD..].as_mut_ptr()
    }

    fn check(&self) {
        let (front, back) = (&self.0[..GUARD], &self.0[self.0.len() - GUARD..]);
        assert!(front.iter().chain(back).all(|byte| *byte == 0xC5), "written outside of the caller's buffer");
    }
}

/// An error has a code of Winsock's, and success has none.
fn sound((result, errno): (i32, i32)) {
    match result {
        0 => {}
        SOCKET_ERROR => {
            assert!(errno == WsaError::WSA_IO_PENDING.code() || (10_000..12_000).contains(&errno), "{errno}")
        }
        other => panic!("{other} is no result"),
    }
}

fn perform(raw: &Raw, s: SOCKET, call: &Call) {
    let start = |bytes: &Vec<u8>, null: bool| if null { null_mut() } else { bytes.as_ptr().cast_mut() };
    match call {
        Call::Bind(name, null) => {
            let bind = raw.procs.lpWSPBind.expect("filled");
            sound(call!(bind, s, start(name, *null).cast(), name.len() as i32));
        }
        Call::SetOption(level, name, value, null) => {
            let set = raw.procs.lpWSPSetSockOpt.expect("filled");
            sound(call!(set, s, *level, *name, start(value, *null).cast_const().cast(), value.len() as i32));
        }
        Call::GetOption(level, name, room, less) => {
            let get = raw.procs.lpWSPGetSockOpt.expect("filled");
            let mut value = Guarded::new(*room);
            let mut length = *room as i32 + less;
            sound(call!(get, s, *level, *name, value.start().cast(), &raw mut length));
            value.check();
        }
        Call::Ioctl(code, input, room, null) => {
            let ioctl = raw.procs.lpWSPIoctl.expect("filled");
            let mut output = Guarded::new(*room);
            let mut written = 0;
            let (input, length) = (start(input, *null).cast(), input.len() as u32);
            let (target, room) = (output.start().cast(), *room as u32);
            sound(call!(
                ioctl,
                s,
                *code,
                input,
                length,
                target,
                room,
                &raw mut written,
                null_mut(),
                None,
                null_mut()
            ));
            output.check();
        }
        Call::Send(lengths, count, lie) => {
            let send = raw.procs.lpWSPSend.expect("filled");
            let data: Vec<Vec<u8>> = lengths.iter().map(|length| vec![1; *length]).collect();
            let mut list: Vec<WSABUF> = data
                .iter()
                .map(|data| WSABUF { len: data.len() as u32, buf: data.as_ptr().cast_mut().cast() })
                .collect();
            // Without a list no count is too much to ask.
            let (list, count) =
                if *lie { (null_mut(), *count) } else { (list.as_mut_ptr(), list.len() as u32) };
            let (mut bytes, mut request) = (0, Box::new(WSAOVERLAPPED::zeroed()));
            sound(call!(send, s, list, count, &raw mut bytes, 0, &raw mut *request, None, null_mut()));
        }
        Call::RdmaWrite(lengths, descriptor, offset) => {
            // SAFETY: the identifier is of a function of that type.
            let write: LPFN_WSPRDMAWRITE =
                unsafe { std::mem::transmute(raw.extension(WSAID_RDMAWRITE).expect("it has it")) };
            let data: Vec<Vec<u8>> = lengths.iter().map(|length| vec![1; *length]).collect();
            let mut list: Vec<WSABUFEX> = data
                .iter()
                .map(|data| WSABUFEX {
                    len: data.len() as u32,
                    buf: data.as_ptr().cast_mut().cast(),
                    handle: null_mut(),
                })
                .collect();
            let (mut bytes, mut request) = (0, Box::new(WSAOVERLAPPED::zeroed()));
            let (target, length) = (descriptor.as_ptr().cast_mut().cast(), descriptor.len() as u32);
            let (list, count) = (list.as_mut_ptr(), list.len() as u32);
            sound(call!(
                write,
                s,
                list,
                count,
                target,
                length,
                *offset,
                &raw mut bytes,
                0,
                &raw mut *request,
                None,
                null_mut()
            ));
        }
        Call::Map(descriptor) => {
            let guid = wsd_spi::ExtensionFunction::Map.guid();
            // SAFETY: the identifier is of a function of that type.
            let map: wsd_spi::extension::LPFN_WSDMAP =
                unsafe { std::mem::transmute(raw.extension(guid).expect("it has it")) };
            let (mut start, mut length) = (null_mut(), 0);
            let bytes = descriptor.as_ptr().cast_mut().cast();
            sound(call!(map, s, bytes, descriptor.len() as u32, &raw mut start, &raw mut length));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(500), failure_persistence: None, ..ProptestConfig::default() })]

    /// SP-013, SP-051, SP-102, SP-120: every call ends with success or an error code, and nothing is written where it was
    /// not wanted.
    #[test]
    fn any_lengths_at_the_doors(calls in prop::collection::vec(call(), 1..20), connected in any::<bool>()) {
        let raw = Raw::start(entry!(Plain), SPI_VERSION).expect("it starts");
        let s = if connected { raw.pair().0 } else { raw.socket() };
        for call in &calls {
            perform(&raw, s, call);
        }
        prop_assert_eq!(raw.cleanup(), (0, 0));
    }
}
