//! Connections that the SAN makes, TCP where it cannot: real programs under `wsdirect run --connect san-first`.

mod both_orders;
mod fallback;
mod forks;
mod listening;
mod opening;
mod order;
mod processes;
mod streams;
mod support;
