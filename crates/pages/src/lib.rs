//! Documents to fax pages.
//!
//! [`job::draw`] takes a message and gives a file of pages for each recipient: the cover page
//! from a [`cover`] template, the text laid out by [`flow`], attachments by [`pdf`] and
//! [`picture`], shades to dots by [`tone`], and [`tiff_f::write`] as fax machines take it. The
//! other way, [`scan`] takes a file apart, and [`paper`] makes a PDF of its pages.
//!
//! Deliberately absent: sockets and clocks. Limits of time and memory are [`worker`]'s: a
//! caller runs all this in a child process that has them. Nothing that a document names is ever fetched.

pub mod bitmap;
mod code;
pub mod coding;
pub mod cover;
pub mod error;
pub mod flow;
pub mod html;
pub mod job;
pub mod letters;
pub mod message;
pub mod office;
pub mod paper;
mod paragraph;
pub mod pdf;
pub mod picture;
pub mod scan;
mod scanned;
mod shape;
pub mod sheet;
pub mod show;
pub mod tiff_f;
pub mod tone;
pub mod worker;

pub use bitmap::Bitmap;
pub use coding::Coding;
pub use error::Trouble;
pub use tiff_f::Profile;
