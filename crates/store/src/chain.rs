//! The hash chain over the evidence: whoever changes, drops or reorders an
//! entry must recompute every later hash, which a signed checkpoint forbids.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// A SHA-256.
pub type Hash = [u8; 32];

/// What the first entry is linked to.
pub const GENESIS: Hash = [0; 32];

/// The hash of the entry number `seq` with `payload`, following an entry with
/// hash `previous`: SHA-256(previous ‖ seq as 8 octets, big-endian ‖ SHA-256(payload)).
pub fn link(previous: &Hash, seq: u64, payload: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(previous);
    context.update(&seq.to_be_bytes());
    context.update(digest(&SHA256, payload).as_ref());
    to_hash(context.finish().as_ref())
}

/// A digest as a hash.
pub(crate) fn to_hash(digest: &[u8]) -> Hash {
    let mut hash = GENESIS;
    hash.copy_from_slice(digest);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_link_changes_its_hash() {
        let base = link(&GENESIS, 1, b"payload");
        assert_ne!(base, link(&[1; 32], 1, b"payload"));
        assert_ne!(base, link(&GENESIS, 2, b"payload"));
        assert_ne!(base, link(&GENESIS, 1, b"payloae"));
        assert_eq!(base, link(&GENESIS, 1, b"payload"));
    }
}
