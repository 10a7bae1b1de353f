//! A TCP proxy between a client and the broker, which can do to their talk what a network does.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::number;

/// The kinds of request that a fault can strike, by their number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum Request {
    Produce = 0,
    Fetch = 1,
    Metadata = 3,
    JoinGroup = 11,
}

/// What the proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: all passes.
    Pass,
    /// Cuts all connections, and each new one at once.
    Cut,
    /// Holds the answers to this kind of request back for a while.
    Delay(Request, Duration),
    /// Lets this kind of request through, drops its answer and cuts the connection; as many times
    /// as it says.
    LoseAnswer(Request, usize),
    /// Drops this kind of request and cuts the connection; as many times as it says.
    LoseRequest(Request, usize),
    /// Lets this kind of request through so many times; then drops it and cuts the connection, each
    /// time.
    LoseRequestAfter(Request, usize),
    /// Lets this kind of request through and keeps its answer, while the connection stays open; as
    /// many times as it says.
    SwallowAnswer(Request, usize),
    /// Takes connections and requests, and answers nothing.
    Mute,
    /// Holds every answer back for so long.
    Slow(Duration),
    /// Answers for a broker that has just begun, and has not been told of the cluster: no topics,
    /// and with them no brokers where `brokers` is false. Only Metadata of version 0 is answered so,
    /// by which clients ask what is there.
    Young { brokers: bool },
}

/// A port that leads to the broker. Pass it to `Cluster::own`; its threads end with the
/// connections.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Shared>);

struct Shared {
    port: u16,
    state: Mutex<State>,
}

struct State {
    target: Option<u16>,
    fault: Fault,
    struck: usize,
    /// Requests that it has let through though it was to strike their kind.
    passed: usize,
    open: HashMap<u32, TcpStream>,
}

/// What becomes of one frame.
enum Fate {
    Pass,
    Delay(Duration),
    Swallow,
    Cut,
    /// The answer loses its topics, and its brokers too unless they are to stay.
    Empty {
        brokers: bool,
    },
}

impl Proxy {
    /// A proxy on a free port, which leads nowhere yet.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let state = State {
            target: None,
            fault: Fault::Pass,
            struck: 0,
            passed: 0,
            open: HashMap::new(),
        };
        let proxy = Self(Arc::new(Shared {
            port,
            state: Mutex::new(state),
        }));
        let accepting = proxy.clone();
        thread::spawn(move || {
            listener
                .incoming()
                .flatten()
                .for_each(|client| accepting.connect(client));
        });
        proxy
    }

    /// The port that clients connect to.
    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }

    /// Leads new connections to this port of the machine.
    pub(crate) fn forward_to(&self, port: u16) {
        self.state(|state| state.target = Some(port));
    }

    /// What it does from now on; the count of strikes begins anew.
    pub(crate) fn set(&self, fault: Fault) {
        self.state(|state| {
            state.fault = fault;
            state.struck = 0;
            state.passed = 0;
            if fault == Fault::Cut {
                for (_, stream) in state.open.drain() {
                    state.struck += usize::from(stream.shutdown(Shutdown::Both).is_ok());
                }
            }
        });
    }

    /// How often the fault has struck since it was set.
    pub(crate) fn struck(&self) -> usize {
        self.state(|state| state.struck)
    }

    fn state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.state.lock().expect("no thread fails with the state in hand"))
    }

    fn connect(&self, client: TcpStream) {
        let target = self.state(|state| {
            state.struck += usize::from(state.fault == Fault::Cut);
            state.target.filter(|_| state.fault != Fault::Cut)
        });
        let Some(broker) = target.and_then(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()) else {
            return; // the client's stream is dropped, which cuts it
        };
        let copy = |stream: &TcpStream| stream.try_clone().expect("a stream has copies");
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let connection = number();
        self.state(|state| state.open.insert(connection, copy(&client)));
        for (from, to, answers) in [(copy(&client), copy(&broker), false), (broker, client, true)] {
            let (proxy, asked) = (self.clone(), asked.clone());
            thread::spawn(move || {
                let _ = proxy.carry(&from, &to, &asked, answers); // an error is the end of one side, and so of both
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
                proxy.state(|state| state.open.remove(&connection));
            });
        }
    }

    /// Carries frames one way until an end or a fault. `asked` knows the kind of request and its
    /// version for each correlation id under way.
    fn carry(
        &self,
        mut from: &TcpStream,
        mut to: &TcpStream,
        asked: &Mutex<HashMap<i32, (i16, i16)>>,
        answers: bool,
    ) -> Result<()> {
        let mut frame = vec![0; 4];
        loop {
            frame.resize(4, 0);
            from.read_exact(&mut frame)?;
            let size = u32::from_be_bytes(frame[..4].try_into().expect("4 bytes")) as usize;
            if !(4..=1 << 28).contains(&size) {
                return Err(ErrorKind::InvalidData.into());
            }
            frame.resize(4 + size, 0);
            from.read_exact(&mut frame[4..])?;
            let word = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().expect("4 bytes"));
            let mut asked = asked.lock().expect("no thread fails with it in hand");
            let (kind, version) = match answers {
                true => asked.remove(&word(4)).unwrap_or((-1, 0)),
                false if size < 8 => return Err(ErrorKind::InvalidData.into()),
                false => {
                    let kind = ((word(4) >> 16) as i16, word(4) as i16);
                    asked.insert(word(8), kind);
                    kind
                }
            };
            drop(asked);
            match self.fate(kind, version, answers) {
                Fate::Pass => to.write_all(&frame)?,
                Fate::Delay(time) => {
                    thread::sleep(time);
                    to.write_all(&frame)?;
                }
                Fate::Swallow => (),
                Fate::Empty { brokers } => to.write_all(&emptied(&frame, brokers))?,
                Fate::Cut => return Ok(()),
            }
        }
    }

    fn fate(&self, kind: i16, version: i16, answer: bool) -> Fate {
        self.state(|state| {
            let (fate, times) = match state.fault {
                Fault::Delay(request, time) if answer && kind == request as i16 => (Fate::Delay(time), usize::MAX),
                Fault::Mute if answer => (Fate::Swallow, usize::MAX),
                Fault::Slow(time) if answer => (Fate::Delay(time), usize::MAX),
                Fault::Young { brokers } if answer && (kind, version) == (Request::Metadata as i16, 0) => {
                    (Fate::Empty { brokers }, usize::MAX)
                }
                Fault::LoseAnswer(request, times) if answer && kind == request as i16 => (Fate::Cut, times),
                Fault::SwallowAnswer(request, times) if answer && kind == request as i16 => (Fate::Swallow, times),
                Fault::LoseRequest(request, times) if !answer && kind == request as i16 => (Fate::Cut, times),
                Fault::LoseRequestAfter(request, times) if !answer && kind == request as i16 => {
                    state.passed += 1;
                    if state.passed > times {
                        (Fate::Cut, usize::MAX)
                    } else {
                        return Fate::Pass;
                    }
                }
                _ => return Fate::Pass,
            };
            if state.struck >= times {
                return Fate::Pass;
            }
            state.struck += 1;
            fate
        })
    }
}

/// An answer to Metadata of version 0 without its topics, and without its brokers too unless they
/// are to stay.
fn emptied(frame: &[u8], brokers: bool) -> Vec<u8> {
    const HEAD: usize = 8; // size and correlation id
    let word = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().expect("4 bytes"));
    let mut end = HEAD + 4;
    for _ in 0..word(HEAD) {
        // id, host, port
        let host = u16::from_be_bytes([frame[end + 4], frame[end + 5]]) as usize;
        end += 4 + 2 + host + 4;
    }
    let mut left = if brokers {
        frame[..end].to_vec()
    } else {
        [&frame[..HEAD], &[0; 4]].concat()
    };
    left.extend([0; 4]);
    let size = left.len() as u32 - 4;
    left[..4].copy_from_slice(&size.to_be_bytes());
    left
}
