//! The other end, in this process or in a helper process.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use wsd_spi::SockAddr;

use super::party::{Ask, Party, Told};
use super::wait::wait;
use crate::check::{Step, fail};
use crate::helper::{Line, Role};
use crate::raw::{Code, Finished};

/// See the [module](self).
pub(crate) enum Peer {
    Here(Party),
    There(Remote),
}

/// A helper process. Killed when dropped.
pub(crate) struct Remote {
    child: Child,
    input: ChildStdin,
    answers: Receiver<Result<Told, String>>,
}

impl Remote {
    /// Starts it.
    pub(crate) fn start(role: &Role, helper: &crate::Helper) -> io::Result<Self> {
        let mut child = helper.command(role)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let (sender, answers) = mpsc::channel();
        // Ends with the output, which ends with the process.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(Line::Told(told)) = Line::parse(&line)
                    && sender.send(told).is_err()
                {
                    break;
                }
            }
        });
        Ok(Self { child, input, answers })
    }

    fn ask(&mut self, ask: &Ask) -> Step<Told> {
        let text = serde_json::to_string(ask).map_err(io::Error::from);
        let written = text.and_then(|text| writeln!(self.input, "{text}"));
        if written.is_err() {
            return fail("the helper process has ended");
        }
        let answer = wait(&format!("the helper's answer to {ask:?}"), || match self.answers.try_recv() {
            Ok(told) => Some(Some(told)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(None),
        })?;
        match answer {
            Some(Ok(told)) => Ok(told),
            Some(Err(what)) => fail(format!("other end: {what}")),
            None => fail("the helper process has ended"),
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // Fails only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

macro_rules! asks {
    ($($(#[$meta:meta])* $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $ask:expr, $pattern:pat => $value:expr;)*) => {
        impl Peer {
            $(
                $(#[$meta])*
                pub(crate) fn $name(&mut self, $($argument: $type),*) -> Step<$result> {
                    match self.ask($ask)? {
                        $pattern => Ok($value),
                        other => fail(format!("{} at the other end: {other:?}", stringify!($name))),
                    }
                }
            )*
        }
    };
}

asks! {
    /// A listener there.
    listen(name: &SockAddr, backlog: i32) -> usize =
        Ask::Listen { name: name.socket_addr(), backlog }, Told::Number(s) => s;
    /// Waits for a request there and accepts it.
    accept(listener: usize) -> usize = Ask::Accept { listener, decision: 0 }, Told::Number(s) => s;
    /// Waits for a request there and refuses or defers it: the code of `WSPAccept`.
    answer(listener: usize, decision: i32) -> Code = Ask::Accept { listener, decision }, Told::Refused(code) => code;
    /// Begins to connect there.
    start_connect(from: &SockAddr, to: &SockAddr) -> usize =
        Ask::StartConnect { from: from.socket_addr(), to: to.socket_addr() }, Told::Number(s) => s;
    /// The result of a connect there.
    connected(s: usize) -> Option<Code> = Ask::Connected { s }, Told::Outcome(code) => code;
    /// Closes a socket there.
    close(s: usize) -> () = Ask::Close { s }, Told::Done => ();
    /// Posts receives there: number of the first.
    post(s: usize, count: usize, size: usize) -> usize = Ask::Post { s, count, size }, Told::Number(first) => first;
    /// Sends from there: number of the operation.
    send(s: usize, bytes: &[u8]) -> usize = Ask::Send { s, bytes: bytes.to_vec() }, Told::Number(number) => number;
    /// Waits for the end of an operation there.
    finish(posted: usize) -> (Finished, Vec<u8>) =
        Ask::Finish { posted }, Told::Ended(finished, bytes) => (finished, bytes);
    /// Exposes memory there: its number and descriptor.
    expose(s: usize, bytes: &[u8], access: u32) -> (usize, Vec<u8>) =
        Ask::Expose { s, bytes: bytes.to_vec(), access }, Told::Exposed(number, descriptor) => (number, descriptor);
    /// Ends the exposure there.
    conceal(s: usize, descriptor: &[u8]) -> Option<Code> =
        Ask::Conceal { s, descriptor: descriptor.to_vec() }, Told::Outcome(code) => code;
    /// Content of exposed memory there.
    content(exposed: usize) -> Vec<u8> = Ask::Content { exposed }, Told::Bytes(bytes) => bytes;
    /// RDMA from there: how it ended, and what is in the local memory there.
    rdma(s: usize, write: bool, bytes: &[u8], descriptor: &[u8], offset: u32) -> (Result<u32, Code>, Vec<u8>) =
        Ask::Rdma { s, write, bytes: bytes.to_vec(), descriptor: descriptor.to_vec(), offset },
        Told::Moved(ended, bytes) => (ended, bytes);
    /// Adopts a socket there.
    adopt(value: u32) -> Result<usize, Code> =
        Ask::Adopt { value }, told @ (Told::Number(_) | Told::Refused(_)) => match told {
            Told::Number(s) => Ok(s),
            Told::Refused(code) => Err(code),
            _ => return fail("no answer to an adoption"),
        };
    /// Number of the process.
    process() -> u32 = Ask::Process, Told::Number(process) => process as u32;
}

impl Peer {
    fn ask(&mut self, ask: Ask) -> Step<Told> {
        match self {
            Self::Here(party) => party.serve(ask),
            Self::There(remote) => remote.ask(&ask),
        }
    }

    /// Kills the process of the other end, without a word of farewell. Fails if it is this one.
    pub(crate) fn kill(self) -> Step {
        match self {
            Self::Here(_) => fail("the other end is in this process"),
            Self::There(remote) => {
                drop(remote);
                Ok(())
            }
        }
    }
}
