//! A small internet in one process: DNS, scripted partners.
