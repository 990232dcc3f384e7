//! One end's claim that it has seen the stream, as 32 bytes that nobody else can say, and only in this session.

use std::net::SocketAddrV6;

use crate::negotiation::{ADDRESS_LENGTH, address_bytes};
use crate::session::Role;

/// BLAKE3 of some bytes.
pub type Digest = [u8; 32];

const CONTEXT: &str = "wsdirect session protocol 4: proof by stream hash";

/// What both ends have said of a connection, in one order for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names {
    /// Nonces of `Negotiate` and `Answer`.
    pub(crate) nonces: [u64; 2],
    /// Local names of the connecting and the listening end.
    pub(crate) ends: [SocketAddrV6; 2],
}

/// The hashes of both directions up to the common offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// From the connecting companion, and from the listening one.
    pub(crate) flows: [(u64, Digest); 2],
}

impl Claim {
    /// The proof as the end with this role says it.
    pub(crate) fn of(&self, role: Role, names: &Names) -> blake3::Hash {
        let mut claim = blake3::Hasher::new_keyed(&key(role, names));
        for (offset, digest) in self.flows {
            claim.update(&offset.to_le_bytes());
            claim.update(&digest);
        }
        claim.finalize()
    }
}

fn key(role: Role, names: &Names) -> Digest {
    let mut key = blake3::Hasher::new_derive_key(CONTEXT);
    for nonce in names.nonces {
        key.update(&nonce.to_le_bytes());
    }
    key.update(&[match role {
        Role::Connecting => 0,
        Role::Listening => 1,
    }]);
    for end in &names.ends {
        let name: [u8; ADDRESS_LENGTH] = address_bytes(end);
        key.update(&name);
    }
    *key.finalize().as_bytes()
}
