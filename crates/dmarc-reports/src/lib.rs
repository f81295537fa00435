//! DMARC aggregate reports (RFC 7489 section 7.2 and appendix C, RFC 9990).
//!
//! ```text
//!  mail ─▶ attachment ─▶ unpacked, bounded ─▶ XML, bounded ─▶ Report
//!  Report ─▶ XML ─▶ gzip ─▶ mail
//! ```
//!
//! What arrives is written by strangers: nothing is unpacked, nested or counted beyond the
//! named limits, and no entity is expanded. Deliberately absent: disks, DNS, clocks.

mod attachment;
mod destination;
mod letter;
mod read;
mod report;
mod unpack;
mod write;
mod xml;

pub use attachment::attachments;
pub use destination::{DESTINATIONS_MAX, Destination, destinations, permission_name, permits};
pub use letter::{Letter, file_name};
pub use read::{ROWS_MAX, ReadError, read};
pub use report::{Disposition, DkimResult, Policy, Reason, Report, Row, SpfResult};
pub use unpack::{UNPACKED_MAX_OCTETS, UnpackError, unpack};
pub use write::{gzip, write};

/// The first report in a message.
///
/// # Errors
///
/// [`ReadError`]: the message holds no report that can be read.
pub fn of_message(message: &[u8]) -> Result<Report, ReadError> {
    let mut last = ReadError::NoReport;
    for attachment in attachments(message) {
        match unpack(&attachment).map_err(ReadError::from).and_then(|xml| read(&xml)) {
            Ok(report) => return Ok(report),
            Err(error) => last = error,
        }
    }
    Err(last)
}
