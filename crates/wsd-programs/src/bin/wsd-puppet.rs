//! One end of a TCP connection that does what it is told on standard input, line by line, and says what came of it.
//!
//! What it sends is a pattern of the offset, what it reads must be the other end's pattern.

use std::io::{BufRead, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;
use wsd_programs::RandomStream;

/// A message of the warm-up.
const MESSAGE: u64 = 4096;
/// A piece of a long stream.
const CHUNK: usize = 64 << 10;

fn main() {
    let [_, address, port] = &std::env::args().collect::<Vec<_>>()[..] else {
        panic!("usage: wsd-puppet ADDRESS PORT");
    };
    let address = SocketAddr::new(address.parse().expect("an address"), port.parse().expect("a port"));
    let mut end = End { address, listener: None, stream: None, salt: 0, sent: 0, received: 0 };
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        let (word, number) = line.split_once(' ').unwrap_or((&line, "0"));
        let answer = end.obey(word, number.parse().expect("a number"));
        println!("{answer}");
    }
}

struct End {
    address: SocketAddr,
    listener: Option<TcpListener>,
    stream: Option<TcpStream>,
    /// Makes the patterns of the two directions differ.
    salt: u8,
    sent: u64,
    received: u64,
}

impl End {
    fn obey(&mut self, word: &str, number: u64) -> String {
        match word {
            "listen" => {
                self.listener = Some(TcpListener::bind(self.address).expect("a free port"));
                "listening".into()
            }
            "accept" | "accept-stop" => {
                let (stream, _) = self.listener.as_ref().expect("listening").accept().expect("a connection");
                self.begin(stream, 85, word == "accept-stop");
                "accepted".into()
            }
            "connect" | "connect-stop" => {
                let begin = Instant::now();
                let stream = TcpStream::connect(self.address).expect("a listener");
                let elapsed = begin.elapsed().as_millis();
                let port = stream.local_addr().expect("connected").port();
                self.begin(stream, 0, word == "connect-stop");
                format!("connected {elapsed} {port}")
            }
            "write" => self.write(number),
            "flood" => self.write(u64::MAX),
            "read" => self.read(number),
            "drain" => self.read(u64::MAX),
            "both" => self.both(number),
            "ping" => self.rounds(number, true),
            "echo" => self.rounds(number, false),
            "poll" => self.poll(),
            "close" => {
                self.stream = None;
                "closed".into()
            }
            other => panic!("unknown command {other}"),
        }
    }

    fn begin(&mut self, stream: TcpStream, salt: u8, stop: bool) {
        if stop {
            // SAFETY: raise takes a number; SIGSTOP needs no handler.
            unsafe { libc::raise(libc::SIGSTOP) };
        }
        (self.salt, self.sent, self.received) = (salt, 0, 0);
        self.stream = Some(stream);
    }

    fn stream(&self) -> &TcpStream {
        self.stream.as_ref().expect("a connection")
    }

    /// Write so many bytes, or up to the first error.
    fn write(&mut self, length: u64) -> String {
        let mut buffer = [0; 32 << 10];
        let mut written = 0;
        while written < length {
            let step = usize::try_from(length - written).unwrap_or(usize::MAX).min(buffer.len());
            fill(&mut buffer[..step], self.sent, self.salt);
            match self.stream().write(&buffer[..step]) {
                Ok(bytes) => {
                    written += bytes as u64;
                    self.sent += bytes as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return format!("wrote {written} {:?}", error.kind()),
            }
        }
        format!("wrote {written} ok")
    }

    /// Read so many bytes, or up to the end or the first error.
    fn read(&mut self, length: u64) -> String {
        let (mut buffer, mut pattern) = ([0; 32 << 10], [0; 32 << 10]);
        let mut read = 0;
        while read < length {
            let step = usize::try_from(length - read).unwrap_or(usize::MAX).min(buffer.len());
            match self.stream().read(&mut buffer[..step]) {
                Ok(0) => return format!("read {read} eof"),
                Ok(bytes) => {
                    fill(&mut pattern[..bytes], self.received, 85 - self.salt);
                    if let Some(at) = (0..bytes).find(|at| buffer[*at] != pattern[*at]) {
                        return format!("read {} garbled", read + at as u64);
                    }
                    read += bytes as u64;
                    self.received += bytes as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return format!("read {read} {:?}", error.kind()),
            }
        }
        format!("read {read} ok")
    }

    /// Write and read so many random bytes at the same time. Those that are read must be the other end's.
    fn both(&self, length: u64) -> String {
        let stream = self.stream();
        let (sent, expected) = (u64::from(self.salt), u64::from(85 - self.salt));
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| send(stream, RandomStream::new(sent, length)));
            let read = compare(stream, RandomStream::new(expected, length));
            match (sender.join().expect("no panic"), read) {
                (Ok(()), Ok(())) => format!("exchanged {length} ok"),
                (sent, read) => format!("exchanged: {sent:?}, {read:?}"),
            }
        })
    }

    /// Exchange messages, speaking first or second.
    fn rounds(&mut self, number: u64, first: bool) -> String {
        for round in 0..number {
            let (one, other) = if first {
                (self.write(MESSAGE), self.read(MESSAGE))
            } else {
                (self.read(MESSAGE), self.write(MESSAGE))
            };
            if !one.ends_with("ok") || !other.ends_with("ok") {
                return format!("exchanged {round}: {one}, {other}");
            }
        }
        format!("exchanged {number} ok")
    }

    /// Wait until reading would not block.
    fn poll(&self) -> String {
        let mut set = [libc::pollfd { fd: self.stream().as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        // SAFETY: the set is one valid entry.
        let ready = unsafe { libc::poll(set.as_mut_ptr(), 1, -1) };
        if ready == 1 { "readable".into() } else { format!("poll gave {ready}") }
    }
}

/// Writes all of it.
fn send(mut stream: &TcpStream, mut content: RandomStream) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length])?,
        }
    }
}

/// Reads all that is expected, and finds it so.
fn compare(mut stream: &TcpStream, mut expected: RandomStream) -> std::io::Result<()> {
    let whole = expected.clone();
    let (mut buffer, mut pattern) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut read = 0;
    loop {
        let length = expected.read(&mut pattern)?;
        if length == 0 {
            return Ok(());
        }
        stream.read_exact(&mut buffer[..length])?;
        if buffer[..length] != pattern[..length] {
            return Err(std::io::Error::other(garbled(&buffer[..length], &pattern[..length], read, &whole)));
        }
        read += length;
    }
}

/// Which bytes of a chunk that begins at `offset` are wrong, and where in the stream those at both ends of them belong.
fn garbled(got: &[u8], expected: &[u8], offset: usize, whole: &RandomStream) -> String {
    let wrong = |at: &usize| got[*at] != expected[*at];
    let (Some(first), Some(last)) = ((0..got.len()).find(wrong), (0..got.len()).rfind(wrong)) else {
        return "not garbled".into();
    };
    let whole = whole.clone().bytes();
    let place = |sample: &[u8]| whole.windows(sample.len()).position(|bytes| bytes == sample);
    let (begin, end) = (&got[first..got.len().min(first + 64)], &got[(last + 1).saturating_sub(64)..=last]);
    let places = [begin, end].map(|sample| place(&sample[..sample.len().min(16)]));
    let count = (0..got.len()).filter(wrong).count();
    let (from, to) = (offset + first, offset + last);
    format!("{count} bytes garbled from {from} to {to}, belonging to {places:?}: {begin:?} to {end:?}")
}

fn fill(buffer: &mut [u8], offset: u64, salt: u8) {
    for (byte, at) in buffer.iter_mut().zip(offset..) {
        let mixed = at ^ (at >> 8) ^ (at >> 16) ^ (at >> 24);
        *byte = mixed.to_le_bytes()[0].wrapping_mul(31) ^ salt;
    }
}
