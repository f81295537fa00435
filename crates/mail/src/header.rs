//! Looking at the header of a message without changing it (RFC 5322).
