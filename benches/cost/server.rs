//! A server in this process that notes what comes, and when.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use harness::wait_until;

use crate::far_end;

/// Something that has happened at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A login: the offer is sent now.
    Grant,
    /// A ping. The first of a session comes when the tunnel is there.
    Ping,
    /// So many bytes were sent before the client closed.
    Flood(usize),
    /// The client's last line.
    Quit,
}

/// How a server behaves after a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It answers.
    Kind,
    /// It sends a gigabyte of answers.
    Flooding,
}

/// The answer to a ping, and all that a flood consists of.
pub(crate) const PONG: &[u8] = b"+OK hi, happy to hear from you\r\n";
/// How much a flood is, in bytes.
const FLOOD: usize = 1_000_000_000;

/// A server on loopback.
#[derive(Clone)]
pub(crate) struct Server {
    pub port: u16,
    manner: Manner,
    /// The far end of tunnels in UDP.
    udp_port: u16,
    events: Arc<Mutex<Vec<(Instant, Event)>>>,
}

impl Server {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = Self { port, manner, udp_port: far_end::start(), events: Arc::default() };
        let listening = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = listening.clone();
                // An error ends the conversation, too.
                thread::spawn(move || server.converse(&stream).ok());
            }
        });
        server
    }

    fn converse(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        stream.write_all(b"+OK 0B1517C87D516A5FA65BED722D51A04F hello\r\n")?;
        for line in BufReader::new(stream).lines() {
            let line = line?;
            match line.split(' ').next() {
                Some("tunnel") => {
                    let offer = self.offer(line.contains(" udp"));
                    self.note(Event::Grant);
                    stream.write_all(offer.as_bytes())?;
                    if self.manner == Manner::Flooding {
                        self.flood(stream);
                    }
                }
                Some("ping") => {
                    self.note(Event::Ping);
                    stream.write_all(PONG)?;
                }
                _ => {
                    self.note(Event::Quit);
                    stream.write_all(b"+OK see you soon.\r\n")?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// No two tunnels on this host have the same outer or inner addresses, as a kernel wants it.
    fn offer(&self, udp: bool) -> String {
        static GRANTS: AtomicU16 = AtomicU16::new(0);
        let number = GRANTS.fetch_add(1, Ordering::Relaxed) % 250 + 1;
        let inner = format!("2001:db8::1:{number:x} 2001:db8::2:{number:x}");
        if udp {
            // A far end that this host can reach.
            return format!("+OK 127.0.0.1 127.0.0.1 {inner} {}\r\n", self.udp_port);
        }
        format!("+OK 127.0.0.1 192.0.2.{number} {inner}\r\n")
    }

    fn flood(&self, mut stream: &TcpStream) {
        let lines = PONG.repeat(1000);
        let mut sent = 0;
        while sent < FLOOD
            && let Ok(written) = stream.write(&lines)
        {
            sent += written;
        }
        self.note(Event::Flood(sent));
    }

    fn note(&self, event: Event) {
        self.events().push((Instant::now(), event));
    }

    fn events(&self) -> MutexGuard<'_, Vec<(Instant, Event)>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has happened so far.
    pub(crate) fn so_far(&self) -> Vec<(Instant, Event)> {
        self.events().clone()
    }

    /// How often this has happened.
    pub(crate) fn count(&self, event: Event) -> usize {
        self.events().iter().filter(|(_, each)| *each == event).count()
    }

    /// Waits until this has happened so often, and returns when the last time was.
    pub(crate) fn wait_for(&self, event: Event, count: usize) -> Instant {
        wait_until("the client", || {
            let events = self.events();
            let mut times = events.iter().filter(|(_, each)| *each == event).map(|(at, _)| *at);
            times.nth(count - 1)
        })
    }
}
