//! The front end for programs that are written to the SPI: every function of the table, called as such a program calls it.

mod support;

mod arguments;
mod blocking;
mod conditions;
mod connect;
mod datagrams;
mod duplicate;
mod echo;
mod extension;
mod forks;
mod messages;
mod network_events;
mod options;
mod overlapped;
mod san_first;
mod select;
mod startup;
mod states;
mod text;
mod tour;
