//! Milters and scanners.

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
