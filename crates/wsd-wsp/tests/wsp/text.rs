//! WSPAddressToString and WSPStringToAddress.

use std::ptr;

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{Name, call, loopback};

fn to_string(name: &mut Name, room: DWORD) -> Result<(String, DWORD), (WsaError, DWORD)> {
    let mut text = vec![0_u16; room as usize];
    let mut length = room;
    let (pointer, bytes) = (name.pointer(), name.length as DWORD);
    call!(
        lpWSPAddressToString(pointer, bytes, ptr::null_mut(), text.as_mut_ptr(), &raw mut length),
        SOCKET_ERROR
    )
    .map_err(|error| (error, length))?;
    let end = text.iter().position(|unit| *unit == 0).expect("a NUL");
    Ok((String::from_utf16(&text[..end]).expect("text"), length))
}

fn to_address(text: &str, family: INT, room: INT) -> Result<std::net::SocketAddr, (WsaError, INT)> {
    let mut units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let (mut name, mut length) = (Name::room(), room);
    let pointer = name.pointer();
    call!(
        lpWSPStringToAddress(units.as_mut_ptr(), family, ptr::null_mut(), pointer, &raw mut length),
        SOCKET_ERROR
    )
    .map_err(|error| (error, length))?;
    Ok(name.address())
}

#[test]
fn both_ways() {
    assert_eq!(to_string(&mut Name::of(loopback(80)), 64), Ok(("127.0.0.1:80".into(), 13)));
    let six = "[2001:db8::1]:8080".parse().expect("an address");
    assert_eq!(to_string(&mut Name::of(six), 64), Ok(("[2001:db8::1]:8080".into(), 19)));
    assert_eq!(to_address("127.0.0.1:80", AF_INET, 28), Ok(loopback(80)));
    assert_eq!(to_address("[2001:db8::1]:8080", AF_INET6, 28), Ok(six));
}

#[test]
fn refused() {
    assert_eq!(to_string(&mut Name::of(loopback(80)), 12), Err((WsaError::WSAEFAULT, 13)));
    let mut cut = Name::of(loopback(80));
    cut.length = 15;
    assert_eq!(to_string(&mut cut, 64).map_err(|(error, _)| error), Err(WsaError::WSAEFAULT));
    assert_eq!(to_address("127.0.0.1:80", AF_INET, 15), Err((WsaError::WSAEFAULT, 16)));
    assert_eq!(
        to_address("127.0.0.1:80", AF_INET6, 28).map_err(|(error, _)| error),
        Err(WsaError::WSAEINVAL)
    );
    assert_eq!(to_address("nowhere", AF_INET, 28).map_err(|(error, _)| error), Err(WsaError::WSAEINVAL));
    assert_eq!(to_address("1.2.3.4", 1, 28).map_err(|(error, _)| error), Err(WsaError::WSAEINVAL));
}
