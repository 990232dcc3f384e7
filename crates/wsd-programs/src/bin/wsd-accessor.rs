//! A program that knows wsdirect and does what it is told on standard input, line by line: it makes connections, exposes memory,
//! reads and writes its peer's. It says what came of it.
//!
//! Connections, exposures and operations are numbered from 0. Failures are told as values of `errno`.

use std::io::{BufRead, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use wsd_access::{Done, Exposure, Memory, Operation, Refused, Rights, Window, ready, why};

const PATIENCE: Duration = Duration::from_secs(10);
/// So many bytes are equal before the next value begins.
const RUN: usize = 997;

fn main() {
    let mut program = Accessor::default();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        let words: Vec<&str> = line.split(' ').collect();
        println!("{}", program.obey(words[0], &words[1..]));
    }
}

#[derive(Default)]
struct Accessor {
    listener: Option<TcpListener>,
    connections: Vec<Option<TcpStream>>,
    exposures: Vec<Option<Exposure>>,
    operations: Vec<Option<Operation>>,
}

impl Accessor {
    fn obey(&mut self, word: &str, arguments: &[&str]) -> String {
        match (word, arguments) {
            ("listen", [address]) => {
                let address: IpAddr = address.parse().expect("an address");
                let listener = TcpListener::bind((address, 0)).expect("a port");
                let name = listener.local_addr().expect("bound");
                self.listener = Some(listener);
                name.to_string()
            }
            ("accept", []) => {
                let (stream, _) = self.listener.as_ref().expect("listening").accept().expect("a connection");
                self.connections.push(Some(stream));
                "accepted".into()
            }
            ("connect", [name]) => {
                let stream = TcpStream::connect(name).expect("a listener");
                self.connections.push(Some(stream));
                "connected".into()
            }
            ("ready", [connection, milliseconds]) => {
                let limit = Duration::from_millis(number(milliseconds) as u64);
                match ready(self.connection(connection), limit) {
                    Ok(()) => "ready".into(),
                    Err(error) => format!("{} {error}", error.errno()),
                }
            }
            ("why", [connection]) => why(self.connection(connection)),
            ("expose", [connection, length, rights]) => self.expose(connection, number(length), rights),
            ("look", [exposure]) => {
                describe(&self.exposures[number(exposure)].as_ref().expect("exposed").memory().to_vec())
            }
            ("ended", [exposure]) => {
                self.exposures[number(exposure)].as_ref().expect("exposed").has_ended().to_string()
            }
            ("withdraw", [exposure]) => {
                let place = &mut self.exposures[number(exposure)];
                match place.take().expect("exposed").withdraw(PATIENCE) {
                    Ok(memory) => describe(&memory.to_vec()),
                    Err(exposure) => {
                        *place = Some(exposure);
                        "pending".into()
                    }
                }
            }
            ("read", [connection, window, offset, length]) => {
                let memory = Memory::new(number(length)).expect("memory");
                let connection = self.connection(connection);
                let begun = wsd_access::read(connection, memory, &unhex(window), wide(offset));
                self.begun(begun)
            }
            ("write", [connection, window, offset, length, first]) => {
                let memory = Memory::of(&pattern(number(first) as u8, number(length))).expect("memory");
                let connection = self.connection(connection);
                let begun = wsd_access::write(connection, memory, &unhex(window), wide(offset));
                self.begun(begun)
            }
            ("finish", [operation]) => self.finish(number(operation), PATIENCE),
            ("poll", [operation]) => self.finish(number(operation), Duration::ZERO),
            ("fork", [connection]) => self.fork(connection),
            // A thing that only kernel TCP can do.
            ("leave", [connection]) => {
                let fd = self.connection(connection).as_raw_fd();
                // SAFETY: takes numbers only.
                let result = unsafe { libc::fcntl(fd, libc::F_SETOWN, libc::getpid()) };
                result.to_string()
            }
            ("close", [connection]) => {
                self.connections[number(connection)] = None;
                "closed".into()
            }
            ("say", [connection, text]) => {
                self.connection(connection).write_all(text.as_bytes()).expect("a connection");
                "said".into()
            }
            ("hear", [connection, length]) => {
                let mut bytes = vec![0; number(length)];
                match self.connection(connection).read_exact(&mut bytes) {
                    Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
                    Err(error) => error.kind().to_string(),
                }
            }
            (word, arguments) => panic!("unknown command {word} {arguments:?}"),
        }
    }

    fn connection(&self, place: &str) -> &TcpStream {
        self.connections[number(place)].as_ref().expect("open")
    }

    fn expose(&mut self, connection: &str, length: usize, rights: &str) -> String {
        let rights = match rights {
            "r" => Rights::Read,
            "w" => Rights::Write,
            _ => Rights::ReadWrite,
        };
        let memory = Memory::new(length).expect("memory");
        match wsd_access::expose(self.connection(connection), memory, rights) {
            Ok(exposure) => {
                let window = hex(exposure.window());
                self.exposures.push(Some(exposure));
                window
            }
            Err(error) => format!("refused {}", error.errno()),
        }
    }

    fn begun(&mut self, begun: Result<Operation, Refused>) -> String {
        match begun {
            Ok(operation) => {
                self.operations.push(Some(operation));
                (self.operations.len() - 1).to_string()
            }
            Err(refused) => format!("refused {}", refused.error.errno()),
        }
    }

    fn finish(&mut self, operation: usize, limit: Duration) -> String {
        let place = &mut self.operations[operation];
        match place.take().expect("under way").wait(limit) {
            Ok(Done { memory, result: Ok(()) }) => format!("done {}", describe(&memory.to_vec())),
            Ok(Done { result: Err(error), .. }) => format!("failed {}", error.errno()),
            Err(operation) => {
                *place = Some(operation);
                "pending".into()
            }
        }
    }

    /// What a child finds that inherits everything: whether it is ready, may expose, and has the first exposure.
    fn fork(&self, connection: &str) -> String {
        let mut pipe = [0; 2];
        // SAFETY: the array has room for two numbers.
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
        // SAFETY: this program has one thread, so the child may do anything.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let stream = self.connection(connection);
            let memory = Memory::new(100).expect("memory");
            let found = [
                ready(stream, PATIENCE).err().map_or(0, |error| error.errno()),
                wsd_access::expose(stream, memory, Rights::Read).err().map_or(0, |error| error.errno()),
                i32::from(self.exposures[0].as_ref().expect("exposed").has_ended()),
            ];
            let text = format!("{} {} {}", found[0], found[1], found[2]);
            // SAFETY: the text is valid; then the child ends at once.
            unsafe {
                libc::write(pipe[1], text.as_ptr().cast(), text.len());
                libc::_exit(0);
            }
        }
        let mut text = [0u8; 64];
        // SAFETY: the buffer has the given length; the child is ours, and so are the descriptors.
        let length = unsafe {
            let length = libc::read(pipe[0], text.as_mut_ptr().cast(), text.len());
            libc::waitpid(child, std::ptr::null_mut(), 0);
            libc::close(pipe[0]);
            libc::close(pipe[1]);
            length
        };
        String::from_utf8_lossy(&text[..usize::try_from(length).unwrap_or(0)]).into_owned()
    }
}

fn pattern(first: u8, length: usize) -> Vec<u8> {
    (0..length).map(|place| first.wrapping_add((place / RUN) as u8)).collect()
}

/// Length and first byte, if the bytes are a pattern or all the same.
fn describe(bytes: &[u8]) -> String {
    let first = bytes.first().copied().unwrap_or(0);
    let length = bytes.len();
    if bytes.iter().all(|byte| *byte == first) {
        format!("{length} of {first}")
    } else if bytes == pattern(first, length) {
        format!("{length} from {first}")
    } else {
        format!("{length} mixed")
    }
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

fn wide(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Window {
    let byte = |place: usize| u8::from_str_radix(&text[2 * place..2 * place + 2], 16).expect("digits");
    std::array::from_fn(byte)
}
