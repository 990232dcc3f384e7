//! The switch: everything between a front end and the SAN service providers.

#![deny(unsafe_code)]

pub mod front;
pub mod reason;
