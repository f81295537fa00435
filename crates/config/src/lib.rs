//! The configuration text: lossless tree, diagnostics, the typed model, edits.
