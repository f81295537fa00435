//! Domains, accounts, credentials and SASL exchanges.
