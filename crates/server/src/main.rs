//! The binary `mailkeep`: sockets, clock, wiring, command line.

mod activation;
mod admin;
mod certificates;
mod cli;
mod connection;
mod control;
mod conversation;
mod demo;
mod dispatch;
mod fax;
mod filtering;
mod intake;
mod listener;
mod message;
mod metrics;
mod notices;
mod partners;
mod proxy;
mod rates;
mod revision;
mod server;
mod serving;
mod signatory;
mod site;
mod snapshot;
mod stream;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
