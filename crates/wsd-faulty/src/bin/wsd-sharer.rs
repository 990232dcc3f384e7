//! Tests only: one process of several that share connections, told what to do line by line on standard input. Each line is answered
//! by one line.
//!
//! | line | what it does | answer |
//! |---|---|---|
//! | `listen` | listens on the loopback address | its port |
//! | `accept` | accepts a connection | `ok` |
//! | `connect PORT` | connects | `ok` |
//! | `offer NAME` | gives the connection to whoever fetches it under that name | `ok` when it was fetched |
//! | `fetch NAME` | takes it | `ok` |
//! | `send FROM COUNT` | sends bytes of the stream | their digest |
//! | `receive FROM COUNT` | receives bytes of the stream | their digest |
//! | `exchange FROM COUNT` | both at once | both digests |
//! | `stream COUNT CHUNK` | sends and receives so many bytes at once | the digests of the digests of all chunks, sent and received |
//! | `try-receive` | receives a byte if one is there | `ok` |
//! | `fill FROM` | sends bytes of the stream for as long as that does not wait | how many |
//! | `end` | receives the end of the stream | `ok` |
//! | `shut` | shuts its own direction down | `ok` |
//! | `close` | closes the connection | `ok` |
//! | `exit` | ends, as a program does that returns from main | nothing |
//!
//! What fails is answered by `error` and the number.

use std::io::{BufRead, IoSlice, IoSliceMut, Write, stdin, stdout};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use sha2::{Digest, Sha256};
use wsd_os::link::{Link, Listener};
use wsd_switch::front::{self, Accepted, DescriptorFlags, Outcome, Shared, Socket, Verdict};

/// Bytes of one call.
const PIECE: usize = 256 * 1024;
/// Longest wait for the process that fetches or offers.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Sharer {
    listener: Option<TcpListener>,
    connection: Option<i32>,
}

fn main() {
    let variable = |name: &str| std::env::var(name).ok();
    front::start(&[], variable).expect("the switch starts");
    let mut sharer = Sharer::default();
    for line in stdin().lock().lines() {
        let line = line.expect("text");
        let words: Vec<&str> = line.split(' ').collect();
        if words == ["exit"] {
            break;
        }
        let answer = match sharer.obey(&words) {
            Ok(answer) => answer,
            Err(error) => format!("error {}", error.raw_os_error()),
        };
        let mut output = stdout().lock();
        writeln!(output, "{answer}").and_then(|()| output.flush()).expect("somebody listens");
    }
    front::ending();
}

impl Sharer {
    fn obey(&mut self, words: &[&str]) -> Result<String, Errno> {
        let number =
            |place: usize| words.get(place).and_then(|word| word.parse::<u64>().ok()).ok_or(Errno::INVAL);
        let name = || words.get(1).ok_or(Errno::INVAL);
        match words.first() {
            Some(&"listen") => self.listen(),
            Some(&"accept") => self.accept(),
            Some(&"connect") => self.connect(number(1)? as u16),
            Some(&"offer") => self.offer(name()?),
            Some(&"fetch") => self.fetch(name()?),
            Some(&"send") => send(self.socket()?, number(1)?, number(2)?),
            Some(&"receive") => receive(self.socket()?, number(1)?, number(2)?),
            Some(&"exchange") => {
                let (socket, from, count) = (self.socket()?, number(1)?, number(2)?);
                both(|| send(socket, from, count), || receive(socket, from, count))
            }
            Some(&"stream") => {
                let (socket, count, chunk) = (self.socket()?, number(1)?, number(2)?);
                both(
                    || chunks(count, chunk, |at| send(socket, at, chunk)),
                    || chunks(count, chunk, |at| receive(socket, at, chunk)),
                )
            }
            Some(&"try-receive") => {
                let mut byte = [0];
                let flags = libc::MSG_DONTWAIT as u32;
                front::recv(self.socket()?, &mut [IoSliceMut::new(&mut byte)], flags, |_, _| {
                    Err(Errno::NOTCONN)
                })
                .and_then(|_| done())
            }
            Some(&"fill") => fill_up(self.socket()?, number(1)?),
            Some(&"end") => match get(self.socket()?, &mut [0; 16])? {
                0 => done(),
                _ => Err(Errno::PROTO),
            },
            Some(&"shut") => {
                front::shutdown(self.socket()?, libc::SHUT_WR, || Err(Errno::NOTCONN)).and_then(|()| done())
            }
            Some(&"close") => {
                let fd = self.connection.take().ok_or(Errno::NOTCONN)?;
                front::closing(fd);
                // SAFETY: the program's own descriptor, which nothing uses any more.
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
                done()
            }
            _ => Err(Errno::INVAL),
        }
    }

    fn socket(&self) -> Result<Socket, Errno> {
        front::find(self.connection.ok_or(Errno::NOTCONN)?).ok_or(Errno::NOTSOCK)
    }

    fn listen(&mut self) -> Result<String, Errno> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|_| Errno::ADDRINUSE)?;
        let port = listener.local_addr().map_err(|_| Errno::INVAL)?.port();
        follow(listener.as_raw_fd());
        front::listen(front::find(listener.as_raw_fd()).ok_or(Errno::NOTSOCK)?, 16);
        self.listener = Some(listener);
        Ok(port.to_string())
    }

    fn accept(&mut self) -> Result<String, Errno> {
        let listener = self.listener.as_ref().ok_or(Errno::INVAL)?.as_raw_fd();
        let socket = front::find(listener).ok_or(Errno::NOTSOCK)?;
        match front::accept(socket, DescriptorFlags::default(), |_| Verdict::Accept, || Err(Errno::AGAIN)) {
            Outcome::Served(Ok(Accepted::San { fd, .. })) => {
                self.connection = Some(fd.into_raw_fd());
                done()
            }
            Outcome::Served(Err(error)) => Err(error),
            _ => Err(Errno::PROTO),
        }
    }

    fn connect(&mut self, port: u16) -> Result<String, Errno> {
        let fd = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?.into_raw_fd();
        follow(fd);
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match front::connect(front::find(fd).ok_or(Errno::NOTSOCK)?, peer) {
            Outcome::Served(Ok(())) => {
                self.connection = Some(fd);
                done()
            }
            Outcome::Served(Err(error)) => Err(error),
            Outcome::Pass => Err(Errno::PROTO),
        }
    }

    fn offer(&self, name: &str) -> Result<String, Errno> {
        let shared = front::share(self.socket()?)?;
        let listener = Listener::bind(name.as_bytes(), 1)?;
        let link = patiently(|| listener.accept())?;
        let kernel = wsd_os::fd::borrow(self.connection.ok_or(Errno::NOTCONN)?);
        link.send(&[1], &[kernel, shared.descriptor()])?;
        // The answer: it has it.
        patiently(|| link.recv(&mut [0; 1], 0))?;
        done()
    }

    fn fetch(&mut self, name: &str) -> Result<String, Errno> {
        let link = patiently(|| Link::connect(name.as_bytes()).map_err(|_| Errno::AGAIN))?;
        let packet = patiently(|| link.recv(&mut [0; 1], 2))?.ok_or(Errno::PIPE)?;
        let [kernel, memory, ..] = packet.fds;
        let fd = kernel.ok_or(Errno::BADF)?.into_raw_fd();
        front::join(fd, Shared::from_descriptor(memory.ok_or(Errno::BADF)?))?;
        self.connection = Some(fd);
        link.send(&[1], &[])?;
        done()
    }
}

fn follow(fd: i32) {
    front::opened(fd, libc::AF_INET, libc::SOCK_STREAM, 0);
}

fn done() -> Result<String, Errno> {
    Ok("ok".to_owned())
}

fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(Errno::AGAIN) if Instant::now() < end => thread::sleep(Duration::from_millis(1)),
            result => return result,
        }
    }
}

fn both(
    one: impl FnOnce() -> Result<String, Errno> + Send,
    other: impl FnOnce() -> Result<String, Errno> + Send,
) -> Result<String, Errno> {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        let one = one.join().expect("no panic")?;
        Ok(format!("{one} {}", other?))
    })
}

/// The digest of all chunks' digests.
fn chunks(count: u64, chunk: u64, act: impl Fn(u64) -> Result<String, Errno>) -> Result<String, Errno> {
    let mut all = Sha256::new();
    for number in 0..count / chunk {
        all.update(act(number * chunk)?.as_bytes());
    }
    Ok(hex(&all.finalize()))
}

fn send(socket: Socket, from: u64, count: u64) -> Result<String, Errno> {
    let mut digest = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut at = from;
    while at < from + count {
        let length = PIECE.min((from + count - at) as usize);
        fill(at, &mut piece[..length]);
        digest.update(&piece[..length]);
        let mut sent = 0;
        while sent < length {
            sent += front::send(
                socket,
                &[IoSlice::new(&piece[sent..length])],
                libc::MSG_NOSIGNAL as u32,
                |_| Err(Errno::NOTCONN),
            )?;
        }
        at += length as u64;
    }
    Ok(hex(&digest.finalize()))
}

fn fill_up(socket: Socket, from: u64) -> Result<String, Errno> {
    let mut piece = vec![0; PIECE];
    let mut sent = 0;
    loop {
        fill(from + sent, &mut piece);
        let flags = (libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) as u32;
        match front::send(socket, &[IoSlice::new(&piece)], flags, |_| Err(Errno::NOTCONN)) {
            Ok(count) => sent += count as u64,
            Err(Errno::AGAIN) => return Ok(sent.to_string()),
            Err(error) => return Err(error),
        }
    }
}

fn receive(socket: Socket, from: u64, count: u64) -> Result<String, Errno> {
    let mut digest = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut at = from;
    while at < from + count {
        let length = PIECE.min((from + count - at) as usize);
        let got = get(socket, &mut piece[..length])?;
        if got == 0 {
            return Err(Errno::PIPE);
        }
        digest.update(&piece[..got]);
        at += got as u64;
    }
    Ok(hex(&digest.finalize()))
}

fn get(socket: Socket, into: &mut [u8]) -> Result<usize, Errno> {
    front::recv(socket, &mut [IoSliceMut::new(into)], 0, |_, _| Err(Errno::NOTCONN))
}

/// The stream: any part of it can be made without what is before.
fn fill(from: u64, bytes: &mut [u8]) {
    let mut word = [0; 8];
    for (at, byte) in (from..).zip(bytes) {
        if at % 8 == 0 || at == from {
            word = scrambled(at / 8).to_le_bytes();
        }
        *byte = word[(at % 8) as usize];
    }
}

fn scrambled(number: u64) -> u64 {
    let mut word = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
