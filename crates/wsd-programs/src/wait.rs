//! Waiting for a state of the world, with a limit.

use std::time::{Duration, Instant};

/// No program takes longer to start, also on emulated or busy processors.
const START: Duration = Duration::from_secs(60);

/// Look again and again until there is an answer.
///
/// # Panics
///
/// When there is none within the limit.
pub fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(begin.elapsed() < limit, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Wait until something listens on the port, without connecting to it.
pub fn wait_listening(port: u16) {
    until(START, &format!("a listener on port {port}"), || is_listening(port).then_some(()));
}

fn is_listening(port: u16) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .any(|table| table.lines().skip(1).any(|line| listens(line, port)))
}

/// A line of the kernel's table: number, local address, peer address, state (0A is listening), and more.
fn listens(line: &str, port: u16) -> bool {
    let fields: Vec<&str> = line.split_whitespace().take(4).collect();
    let [_, local, _, "0A"] = fields[..] else { return false };
    local.rsplit(':').next().and_then(|digits| u16::from_str_radix(digits, 16).ok()) == Some(port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn sees_a_listener_without_connecting() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("bound").port();
        wait_listening(port);
        assert!(listener.accept().is_err());
        drop(listener);
        assert!(!is_listening(port));
    }
}
