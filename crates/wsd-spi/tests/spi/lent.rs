//! Lent memory: its owner learns when nothing refers to it any more, and not before.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::support::{Plain, entry, memory, pair, start};
use wsd_spi::client::{LentMemory, MemorySlice, RdmaRegistration, Socket, StableMemory};
use wsd_spi::{MemoryAccess, WsaError};

/// Exposes memory that is lent until the second value has one owner again.
fn exposed(socket: &Socket) -> (RdmaRegistration, Arc<()>) {
    let loan = Arc::new(());
    // Held by nobody else, and never given back.
    let whole: &'static MemorySlice = Box::leak(Box::new(memory(&[0; 16])));
    let start = NonNull::new(whole.start()).expect("memory is not at 0");
    // SAFETY: the memory is never freed, and nobody has references to it.
    let lent = unsafe { LentMemory::new(start, whole.len(), loan.clone()) };
    assert!(Arc::ptr_eq(lent.loan(), &loan));
    let slice = MemorySlice::whole(Arc::new(lent)).expect("16 bytes");
    (socket.register_rdma_memory(&slice, MemoryAccess::ReadWrite).expect("connected"), loan)
}

fn is_back(loan: &Arc<()>) -> bool {
    Arc::strong_count(loan) == 1
}

/// A registration that the provider has forgotten: this provider gives the same descriptor again.
fn forgotten(socket: &Socket) -> (RdmaRegistration, Arc<()>) {
    let (first, _) = exposed(socket);
    let (mut second, _) = exposed(socket);
    assert_eq!(first.deregister(), Ok(()));
    let third = exposed(socket);
    assert_eq!(second.try_deregister(), Ok(()));
    third
}

#[test]
fn deregistered_memory_is_back() {
    let (san, _switch) = start(entry!(Plain));
    let (_client, server) = pair(&san, 10);
    let (mut registration, loan) = exposed(&server);
    assert!(!is_back(&loan));
    assert_eq!(registration.try_deregister(), Ok(()));
    drop(registration);
    assert!(is_back(&loan));
}

/// A refusal changes nothing; whoever knows that the registration has ended with its connection surrenders it.
#[test]
fn refused_memory_is_back_when_it_is_surrendered() {
    let (san, _switch) = start(entry!(Plain));
    let (_client, server) = pair(&san, 10);
    let (mut registration, loan) = forgotten(&server);
    for _ in 0..2 {
        assert_eq!(registration.try_deregister(), Err(WsaError::WSAEINVAL));
        assert!(!is_back(&loan));
    }
    registration.surrender();
    assert!(is_back(&loan));
}

/// Memory that a provider may still use is never given back, unless its socket is closed.
#[test]
fn refused_memory_stays_lent() {
    let (san, _switch) = start(entry!(Plain));
    let (_client, server) = pair(&san, 10);
    let (registration, lost) = forgotten(&server);
    drop(registration);
    assert!(!is_back(&lost));
    let (registration, loan) = forgotten(&server);
    assert_eq!(server.close(), Ok(()));
    drop(registration);
    assert!(is_back(&loan) && !is_back(&lost));
}
