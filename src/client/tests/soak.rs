//! A long life in virtual time: the name service, the server, the kernel and the user interrupt it at random.
//!
//! `DTCPCLIENT_SOAK_LOGINS` makes it longer, and `DTCPCLIENT_SOAK_SEED` repeats one.

use std::cell::Cell;
use std::env;
use std::net::Shutdown;

use ffi::netgraph::{IfaceNode, Message};
use ffi::rehearsal::{Interface, Kind};

use super::*;
use crate::tunnel::Carrier;

/// How many logins succeed, unless more are wanted: half of them with each carrier.
const LOGINS: u64 = 1000;

/// What the client makes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It waits, longer each time.
    Passing,
    /// It waits for five minutes.
    Refusal,
    /// It logs in again at once.
    Again,
}

/// What a server says that does not grant a tunnel.
const REFUSALS: [(&str, Verdict); 10] = [
    ("", Verdict::Passing),
    ("220 mail.example ESMTP\r\n", Verdict::Passing),
    ("+OK\r\n", Verdict::Passing),
    ("+OK 0123\r\n", Verdict::Passing),
    ("+OK 0123\r\n-ERR server busy\r\n", Verdict::Passing),
    ("+OK 0123\r\n-ERR tunnel interface sold out\r\n", Verdict::Passing),
    ("+OK 0123\r\n+OK 127.0.0.1\r\n", Verdict::Passing),
    ("+OK 0123\r\n-ERR authentication failed.\r\n", Verdict::Refusal),
    ("+OK 0123\r\n-ERR unsupported tunnel type\r\n", Verdict::Refusal),
    ("+OK 0123\r\n+OK 192.0.2.9 192.0.2.2\r\n", Verdict::Refusal),
];

/// What happens to a tunnel that is up.
type Event = fn(&mut Soak, Phase, &mut TcpStream) -> Phase;
const EVENTS: [Event; 8] = [
    |_, phase, _| phase,
    |_, phase, server| {
        server.write_all(b"-ERR connection timed out, disconnecting\r\n").unwrap();
        phase
    },
    |_, phase, server| {
        server.write_all(&b"+OK\r\n".repeat(1000)).unwrap();
        phase
    },
    |soak, phase, _| {
        soak.kernel.lose_address(HERE);
        let phase = soak.live(phase, Duration::from_mins(2));
        soak.kernel.gain_address(HERE);
        phase
    },
    |soak, phase, _| {
        soak.remove_interface();
        soak.live(phase, Duration::from_mins(2))
    },
    |soak, phase, _| {
        soak.kernel.set_largest_echo(None);
        let phase = soak.live(phase, Duration::from_mins(10));
        soak.kernel.set_largest_echo(Some(u16::MAX));
        phase
    },
    |soak, phase, _| {
        soak.meddle(|interface| interface.up = false);
        soak.live(phase, Duration::from_mins(3))
    },
    |soak, phase, _| {
        let name = InterfaceName::new(&format!("tunnel{}", fastrand::u16(..))).unwrap();
        soak.meddle(|interface| interface.name = name.clone());
        soak.live(phase, Duration::from_mins(3))
    },
];

struct Soak {
    client: Client<'static>,
    kernel: Rehearsal,
    listener: TcpListener,
    now: Instant,
    /// When the tunnel came up.
    up: Option<Instant>,
    /// The next wait, before its jitter.
    wait: Duration,
    /// The script's runs: each `up` counts one, each `down` less one.
    scripts: Rc<Cell<i64>>,
}

impl Soak {
    fn new(carrier: Carrier) -> Self {
        let (listener, port) = listen();
        listener.set_nonblocking(true).unwrap();
        let mut plan = plan(port, true);
        plan.tunnel.carrier = carrier;
        let login = Rc::get_mut(&mut plan.login).unwrap();
        login.tunnel_type = TunnelType::Network;
        login.udp = (carrier != Carrier::Gif).then_some(Announcement::Port(4028));
        let (kernel, scripts) = (kernel(), Rc::<Cell<i64>>::default());
        let counted = Rc::clone(&scripts);
        let count =
            move |words: &[String]| counted.set(counted.get() + if words[1] == "up" { 1 } else { -1 });
        let mut client = client(plan, kernel.clone(), None);
        client.scripts =
            Runner::new(Some("script".into()), ScriptMode::Rehearse(Box::new(count)), Limits::default());
        Self { client, kernel, listener, now: Instant::now(), up: None, wait: backoff::FIRST, scripts }
    }

    /// Lives until so many logins have succeeded, and is terminated.
    fn run(mut self, logins: u64) {
        let mut phase = self.client.look_up(self.now);
        let mut attempts = 0;
        while self.client.logins < logins {
            phase = self.attempt(phase);
            attempts += 1;
        }
        let phase = self.client.stop(phase, self.now);
        assert_eq!(exit_of(&phase), Some(Exit::Ok));
        self.client.tunnel.take_down();
        assert!(harness::is_empty(&self.kernel), "{:?}", self.kernel.interfaces());
        println!("{attempts} attempts, {logins} logins");
    }

    /// One attempt, from a wait to the next one.
    fn attempt(&mut self, phase: Phase) -> Phase {
        let port = self.client.plan.port;
        match fastrand::u8(..20) {
            _ if self.client.logins == 0 => {}
            0 => self.client.resolver = Resolver::new(|_| Err(ErrorKind::NotFound.into())),
            // Nobody listens there.
            1 => self.client.plan.port = 1,
            2 | 3 => self.kernel.fail_call(fastrand::u64(1..40), Errno::ENOBUFS),
            _ => {}
        }
        self.now = phase.timer().filter(|_| phase.state() == "waiting").unwrap_or(self.now);
        let phase = self.client.handle_timer(phase, self.now);
        let phase = self.until(phase, |phase| !matches!(phase, Phase::Resolving(_) | Phase::Connecting(_)));
        (self.client.resolver, self.client.plan.port) = (Resolver::default(), port);
        let (phase, verdict) =
            if let Phase::Session(_) = phase { self.serve(phase) } else { (phase, Verdict::Passing) };
        // No other call fails.
        self.kernel.fail_call(u32::MAX.into(), Errno::ENOBUFS);
        self.check(&phase, verdict);
        phase
    }

    /// A connection, to its end.
    fn serve(&mut self, mut phase: Phase) -> (Phase, Verdict) {
        // Behind those that the client closed at once, and perhaps later than at the client's end.
        let mut server = wait_until("a connection", || {
            let server = self.listener.accept().ok()?.0;
            server.set_nonblocking(true).unwrap();
            server.peek(&mut [0]).is_err().then_some(server)
        });
        server.set_nonblocking(false).unwrap();
        let (words, mut verdict) = fastrand::choice(REFUSALS).unwrap();
        if self.client.logins == 0 || fastrand::u8(..4) > 0 {
            verdict = Verdict::Passing;
            phase = self.grant(phase, &mut server);
        } else if !words.is_empty() {
            server.write_all(words.as_bytes()).unwrap();
            phase = step(&mut self.client, phase, self.now);
        }
        if fastrand::u8(..10) == 0 {
            verdict = Verdict::Again;
            phase = self.client.log_in_again(phase, self.now);
        }
        (self.close(phase, server), verdict)
    }

    /// A tunnel, unless the kernel refuses it, and something that happens to it.
    fn grant(&mut self, phase: Phase, server: &mut TcpStream) -> Phase {
        let inner = fastrand::u16(1..);
        let offer = format!("+OK 127.0.0.1 127.0.0.1 2001:db8::1:{inner:x} 2001:db8::2:{inner:x}\r\n");
        server.write_all(&[GREETING, offer.as_bytes()].concat()).unwrap();
        let phase = step(&mut self.client, phase, self.now);
        if phase.state() != "up" {
            return phase;
        }
        self.up = Some(self.now);
        let phase = self.live(phase, Duration::from_secs(fastrand::u64(..150)));
        match &phase {
            Phase::Session(_) => fastrand::choice(EVENTS).unwrap()(self, phase, server),
            _ => phase,
        }
    }

    /// The server closes the connection, resets it, or says nothing any more.
    fn close(&mut self, mut phase: Phase, server: TcpStream) -> Phase {
        let mute = fastrand::u8(..3);
        match mute {
            0 => server.shutdown(Shutdown::Write).unwrap_or_default(),
            1 => setsockopt(&server, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap(),
            _ => {}
        }
        let server = Some(server).filter(|_| mute != 1);
        phase = match mute {
            2 => self.pass_time(phase, self.now + Duration::from_hours(1), false),
            _ => self.until(phase, |phase| !matches!(phase, Phase::Session(_))),
        };
        if self.up.take().is_some_and(|up| self.now - up >= HELD) {
            self.wait = backoff::FIRST;
        }
        if let (2, Phase::Leaving(leaving)) = (mute, &phase) {
            self.now = leaving.until;
            phase = self.client.handle_timer(phase, self.now);
        }
        let phase = self.until(phase, |phase| !matches!(phase, Phase::Leaving(_)));
        drop(server);
        phase
    }

    /// Some time with a server that answers.
    fn live(&mut self, phase: Phase, time: Duration) -> Phase {
        self.pass_time(phase, self.now + time, true)
    }

    /// Handles the timers of a session in virtual time, until it ends.
    fn pass_time(&mut self, mut phase: Phase, end: Instant, answers: bool) -> Phase {
        while let Phase::Session(_) = &phase {
            let due = [phase.timer(), self.client.look].into_iter().flatten().min().unwrap();
            if due > end {
                break;
            }
            self.now = self.now.max(due);
            phase = self.client.handle(phase, &[], self.now);
            phase = self.client.handle_echo(phase, self.now);
            if let Phase::Session(active) = &mut phase
                && answers
            {
                active.session.handle_bytes(b"+OK pong\r\n", self.now);
            }
        }
        phase
    }

    fn until(&mut self, mut phase: Phase, done: fn(&Phase) -> bool) -> Phase {
        while !done(&phase) {
            phase = step(&mut self.client, phase, self.now);
        }
        phase
    }

    fn meddle(&mut self, change: impl Fn(&mut Interface)) {
        for interface in self.kernel.interfaces() {
            self.kernel.meddle(&interface.name, &change);
        }
    }

    /// As `ifconfig destroy` or `ngctl shutdown` does, unless this is the call that fails.
    fn remove_interface(&mut self) {
        for interface in self.kernel.interfaces() {
            let mut kernel = self.kernel.clone();
            let shutdown = Message::ShutDown(IfaceNode::Named(interface.first_name));
            let _ = match interface.kind {
                Kind::Gif => kernel.destroy_gif(&interface.name),
                Kind::Ng => kernel.open_netgraph().and_then(|mut socket| socket.send(&shutdown)).map(drop),
            };
        }
    }

    /// After an attempt, nothing has piled up, and the client does what the rules say.
    fn check(&mut self, phase: &Phase, verdict: Verdict) {
        let interfaces = self.kernel.interfaces();
        assert!(interfaces.len() <= 1, "{interfaces:?}");
        assert!(interfaces.iter().all(|interface| interface.addresses.len() <= 1), "{interfaces:?}");
        assert_eq!(self.scripts.get(), 0, "each up has its down");
        let wait = wait_from(phase, self.now);
        match verdict {
            Verdict::Passing => {
                let ratio = wait.expect("it waits").div_duration_f64(self.wait);
                assert!((0.8..=1.2).contains(&ratio), "{wait:?} instead of {:?}", self.wait);
                self.wait = (2 * self.wait).min(Duration::from_mins(5));
            }
            Verdict::Refusal => assert_eq!(wait, Some(REFUSAL_WAIT)),
            Verdict::Again => {
                assert_eq!(phase.state(), "looking up the server");
                self.wait = backoff::FIRST;
            }
        }
    }
}

/// A number from the environment.
fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

/// How many descriptors or threads this process has; none if that cannot be seen.
fn count(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).map_or(0, Iterator::count)
}

#[test]
fn whatever_fails_the_client_logs_in_again_by_the_rules_and_nothing_piles_up() {
    let seed = number("DTCPCLIENT_SOAK_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("DTCPCLIENT_SOAK_SEED={seed}");
    fastrand::seed(seed);
    let logins = number("DTCPCLIENT_SOAK_LOGINS").unwrap_or(LOGINS);
    // Other tests run at the same time, and have some.
    let most = ["fd", "task"].map(|what| count(what) + 500);
    for carrier in [Carrier::Gif, Carrier::Udp { port: 4028 }] {
        Soak::new(carrier).run(logins / 2);
        assert!(count("fd") <= most[0] && count("task") <= most[1]);
    }
}
