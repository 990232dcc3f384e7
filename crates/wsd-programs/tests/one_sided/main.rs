//! Programs that know wsdirect access each other's memory one-sidedly (`docs/one-sided.md`).

mod ends;
mod examples;
mod support;
mod transfers;
mod windows;
