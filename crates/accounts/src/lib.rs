//! Domains, accounts, credentials and SASL exchanges.
//!
//! [`Directory`] knows which domains are ours and who has a mailbox or an alias there;
//! it answers from memory and keeps its rows in the store. [`password`] hashes and checks,
//! [`sasl`] speaks the mechanisms, [`SignIn`] judges them and makes the proof,
//! [`Authenticated`]; [`Failures`] slows down and locks out those who guess, and
//! [`security`] writes the line that Fail2Ban reads.
//!
//! Deliberately absent: sockets, SMTP commands, the decision whether a mechanism may be
//! offered (that is a rule), and the clock, which is passed in.

pub mod directory;
mod error;
pub mod failures;
pub mod import;
pub mod kerberos;
pub mod password;
pub mod sasl;
pub mod security;
pub mod settings;
pub mod sign_in;
pub mod token;
mod workers;

pub use directory::{
    Account, Directory, DomainSettings, Entry, Group, Kind, Recipients, Resolution,
};
pub use error::AccountError;
pub use failures::{Failures, Gate};
pub use kerberos::Kerberos;
pub use password::{Cost, Kept, Password, PasswordHash, Policy, Verifier};
pub use settings::{Certificates, SignInSettings};
pub use sign_in::{Authenticated, SignIn};
