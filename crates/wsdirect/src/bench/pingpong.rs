//! One message there and back, again and again: latency.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::peer::Driver;

/// Nanoseconds; what takes longer is counted as this.
const LONGEST: u64 = 60_000_000_000;

/// Echoes one connection's messages until it ends.
pub(crate) fn serve(listener: &TcpListener, size: usize) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut message = vec![0; size];
    loop {
        match stream.read_exact(&mut message) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        stream.write_all(&message)?;
    }
}

pub(crate) struct PingPong {
    stream: TcpStream,
    sent: Vec<u8>,
    received: Vec<u8>,
    count: u64,
}

impl PingPong {
    pub(crate) fn connect(address: SocketAddr, size: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let sent = (0..size).map(|at| (at * 7) as u8).collect();
        Ok(Self { stream, sent, received: vec![0; size], count: 0 })
    }

    fn exchange(&mut self) -> io::Result<()> {
        self.count += 1;
        self.sent[..8].copy_from_slice(&self.count.to_le_bytes());
        self.stream.write_all(&self.sent)?;
        self.stream.read_exact(&mut self.received)?;
        if self.sent == self.received {
            Ok(())
        } else {
            Err(io::Error::other(format!("message {} came back changed", self.count)))
        }
    }

    fn exchange_for(&mut self, time: Duration) -> io::Result<Histogram<u64>> {
        let mut latencies = Histogram::new_with_bounds(1, LONGEST, 3).map_err(io::Error::other)?;
        let mut start = Instant::now();
        let end = start + time;
        while start < end {
            self.exchange()?;
            let now = Instant::now();
            latencies.saturating_record((now - start).as_nanos().try_into().unwrap_or(u64::MAX));
            start = now;
        }
        Ok(latencies)
    }
}

impl Driver for PingPong {
    fn warm(&mut self) -> io::Result<()> {
        self.exchange_for(Duration::from_millis(30))?;
        thread::sleep(Duration::from_millis(200));
        self.exchange_for(Duration::from_millis(30)).map(drop)
    }

    fn measure(&mut self, time: Duration) -> io::Result<Vec<f64>> {
        let latencies = self.exchange_for(time)?;
        let micros = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
        Ok(vec![micros(0.50), micros(0.99)])
    }

    /// Every exchange was.
    fn verify(&mut self) -> io::Result<()> {
        self.exchange()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fit_into_the_time() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = thread::spawn(move || serve(&listener, 64));
        let mut client = PingPong::connect(address, 64).expect("connected");
        let start = Instant::now();
        let latencies = client.exchange_for(Duration::from_millis(50)).expect("exchanged");
        let spent = start.elapsed().as_nanos() as f64;
        let recorded = latencies.mean() * latencies.len() as f64;
        // The histogram rounds. What the machine does between two exchanges is nobody's latency.
        assert!(recorded <= 1.02 * spent, "{recorded} of {spent} ns");
        assert!(latencies.min() > 0);
        assert_eq!(latencies.len(), client.count);
        drop(client);
        server.join().expect("no panic").expect("ends with its client");
    }
}
