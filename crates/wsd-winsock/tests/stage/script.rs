//! What programs in their roles send to each other, and say to the test.

use std::io::{Write, stdout};

pub(crate) const ROUND_TRIPS: usize = 400;
pub(crate) const SMALL: usize = 64;

/// Bytes that are others for every number.
pub(crate) fn block(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (number * 31 + at * 7 + at / 251) as u8).collect()
}

/// Tells the test.
pub(crate) fn say(words: &str) {
    println!("\n@{words}");
    stdout().flush().expect("the test listens");
}
