//! Options that a program has set before there is a companion.

mod support;

use support::{Pair, Way};

/// SW-046, SW-046 (SAN first), SW-170, SW-170 (SAN first): SO_DEBUG, set on the program's socket or its listener's, comes to the
/// companion when it has its name, before it listens or connects.
#[test]
fn are_replayed() {
    for way in Way::BOTH {
        let Some(mut pair) = Pair::start_play(way, ["plain", "plain"], "options.py") else {
            eprintln!("skipped: a privilege is missing");
            return;
        };
        pair.await_promotion();
        pair.release();
        for trace in pair.recorded() {
            let made: Vec<&str> = trace.of("WSPBind").map(|(_, call)| call.socket()).collect();
            assert!(!made.is_empty());
            for socket in made {
                let of_socket = trace.0.iter().filter(|call| {
                    call.function.starts_with("WSP") && call.arguments.first().is_some_and(|it| it == socket)
                });
                let functions: Vec<&str> =
                    of_socket.clone().map(|call| call.function.as_str()).take(3).collect();
                assert_eq!(functions[..2], ["WSPBind", "WSPSetSockOpt"], "{way:?}");
                assert!(["WSPListen", "WSPEventSelect"].contains(&functions[2]), "{way:?}: {functions:?}");
                let set = of_socket.clone().nth(1).expect("seen above");
                let asked = (set.value("level"), set.value("option"), &set.arguments[3]);
                // SOL_SOCKET, SO_DEBUG.
                assert_eq!(asked, ("0xffff", "0x1", &"[01, 00, 00, 00]".to_owned()), "{way:?}");
            }
        }
    }
}
