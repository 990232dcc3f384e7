//! Connections opened, used and closed by eight threads at each end, to see what is left of them.
//!
//! As a server it answers for ever. As a client it waits for lines on standard input. For a number it does that many
//! cycles in each thread and says so. For "hold" each thread opens and uses a connection and keeps it; for "release"
//! each closes it.

use std::io::{BufRead, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

const THREADS: usize = 8;
const MESSAGE: usize = 2048;
const PAUSE: Duration = Duration::from_millis(500);

/// The content of messages that the server answers after a pause.
const SLOW: u8 = 255;

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
        if message[0] == SLOW {
            std::thread::sleep(PAUSE);
        }
        stream.write_all(&message).expect("a client that reads");
    }
}

fn drive(port: u16) {
    let (done, finished) = mpsc::channel();
    let workers: Vec<mpsc::Sender<String>> = (0..THREADS)
        .map(|_| {
            let (order, orders) = mpsc::channel();
            let done = done.clone();
            std::thread::spawn(move || work(port, &orders, &done));
            order
        })
        .collect();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        for worker in &workers {
            worker.send(line.clone()).expect("a running thread");
        }
        for _ in &workers {
            finished.recv().expect("a running thread");
        }
        println!("done");
    }
}

fn work(port: u16, orders: &mpsc::Receiver<String>, done: &mpsc::Sender<()>) {
    let mut held = None;
    for order in orders {
        match order.as_str() {
            "hold" => held = Some(converse_long(port)),
            "release" => held = None,
            number => {
                // Mostly short connections, each fourth so busy that a switch may take it.
                for cycle in 0..number.parse().expect("a number") {
                    converse(port, if u32::is_multiple_of(cycle, 4) { 40 } else { 1 });
                }
            }
        }
        done.send(()).expect("the main thread waits");
    }
    drop(held);
}

fn converse(port: u16, rounds: u8) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a listener");
    exchange(&mut stream, rounds);
    stream
}

/// So much traffic, after a pause, that what went before the pause does not count. Then all threads of the server sleep
/// at a time, and all threads of the client.
fn converse_long(port: u16) -> TcpStream {
    let mut stream = converse(port, 20);
    std::thread::sleep(PAUSE);
    (0..5).for_each(|_| exchange(&mut stream, 200));
    std::thread::sleep(PAUSE);
    send_and_receive(&mut stream, SLOW);
    stream
}

fn exchange(stream: &mut TcpStream, rounds: u8) {
    (0..rounds).for_each(|round| send_and_receive(stream, round));
}

fn send_and_receive(stream: &mut TcpStream, content: u8) {
    let message = [content; MESSAGE];
    let mut answer = [0; MESSAGE];
    stream.write_all(&message).expect("a server that reads");
    stream.read_exact(&mut answer).expect("a server that answers");
    assert_eq!(message, answer);
}
