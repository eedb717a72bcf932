//! Two hosts joined by a cable: vnet jails, each with one end of an epair(4). The broker and its end of a tunnel are in
//! one, the client in the other.

use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use ffi::kernel::Kernel;
use nix::sys::signal::Signal;

use crate::freebsd::{kernel, skip};
use crate::{Directory, Process, USER, broker, client, wait_until};

/// The client's outer address.
pub const CLIENT: &str = "192.0.2.2";
/// The broker's outer address.
pub const SERVER: &str = "192.0.2.1";
/// The client's inner address.
pub const CLIENT_INNER: &str = "2001:db8::6";
/// The broker's inner address.
pub const SERVER_INNER: &str = "2001:db8::5";

/// How the tunnel carries its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// gif(4)
    Gif,
    /// `ng_iface` on `ng_ksocket`
    Udp,
}

impl Carrier {
    /// The tunnel's interface at either end, which is the first of its kind in a new jail.
    pub fn interface(self) -> &'static str {
        match self {
            Self::Gif => "gif0",
            Self::Udp => "ng0",
        }
    }

    /// The option that asks for it.
    pub fn option(self) -> Option<&'static str> {
        (self == Self::Udp).then_some("-U")
    }
}

/// Both carriers.
pub const BOTH: &[Carrier] = &[Carrier::Gif, Carrier::Udp];

/// What a jail cannot load for itself.
const MODULES: [&str; 5] = ["if_epair", "if_gif", "ng_socket", "ng_iface", "ng_ksocket"];

/// Plays a scene with each of these carriers, side by side, since most of the time is spent waiting. `make` makes the
/// hosts of each.
pub fn play(make: fn(Carrier) -> Result<Jails, String>, carriers: &[Carrier], scene: impl Fn(Jails) + Sync) {
    let Some((mut kernel, turn)) = kernel() else { return };
    for module in MODULES {
        // It may be part of the kernel, under another name.
        let _ = kernel.load_module(module);
    }
    drop(turn);
    let scene = &scene;
    thread::scope(|scope| {
        for carrier in carriers {
            match make(*carrier) {
                Ok(jails) => drop(scope.spawn(move || scene(jails))),
                Err(why) => skip(&format!("cannot make two hosts here: {why}")),
            }
        }
    });
}

/// Runs a command, and returns its output, or what went wrong.
fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if output.status.success() { Ok(out) } else { Err(format!("{command:?}: {}", error.trim_end())) }
}

/// Runs a command of the shell on this host.
fn shell(command: &str) -> Result<String, String> {
    output(Command::new("sh").args(["-c", command]))
}

/// An epair, removed on drop.
struct Cable(String);

impl Cable {
    fn new() -> Result<Self, String> {
        let end = shell("ifconfig epair create")?;
        Ok(Self(end.trim_end().trim_end_matches('a').to_owned()))
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = shell(&format!("ifconfig {}a destroy", self.0));
    }
}

/// A jail with a network stack of its own and the files of this host, removed on drop with all of its processes.
pub struct Host {
    jail: String,
    /// The interface with the outer address.
    pub outer: String,
}

impl Host {
    fn new(outer: String, address: &str) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let jail = format!("dtcpclient_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // Link-local addresses are made of the host's name.
        shell(&format!("jail -c name={jail} vnet persist path=/ host.hostname={jail} allow.raw_sockets"))?;
        let host = Self { jail, outer };
        shell(&format!("ifconfig {} vnet {}", host.outer, host.jail))?;
        host.try_to_run(&format!("ifconfig lo0 127.0.0.1/8 up; ifconfig {} {address}/24 up", host.outer))?;
        Ok(host)
    }

    /// The same command, to be run in the jail.
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("jexec");
        inside.arg(&self.jail).arg(command.get_program()).args(command.get_args());
        inside
    }

    /// Runs a command of the shell in the jail.
    pub fn try_to_run(&self, command: &str) -> Result<String, String> {
        output(&mut self.inside(Command::new("sh").args(["-c", command])))
    }

    /// Runs a command of the shell in the jail, which has to succeed, and returns its output.
    pub fn run(&self, command: &str) -> String {
        self.try_to_run(&format!("set -e; {command}")).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Starts a command of the shell in the jail.
    pub fn start(&self, command: &str) -> Process {
        Process::start(self.inside(Command::new("sh").args(["-c", &format!("exec {command}")])))
    }

    /// What the kernel has of the things that a client or a broker's script makes: interfaces, nodes, sockets, routes.
    pub fn traces(&self) -> String {
        self.run(
            "ifconfig -l; ngctl list | grep -e iface -e ksocket || :; netstat -an -p udp
             netstat -rn -f inet6 | awk '{ print $1, $2 }'",
        )
    }

    /// Waits until an IPv6 address answers.
    pub fn ping(&self, address: &str) {
        let ping = format!("ping -6 -n -c 1 -t 2 {address}");
        wait_until(&ping, || self.try_to_run(&ping).ok());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The jail may live on for a minute, and would keep its end of the cable.
        let Self { jail, outer } = self;
        let _ = shell(&format!("ifconfig {outer} -vnet {jail}; jail -r {jail}"));
    }
}

/// The two hosts, and the broker, with its end of a tunnel to the client.
pub struct Jails {
    /// The broker, while it runs.
    pub broker: Option<Process>,
    /// The tunnel's carrier.
    pub carrier: Carrier,
    /// The host of the client.
    pub client: Host,
    /// The host of the broker.
    pub server: Host,
    /// The files of both.
    pub directory: Directory,
    _cable: Cable,
}

impl Jails {
    /// Makes both hosts, starts the broker and makes its end of the tunnel; says why if this system cannot.
    pub fn new(carrier: Carrier) -> Result<Self, String> {
        let mut jails = Self::without_broker(carrier)?;
        jails.make_far_end();
        jails.start_broker();
        Ok(jails)
    }

    /// Makes both hosts; says why if this system cannot.
    pub fn without_broker(carrier: Carrier) -> Result<Self, String> {
        let cable = Cable::new()?;
        let [client, server] = [("a", CLIENT), ("b", SERVER)]
            .map(|(end, address)| Host::new(format!("{}{end}", cable.0), address));
        let directory = Directory::default();
        directory.script("");
        directory.write("auth", &format!("{SERVER}:{USER}:{}\n", crate::PASSWORD), 0o600);
        let (client, server) = (client?, server?);
        Ok(Self { broker: None, carrier, client, server, directory, _cable: cable })
    }

    /// Starts the broker.
    pub fn start_broker(&mut self) {
        self.start_broker_with(&[]);
    }

    /// Starts the broker with these options and the usual ones.
    pub fn start_broker_with(&mut self, options: &[&str]) {
        let mut command = broker();
        let listen = format!("{SERVER}:20200");
        command.args(["--numbered", "--listen", &listen, "--users", &self.directory.file("auth")]);
        command.args(options);
        let process = Process::start(self.server.inside(&command));
        process.wait_for("listening on");
        self.broker = Some(process);
    }

    /// Makes the broker's end of the tunnel. It needs no program of the broker: its addresses are always the same.
    fn make_far_end(&self) {
        let interface = self.carrier.interface();
        self.server.run(match self.carrier {
            Carrier::Gif => "ifconfig gif0 create",
            Carrier::Udp => "ngctl mkpeer iface inet6 inet6",
        });
        self.point_far_end_at(CLIENT);
        self.server.run(&format!(
            "ifconfig {interface} mtu 1280; ifconfig {interface} inet6 -ifdisabled up; \
             ifconfig {interface} inet6 {SERVER_INNER} {CLIENT_INNER} prefixlen 128"
        ));
    }

    /// Sets the outer addresses of the broker's end.
    pub fn point_far_end_at(&self, client: &str) {
        self.server.run(&match self.carrier {
            Carrier::Gif => format!("ifconfig gif0 tunnel {SERVER} {client}"),
            Carrier::Udp => format!(
                "ngctl shutdown ng0:inet6 2>/dev/null || :; ngctl mkpeer ng0: ksocket inet6 inet/dgram/udp; \
                 ngctl msg ng0:inet6 bind inet/{SERVER}:4028; ngctl msg ng0:inet6 connect inet/{client}:4028"
            ),
        });
    }

    /// Makes the broker's end drop all packets, or pass them again.
    pub fn set_far_end(&self, state: &str) {
        self.server.run(&format!("ifconfig {} {state}", self.carrier.interface()));
    }

    /// The command line of a client, to be run in its jail.
    pub fn client_command(&self, arguments: &[&str]) -> Command {
        let mut command = client();
        command.args(["-u", USER, "--auth-file", &self.directory.file("auth")]);
        command.args(["-s", &self.directory.file("script")]).args(self.carrier.option());
        command.args(arguments).arg(SERVER);
        command
    }

    /// Starts a client.
    pub fn start_client(&self, arguments: &[&str]) -> Process {
        Process::start(self.client.inside(&self.client_command(arguments)))
    }

    /// Makes a second FIB in the client's host, and starts a client there; says why if this kernel has none.
    pub fn start_client_in_fib_1(&self, arguments: &[&str]) -> Result<Process, String> {
        let route = format!("route -n add -net 192.0.2.0/24 -interface {} -fib 1", self.client.outer);
        self.client.try_to_run(&format!("sysctl net.fibs=2 && {route} && setfib 1 true"))?;
        let command = self.client_command(arguments);
        let mut in_fib = Command::new("setfib");
        in_fib.arg("1").arg(command.get_program()).args(command.get_args());
        Ok(Process::start(self.client.inside(&in_fib)))
    }

    /// Starts a client that tries again after failures, and waits until IPv6 flows.
    pub fn log_in(&self) -> Process {
        let client = self.start_client(&["-l", "-t", "host"]);
        client.wait_for(&format!("IPv6 flows through {}", self.carrier.interface()));
        client
    }

    /// What the kernel has in the client's host of the things that a client makes.
    pub fn traces(&self) -> String {
        self.client.traces()
    }

    /// Ends a client, and waits until all that it has made is gone.
    pub fn end(&self, client: Process, before: &str) {
        client.signal(Signal::SIGTERM);
        client.ends(0, "shutting down on SIGTERM");
        wait_until("everything to be as before", || (self.traces() == before).then_some(()));
    }
}
