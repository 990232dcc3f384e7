//! What a provider was asked to do, read from a trace.

use std::ops::Range;
use std::path::Path;

/// One call of the provider, or one up-call (`WPU...`).
#[derive(Clone, Debug)]
pub struct Call {
    pub provider: String,
    pub function: String,
    pub arguments: Vec<String>,
    pub result: String,
}

impl Call {
    /// From a line of a trace; `None` for notes.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ').skip(2);
        let (provider, rest) = (words.next()?, words.next()?);
        let (function, rest) = rest.split_once('(')?;
        let is_call = ["WSP", "WPU", "Wsd"].iter().any(|prefix| function.starts_with(prefix));
        let (arguments, result) = rest.rsplit_once(") = ").filter(|_| is_call)?;
        Some(Self {
            provider: provider.to_owned(),
            function: function.to_owned(),
            arguments: split(arguments),
            result: result.to_owned(),
        })
    }

    /// Whether the provider did what it was asked for.
    pub fn succeeded(&self) -> bool {
        !self.result.starts_with("WSA")
    }

    /// The first argument: the socket of calls, the switch's handle of up-calls.
    pub fn socket(&self) -> &str {
        &self.arguments[0]
    }

    /// Whether it moves bytes.
    pub fn is_transfer(&self) -> bool {
        ["WSPSend", "WSPRecv", "WSPRdmaRead", "WSPRdmaWrite"].contains(&self.function.as_str())
    }

    /// The value of an argument `name=value`.
    pub fn value(&self, name: &str) -> &str {
        let found = self.arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// Of a transfer: its buffers.
    pub fn buffers(&self) -> Vec<Range<usize>> {
        self.arguments[1].trim_matches(['[', ']']).split(", ").map(range).collect()
    }

    /// Of a transfer: how many bytes its buffers have.
    pub fn length(&self) -> usize {
        self.buffers().iter().map(Range::len).sum()
    }

    /// Of a transfer: whether it is polled, and its request.
    pub fn request(&self) -> (bool, &str) {
        let (kind, request) = self.arguments[3].split_once(' ').expect("kind and request");
        (kind == "polled", request)
    }

    /// Whether it tells that the transfer with this request has ended. A request's place may be used again afterwards.
    fn tells_the_end_of(&self, request: &str) -> bool {
        let tells = match self.function.as_str() {
            "WPUCompleteOverlappedRequest" => true,
            "WSPGetOverlappedResult" => self.result != "WSA_IO_INCOMPLETE",
            _ => false,
        };
        tells && self.arguments[1] == request
    }
}

/// `0x1000+16` as addresses.
pub fn range(text: &str) -> Range<usize> {
    let (start, length) = text.split_once('+').expect("address and length");
    let start = usize::from_str_radix(start.trim_start_matches("0x"), 16).expect("an address");
    start..start + length.parse::<usize>().expect("a length")
}

/// Arguments, between commas outside of brackets.
fn split(text: &str) -> Vec<String> {
    let mut depth = 0;
    let mut found = vec![String::new()];
    for letter in text.chars() {
        match letter {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        found.last_mut().expect("never empty").push(letter);
    }
    found.iter().map(|argument| argument.trim().to_owned()).collect()
}

/// The calls of one process, in order.
#[derive(Clone, Debug, Default)]
pub struct Trace(pub Vec<Call>);

impl Trace {
    /// Empty if there is no file: nothing was traced.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Self(text.lines().filter_map(Call::parse).collect())
    }

    /// All calls of a function, with their places.
    pub fn of(&self, function: &str) -> impl Iterator<Item = (usize, &Call)> {
        self.0.iter().enumerate().filter(move |(_, call)| call.function == function)
    }

    /// All calls that move bytes, with their places.
    pub fn transfers(&self) -> impl Iterator<Item = (usize, &Call)> {
        self.0.iter().enumerate().filter(|(_, call)| call.is_transfer())
    }

    /// Transfers of a socket whose end was not told before the last call that precedes its close: what is told between the two
    /// the switch need not have heard.
    pub fn pending_at_close(&self, socket: &str) -> impl Iterator<Item = &Call> {
        let calls = &self.0[..self.closed(socket)];
        let last = calls.iter().rposition(|call| call.function.starts_with("WSP"));
        let heard = &calls[..=last.expect("it was created")];
        let own = self.transfers().take_while(|(begun, _)| *begun < heard.len());
        let own = own.filter(move |(_, call)| call.socket() == socket && call.succeeded());
        let open = own.filter(|(begun, call)| {
            !heard[*begun..].iter().any(|told| told.tells_the_end_of(call.request().1))
        });
        open.map(|(_, call)| call)
    }

    /// Where a socket was closed.
    pub fn closed(&self, socket: &str) -> usize {
        let found = self.of("WSPCloseSocket").find(|(_, call)| call.socket() == socket);
        found.unwrap_or_else(|| panic!("{socket} was never closed")).0
    }
}
