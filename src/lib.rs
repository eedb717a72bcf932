//! dtcpclient: a client of the Dynamic Tunnel Configuration Protocol.
#![forbid(unsafe_code)]
