//! Route and attempt: MX, smart host, LMTP, mailbox.
