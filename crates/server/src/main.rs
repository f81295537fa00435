//! The binary `mailkeep`: sockets, clock, wiring, command line.

mod activation;
mod admin;
mod alerts;
mod certificates;
mod cli;
mod connection;
mod control;
mod conversation;
mod demo;
mod dispatch;
mod fax;
mod filtering;
mod guard;
mod holding;
mod identity;
mod intake;
mod letter;
mod listener;
mod lists;
mod message;
mod metrics;
mod notices;
mod partners;
mod people;
mod proxy;
mod rates;
mod reports;
mod revision;
mod server;
mod serving;
mod signatory;
mod site;
mod snapshot;
mod stream;
mod warnings;
mod webhooks;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(::fax::work::COMMAND) => return pages::worker::run(arguments),
        Some(::t38::engine::work::COMMAND) => return ::t38::engine::worker::run(),
        _ => {}
    }
    cli::run()
}
