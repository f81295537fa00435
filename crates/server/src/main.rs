//! The binary `mailkeep`.
fn main() {}
