//! Connections that carry nothing: what it costs to open and close one.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::peer::Driver;

/// Closes every connection as soon as it is there. The server closes first, so that the client's ports are free again.
pub(crate) fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        drop(listener.accept()?);
    }
}

pub(crate) struct Connect {
    address: SocketAddr,
}

impl Connect {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    fn connect_and_close(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        match stream.read(&mut [0; 16])? {
            0 => Ok(()),
            count => Err(io::Error::other(format!("{count} bytes from a server that sends none"))),
        }
    }
}

impl Driver for Connect {
    fn warm(&mut self) -> io::Result<()> {
        self.measure(Duration::from_millis(50)).map(drop)
    }

    fn measure(&mut self, time: Duration) -> io::Result<Vec<f64>> {
        let start = Instant::now();
        let mut count = 0u32;
        while start.elapsed() < time {
            self.connect_and_close()?;
            count += 1;
        }
        Ok(vec![f64::from(count) / start.elapsed().as_secs_f64()])
    }

    fn verify(&mut self) -> io::Result<()> {
        self.connect_and_close()
    }
}
