//! Milters and scanners.

use std::time::Duration;

use filters::milter::Milter;
use filters::scanner::Scanner;

use crate::located::Located;

/// `milter NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct MilterEntry {
    /// Its name.
    pub name: Located<String>,
    /// The listeners whose mail it sees; `None` for all.
    pub listeners: Option<Located<Vec<String>>>,
    /// How it is used.
    pub milter: Milter,
}

/// `scanner NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct ScannerEntry {
    /// Its name.
    pub name: Located<String>,
    /// The listeners whose mail it sees; `None` for all.
    pub listeners: Option<Located<Vec<String>>>,
    /// Whether mail passes when it gives no verdict.
    pub is_open: bool,
    /// Whether mail that is too long for it counts as a failure.
    pub oversized_fails: bool,
    /// How it is used.
    pub scanner: Scanner,
}

/// `scanning { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Scanning {
    /// What the built-in rules do.
    pub courses: rules::built_in::Scanning,
    /// Whether the scanners' findings are written into the header.
    pub headers: Located<bool>,
}

/// `holding { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Holding {
    /// Messages with spam or a virus; `None` for never.
    pub spam: Located<Option<u32>>,
    /// Recipients written to for the first time; `None` for never.
    pub first_time_recipients: Located<Option<u32>>,
    /// The time in which they are counted.
    pub window: Located<Duration>,
}

/// `quarantine { }`
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantine {
    /// How long mail is kept there; `None` for ever.
    pub keep: Located<Option<Duration>>,
}
