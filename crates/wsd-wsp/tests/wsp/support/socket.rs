//! A socket of this program, with the table's functions as methods.

use std::net::SocketAddr;
use std::ptr;

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use super::{Event, Name, PATIENCE, eventually, program, relay};

macro_rules! call {
    ($entry:ident($($argument:expr),*), $failed:expr) => {{
        let mut code = 0;
        // SAFETY: pointers are NULL or to live variables, buffers outlive their operations.
        let value = unsafe { ($crate::support::table().$entry.expect("filled"))($($argument,)* &raw mut code) };
        let failed = value == $failed;
        $crate::support::result(value, failed, code)
    }};
}
pub(crate) use call;

/// A socket, closed when it is dropped.
pub(crate) struct Socket {
    pub(crate) handle: SOCKET,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // One that is closed already is given back behind the last up-call, which another thread may be making.
        if !program::is_given_back(self.handle) && self.close().is_err() {
            eventually("the socket is closed", || program::is_given_back(self.handle).then_some(()));
        }
    }
}

/// An overlapped operation with its buffer.
pub(crate) struct Pending {
    pub(crate) overlapped: Box<WSAOVERLAPPED>,
    pub(crate) event: Event,
    pub(crate) buffer: Vec<u8>,
}

impl Pending {
    pub(crate) fn new(buffer: Vec<u8>) -> Self {
        let event = Event::new();
        let overlapped = Box::new(WSAOVERLAPPED { hEvent: event.handle(), ..WSAOVERLAPPED::zeroed() });
        Self { overlapped, event, buffer }
    }

    pub(crate) fn wsabuf(&mut self) -> WSABUF {
        wsabuf(&mut self.buffer)
    }

    /// Waits for the event and takes the result: bytes.
    pub(crate) fn finish(&mut self, socket: &Socket) -> Result<usize, WsaError> {
        self.event.wait();
        socket.overlapped_result(&raw mut *self.overlapped, false).map(|(bytes, _)| bytes as usize)
    }
}

pub(crate) fn wsabuf(buffer: &mut [u8]) -> WSABUF {
    WSABUF { len: buffer.len() as u32, buf: buffer.as_mut_ptr().cast() }
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

impl Socket {
    pub(crate) fn stream() -> Self {
        Self::new(AF_INET, SOCK_STREAM, IPPROTO_TCP).expect("a socket")
    }

    pub(crate) fn datagram() -> Self {
        Self::new(AF_INET, SOCK_DGRAM, IPPROTO_UDP).expect("a socket")
    }

    pub(crate) fn new(family: INT, socket_type: INT, protocol: INT) -> Result<Self, WsaError> {
        Self::open(family, socket_type, protocol, ptr::null_mut(), WSA_FLAG_OVERLAPPED)
    }

    pub(crate) fn open(
        family: INT,
        socket_type: INT,
        protocol: INT,
        info: LPWSAPROTOCOL_INFOW,
        flags: DWORD,
    ) -> Result<Self, WsaError> {
        let handle = call!(lpWSPSocket(family, socket_type, protocol, info, 0, flags), INVALID_SOCKET)?;
        Ok(Self { handle })
    }

    pub(crate) fn bind(&self, address: SocketAddr) -> Result<(), WsaError> {
        let mut name = Name::of(address);
        call!(lpWSPBind(self.handle, name.pointer(), name.length), SOCKET_ERROR).map(drop)
    }

    pub(crate) fn listen(&self, backlog: INT) -> Result<(), WsaError> {
        call!(lpWSPListen(self.handle, backlog), SOCKET_ERROR).map(drop)
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> Result<(), WsaError> {
        let mut name = Name::of(address);
        let none = ptr::null_mut::<WSABUF>();
        let no_qos = ptr::null_mut::<QOS>();
        call!(
            lpWSPConnect(self.handle, name.pointer(), name.length, none, none, no_qos, no_qos),
            SOCKET_ERROR
        )
        .map(drop)
    }

    pub(crate) fn accept(&self) -> Result<(Self, SocketAddr), WsaError> {
        self.accept_with(None, 0)
    }

    pub(crate) fn accept_with(
        &self,
        condition: Option<LPCONDITIONPROC>,
        data: DWORD_PTR,
    ) -> Result<(Self, SocketAddr), WsaError> {
        let mut name = Name::room();
        let (pointer, length) = (name.pointer(), &raw mut name.length);
        let handle = call!(lpWSPAccept(self.handle, pointer, length, condition, data), INVALID_SOCKET)?;
        Ok((Self { handle }, name.address()))
    }

    pub(crate) fn close(&self) -> Result<(), WsaError> {
        call!(lpWSPCloseSocket(self.handle), SOCKET_ERROR).map(drop)
    }

    pub(crate) fn send(&self, data: &[u8]) -> Result<usize, WsaError> {
        self.send_flags(data, 0)
    }

    pub(crate) fn send_flags(&self, data: &[u8], flags: DWORD) -> Result<usize, WsaError> {
        let mut copy = data.to_vec();
        let (mut buffer, mut sent) = (wsabuf(&mut copy), 0);
        call!(
            lpWSPSend(
                self.handle,
                &raw mut buffer,
                1,
                &raw mut sent,
                flags,
                ptr::null_mut(),
                None,
                ptr::null_mut()
            ),
            SOCKET_ERROR
        )
        .map(|_| sent as usize)
    }

    pub(crate) fn recv(&self, length: usize) -> Result<Vec<u8>, WsaError> {
        self.recv_flags(length, 0)
    }

    pub(crate) fn recv_flags(&self, length: usize, mut flags: DWORD) -> Result<Vec<u8>, WsaError> {
        let mut data = vec![0; length];
        let (mut buffer, mut received) = (wsabuf(&mut data), 0);
        call!(
            lpWSPRecv(
                self.handle,
                &raw mut buffer,
                1,
                &raw mut received,
                &raw mut flags,
                ptr::null_mut(),
                None,
                ptr::null_mut()
            ),
            SOCKET_ERROR
        )?;
        data.truncate(received as usize);
        Ok(data)
    }

    /// Starts an overlapped send: how many bytes if it was done at once.
    pub(crate) fn start_send(&self, operation: &mut Pending) -> Result<Option<usize>, WsaError> {
        let (mut buffer, mut sent) = (operation.wsabuf(), 0);
        let request = &raw mut *operation.overlapped;
        let answer = call!(
            lpWSPSend(self.handle, &raw mut buffer, 1, &raw mut sent, 0, request, None, ptr::null_mut()),
            SOCKET_ERROR
        );
        started(answer, sent)
    }

    /// Starts an overlapped receive.
    pub(crate) fn start_recv(
        &self,
        operation: &mut Pending,
        mut flags: DWORD,
    ) -> Result<Option<usize>, WsaError> {
        let (mut buffer, mut received) = (operation.wsabuf(), 0);
        let request = &raw mut *operation.overlapped;
        let answer = call!(
            lpWSPRecv(
                self.handle,
                &raw mut buffer,
                1,
                &raw mut received,
                &raw mut flags,
                request,
                None,
                ptr::null_mut()
            ),
            SOCKET_ERROR
        );
        started(answer, received)
    }

    pub(crate) fn overlapped_result(
        &self,
        request: LPWSAOVERLAPPED,
        wait: bool,
    ) -> Result<(u32, u32), WsaError> {
        let (mut bytes, mut flags) = (0, 0);
        call!(
            lpWSPGetOverlappedResult(self.handle, request, &raw mut bytes, BOOL::from(wait), &raw mut flags),
            FALSE
        )
        .map(|_| (bytes, flags))
    }

    pub(crate) fn local_name(&self) -> Result<SocketAddr, WsaError> {
        let mut name = Name::room();
        let (pointer, length) = (name.pointer(), &raw mut name.length);
        call!(lpWSPGetSockName(self.handle, pointer, length), SOCKET_ERROR)?;
        Ok(name.address())
    }

    pub(crate) fn peer_name(&self) -> Result<SocketAddr, WsaError> {
        let mut name = Name::room();
        let (pointer, length) = (name.pointer(), &raw mut name.length);
        call!(lpWSPGetPeerName(self.handle, pointer, length), SOCKET_ERROR)?;
        Ok(name.address())
    }

    pub(crate) fn shutdown(&self, how: INT) -> Result<(), WsaError> {
        call!(lpWSPShutdown(self.handle, how), SOCKET_ERROR).map(drop)
    }

    pub(crate) fn event_select(&self, event: &Event, events: LONG) -> Result<(), WsaError> {
        call!(lpWSPEventSelect(self.handle, event.handle(), events), SOCKET_ERROR).map(drop)
    }

    /// Events and the errors of those that occurred.
    pub(crate) fn enum_events(&self, event: Option<&Event>) -> Result<WSANETWORKEVENTS, WsaError> {
        let mut events = WSANETWORKEVENTS::zeroed();
        let handle = event.map_or(ptr::null_mut(), Event::handle);
        call!(lpWSPEnumNetworkEvents(self.handle, handle, &raw mut events), SOCKET_ERROR)?;
        Ok(events)
    }

    /// Waits until all of `wanted` have occurred and gives the errors.
    pub(crate) fn await_events(&self, event: &Event, wanted: LONG) -> [INT; 10] {
        let mut errors = [0; 10];
        let mut left = wanted;
        eventually("the events come", || {
            let record = self.enum_events(Some(event)).expect("a socket");
            for bit in (0..10).filter(|bit| record.lNetworkEvents & 1 << bit != 0) {
                errors[bit] = record.iErrorCode[bit];
            }
            left &= !record.lNetworkEvents;
            (left == 0).then_some(())
        });
        errors
    }

    pub(crate) fn set_option<T>(&self, level: INT, name: INT, mut value: T) -> Result<(), WsaError> {
        let pointer = (&raw mut value).cast();
        call!(lpWSPSetSockOpt(self.handle, level, name, pointer, size_of::<T>() as INT), SOCKET_ERROR)
            .map(drop)
    }

    pub(crate) fn option<T: Default>(&self, level: INT, name: INT) -> Result<T, WsaError> {
        let mut value = T::default();
        let mut length = size_of::<T>() as INT;
        let pointer = (&raw mut value).cast();
        call!(lpWSPGetSockOpt(self.handle, level, name, pointer, &raw mut length), SOCKET_ERROR)?;
        assert_eq!(length as usize, size_of::<T>());
        Ok(value)
    }

    /// A control code with input and room for output: what came out.
    pub(crate) fn ioctl(&self, code: DWORD, input: &[u8], room: usize) -> Result<Vec<u8>, WsaError> {
        let mut input = input.to_vec();
        // Aligned for what a control code may put there.
        let mut output = vec![0_u64; room.div_ceil(8)];
        let mut returned = 0;
        call!(
            lpWSPIoctl(
                self.handle,
                code,
                input.as_mut_ptr().cast(),
                input.len() as DWORD,
                output.as_mut_ptr().cast(),
                room as DWORD,
                &raw mut returned,
                ptr::null_mut(),
                None,
                ptr::null_mut()
            ),
            SOCKET_ERROR
        )?;
        let bytes: Vec<u8> = output.iter().flat_map(|word| word.to_ne_bytes()).collect();
        Ok(bytes[..returned as usize].to_vec())
    }

    pub(crate) fn set_nonblocking(&self, on: bool) {
        self.ioctl(FIONBIO, &u32::from(on).to_ne_bytes(), 0).expect("every socket can");
    }

    /// Receives exactly that many bytes.
    pub(crate) fn recv_all(&self, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < length {
            let part = self.recv(length - all.len()).expect("data");
            assert!(!part.is_empty(), "the stream ends after {} of {length} bytes", all.len());
            all.extend(part);
        }
        all
    }
}

fn started(answer: Result<INT, WsaError>, bytes: DWORD) -> Result<Option<usize>, WsaError> {
    match answer {
        Ok(_) => Ok(Some(bytes as usize)),
        Err(WsaError::WSA_IO_PENDING) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A listener on a free port, and where it is reached.
pub(crate) fn listener() -> (Socket, SocketAddr) {
    let listener = Socket::stream();
    listener.bind(loopback(0)).expect("a free port");
    listener.listen(SOMAXCONN).expect("bound");
    let address = listener.local_name().expect("bound");
    (listener, relay::reached_at(address))
}

/// The two ends of a connection: who connected, who accepted.
pub(crate) fn connected_pair() -> (Socket, Socket) {
    let (listener, address) = listener();
    let client = Socket::stream();
    client.connect(address).expect("somebody listens");
    let (server, _) = listener.accept().expect("a connection");
    for end in [&client, &server] {
        // No test waits for ever.
        let limit = PATIENCE.as_millis() as INT;
        end.set_option(SOL_SOCKET, SO_RCVTIMEO, limit).expect("an option");
    }
    (client, server)
}
