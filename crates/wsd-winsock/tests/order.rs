//! Two programs over a promoted connection: nothing overtakes what was asked for before, and every wait ends.
//!
//! The programs are this test itself, started again in a role.
#![cfg(windows)]

#[path = "stage/acts.rs"]
mod acts;
#[path = "stage/script.rs"]
mod script;
#[path = "stage/selected.rs"]
mod selected;
mod stage;

use std::env;
use std::io::{BufRead, Read, Seek, SeekFrom, Write, stdin};
use std::net::{TcpListener, TcpStream};
use std::os::windows::io::AsRawHandle;
use std::ptr::null_mut;
use std::time::Duration;

use windows_sys::Win32::Networking::WinSock as ws;
use windows_sys::Win32::System::IO::OVERLAPPED;

use acts::{AcceptEx, Pending, TransmitFile, extension, shutdown};
use script::{ROUND_TRIPS, SMALL, block, say};
use selected::Selected;
use stage::{Actor, connections, sum};

/// More than any ring has room for.
const MUCH: usize = 24 << 20;

/// The message that nobody answers.
const LAST: [u8; SMALL] = [0xFF; SMALL];
/// How often the test looks whether the connection is promoted.
const LOOKS: usize = 20;

/// Has both ends do their part; what the client has sent from its act on is what the server has received.
fn play(act: &str) {
    let mut server = Actor::start("server", &[("ACT", act)]);
    let port = server.hears("port");
    let mut client = Actor::start("client", &[("ACT", act), ("PORT", &port)]);
    client.hears("ready");
    // It goes on with small messages meanwhile.
    for _ in 0..LOOKS {
        if connections(&port).iter().all(|end| end.path == "shm" && end.reason.is_none()) {
            break;
        }
        client.tell("again");
        client.hears("ready");
    }
    client.tell("act");
    let sent = client.hears("sent");
    assert_eq!(server.hears("received"), sent);
    let ends = connections(&port);
    assert!(ends.iter().all(|end| end.path == "shm" && end.reason.is_none()), "{ends:?}");
    client.tell("close");
    server.tell("close");
    client.ends_well();
    server.ends_well();
}

/// SW-110: a blocking send is behind an overlapped one that has not been done.
#[test]
fn a_send_stays_behind_overlapped_ones() {
    play("send");
}

/// SW-160: the end of a stream is behind everything that was given before it.
#[test]
fn a_shutdown_stays_behind_overlapped_sends() {
    play("shutdown");
}

/// SW-110: overlapped receives get their bytes before a blocking one that was called later.
#[test]
fn a_receive_stays_behind_overlapped_ones() {
    play("receive");
}

/// A blocking call of Winsock runs routines while it waits, and what they send is seen.
#[test]
fn routines_run_inside_of_a_blocking_call() {
    play("routines");
}

/// SW-171: a file goes the way of the rest, and in its turn.
#[test]
fn a_transmitted_file_stays_on_the_san() {
    play("transmit");
}

/// What is told by an event of sockets is told of the SAN, too: bytes, room, the end.
#[test]
fn events_of_sockets_are_told() {
    play("selected");
}

/// The same by messages to a window.
#[test]
fn messages_to_windows_are_sent() {
    play("messages");
}

/// An operation that the kernel has, and one that the switch has, are waited for without an event.
#[test]
fn results_are_waited_for_without_events() {
    play("results");
}

/// Messages to and fro until the test has seen that the connection is promoted.
fn warm_up(stream: &mut TcpStream) {
    let mut buffer = vec![0; SMALL];
    let mut line = String::new();
    while line.trim() != "act" {
        for number in 0..ROUND_TRIPS {
            stream.write_all(&block(number, SMALL)).expect("a reader");
            stream.read_exact(&mut buffer).expect("an answer");
            assert_eq!(buffer, block(number, SMALL));
        }
        say("ready ");
        line.clear();
        stdin().lock().read_line(&mut line).expect("the test speaks");
    }
    stream.write_all(&LAST).expect("a reader");
}

/// The other end of that.
fn echo(stream: &mut TcpStream) {
    let mut buffer = [0; SMALL];
    loop {
        stream.read_exact(&mut buffer).expect("a message");
        if buffer == LAST {
            return;
        }
        stream.write_all(&buffer).expect("a reader");
    }
}

/// The client's part. What the server has to receive.
fn ask(act: &str, stream: &mut TcpStream) -> Vec<u8> {
    let mut all = block(3, MUCH);
    match act {
        "send" => {
            let mut much = Pending::send(stream, all.clone());
            stream.write_all(b"behind").expect("a reader");
            assert_eq!(much.end(), MUCH);
            all.extend(b"behind");
            shutdown(stream);
        }
        "shutdown" => {
            let mut much = Pending::send(stream, all.clone());
            shutdown(stream);
            assert_eq!(much.end(), MUCH);
        }
        "receive" => {
            let mut first = Pending::receive(stream, SMALL);
            let mut second = Pending::receive(stream, SMALL);
            stream.write_all(b"go").expect("a reader");
            let mut third = vec![0; SMALL];
            stream.read_exact(&mut third).expect("a message");
            assert_eq!((first.end(), second.end()), (SMALL, SMALL));
            let expected: Vec<_> = (0..3).map(|number| block(number, SMALL)).collect();
            assert_eq!(vec![first.bytes, second.bytes, third], expected);
            all = b"go".to_vec();
            shutdown(stream);
        }
        "routines" => {
            acts::send_by_routines(stream, b"first ", b"second");
            // The answer comes when both have.
            stream.read_exact(&mut [0]).expect("an answer");
            all = b"first second".to_vec();
            shutdown(stream);
        }
        "transmit" => {
            let head = Pending::send(stream, all.clone());
            all.extend(transmit(stream));
            stream.write_all(b"behind").expect("a reader");
            all.extend(b"behind");
            shutdown(stream);
            drop(head);
        }
        "results" => {
            results_of_kernel();
            let mut late = Pending::receive_without_event(stream, SMALL);
            stream.write_all(b"go").expect("a reader");
            assert_eq!(late.end(), SMALL);
            all = b"go".to_vec();
            shutdown(stream);
        }
        "selected" | "messages" => {
            let mut selected = Selected::new(stream, act == "messages");
            selected.write(&all);
            shutdown(stream);
            let answer = selected.read_to_end();
            assert!(answer == block(5, MUCH), "{} bytes", answer.len());
        }
        _ => panic!("no act: {act}"),
    }
    all
}

/// A part of a file, with bytes around it; all that is sent.
fn transmit(stream: &TcpStream) -> Vec<u8> {
    let path = env::temp_dir().join(format!("wsd-transmit-{}", std::process::id()));
    let content = block(9, 3 << 20);
    let mut how = std::fs::OpenOptions::new();
    let mut file = how.create(true).truncate(true).read(true).write(true).open(&path).expect("a file");
    file.write_all(&content).expect("room");
    file.seek(SeekFrom::Start(1000)).expect("a file");
    let (mut head, mut tail) = (*b"head", *b"tail");
    let buffers = ws::TRANSMIT_FILE_BUFFERS {
        Head: head.as_mut_ptr().cast(),
        HeadLength: 4,
        Tail: tail.as_mut_ptr().cast(),
        TailLength: 4,
    };
    let socket = acts::socket(stream);
    let function: TransmitFile = extension(socket, &ws::WSAID_TRANSMITFILE);
    let handle = file.as_raw_handle().cast();
    // SAFETY: all of it lives until the call returns, which ends the operation.
    let done = unsafe { function(socket, handle, 2 << 20, 0, null_mut(), &raw const buffers, 0) };
    assert_ne!(done, 0, "{}", std::io::Error::last_os_error());
    let mut position = OVERLAPPED { hEvent: acts::event(), ..OVERLAPPED::default() };
    position.Anonymous.Anonymous.Offset = 3_000_000;
    // SAFETY: as above, but for the wait.
    let later = unsafe {
        let begun = function(socket, handle, 0, 0, &raw mut position, core::ptr::null(), 0);
        assert!(begun != 0 || ws::WSAGetLastError() == ws::WSA_IO_PENDING);
        let (mut bytes, mut flags) = (0, 0);
        let done = ws::WSAGetOverlappedResult(socket, &raw const position, &raw mut bytes, 1, &raw mut flags);
        assert_ne!(done, 0);
        bytes as usize
    };
    assert_eq!(later, content.len() - 3_000_000);
    drop(file);
    std::fs::remove_file(path).expect("a file of ours");
    [&head[..], &content[1000..1000 + (2 << 20)], &tail, &content[3_000_000..]].concat()
}

/// AcceptEx without an event, of which the kernel tells the end.
fn results_of_kernel() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let name = listener.local_addr().expect("bound");
    use std::os::windows::io::AsRawSocket;
    let listening = listener.as_raw_socket() as ws::SOCKET;
    let function: AcceptEx = extension(listening, &ws::WSAID_ACCEPTEX);
    // SAFETY: numbers only.
    let accepted = unsafe { ws::socket(ws::AF_INET.into(), ws::SOCK_STREAM, 0) };
    let (mut names, mut place) = ([0_u8; 128], OVERLAPPED::default());
    let (mut bytes, mut flags) = (0, 0);
    // SAFETY: all of it lives until the operation is over, which is waited for.
    unsafe {
        let into = names.as_mut_ptr().cast();
        let begun = function(listening, accepted, into, 0, 32, 32, &raw mut bytes, &raw mut place);
        assert!(begun == 0 && ws::WSAGetLastError() == ws::WSA_IO_PENDING);
        let connects = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            TcpStream::connect(name).expect("a listener")
        });
        let done = ws::WSAGetOverlappedResult(listening, &raw const place, &raw mut bytes, 1, &raw mut flags);
        assert_ne!(done, 0);
        drop(connects.join().expect("connected"));
        ws::closesocket(accepted);
    }
}

/// The server's part. What it has received.
fn answer(act: &str, stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match act {
        "receive" | "results" => {
            let mut go = [0; 2];
            stream.read_exact(&mut go).expect("a message");
            all.extend(go);
            for number in 0..3 {
                std::thread::sleep(Duration::from_millis(100));
                stream.write_all(&block(number, SMALL)).expect("a reader");
            }
        }
        "routines" => {
            let mut both = [0; 12];
            stream.read_exact(&mut both).expect("two messages");
            all.extend(both);
            stream.write_all(b"!").expect("a reader");
        }
        "selected" | "messages" => {
            stream.read_to_end(&mut all).expect("a stream to its end");
            for piece in block(5, MUCH).chunks(1 << 20) {
                stream.write_all(piece).expect("a reader");
                std::thread::sleep(Duration::from_millis(5));
            }
            shutdown(stream);
        }
        // Until then the client's rings are full.
        _ => std::thread::sleep(Duration::from_millis(500)),
    }
    stream.read_to_end(&mut all).expect("a stream to its end");
    all
}

/// The roles.
#[test]
fn role() {
    let told = |name| env::var(name).expect("told");
    let mut line = String::new();
    match env::var("WSD_ROLE").as_deref() {
        Ok("server") => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            say(&format!("port {}", listener.local_addr().expect("bound").port()));
            let mut peer = listener.accept().expect("a client").0;
            echo(&mut peer);
            let all = answer(&told("WSD_ACT"), &mut peer);
            say(&format!("received {} {}", all.len(), sum(&all)));
            stdin().lock().read_line(&mut line).expect("the test speaks");
        }
        Ok("client") => {
            let port: u16 = told("WSD_PORT").parse().expect("a number");
            let mut peer = TcpStream::connect(("127.0.0.1", port)).expect("a server");
            warm_up(&mut peer);
            let all = ask(&told("WSD_ACT"), &mut peer);
            say(&format!("sent {} {}", all.len(), sum(&all)));
            stdin().lock().read_line(&mut line).expect("the test speaks");
        }
        _ => {}
    }
}
