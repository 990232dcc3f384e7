//! The switch as a layered provider of Winsock's catalogue: its entries, where they stand, and what is below one of them.
//!
//! A layer has a hidden entry of its own, whose number stands for it in chains, and an entry for each chain: this layer first, then
//! what is below it. Programs get the first entry that fits.

use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, BASE_PROTOCOL, IPPROTO_TCP, IPPROTO_UDP, LAYERED_PROTOCOL, PFL_HIDDEN,
    PFL_MATCHES_PROTOCOL_ZERO, SOCK_DGRAM, SOCK_STREAM, WSAPROTOCOL_INFOW, XP1_IFS_HANDLES,
};
use windows_sys::core::GUID;

/// The layer's own entry. For ever, since machines remember it.
const LAYER: u128 = 0x2f6d9c14_50b7_4c1e_a8e3_1b947d6c0a52;

/// Each chain has an identity of its own, so that Winsock starts each by itself: the layer's, and a number from 1 on.
const CHAINS: u128 = 4;

const NAME: &str = "wsdirect";

/// Why the switch cannot be entered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// It is there already, or a part of it.
    Present,
    /// Another layered provider, by its name: what it does would be undone, or not work any more.
    Another(String),
    /// There is no base provider of TCP that gives programs handles of the system.
    NoTcp,
    /// What was entered is not there.
    Ignored,
}

impl core::fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Present => formatter.write_str("it is in the catalogue already, at least in part"),
            Self::Another(name) => write!(formatter, "another layered provider is in the catalogue: {name}"),
            Self::NoTcp => formatter.write_str("the catalogue has no base provider of TCP with IFS handles"),
            Self::Ignored => formatter.write_str("the catalogue has not taken an entry"),
        }
    }
}

impl core::error::Error for Obstacle {}

/// All identities of the layer's entries, chains first: the order in which they are taken out.
pub(super) fn identities() -> impl Iterator<Item = GUID> {
    (1..=CHAINS).rev().chain([0]).map(identity)
}

fn identity(number: u128) -> GUID {
    GUID::from_u128(LAYER + number)
}

pub(super) fn same(one: &GUID, other: &GUID) -> bool {
    (one.data1, one.data2, one.data3, one.data4) == (other.data1, other.data2, other.data3, other.data4)
}

/// Whether an entry is one of the layer's.
pub(super) fn is_ours(entry: &WSAPROTOCOL_INFOW) -> bool {
    identities().any(|id| same(&id, &entry.ProviderId))
}

/// What the layer goes on top of: TCP, and UDP, since Winsock asks the provider of the first socket in a `select` about all of them.
///
/// # Errors
/// Anything in the catalogue that forbids it.
pub(super) fn bases(catalogue: &[WSAPROTOCOL_INFOW]) -> Result<Vec<WSAPROTOCOL_INFOW>, Obstacle> {
    if catalogue.iter().any(is_ours) {
        return Err(Obstacle::Present);
    }
    if let Some(other) = catalogue.iter().find(|entry| entry.ProtocolChain.ChainLen != BASE_PROTOCOL as i32) {
        return Err(Obstacle::Another(name_of(other)));
    }
    let wanted = |family: u16, kind: i32, protocol: i32| {
        catalogue.iter().find(move |entry| {
            (entry.iAddressFamily, entry.iSocketType, entry.iProtocol) == (family.into(), kind, protocol)
                && entry.dwServiceFlags1 & XP1_IFS_HANDLES != 0
                && entry.dwProviderFlags & PFL_HIDDEN == 0
        })
    };
    let families = [AF_INET, AF_INET6];
    let tcp = families.into_iter().filter_map(|family| wanted(family, SOCK_STREAM, IPPROTO_TCP));
    let udp = families.into_iter().filter_map(|family| wanted(family, SOCK_DGRAM, IPPROTO_UDP));
    let bases: Vec<_> = tcp.chain(udp).copied().collect();
    let has_tcp = bases.iter().any(|entry| entry.iProtocol == IPPROTO_TCP);
    if has_tcp { Ok(bases) } else { Err(Obstacle::NoTcp) }
}

/// The layer's own entry, which is hidden from programs.
pub(super) fn own_entry(base: &WSAPROTOCOL_INFOW) -> WSAPROTOCOL_INFOW {
    let mut entry = WSAPROTOCOL_INFOW { ProviderId: identity(0), iSocketType: 0, iProtocol: 0, ..*base };
    entry.dwProviderFlags = (entry.dwProviderFlags | PFL_HIDDEN) & !PFL_MATCHES_PROTOCOL_ZERO;
    entry.ProtocolChain.ChainLen = LAYERED_PROTOCOL as i32;
    entry.szProtocol = wide_name(NAME);
    entry
}

/// The chains, when the layer's own entry is in the catalogue: one on top of each base.
///
/// # Errors
/// It is not there.
pub(super) fn chains(
    catalogue: &[WSAPROTOCOL_INFOW],
    bases: &[WSAPROTOCOL_INFOW],
) -> Result<Vec<WSAPROTOCOL_INFOW>, Obstacle> {
    let own = own_number(catalogue).ok_or(Obstacle::Ignored)?;
    let chain = |(number, base): (u128, &WSAPROTOCOL_INFOW)| {
        let mut entry = WSAPROTOCOL_INFOW { ProviderId: identity(number), ..*base };
        entry.ProtocolChain.ChainLen = 2;
        entry.ProtocolChain.ChainEntries[..2].copy_from_slice(&[own, base.dwCatalogEntryId]);
        entry.szProtocol = wide_name(&format!("{NAME} over [{}]", name_of(base)));
        entry
    };
    Ok((1..=CHAINS).zip(bases).map(chain).collect())
}

/// The numbers of all entries in the order that they are to have: the layer's chains come first, and nothing else changes.
///
/// # Errors
/// Not as many chains are there as were entered.
pub(super) fn order(catalogue: &[WSAPROTOCOL_INFOW], entered: usize) -> Result<Vec<u32>, Obstacle> {
    let own = own_number(catalogue).ok_or(Obstacle::Ignored)?;
    let is_chain = |entry: &&WSAPROTOCOL_INFOW| {
        entry.ProtocolChain.ChainLen > 1 && entry.ProtocolChain.ChainEntries[0] == own
    };
    let (chains, others): (Vec<&WSAPROTOCOL_INFOW>, Vec<_>) = catalogue.iter().partition(is_chain);
    if chains.len() != entered {
        return Err(Obstacle::Ignored);
    }
    Ok(chains.into_iter().chain(others).map(|entry| entry.dwCatalogEntryId).collect())
}

/// The number that stands for the layer in chains.
fn own_number(catalogue: &[WSAPROTOCOL_INFOW]) -> Option<u32> {
    let own = catalogue.iter().find(|entry| same(&entry.ProviderId, &identity(0)));
    own.map(|entry| entry.dwCatalogEntryId)
}

/// What is below the layer in the chain of `entry`: whose library is to be started, and with which entry. A base provider is started
/// with its own, another layer with the whole chain, in which it finds itself.
pub fn below(
    catalogue: &[WSAPROTOCOL_INFOW],
    entry: &WSAPROTOCOL_INFOW,
) -> Option<(GUID, WSAPROTOCOL_INFOW)> {
    let length = usize::try_from(entry.ProtocolChain.ChainLen).ok()?;
    let chain = entry.ProtocolChain.ChainEntries.get(..length)?;
    let own = own_number(catalogue)?;
    let place = chain.iter().position(|number| *number == own)?;
    let next = *chain.get(place + 1)?;
    let found = catalogue.iter().find(|other| other.dwCatalogEntryId == next)?;
    let is_base = found.ProtocolChain.ChainLen == BASE_PROTOCOL as i32;
    Some((found.ProviderId, if is_base { *found } else { *entry }))
}

fn name_of(entry: &WSAPROTOCOL_INFOW) -> String {
    let end = entry.szProtocol.iter().position(|unit| *unit == 0).unwrap_or(entry.szProtocol.len());
    String::from_utf16_lossy(&entry.szProtocol[..end])
}

pub(super) fn wide_name(name: &str) -> [u16; 256] {
    let mut place = [0; 256];
    // The last one stays zero.
    for (place, unit) in place.iter_mut().zip(name.encode_utf16()).take(255) {
        *place = unit;
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32, family: u16, kind: i32, protocol: i32, name: &str) -> WSAPROTOCOL_INFOW {
        let mut entry = WSAPROTOCOL_INFOW {
            dwServiceFlags1: XP1_IFS_HANDLES,
            dwProviderFlags: PFL_MATCHES_PROTOCOL_ZERO,
            ProviderId: GUID::from_u128(number.into()),
            dwCatalogEntryId: number,
            iAddressFamily: family.into(),
            iSocketType: kind,
            iProtocol: protocol,
            szProtocol: wide_name(name),
            ..Default::default()
        };
        entry.ProtocolChain.ChainLen = BASE_PROTOCOL as i32;
        entry
    }

    /// As Windows comes with it: other protocols before and between.
    fn fresh() -> Vec<WSAPROTOCOL_INFOW> {
        const RAW: (i32, i32) = (3, 0);
        vec![
            entry(1001, 34, SOCK_STREAM, 1, "Hyper-V RAW"),
            entry(1002, AF_INET, SOCK_STREAM, IPPROTO_TCP, "MSAFD Tcpip [TCP/IP]"),
            entry(1003, AF_INET, SOCK_DGRAM, IPPROTO_UDP, "MSAFD Tcpip [UDP/IP]"),
            entry(1004, AF_INET, RAW.0, RAW.1, "MSAFD Tcpip [RAW/IP]"),
            entry(1005, AF_INET6, SOCK_STREAM, IPPROTO_TCP, "MSAFD Tcpip [TCP/IPv6]"),
            entry(1006, AF_INET6, SOCK_DGRAM, IPPROTO_UDP, "MSAFD Tcpip [UDP/IPv6]"),
        ]
    }

    /// What WSCInstallProvider does: numbers are given, and entries come last.
    fn enter(catalogue: &mut Vec<WSAPROTOCOL_INFOW>, entries: &[WSAPROTOCOL_INFOW]) {
        for new in entries {
            let number = catalogue.iter().map(|entry| entry.dwCatalogEntryId).max().unwrap_or(1000) + 1;
            catalogue.push(WSAPROTOCOL_INFOW { dwCatalogEntryId: number, ..*new });
        }
    }

    /// The catalogue after an installation, without its order.
    fn layered() -> Vec<WSAPROTOCOL_INFOW> {
        let mut catalogue = fresh();
        let bases = bases(&catalogue).expect("nothing is in the way");
        enter(&mut catalogue, &[own_entry(&bases[0])]);
        let chains = chains(&catalogue, &bases).expect("just entered");
        enter(&mut catalogue, &chains);
        catalogue
    }

    /// A hidden entry for the layer, chains with identities of their own, first of all.
    #[test]
    fn the_layer_is_hidden_and_its_chains_come_first() {
        let catalogue = layered();
        let own = catalogue[6];
        assert_eq!((own.ProtocolChain.ChainLen, own.iSocketType, own.iProtocol), (0, 0, 0));
        assert_eq!(own.dwProviderFlags, PFL_HIDDEN);
        let names: Vec<String> = catalogue[7..].iter().map(name_of).collect();
        let tcp = "wsdirect over [MSAFD Tcpip [TCP/IP]]";
        assert_eq!((names.len(), names[0].as_str()), (4, tcp));
        for (entry, base) in catalogue[7..].iter().zip([1002, 1005, 1003, 1006]) {
            assert_eq!(entry.ProtocolChain.ChainEntries[..2], [1007, base]);
            assert_eq!((entry.ProtocolChain.ChainLen, entry.dwProviderFlags), (2, PFL_MATCHES_PROTOCOL_ZERO));
        }
        let ids: Vec<GUID> = identities().collect();
        let distinct = |id: &GUID| ids.iter().filter(|other| same(id, other)).count() == 1;
        assert!(ids.iter().all(distinct), "each can be taken out by itself");
        assert!(catalogue[6..].iter().all(is_ours));
        let order = order(&catalogue, 4).expect("all are there");
        assert_eq!(order, [1008, 1009, 1010, 1011, 1001, 1002, 1003, 1004, 1005, 1006, 1007]);
    }

    #[test]
    fn what_is_in_the_way_is_told() {
        assert_eq!(bases(&layered()).map(|_| ()), Err(Obstacle::Present));
        let mut half = fresh();
        half.push(WSAPROTOCOL_INFOW { dwCatalogEntryId: 1007, ..own_entry(&half[1]) });
        assert_eq!(bases(&half).map(|_| ()), Err(Obstacle::Present), "an installation that was cut short");
        let mut other = fresh();
        other[0].ProtocolChain.ChainLen = 0;
        assert_eq!(bases(&other).map(|_| ()), Err(Obstacle::Another("Hyper-V RAW".into())));
        let mut without = fresh();
        without.iter_mut().for_each(|entry| entry.dwServiceFlags1 = 0);
        assert_eq!(bases(&without).map(|_| ()), Err(Obstacle::NoTcp));
        // What Wine does: it says that all is well, and has no entry.
        let found = bases(&fresh()).expect("nothing is in the way");
        assert_eq!(chains(&fresh(), &found).map(|_| ()), Err(Obstacle::Ignored));
        assert_eq!(order(&fresh(), 4), Err(Obstacle::Ignored));
        assert_eq!(order(&layered(), 5), Err(Obstacle::Ignored), "a chain is missing");
    }

    #[test]
    fn the_hidden_base_provider_is_not_layered_over() {
        let mut catalogue = fresh();
        let mut san = entry(900, AF_INET, SOCK_STREAM, IPPROTO_TCP, "wsdirect shared memory");
        san.dwProviderFlags = PFL_HIDDEN;
        catalogue.insert(0, san);
        let numbers = |found: Vec<WSAPROTOCOL_INFOW>| -> Vec<u32> {
            found.iter().map(|entry| entry.dwCatalogEntryId).collect()
        };
        assert_eq!(bases(&catalogue).map(numbers), Ok(vec![1002, 1005, 1003, 1006]));
    }

    #[test]
    fn below_is_the_base_or_the_next_layer() {
        let catalogue = layered();
        let number = |entry: &WSAPROTOCOL_INFOW| {
            below(&catalogue, entry).map(|(id, given)| (id.data4[7], given.dwCatalogEntryId))
        };
        // The last byte of the identity is that of the number.
        assert_eq!(number(&catalogue[8]), Some((1005_u32 as u8, 1005)));
        assert_eq!(number(&catalogue[0]), None, "a base has no chain");
        assert_eq!(number(&catalogue[6]), None, "nor has the layer's own entry");
        let mut over = catalogue[7];
        over.ProtocolChain.ChainLen = 3;
        over.ProtocolChain.ChainEntries[..3].copy_from_slice(&[2000, 1007, 1002]);
        assert_eq!(number(&over), Some((1002_u32 as u8, 1002)), "another layer is above");
        over.ProtocolChain.ChainLen = 1;
        assert_eq!(number(&over), None);
        over.ProtocolChain.ChainLen = 99;
        assert_eq!(number(&over), None, "longer than there is room for");
        over.ProtocolChain.ChainLen = 3;
        over.ProtocolChain.ChainEntries[..3].copy_from_slice(&[1007, 2000, 1002]);
        let mut two = catalogue.clone();
        two.push(WSAPROTOCOL_INFOW {
            dwCatalogEntryId: 2000,
            ProviderId: GUID::from_u128(7),
            ..Default::default()
        });
        let found = below(&two, &over).expect("in the catalogue");
        assert_eq!((found.0.data4[7], found.1.ProtocolChain.ChainLen), (7, 3), "with the whole chain");
    }
}
