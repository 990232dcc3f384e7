//! Runs commands on another host of a test bed, with their standard input, output, errors and exit status here.
//!
//! `wsd-remote serve ADDRESS PORT` runs what it is asked to; `wsd-remote run ADDRESS PORT COMMAND...` asks it. When the
//! asking process ends, what it had started is killed. Whoever reaches the port may run anything: for test beds only.

use std::ffi::OsString;
use std::io::{Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;

/// What a frame carries. A frame is its kind, the length of its content as a big-endian number of 32 bits, the content.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A word of the command.
    Word = 0,
    /// There are no more words.
    Start = 1,
    /// Standard input; empty: its end.
    Input = 2,
    Output = 3,
    Errors = 4,
    /// The exit status, or 128 and the signal: one byte.
    Status = 5,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Word, Self::Start, Self::Input, Self::Output, Self::Errors, Self::Status];
}

/// The exit status when the other host or the connection to it is not there.
const LOST: u8 = 125;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, address, port, command @ ..] = &arguments[..] else {
        panic!("usage: wsd-remote serve|run ADDRESS PORT COMMAND...");
    };
    let address = SocketAddr::new(address.parse().expect("an address"), port.parse().expect("a port"));
    match role.as_str() {
        "serve" => serve(address),
        "run" => ExitCode::from(run(address, command).unwrap_or_else(|error| {
            eprintln!("wsd-remote: {address}: {error}");
            LOST
        })),
        other => panic!("unknown role {other}"),
    }
}

fn serve(address: SocketAddr) -> ! {
    let listener = TcpListener::bind(address).expect("a free port");
    loop {
        let (stream, _) = listener.accept().expect("a connection");
        std::thread::spawn(move || {
            if let Err(error) = obey(&stream) {
                eprintln!("wsd-remote: {error}");
            }
        });
    }
}

/// Starts one command and stays with it to its end.
fn obey(stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut words = Vec::new();
    while let Some((Kind::Word, word)) = receive(stream)? {
        words.push(OsString::from_vec(word));
    }
    let (program, arguments) = words.split_first().ok_or(std::io::ErrorKind::InvalidData)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            send(stream, Kind::Errors, format!("{}: {error}\n", program.display()).as_bytes())?;
            return send(stream, Kind::Status, &[127]);
        }
    };
    let group = i32::try_from(child.id()).expect("process ids are small");
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let mut input = child.stdin.take();
    let turn = Mutex::new(());
    std::thread::scope(|scope| {
        // Until the command's end is told, or the connection is gone with whoever asked.
        scope.spawn(move || {
            while let Ok(Some((Kind::Input, content))) = receive(stream) {
                let written = input.as_mut().map(|input| input.write_all(&content));
                if content.is_empty() || !matches!(written, Some(Ok(()))) {
                    input = None;
                }
            }
            // SAFETY: kill takes two numbers. The group may be gone; its number is not used anew while the leader is
            // not waited for or one of it lives, and for long afterwards.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        });
        let turn = &turn;
        let errors = scope.spawn(move || pass(errors, Kind::Errors, stream, turn));
        pass(output, Kind::Output, stream, turn);
        let _ = errors.join();
        let told = send(stream, Kind::Status, &[status(&mut child)?]);
        stream.shutdown(Shutdown::Both)?;
        told
    })
}

/// Sends what can be read, frame by frame, in turn with others.
fn pass(from: Option<impl Read>, kind: Kind, stream: &TcpStream, turn: &Mutex<()>) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let _turn = turn.lock();
        if send(stream, kind, &buffer[..length]).is_err() {
            return;
        }
    }
}

fn status(child: &mut Child) -> Result<u8> {
    let status = child.wait()?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

/// The exit status of a command there.
fn run(address: SocketAddr, command: &[String]) -> Result<u8> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    for word in command {
        send(&stream, Kind::Word, word.as_bytes())?;
    }
    send(&stream, Kind::Start, &[])?;
    let asking = stream.try_clone()?;
    // It ends with the process, if there is no end of input before.
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length) = std::io::stdin().read(&mut buffer) {
            if send(&asking, Kind::Input, &buffer[..length]).is_err() || length == 0 {
                return;
            }
        }
    });
    while let Some((kind, content)) = receive(&stream)? {
        match kind {
            Kind::Output => {
                let mut output = std::io::stdout().lock();
                output.write_all(&content)?;
                output.flush()?;
            }
            Kind::Errors => std::io::stderr().write_all(&content)?,
            Kind::Status => return content.first().copied().ok_or(std::io::ErrorKind::InvalidData.into()),
            Kind::Word | Kind::Start | Kind::Input => return Err(std::io::ErrorKind::InvalidData.into()),
        }
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}

fn send(mut stream: &TcpStream, kind: Kind, content: &[u8]) -> Result<()> {
    let length = u32::try_from(content.len()).expect("frames are short").to_be_bytes();
    stream.write_all(&[&[kind as u8], &length[..], content].concat())
}

/// The next frame, if there is one.
fn receive(mut stream: &TcpStream) -> Result<Option<(Kind, Vec<u8>)>> {
    let mut head = [0; 5];
    if stream.read(&mut head[..1])? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut head[1..])?;
    let kind =
        Kind::ALL.into_iter().find(|kind| *kind as u8 == head[0]).ok_or(std::io::ErrorKind::InvalidData)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let mut content = vec![0; length as usize];
    stream.read_exact(&mut content)?;
    Ok(Some((kind, content)))
}
