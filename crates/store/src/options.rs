//! How a store is opened.

use std::sync::Arc;

use crate::disk::{Disk, SystemDisk};

/// How a store is opened. [`Options::default`] is right for a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bodies up to this many octets live in their row; longer ones in segments.
    pub inline_max_octets: usize,
    /// A segment file is closed and a new one begun when it reaches this length.
    pub segment_max_octets: u64,
    /// New messages are refused with [`StoreError::Full`](crate::StoreError::Full)
    /// while less than this is free on the volume; settling goes on.
    pub reserve_octets: u64,
    /// Connections for reading, each with its thread.
    pub readers: usize,
    /// The most pages of 4 KB the database may have; `None` for no limit.
    pub max_pages: Option<u32>,
    /// The files under the segments; tests put a faulty one here.
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            inline_max_octets: 16 * 1024,
            segment_max_octets: 64 * 1024 * 1024,
            reserve_octets: 64 * 1024 * 1024,
            readers: 2,
            max_pages: None,
            disk: Arc::new(SystemDisk),
        }
    }
}
