//! Connections opened, used and closed by eight threads at each end, to see what is left of them.
//!
//! As a server it answers for ever. As a client it waits for lines on standard input: for each it does that many
//! cycles in each thread and says so. The first connections of each thread are open all at once, so that what a
//! program keeps for as many connections as it had is there from the beginning.

use std::io::{BufRead, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

const THREADS: usize = 8;
const MESSAGE: usize = 2048;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().expect("usage: wsd-churn serve|drive PORT");
    let port = arguments.next().and_then(|port| port.parse().ok()).expect("a port");
    match role.as_str() {
        "serve" => serve(port),
        "drive" => drive(port),
        other => panic!("unknown role {other}"),
    }
}

fn serve(port: u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port");
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let (stream, _) = listener.accept().expect("a connection");
                    answer(stream);
                }
            });
        }
    });
}

/// Send back message after message until the client has closed.
fn answer(mut stream: TcpStream) {
    let mut message = [0; MESSAGE];
    while stream.read_exact(&mut message).is_ok() {
        stream.write_all(&message).expect("a client that reads");
    }
}

fn drive(port: u16) {
    let together = Arc::new(Barrier::new(THREADS));
    let (done, finished) = mpsc::channel();
    let workers: Vec<mpsc::Sender<usize>> = (0..THREADS)
        .map(|_| {
            let (order, orders) = mpsc::channel();
            let (together, done) = (Arc::clone(&together), done.clone());
            std::thread::spawn(move || {
                for cycles in orders {
                    (0..cycles).for_each(|cycle| converse(port, cycle, (cycle < 2).then_some(&*together)));
                    done.send(()).expect("the main thread waits");
                }
            });
            order
        })
        .collect();
    for line in std::io::stdin().lock().lines() {
        let cycles: usize = line.expect("text").trim().parse().expect("a number");
        for worker in &workers {
            worker.send(cycles).expect("a running thread");
        }
        for _ in &workers {
            finished.recv().expect("a running thread");
        }
        println!("done");
    }
}

/// One connection: mostly a short one, each fourth so busy that a switch may take it, and those that are open with all
/// others also so long that they can be watched.
fn converse(port: u16, cycle: usize, together: Option<&Barrier>) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a listener");
    let Some(together) = together else {
        return exchange(&mut stream, if cycle.is_multiple_of(4) { 40 } else { 1 });
    };
    together.wait();
    for _ in 0..8 {
        exchange(&mut stream, 20);
        std::thread::sleep(Duration::from_millis(100));
    }
    together.wait();
}

fn exchange(stream: &mut TcpStream, rounds: u8) {
    let mut answer = [0; MESSAGE];
    for round in 0..rounds {
        let message = [round; MESSAGE];
        stream.write_all(&message).expect("a server that reads");
        stream.read_exact(&mut answer).expect("a server that answers");
        assert_eq!(message, answer);
    }
}
