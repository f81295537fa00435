//! Email to fax: from a recipient that is a number to pages at the other end.
//!
//! [`judge`] says who may, while the mail comes in; [`make`] turns an accepted message into
//! faxes, whose pages [`draw`] has drawn by a program that is locked up; [`carry`] gives them
//! to a transport and follows them to their end; [`notice`] tells the sender.

pub mod carry;
mod draw;
mod hylafax;
pub mod judge;
pub mod make;
mod notice;
pub mod record;
mod spool;

pub use carry::Faxes;
pub use draw::picture;
