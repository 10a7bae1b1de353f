//! Connections that are secured, against servers of our own.
//!
//! - `authority`: a CA, its certificates, and their files
//! - `server`: a broker that answers by a script, plain or over TLS
//! - `tls`: every wrong setting of TLS, slow servers, good connections
//! - `files`: what is read at the start
//! - `sasl`: logins

mod authority;
mod files;
mod sasl;
mod server;
mod tls;
