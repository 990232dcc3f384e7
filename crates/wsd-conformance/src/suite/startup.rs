//! Starting and ending: `WSPStartupEx`, the table, the extension functions, `WSPCleanup`.

use wsd_spi::ffi::WSPPROC_TABLE;
use wsd_spi::{ExtensionFunction, WsaError};

use crate::Check;
use crate::check::{Cite, Step, ensure, equal, fail, must, one_of, refuses, skip};
use crate::raw::{Code, Mode, Startup, Table, guid_bytes, recorder};
use crate::world::{Rig, Side, quiet, wait};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-001"], "all 17 required entries of the table are filled", required_entries),
    Check::new(
        &["SP-002", "SP-030"],
        "every start-up writes the whole table, and each is matched by a clean-up",
        counted,
    ),
    Check::new(&["SP-003"], "the up-call table is copied, not kept", copied_upcalls),
    Check::new(&["SP-031"], "version 2.2 and a description are told", told_version),
    Check::new(&["SP-031"], "a request below version 2.2 is refused", old_version),
    Check::new(&["SP-032"], "a failed start-up leaves nothing behind", failed_startup),
    Check::new(&["SP-035"], "WSPCleanup without a start-up is WSANOTINITIALISED", cleanup_alone),
    Check::new(&["SP-035"], "the last WSPCleanup aborts what is pending", cleanup_aborts),
    Check::new(&["SP-212"], "no up-call comes after the last WSPCleanup", silent_after_cleanup),
    Check::new(
        &["SP-100"],
        "extension functions are given for a socket that is none",
        extensions_for_no_socket,
    ),
    Check::new(&["SP-101"], "an unknown identifier is WSAEINVAL", unknown_extension),
    Check::new(&["SP-101", "SP-191"], "a missing optional function is WSAEOPNOTSUPP", optional_extensions),
    Check::new(&["SP-161"], "the cache callback is there or openly missing", cache_callback_is_open),
];

fn start(rig: &Rig, startup: &mut Startup) -> Step<i32> {
    Ok(rig.library()?.start(startup, rig.upcalls()?))
}

fn started(rig: &Rig) -> Step<WSPPROC_TABLE> {
    let mut startup = Startup::usual();
    let code = start(rig, &mut startup)?;
    ensure(code == 0, || format!("WSPStartupEx: expected success got {}", Code::Number(code)))?;
    startup.table.map_or_else(|| fail("no table"), Ok)
}

/// SP-001.
fn required_entries(rig: &Rig) -> Step {
    let table = started(rig)?;
    match table.missing_entry() {
        Some(missing) => fail(format!("the table has no {missing}")),
        None => Ok(()),
    }
}

/// SP-002, SP-030.
fn counted(rig: &Rig) -> Step {
    let first = Table::new(started(rig)?);
    let second = started(rig)?;
    if let Some(missing) = second.missing_entry() {
        return fail(format!("the second start-up wrote no {missing}")).cite("SP-002");
    }
    let second = Table::new(second);
    must("the first WSPCleanup", first.cleanup()).cite("SP-030")?;
    let socket = second.socket([2, 1, 6], None, 1);
    let s = must("WSPSocket after one of two clean-ups", socket).cite("SP-030")?;
    must("WSPCloseSocket", second.close(s)).cite("SP-030")?;
    must("the second WSPCleanup", second.cleanup()).cite("SP-030")?;
    refuses("a third WSPCleanup", second.cleanup(), WsaError::WSANOTINITIALISED).cite("SP-030")
}

/// SP-003: `Library::start` empties the table that it has shown.
fn copied_upcalls(rig: &Rig) -> Step {
    let side = rig.side()?;
    let (s, handle) = side.socket_with_handle()?;
    side.close(s)?;
    wait("WPUCloseSocketHandle", || recorder().is_closed(handle).then_some(()))
}

/// SP-031.
fn told_version(rig: &Rig) -> Step {
    let mut startup = Startup::usual();
    let code = start(rig, &mut startup)?;
    equal("WSPStartupEx", code, 0)?;
    let Some(data) = startup.data else { return fail("no data") };
    equal("wVersion", data.wVersion, 0x0202)?;
    equal("wHighVersion", data.wHighVersion, 0x0202)?;
    let end = data.szDescription.iter().position(|unit| *unit == 0);
    ensure(end.is_some_and(|end| end > 0), || "the description is empty or has no end".to_owned())
}

/// SP-031, section 6.1.
fn old_version(rig: &Rig) -> Step {
    for version in [0x0101, 0x0002, 0x0102] {
        let mut startup = Startup { version, ..Startup::usual() };
        let code = start(rig, &mut startup)?;
        one_of(
            &format!("WSPStartupEx with version {}.{}", version & 0xFF, version >> 8),
            WsaError::from_code(code).map(Code::from),
            &[WsaError::WSAVERNOTSUPPORTED],
        )?;
    }
    Ok(())
}

/// SP-032, and `WSAEFAULT` of section 6.1.
fn failed_startup(rig: &Rig) -> Step {
    let table = Table::new(started(rig)?);
    must("WSPCleanup", table.cleanup())?;
    for startup in [Startup { data: None, ..Startup::usual() }, Startup { table: None, ..Startup::usual() }] {
        let mut startup = startup;
        let code = start(rig, &mut startup)?;
        one_of("WSPStartupEx with NULL", WsaError::from_code(code).map(Code::from), &[WsaError::WSAEFAULT])?;
        refuses("WSPCleanup after a failed start-up", table.cleanup(), WsaError::WSANOTINITIALISED)?;
    }
    must("WSPCleanup after a start-up that works again", Table::new(started(rig)?).cleanup())
}

/// SP-035, errors of section 6.2.
fn cleanup_alone(rig: &Rig) -> Step {
    let table = Table::new(started(rig)?);
    must("WSPCleanup", table.cleanup())?;
    refuses("WSPCleanup without a start-up", table.cleanup(), WsaError::WSANOTINITIALISED)
}

/// SP-035: notified requests are called up with `WSA_OPERATION_ABORTED`, polled ones are not. The other end is elsewhere: the
/// clean-up may close its sockets in any order, and the end that is closed later may hear of the other one before.
fn cleanup_aborts(rig: &Rig) -> Step {
    let pair = crate::world::Pair::with(rig, rig.other_process()?)?;
    let notified = pair.side.post(pair.s, 64, Mode::Notified)?;
    let polled = pair.side.post(pair.s, 64, Mode::Polled)?;
    must("WSPCleanup", pair.side.table.cleanup())?;
    let completion = wait("the completion of a pending receive", || recorder().completion(notified.request))?;
    let aborted = completion.error.map(Code::from);
    one_of("its status", aborted, &[WsaError::WSA_OPERATION_ABORTED])?;
    ensure(!polled.request.is_marked_pending(), || "a polled receive is still marked as pending".to_owned())
}

/// SP-212: with sockets open, and after everything was used. The recorder notes what comes later.
fn silent_after_cleanup(rig: &Rig) -> Step {
    let pair = crate::world::Pair::connected(rig)?;
    pair.side.post(pair.s, 64, Mode::Notified)?;
    pair.side.send(pair.s, b"goes nowhere", Mode::Notified)?;
    must("WSPCleanup", pair.side.table.cleanup())?;
    recorder().seal(true);
    quiet();
    quiet();
    Ok(())
}

/// SP-100.
fn extensions_for_no_socket(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mandatory = ExtensionFunction::ALL.into_iter().filter(|function| function.is_mandatory());
    for function in mandatory {
        for s in [rig.no_socket(), 0x1234_5678] {
            let mut pointer = [0; 8];
            let asked = side.table.ioctl(s, GET_POINTER, &guid_bytes(&function.guid()), &mut pointer);
            let what = format!("SIO_GET_EXTENSION_FUNCTION_POINTER of {}", function.name());
            let returned = must(&what, asked.map_err(|(code, _)| code))?;
            equal(&format!("*lpcbBytesReturned of {what}"), returned, 8)?;
            ensure(pointer != [0; 8], || format!("{what}: NULL"))?;
        }
    }
    Ok(())
}

const GET_POINTER: u32 = wsd_spi::ffi::SIO_GET_EXTENSION_FUNCTION_POINTER;

/// SP-101.
fn unknown_extension(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut pointer = [0; 8];
    let asked = side.table.ioctl(rig.no_socket(), GET_POINTER, &[0xA7; 16], &mut pointer);
    refuses("an unknown identifier", asked.map_err(|(code, _)| code), WsaError::WSAEINVAL)?;
    let guid = guid_bytes(&ExtensionFunction::RegisterMemory.guid());
    for (input, room) in [(&guid[..15], 8), (&guid[..], 7)] {
        let asked = side.table.ioctl(rig.no_socket(), GET_POINTER, input, &mut pointer[..room]);
        refuses("a short buffer", asked.map_err(|(code, _)| code), WsaError::WSAEFAULT)?;
    }
    Ok(())
}

fn ask_optional(side: Side, rig: &Rig, function: ExtensionFunction) -> Step<bool> {
    let mut pointer = [0; 8];
    let asked = side.table.ioctl(rig.no_socket(), GET_POINTER, &guid_bytes(&function.guid()), &mut pointer);
    match asked {
        Ok(_) if pointer == [0; 8] => fail(format!("{}: success with NULL", function.name())),
        Ok(_) => Ok(true),
        Err((code, _)) => one_of(function.name(), Some(code), &[WsaError::WSAEOPNOTSUPP]).map(|()| false),
    }
}

/// SP-101, SP-191.
fn optional_extensions(rig: &Rig) -> Step {
    ask_optional(rig.side()?, rig, ExtensionFunction::RdmaRead)?;
    ask_optional(rig.side()?, rig, ExtensionFunction::MemoryRegistrationCacheCallback).map(drop)
}

/// SP-161.
fn cache_callback_is_open(rig: &Rig) -> Step {
    if ask_optional(rig.side()?, rig, ExtensionFunction::MemoryRegistrationCacheCallback)? {
        return Ok(());
    }
    skip("WSPMemoryRegistrationCacheCallback is WSAEOPNOTSUPP: nothing is cached")
}
