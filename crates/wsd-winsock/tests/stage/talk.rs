//! What a pair of programs says to each other: small questions and answers, then a stream.

use std::io::{Read, Write};

use crate::script::{ROUND_TRIPS, SMALL, block};

const BULK: usize = 8 << 20;

/// The side that asks, and sends the stream. What it has sent.
pub(crate) fn ask(peer: &mut (impl Read + Write)) -> Vec<u8> {
    let mut buffer = vec![0; SMALL];
    for number in 0..ROUND_TRIPS {
        peer.write_all(&block(number, SMALL)).expect("a reader");
        peer.read_exact(&mut buffer).expect("an answer");
        buffer.reverse();
        assert_eq!(buffer, block(number, SMALL), "answer {number}");
    }
    let mut all = Vec::new();
    while all.len() < BULK {
        let piece = block(all.len(), 70_000);
        peer.write_all(&piece).expect("a reader");
        all.extend(piece);
    }
    all
}

/// The side that answers. What the stream brought, up to its end.
pub(crate) fn answer(peer: &mut (impl Read + Write)) -> Vec<u8> {
    let mut buffer = vec![0; SMALL];
    for number in 0..ROUND_TRIPS {
        peer.read_exact(&mut buffer).expect("a question");
        assert_eq!(buffer, block(number, SMALL), "question {number}");
        buffer.reverse();
        peer.write_all(&buffer).expect("a reader");
    }
    let mut all = Vec::new();
    peer.read_to_end(&mut all).expect("a stream to its end");
    all
}
