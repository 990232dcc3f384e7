//! What a window allows, and what becomes of windows that were changed: the memory is never touched against its owner's word.

use libc::{EACCES, ECONNABORTED, EFAULT, EINVAL, ESTALE};

use super::support::{By, FIRST, Pair, changed, failed, refused, scene};

/// Places of fields in a window.
const RIGHTS: usize = 6;
const NONCE: usize = 8;
const DESCRIPTOR: usize = 32;
/// Where the shm provider's descriptor has the access: lowest byte of the upper half of its third word.
const ACCESS: usize = DESCRIPTOR + 20;
/// Both rights, in a window and in that descriptor.
const BOTH: u8 = 3;

/// At this end's door, before any provider is asked: the connection goes on.
#[test]
fn what_the_window_does_not_allow_is_refused() {
    let scene = scene();
    let mut pair = Pair::ready(&scene, By::Bed);
    let readable = pair.expose(FIRST, 100, "r");
    let writable = pair.expose(FIRST, 100, "w");
    assert_eq!(pair.write(FIRST, &readable, 0, 1, 1), refused(EACCES));
    assert_eq!(pair.read(FIRST, &writable, 0, 1), refused(EACCES));
    for (offset, length) in [(100, 1), (0, 101), (99, 2), (u64::MAX, 1), (1 << 32, 1)] {
        assert_eq!(pair.read(FIRST, &readable, offset, length), refused(EFAULT), "{offset} {length}");
        assert_eq!(pair.write(FIRST, &writable, offset, length, 1), refused(EFAULT), "{offset} {length}");
    }
    assert_eq!(pair.read(FIRST, &changed(&readable, 0, b'X'), 0, 1), refused(EINVAL));
    assert_eq!(pair.read(FIRST, &changed(&readable, 5, 2), 0, 1), refused(EINVAL));
    assert_eq!(pair.read(FIRST, &readable, 0, 100), "done 100 of 0");
    assert_eq!(pair.server.ask("look 1"), "100 of 0");
    pair.talk(FIRST);
}

/// A window of another connection, as one of an earlier companion, is refused before the provider sees it: it could end the
/// connection.
#[test]
fn windows_of_other_companions_are_stale() {
    let scene = scene();
    let mut pair = Pair::ready(&scene, By::Bed);
    pair.connect();
    pair.make_ready(1);
    let other = pair.expose(FIRST, 100, "rw");
    assert_eq!(pair.read(1, &other, 0, 100), failed(ESTALE));
    assert_eq!(pair.write(1, &other, 0, 100, 8), failed(ESTALE));
    assert_eq!(pair.server.ask("look 0"), "100 of 0");
    pair.talk(1);
    assert_eq!(pair.read(FIRST, &other, 0, 100), "done 100 of 0");
}

/// SW-206: memory is accessible only over the connection that it was exposed on, also to a peer that forges the nonce.
#[test]
fn a_forged_nonce_opens_nothing() {
    let scene = scene();
    let mut pair = Pair::ready(&scene, By::Bed);
    pair.connect();
    pair.make_ready(1);
    let (one, other) = (pair.expose(FIRST, 100, "rw"), pair.expose(1, 100, "rw"));
    let forged = format!("{}{}{}", &one[..2 * NONCE], &other[2 * NONCE..4 * NONCE], &one[4 * NONCE..]);
    assert_denied(&pair.write(1, &forged, 0, 100, 8));
    assert_eq!(pair.server.ask("look 0"), "100 of 0");
    assert_eq!(pair.server.ask("look 1"), "100 of 0");
    pair.talk(FIRST);
}

/// SW-208: read-registered memory cannot be written, whatever the peer makes of the window and of the descriptor.
#[test]
fn forged_rights_open_nothing() {
    let scene = scene();
    let mut pair = Pair::ready(&scene, By::Bed);
    let readable = pair.expose(FIRST, 100, "r");
    let forged = changed(&readable, RIGHTS, BOTH);
    // The provider's own descriptor still says it, at this end.
    assert_eq!(pair.write(FIRST, &forged, 0, 100, 8), failed(EFAULT));
    let forged = changed(&forged, ACCESS, BOTH);
    assert_eq!(pair.write(FIRST, &forged, 0, 100, 8), failed(ECONNABORTED));
    assert_eq!(pair.server.ask("look 0"), "100 of 0");
}

/// SW-207, SP-123: what is withdrawn is not accessible any more; the window itself is still well-formed.
#[test]
fn a_withdrawn_window_opens_nothing() {
    let scene = scene();
    let mut pair = Pair::ready(&scene, By::Bed);
    let window = pair.expose(FIRST, 100, "rw");
    assert_eq!(pair.write(FIRST, &window, 0, 100, 4), "done 100 of 4");
    assert_eq!(pair.server.ask("withdraw 0"), "100 of 4");
    assert_denied(&pair.write(FIRST, &window, 0, 100, 5));
}

/// The provider has ended the connection: the operation is told that, or what was wrong with it (SP-132).
fn assert_denied(answer: &str) {
    assert!([failed(ECONNABORTED), failed(EFAULT)].iter().any(|denied| denied == answer), "{answer}");
}
