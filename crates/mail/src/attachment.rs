//! What a message carries: its parts and attachments (RFC 2045, RFC 2046, RFC 2183, RFC 2231).
