//! Email to fax: from a recipient that is a number to pages at the other end.
//!
//! [`judge`] says who may, while the mail comes in; [`make`] turns an accepted message into
//! faxes, whose pages [`draw`] has drawn by a program that is locked up; [`carry`] gives them
//! to a transport and follows them to their end, [`t37`] by mail to an off-ramp,
//! [`provider`] by HTTPS, [`t38`] by a call over the network; [`notice`] tells the sender. [`requests`] keeps who asks that a
//! domain be trusted. [`inbound`] goes the other way: a fax that has come becomes mail.

pub mod carry;
mod draw;
mod hylafax;
pub mod inbound;
pub mod judge;
pub mod make;
mod notice;
mod office;
pub mod provider;
pub mod quota;
pub mod record;
pub mod requests;
pub mod retention;
mod spool;
pub mod t37;
pub mod t38;

pub use carry::Faxes;
pub use draw::picture;
