//! SMTP and LMTP sessions (RFC 5321, RFC 2033), both sides, without I/O.
