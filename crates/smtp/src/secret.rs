//! Octets that no log may show.

use std::fmt;

/// Credentials as they travel in an AUTH exchange. `Debug` tells only their length.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The octets, for whoever checks them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Gives the octets away.
    pub fn into_inner(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for Secret {
    fn from(octets: Vec<u8>) -> Self {
        Self(octets)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} octets)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::from(b"hunter2".to_vec())), "Secret(7 octets)");
    }
}
