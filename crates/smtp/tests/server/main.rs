//! The server session, driven by scripts and by chance.

mod auth;
mod bounds;
mod content;
mod driver;
mod endings;
mod extensions;
mod lmtp;
mod properties;
mod sequence;
mod smuggling;
mod starttls;
