//! Messages one way, as fast as they go: throughput.
//!
//! The client announces a burst (16 bytes: count of messages, whether to check every byte), sends it, and gets a
//! receipt (16 bytes: bytes received, offset of the first wrong one). The time of a burst ends with its receipt.
//! Timed bursts carry stamps to check in passing; one burst at the end is checked byte by byte.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::peer::Driver;
use super::workload::StreamUnit;

/// The server reads whatever there is, as programs with a buffer do.
const BUFFER: usize = 64 << 10;
const ALL_RIGHT: u64 = u64::MAX;

/// Receives bursts over one connection until it ends.
pub(crate) fn serve(listener: &TcpListener, size: usize) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; size.max(BUFFER)];
    let mut head = [0; 16];
    loop {
        match stream.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        let [count, thorough] = numbers(head);
        let total = count * size as u64;
        let mut received = 0;
        let mut wrong = ALL_RIGHT;
        while received < total {
            let rest = usize::try_from(total - received).unwrap_or(usize::MAX).min(buffer.len());
            let chunk = match stream.read(&mut buffer[..rest])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => &buffer[..length],
            };
            if wrong == ALL_RIGHT {
                let found = if thorough == 0 {
                    wrong_stamp(chunk, received, size)
                } else {
                    wrong_byte(chunk, received)
                };
                wrong = found.unwrap_or(ALL_RIGHT);
            }
            received += chunk.len() as u64;
        }
        stream.write_all(&bytes([received, wrong]))?;
    }
}

pub(crate) struct Stream {
    stream: TcpStream,
    unit: StreamUnit,
    message: Vec<u8>,
    /// Messages per second at the last burst.
    rate: f64,
}

impl Stream {
    pub(crate) fn connect(address: SocketAddr, size: usize, unit: StreamUnit) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, unit, message: vec![0; size], rate: 0.0 })
    }

    fn burst(&mut self, count: u64, thorough: bool) -> io::Result<Duration> {
        let size = self.message.len() as u64;
        let start = Instant::now();
        self.stream.write_all(&bytes([count, u64::from(thorough)]))?;
        for index in 0..count {
            if thorough {
                fill(&mut self.message, index * size);
            } else {
                stamp(&mut self.message, index * size);
            }
            self.stream.write_all(&self.message)?;
        }
        let mut receipt = [0; 16];
        self.stream.read_exact(&mut receipt)?;
        let time = start.elapsed();
        self.rate = count as f64 / time.as_secs_f64();
        match numbers(receipt) {
            [received, ALL_RIGHT] if received == count * size => Ok(time),
            [received, ALL_RIGHT] => {
                Err(io::Error::other(format!("{} bytes sent, {received} received", count * size)))
            }
            [_, wrong] => Err(io::Error::other(format!("the data is wrong at byte {wrong}"))),
        }
    }

    fn count_for(&self, time: Duration) -> u64 {
        ((self.rate * time.as_secs_f64()) as u64).max(1)
    }
}

impl Driver for Stream {
    fn warm(&mut self) -> io::Result<()> {
        let size = self.message.len() as u64;
        self.burst((1 << 20) / size, false)?;
        thread::sleep(Duration::from_millis(200));
        for millis in [10, 30, 60] {
            self.burst(self.count_for(Duration::from_millis(millis)), false)?;
        }
        Ok(())
    }

    fn measure(&mut self, time: Duration) -> io::Result<Vec<f64>> {
        let mut count = self.count_for(time);
        let mut spent = self.burst(count, false)?;
        if spent < time / 2 {
            // The pace had changed.
            count = self.count_for(time);
            spent = self.burst(count, false)?;
        }
        let rate = count as f64 / spent.as_secs_f64();
        Ok(vec![match self.unit {
            StreamUnit::MillionMessages => rate / 1e6,
            StreamUnit::GigaBytes => rate * self.message.len() as f64 / 1e9,
        }])
    }

    fn verify(&mut self) -> io::Result<()> {
        self.burst((16 << 20) / self.message.len() as u64, true).map(drop)
    }
}

/// A stamp is the number of its cell in the burst, in the cell's first 8 bytes.
fn cell(size: usize) -> usize {
    size.min(4096)
}

fn stamp(message: &mut [u8], offset: u64) {
    let cell = cell(message.len());
    let first = offset / cell as u64;
    for (number, bytes) in (first..).zip(message.chunks_mut(cell)) {
        bytes[..8].copy_from_slice(&number.to_le_bytes());
    }
}

/// The offset of the first wrong stamp. Those that this chunk has only in part are not looked at.
fn wrong_stamp(chunk: &[u8], offset: u64, size: usize) -> Option<u64> {
    let cell = cell(size) as u64;
    let first = offset.div_ceil(cell);
    let skip = usize::try_from(first * cell - offset).unwrap_or(usize::MAX);
    let cells = chunk.get(skip..)?.chunks(cell as usize);
    (first..)
        .zip(cells)
        .find(|(number, bytes)| bytes.get(..8).is_some_and(|found| found != number.to_le_bytes()))
        .map(|(number, _)| number * cell)
}

/// Every word differs, so that lost, doubled and moved bytes show.
fn byte_at(offset: u64) -> u8 {
    let word = (offset / 8).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((word ^ (word >> 31)) >> (8 * (offset % 8))) as u8
}

fn fill(message: &mut [u8], offset: u64) {
    for (at, byte) in (offset..).zip(message) {
        *byte = byte_at(at);
    }
}

fn wrong_byte(chunk: &[u8], offset: u64) -> Option<u64> {
    (offset..).zip(chunk).find(|(at, byte)| **byte != byte_at(*at)).map(|(at, _)| at)
}

fn numbers(bytes: [u8; 16]) -> [u64; 2] {
    let value = u128::from_le_bytes(bytes);
    [value as u64, (value >> 64) as u64]
}

fn bytes([low, high]: [u64; 2]) -> [u8; 16] {
    (u128::from(low) | u128::from(high) << 64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        assert_eq!(numbers(bytes([1, ALL_RIGHT])), [1, ALL_RIGHT]);
    }

    #[test]
    fn stamps_are_right_however_the_stream_is_split() {
        for size in [64, 1024, 8192] {
            let mut data = Vec::new();
            let mut message = vec![0; size];
            for index in 0..10 {
                stamp(&mut message, index * size as u64);
                data.extend_from_slice(&message);
            }
            for step in [1, 7, 8, 63, 64, 4096, data.len()] {
                let mut offset = 0;
                for chunk in data.chunks(step) {
                    assert_eq!(wrong_stamp(chunk, offset, size), None, "size {size} step {step}");
                    offset += chunk.len() as u64;
                }
            }
            let moved = &data[cell(size)..];
            assert_eq!(wrong_stamp(moved, 0, size), Some(0));
            data[cell(size) * 3] ^= 1;
            assert_eq!(wrong_stamp(&data[5..], 5, size), Some(cell(size) as u64 * 3));
        }
    }

    #[test]
    fn every_byte_is_checked() {
        let mut data = vec![0; 1000];
        fill(&mut data, 77);
        assert_eq!(wrong_byte(&data, 77), None);
        assert!(wrong_byte(&data[1..], 77).is_some());
        data[999] ^= 0x80;
        assert_eq!(wrong_byte(&data, 77), Some(77 + 999));
    }

    #[test]
    fn bursts_arrive_at_the_pace_that_is_reported() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = thread::spawn(move || serve(&listener, 1024));
        let mut client = Stream::connect(address, 1024, StreamUnit::GigaBytes).expect("connected");
        let time = client.burst(5000, false).expect("sent");
        assert!((client.rate * time.as_secs_f64() - 5000.0).abs() < 1e-6);
        assert!(client.measure(Duration::from_millis(20)).expect("measured")[0] > 0.0);
        client.verify().expect("the data is right");
        drop(client);
        server.join().expect("no panic").expect("ends with its client");
    }
}
