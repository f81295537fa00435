//! The delivery agent against the lab's internet.

mod local;
mod outcomes;
mod protection;
mod resolving;
mod reuse;
mod world;
