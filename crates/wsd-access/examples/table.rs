//! A table whose rows the peer writes and reads without the owner doing anything. The same as `examples/one-sided/table.c`, and
//! works with it:
//!
//! - `table own ADDRESS PORT` waits for one peer, exposes its table, prints what the peer has put into it (PORT 0: any);
//! - `table use ADDRESS PORT` fills the owner's table, and reads it back.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use wsd_access::{Memory, Operation, Rights, WINDOW, winsock};

const ROWS: usize = 64;
const ROW: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let run = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "own", address, port] => accepted(address, port).and_then(|connection| begin(&connection, own)),
        [_, "use", address, port] => {
            connected(address, port).and_then(|connection| begin(&connection, use_table))
        }
        _ => Err("usage: table own|use ADDRESS PORT".into()),
    };
    run.unwrap_or_else(|error| {
        eprintln!("table: {error}");
        ExitCode::FAILURE
    })
}

fn accepted(address: &str, port: &str) -> Outcome<TcpStream> {
    let listener = TcpListener::bind((address, port.parse()?))?;
    println!("port {}", listener.local_addr()?.port());
    Ok(listener.accept()?.0)
}

fn connected(address: &str, port: &str) -> Outcome<TcpStream> {
    Ok(TcpStream::connect((address, port.parse()?))?)
}

/// Where one-sided access is not to be had, a program does the same by the stream; this one only says so.
fn begin(connection: &TcpStream, act: impl FnOnce(&TcpStream) -> Outcome) -> Outcome<ExitCode> {
    if let Err(error) = wsd_access::ready(connection, PATIENCE) {
        println!("no one-sided access: {error}");
        return Ok(ExitCode::from(2));
    }
    act(connection).map(|()| ExitCode::SUCCESS)
}

fn own(mut connection: &TcpStream) -> Outcome {
    let table = Memory::new(ROWS * ROW).ok_or("no memory")?;
    let exposure = wsd_access::expose(connection, table, Rights::ReadWrite)?;
    connection.write_all(exposure.window())?;
    connection.read_exact(&mut [0])?;
    // The table is the peer's to write until this has succeeded.
    let table = exposure.withdraw(PATIENCE).map_err(|_| "the exposure does not end")?.to_vec();
    let full = table.chunks(ROW).enumerate().filter(|(number, bytes)| *bytes == row(*number)).count();
    println!("the peer has written {full} rows");
    Ok(())
}

fn use_table(mut connection: &TcpStream) -> Outcome {
    let mut window = [0; WINDOW];
    connection.read_exact(&mut window)?;
    let mut writes = Vec::new();
    for number in 0..ROWS {
        let bytes = Memory::of(&row(number)).ok_or("no memory")?;
        writes.push(wsd_access::write(connection, bytes, &window, (number * ROW) as u64)?);
    }
    for write in writes {
        finish(write)?;
    }
    let copy = Memory::new(ROWS * ROW).ok_or("no memory")?;
    let copy = finish(wsd_access::read(connection, copy, &window, 0)?)?;
    let rows: Vec<u8> = (0..ROWS).flat_map(row).collect();
    if copy.to_vec() != rows {
        return Err("other rows were read than written".into());
    }
    println!("{ROWS} rows written and read back");
    Ok(connection.write_all(b"d")?)
}

/// The memory of an operation that has succeeded.
fn finish(operation: Operation) -> Outcome<Memory> {
    let done = operation.wait(PATIENCE).map_err(|_| "an operation does not end")?;
    done.result.map_err(|error| format!("{error} (Winsock {})", winsock(error.errno())))?;
    Ok(done.memory)
}

fn row(number: usize) -> [u8; ROW] {
    let mut bytes = [0; ROW];
    let text = format!("value {number}");
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}
