//! The addresses of brokers: what the user writes, and how we get through to them.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::error::{Error, Result};

const DEFAULT_PORT: u16 = 9092;

/// Reads what stands behind --brokers: HOST, HOST:PORT or [IPV6]:PORT, also several with commas
/// between.
pub(crate) fn parse(brokers: &[String]) -> Result<Vec<String>> {
    let all: Vec<String> = brokers
        .iter()
        .flat_map(|list| list.split(','))
        .map(|text| parse_one(text.trim()))
        .collect::<Result<_>>()?;
    if all.is_empty() {
        return Err(bad("", "there is no address"));
    }
    Ok(all)
}

fn parse_one(text: &str) -> Result<String> {
    if text.is_empty() {
        return Err(bad(text, "the address is empty"));
    }
    if text.contains("://") || text.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err(bad(text, "an address has no scheme, path or space"));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) => match port.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None => return Err(bad(text, "after ] comes :PORT")),
            },
            None => return Err(bad(text, "the ] is missing")),
        },
        None if text.matches(':').count() > 1 => (text, None),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err(bad(text, "the host is missing"));
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some("") => return Err(bad(text, "the port is missing")),
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(bad(text, "the port is no number from 1 to 65535")),
        },
    };
    Ok(if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    })
}

fn bad(text: &str, why: &str) -> Error {
    Error::usage(format!("--brokers '{text}': {why}"))
        .way_out("write --brokers HOST:PORT, or HOST1:PORT1,HOST2:PORT2, such as --brokers localhost:9092")
}

/// The host of an address, without port and brackets: what a certificate names.
pub(super) fn name_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// Connects to the first of the host's addresses that lets us, waiting at most `limit` for each.
pub(crate) fn connect(host: &str, limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<String> {
        parse(&[text.to_string()]).unwrap()
    }

    #[test]
    fn addresses_are_read_in_every_usual_form() {
        assert_eq!(parsed("localhost:9093"), ["localhost:9093"]);
        assert_eq!(parsed("kafka"), ["kafka:9092"]);
        assert_eq!(parsed("a:1, b:2"), ["a:1", "b:2"]);
        assert_eq!(parsed("[::1]:9093"), ["[::1]:9093"]);
        assert_eq!(parsed("[::1]"), ["[::1]:9092"]);
        assert_eq!(parsed("::1"), ["[::1]:9092"]);
    }

    #[test]
    fn a_certificate_names_the_host_alone() {
        let names = ["kafka:9092", "[::1]:9093", "127.0.0.1:1"].map(name_of);
        assert_eq!(names, ["kafka", "::1", "127.0.0.1"]);
    }

    #[test]
    fn a_bad_address_is_a_usage_error_that_names_the_flag() {
        for text in [
            "",
            "localhost:",
            ":9092",
            "localhost:port",
            "localhost:0",
            "localhost:65536",
            "http://localhost:9092",
            "a:1,,b:2",
            "[::1",
            "[::1]9092",
            "a b:1",
            "localhost:9092/kafka",
        ] {
            let error = parse(&[text.to_string()]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}");
            assert!(error.to_string().contains("--brokers"), "{text}: {error}");
        }
        assert_eq!(parse(&[]).unwrap_err().exit_code(), 2);
    }
}
