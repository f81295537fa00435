//! Delivery status notifications (RFC 3461 to RFC 3464).
