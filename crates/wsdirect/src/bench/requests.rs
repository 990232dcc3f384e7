//! Many connections, one outstanding request each, both ends waiting in epoll: the way of servers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::peer::Driver;

/// Echoes whole requests on all connections until the last has ended.
pub(crate) fn serve(listener: TcpListener, connections: usize, size: usize) -> io::Result<()> {
    let mut set = Set::new(connections, size)?;
    for _ in 0..connections {
        set.add(listener.accept()?.0)?;
    }
    let mut open = connections;
    while open > 0 {
        set.wait(None, |lane| {
            match lane.receive()? {
                Received::Part => {}
                Received::Whole => lane.send()?,
                Received::End => open -= 1,
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Connections in one epoll set.
struct Set {
    poll: Poll,
    events: Events,
    lanes: Vec<Lane>,
    size: usize,
}

impl Set {
    fn new(connections: usize, size: usize) -> io::Result<Self> {
        let lanes = Vec::with_capacity(connections);
        Ok(Self { poll: Poll::new()?, events: Events::with_capacity(connections), lanes, size })
    }

    fn add(&mut self, stream: std::net::TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, Token(self.lanes.len()), Interest::READABLE)?;
        // One byte more than a message: a short read then tells that there is nothing left (epoll(7), edge-triggered).
        self.lanes.push(Lane { stream, message: vec![0; self.size + 1], filled: 0, number: 0, ended: false });
        Ok(())
    }

    /// Waits once, and has every ready connection served.
    fn wait(
        &mut self,
        patience: Option<Duration>,
        mut serve: impl FnMut(&mut Lane) -> io::Result<()>,
    ) -> io::Result<usize> {
        match self.poll.poll(&mut self.events, patience) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            other => other?,
        }
        let mut count = 0;
        for event in &self.events {
            serve(&mut self.lanes[event.token().0])?;
            count += 1;
        }
        Ok(count)
    }
}

/// One connection, with the message that is on its way in or out.
struct Lane {
    stream: TcpStream,
    message: Vec<u8>,
    filled: usize,
    /// Of the last request sent.
    number: u64,
    ended: bool,
}

enum Received {
    Part,
    Whole,
    /// Told once, though one end may come with several events.
    End,
}

impl Lane {
    fn size(&self) -> usize {
        self.message.len() - 1
    }

    /// After one event.
    fn receive(&mut self) -> io::Result<Received> {
        if self.ended {
            return Ok(Received::Part);
        }
        match self.stream.read(&mut self.message[self.filled..]) {
            Ok(0) if self.filled == 0 => {
                self.ended = true;
                return Ok(Received::End);
            }
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.filled += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::Part),
            Err(error) => return Err(error),
        }
        let size = self.size();
        if self.filled > size {
            return Err(io::Error::other("more bytes than one outstanding message"));
        }
        if self.filled < size {
            return Ok(Received::Part);
        }
        self.filled = 0;
        Ok(Received::Whole)
    }

    fn send(&mut self) -> io::Result<()> {
        let size = self.size();
        match self.stream.write(&self.message[..size])? {
            length if length == size => Ok(()),
            length => Err(io::Error::other(format!("a message of {size} bytes was sent in part: {length}"))),
        }
    }

    fn request(&mut self) -> io::Result<()> {
        self.number += 1;
        let (number, size) = (self.number, self.size());
        self.message[..8].copy_from_slice(&number.to_le_bytes());
        self.message[8..size].fill(number as u8);
        self.send()
    }

    fn check(&self) -> io::Result<()> {
        let number = self.number.to_le_bytes();
        let same =
            self.message[..8] == number && self.message[8..self.size()].iter().all(|b| *b == number[0]);
        if same { Ok(()) } else { Err(io::Error::other(format!("answer {} came back changed", self.number))) }
    }
}

pub(crate) struct Requests(Set);

impl Requests {
    pub(crate) fn connect(address: SocketAddr, connections: usize, size: usize) -> io::Result<Self> {
        let mut set = Set::new(connections, size)?;
        for _ in 0..connections {
            set.add(std::net::TcpStream::connect(address)?)?;
        }
        Ok(Self(set))
    }

    /// Requests per second. All are answered at the end.
    fn drive(&mut self, time: Duration) -> io::Result<f64> {
        let start = Instant::now();
        for lane in &mut self.0.lanes {
            lane.request()?;
        }
        let mut outstanding = self.0.lanes.len();
        let mut answered = 0u64;
        while outstanding > 0 {
            let more = start.elapsed() < time;
            let events = self.0.wait(Some(Duration::from_secs(5)), |lane| match lane.receive()? {
                Received::Part => Ok(()),
                Received::End => Err(io::ErrorKind::UnexpectedEof.into()),
                Received::Whole => {
                    lane.check()?;
                    answered += 1;
                    if more {
                        return lane.request();
                    }
                    outstanding -= 1;
                    Ok(())
                }
            })?;
            if events == 0 {
                let message = format!("{outstanding} requests without an answer or an event for 5 seconds");
                return Err(io::Error::other(message));
            }
        }
        Ok(answered as f64 / start.elapsed().as_secs_f64())
    }
}

impl Driver for Requests {
    fn warm(&mut self) -> io::Result<()> {
        self.drive(Duration::from_millis(60))?;
        thread::sleep(Duration::from_millis(200));
        self.drive(Duration::from_millis(60)).map(drop)
    }

    fn measure(&mut self, time: Duration) -> io::Result<Vec<f64>> {
        Ok(vec![self.drive(time)? / 1000.0])
    }

    /// Every answer was.
    fn verify(&mut self) -> io::Result<()> {
        self.drive(Duration::ZERO).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_answered() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = thread::spawn(move || serve(listener, 5, 64));
        let mut client = Requests::connect(address, 5, 64).expect("connected");
        let start = Instant::now();
        let rate = client.drive(Duration::from_millis(50)).expect("driven");
        let sent: u64 = client.0.lanes.iter().map(|lane| lane.number).sum();
        assert!(rate <= sent as f64 / 0.05 && rate >= sent as f64 / start.elapsed().as_secs_f64());
        drop(client);
        server.join().expect("no panic").expect("ends with its clients");
    }

    #[test]
    fn an_end_is_told_once() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let client = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let mut set = Set::new(1, 64).expect("a set");
        set.add(listener.accept().expect("accepted").0).expect("added");
        drop(client);
        set.wait(Some(Duration::from_secs(5)), |_| Ok(())).expect("an event");
        assert!(matches!(set.lanes[0].receive(), Ok(Received::End)));
        assert!(matches!(set.lanes[0].receive(), Ok(Received::Part)));
    }
}
