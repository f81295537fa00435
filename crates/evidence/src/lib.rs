//! The signed record of what was decided and seen, and its verification.
