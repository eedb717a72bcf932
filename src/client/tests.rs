//! What the loop decides, one step at a time.

use super::*;
use crate::protocol::offer::Asked;
use crate::script::{Limits, Way};
use crate::tunnel::{Carrier, Settings};
use ffi::kernel::Kernel;
use ffi::name::InterfaceName;
use ffi::rehearsal::Rehearsal;
use std::net::TcpListener;

const OWN: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn options(port: u16) -> Options {
    let line = format!("dtcpclient -l -p {port} -u me 127.0.0.1");
    Options::read(line.split(' ').map(Into::into)).expect("good options")
}

/// A client without a script.
fn client<'k>(options: &'k Options, kernel: &'k mut Rehearsal) -> Client<'k> {
    let login = Login {
        user: "me".to_owned(),
        password: b"x".to_vec().into(),
        tunnel_type: options.tunnel_type,
        udp: None,
        nat_check: true,
    };
    let settings = Settings { server: options.server.clone(), carrier: Carrier::Gif, mtu: 1280 };
    let scripts = Runner::new(None, Way::Run, Limits::default());
    let signals = Signals::watch().expect("signals");
    Client::new(options, login, Tunnel::new(kernel, settings), scripts, signals).expect("a client")
}

fn kernel() -> Rehearsal {
    Rehearsal::new(|_| {})
}

/// How long the client waits for the next attempt.
fn wait_from(client: &Client, now: Instant) -> Option<Duration> {
    match client.phase {
        Phase::Waiting { until, .. } => Some(until.saturating_duration_since(now)),
        _ => None,
    }
}

/// On Linux, all of 127.0.0.0/8 is this host, and where nobody listens a connection is refused.
#[cfg(target_os = "linux")]
#[test]
fn all_addresses_of_the_server_are_tried_in_their_order() {
    use std::io::Write;
    let listener = TcpListener::bind("127.0.0.3:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"+OK\r\n"));
    let options = Options { reconnect: false, ..options(port) };
    let mut kernel = kernel();
    let mut client = client(&options, &mut kernel);
    let addresses = (1..=4).map(|last| Ipv4Addr::new(127, 0, 0, last)).collect();
    client.connect(addresses, None, Instant::now());
    assert_eq!(client.run(), Exit::Protocol, "a greeting without a challenge, from the third address");
    server.join().unwrap().unwrap();
}

#[test]
fn a_new_address_of_this_host_ends_a_wait_but_not_one_after_a_refusal() {
    let now = Instant::now();
    for (severity, expected) in [(Severity::Passing, backoff::FIRST), (Severity::Refusal, REFUSAL_WAIT)] {
        let options = options(1);
        let mut kernel = kernel();
        kernel.watch_addresses().unwrap();
        kernel.gain_address(OWN);
        let mut client = client(&options, &mut kernel);
        client.phase = Phase::Waiting { until: now + REFUSAL_WAIT, severity };
        client.handle_addresses(now);
        assert_eq!(wait_from(&client, now), Some(expected));
    }
}

#[test]
fn an_address_that_is_set_again_at_once_does_no_harm() {
    for (comes_back, expected) in [(true, None), (false, Some(Exit::Unavailable))] {
        let listener = TcpListener::bind((OWN, 0)).unwrap();
        let options = Options { reconnect: false, ..options(listener.local_addr().unwrap().port()) };
        let mut kernel = kernel();
        kernel.watch_addresses().unwrap();
        kernel.lose_address(OWN);
        if comes_back {
            kernel.gain_address(OWN);
        }
        let mut client = client(&options, &mut kernel);
        let now = Instant::now();
        client.connect([OWN].into(), None, now);
        let Phase::Session(attempt) = &mut client.phase else { panic!("it connects") };
        attempt.connection.finish().unwrap();
        client.handle_addresses(now);
        client.handle_timer(now + ADDRESS_GRACE);
        let ended = if let Phase::Ending(exit) = client.phase { Some(exit) } else { None };
        assert_eq!(ended, expected);
    }
}

#[test]
fn once_a_tunnel_has_held_for_a_minute_the_next_wait_is_a_short_one() {
    for (held, short) in [(HELD.saturating_sub(Duration::from_secs(1)), false), (HELD, true)] {
        let listener = TcpListener::bind((OWN, 0)).unwrap();
        let options = options(listener.local_addr().unwrap().port());
        let mut kernel = kernel();
        let mut client = client(&options, &mut kernel);
        for _ in 0..5 {
            client.backoff.next_wait();
        }
        let since = Instant::now();
        client.connect([OWN].into(), None, since);
        let Phase::Session(attempt) = &mut client.phase else { panic!("it connects") };
        attempt.connection.finish().unwrap();
        attempt.up = Some(up(&options, since));
        client.end_session(Reason::Closed.into(), since + held);
        let wait = wait_from(&client, since + held).unwrap();
        assert_eq!(wait < 2 * backoff::FIRST, short, "{wait:?} after {held:?}");
    }
}

fn up(options: &Options, since: Instant) -> Up {
    let asked = Asked { tunnel_type: options.tunnel_type, udp: false, on_loopback: true };
    let words = [OWN.to_string(), OWN.to_string()];
    let (offer, _) = Offer::read(&words, asked).expect("a good offer");
    let gif0 = InterfaceName::new("gif0").expect("a good name");
    Up { since, facts: Facts::new(options, OWN, &offer, &gif0), ends: Ends::new(&offer, OWN) }
}
