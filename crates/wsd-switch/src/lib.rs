//! The switch: everything between a front end (libc calls, ws2_32, the SPI itself) and the SAN service providers.
//!
//! [`front`] is what a front end uses; `docs/architecture.md` is the map of the rooms.

#![deny(unsafe_code)]

pub mod access;
pub mod config;
mod family;
mod first;
pub mod front;
pub mod inspect;
pub mod networks;
mod process;
pub mod reason;
pub mod registry;
mod service;
mod sharing;
mod stream;
mod trace;
mod upcalls;
mod wait;
