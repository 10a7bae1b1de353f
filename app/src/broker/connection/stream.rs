//! The bytes of a connection, plain or over TLS: every read and write ends by its deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::ClientConnection;

use super::error::ConnectionError;
use super::tls::Tls;
use super::tls_error::TlsError;

/// The bytes between us and a broker.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// A TLS connection. What has come and is not read yet lies in it, not in the socket.
#[derive(Debug)]
pub(super) struct TlsStream {
    tls: ClientConnection,
    tcp: TcpStream,
    host: String,
    has_certificate: bool,
}

impl Stream {
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Writes all bytes.
    pub(super) fn write_all(&mut self, bytes: &[u8], end: Instant) -> Result<(), ConnectionError> {
        match self {
            Self::Plain(tcp) => write_to(tcp, bytes, end),
            Self::Tls(stream) => stream.write_all(bytes, end),
        }
    }

    /// Reads some bytes, at least one; none when nothing has come by `end`.
    pub(super) fn read(&mut self, into: &mut [u8], end: Instant) -> Result<Option<usize>, ConnectionError> {
        let count = match self {
            Self::Plain(tcp) => read_from(tcp, end, |tcp| tcp.read(into))?,
            Self::Tls(stream) => stream.read(into, end)?,
        };
        match count {
            Some(0) => Err(ConnectionError::Closed(ErrorKind::UnexpectedEof.into())),
            count => Ok(count),
        }
    }
}

impl TlsStream {
    /// Shakes hands with what answers at a host, and checks who it is.
    pub(super) fn open(tcp: TcpStream, host: &str, settings: &Tls, end: Instant) -> Result<Self, ConnectionError> {
        let mut stream = Self {
            tls: settings.client(host).map_err(ConnectionError::Tls)?,
            tcp,
            host: host.to_string(),
            has_certificate: settings.has_certificate(),
        };
        while stream.tls.is_handshaking() {
            match stream.advance(end) {
                Ok(true) => {}
                Ok(false) => return Err(ConnectionError::Tls(TlsError::ClosedInHandshake)),
                Err(ConnectionError::TimedOut) => return Err(ConnectionError::Tls(TlsError::TimedOut)),
                Err(ConnectionError::Closed(_)) => return Err(ConnectionError::Tls(TlsError::ClosedInHandshake)),
                Err(why) => return Err(why),
            }
        }
        stream.flush(end)?;
        Ok(stream)
    }

    /// Sends what waits, then takes in what comes; false when the other side has closed.
    fn advance(&mut self, end: Instant) -> Result<bool, ConnectionError> {
        self.flush(end)?;
        if !self.tls.wants_read() {
            return Ok(false);
        }
        let tls = &mut self.tls;
        let came = read_from(&mut self.tcp, end, |tcp| tls.read_tls(tcp))?.ok_or(ConnectionError::TimedOut)?;
        if let Err(error) = self.tls.process_new_packets() {
            // The alert tells the other side's log why.
            let _ = self.flush(end.min(Instant::now() + Duration::from_millis(100)));
            let why = TlsError::of(error, &self.host, self.has_certificate);
            return Err(ConnectionError::Tls(why));
        }
        Ok(came > 0)
    }

    fn flush(&mut self, end: Instant) -> Result<(), ConnectionError> {
        while self.tls.wants_write() {
            let tls = &mut self.tls;
            if let Err(why) = write_some(&mut self.tcp, end, |tcp| tls.write_tls(tcp)) {
                return Err(self.last_word(why, end));
            }
        }
        Ok(())
    }

    fn write_all(&mut self, mut bytes: &[u8], end: Instant) -> Result<(), ConnectionError> {
        while !bytes.is_empty() {
            let count = self.tls.writer().write(bytes).map_err(ConnectionError::Closed)?;
            bytes = &bytes[count..];
            self.flush(end)?;
        }
        Ok(())
    }

    /// What the other side said before it closed: a client certificate that is missing or wrong is
    /// told when we write already.
    fn last_word(&mut self, why: ConnectionError, end: Instant) -> ConnectionError {
        if !matches!(why, ConnectionError::Closed(_)) {
            return why;
        }
        let tls = &mut self.tls;
        while let Ok(Some(1..)) = read_from(&mut self.tcp, end, |tcp| tls.read_tls(tcp)) {
            if let Err(error) = tls.process_new_packets() {
                return ConnectionError::Tls(TlsError::of(error, &self.host, self.has_certificate));
            }
        }
        why
    }

    /// The same as [`Stream::read`], where 0 bytes are the end.
    fn read(&mut self, into: &mut [u8], end: Instant) -> Result<Option<usize>, ConnectionError> {
        loop {
            match self.tls.reader().read(into) {
                Ok(count) => return Ok(Some(count)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(ConnectionError::Closed(e)),
            }
            // At the end of the bytes, the reader says which end it is.
            match self.advance(end) {
                Ok(_) => {}
                Err(ConnectionError::TimedOut) => return Ok(None),
                Err(why) => return Err(why),
            }
        }
    }
}

/// What is left until a deadline.
fn left(end: Instant) -> Option<Duration> {
    Some(end.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
}

/// Whether a socket's deadline has passed, or a signal came in between.
fn is_later(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// One read; none when nothing has come by `end`.
fn read_from(
    tcp: &mut TcpStream,
    end: Instant,
    mut read: impl FnMut(&mut TcpStream) -> io::Result<usize>,
) -> Result<Option<usize>, ConnectionError> {
    while let Some(left) = left(end) {
        tcp.set_read_timeout(Some(left))?;
        match read(tcp) {
            Ok(count) => return Ok(Some(count)),
            Err(e) if is_later(&e) => {}
            Err(e) => return Err(ConnectionError::Closed(e)),
        }
    }
    Ok(None)
}

/// One write of at least a byte.
fn write_some(
    tcp: &mut TcpStream,
    end: Instant,
    mut write: impl FnMut(&mut TcpStream) -> io::Result<usize>,
) -> Result<usize, ConnectionError> {
    while let Some(left) = left(end) {
        tcp.set_write_timeout(Some(left))?;
        match write(tcp) {
            Ok(0) => return Err(ConnectionError::Closed(ErrorKind::WriteZero.into())),
            Ok(count) => return Ok(count),
            Err(e) if is_later(&e) => {}
            Err(e) => return Err(ConnectionError::Closed(e)),
        }
    }
    Err(ConnectionError::TimedOut)
}

fn write_to(tcp: &mut TcpStream, mut bytes: &[u8], end: Instant) -> Result<(), ConnectionError> {
    while !bytes.is_empty() {
        let count = write_some(tcp, end, |tcp| tcp.write(bytes))?;
        bytes = &bytes[count..];
    }
    Ok(())
}
