//! How fast the parts are. `cargo bench -p mailkeep-bench -- tables` runs one module.

mod configuration;
mod content;
mod evidence;
mod flow;
mod lists;
mod rules;
mod sender;
mod session;
mod signing;
mod store;
mod tables;

fn main() {
    divan::main();
}
