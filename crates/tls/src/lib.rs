//! What protection is demanded, what was seen, and the verdict.
