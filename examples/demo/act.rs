//! What happens, once for each kind of tunnel, and what is to be seen of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use ffi::shell::quote;
use nix::sys::signal::Signal;

use crate::error::Error;
use crate::folder::{Folder, PASSWORDS, PID_FILE, SCRIPT};
use crate::lines::Lines;
use crate::process::Process;
use crate::stage::Stage;

/// A run of the client, from its start to its end.
pub(crate) struct Act {
    title: &'static str,
    /// What the client is asked for, on its command line.
    options: &'static [&'static str],
    /// What the broker tells of the tunnel that it grants.
    granted: &'static str,
    /// The commands that make the tunnel; PID stands for the client's.
    make: &'static [&'static str],
    /// The command that points the tunnel anew, after another login.
    repoint: &'static str,
    /// The command that takes it away.
    remove: &'static str,
    /// What the script is told after its first word.
    facts: &'static str,
    /// What the status line tells.
    status: &'static [&'static str],
}

/// IPv6 in IPv4, with a prefix for a network.
pub(crate) const GIF: Act = Act {
    title: "A network behind a gif(4) tunnel",
    options: &["-t", "network"],
    granted: "granted me network 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 2001:db8:1::/48 ip - -",
    make: &[
        "ifconfig gif0 create",
        "ifconfig gif0 description 'dtcpclient: 127.0.0.1, pid PID'",
        "ifconfig gif0 group dtcpclient",
        "ifconfig gif0 tunnel 127.0.0.1 127.0.0.1",
        "ifconfig gif0 mtu 1280",
        "ifconfig gif0 inet6 -ifdisabled",
        "ifconfig gif0 up",
        "ifconfig gif0 inet6 2001:db8::6 2001:db8::5 prefixlen 128",
    ],
    repoint: "ifconfig gif0 tunnel 127.0.0.1 127.0.0.1",
    remove: "ifconfig gif0 destroy",
    facts: "127.0.0.1 127.0.0.1 network 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 2001:db8:1::/48",
    status: &["up since ", "interface gif0", "inner 2001:db8::6 to 2001:db8::5", "round trip ", "logins 2"],
};

/// IPv6 in UDP, for one host.
pub(crate) const UDP: Act = Act {
    title: "A host behind a UDP tunnel, made of netgraph(4) nodes",
    options: &["-U", "-t", "host"],
    granted: "granted me host 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 - udp 4028 4028",
    make: &[
        "ngctl mkpeer . iface dtcp inet",
        "ngctl mkpeer ng0: ksocket inet6 inet/dgram/udp",
        "ngctl msg ng0:inet6 bind inet/0.0.0.0:4028",
        "ngctl msg ng0:inet6 connect inet/127.0.0.1:4028",
        "ifconfig ng0 description 'dtcpclient: 127.0.0.1, pid PID'",
        "ifconfig ng0 group dtcpclient",
        "ifconfig ng0 mtu 1280",
        "ifconfig ng0 inet6 -ifdisabled",
        "ifconfig ng0 up",
        "ifconfig ng0 inet6 2001:db8::6 2001:db8::5 prefixlen 128",
    ],
    repoint: "ngctl msg ng0:inet6 connect inet/127.0.0.1:4028",
    remove: "ngctl shutdown ng0:",
    facts: "127.0.0.1 127.0.0.1 host 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 ''",
    status: &[
        "up since ",
        "interface ng0",
        "outer 127.0.0.1:4028 to 127.0.0.1:4028",
        "round trip ",
        "logins 2",
    ],
};

/// The broker, as far as an act has to do with it.
pub(crate) struct Broker {
    pub port: String,
    pub events: Lines,
}

impl Act {
    /// Starts the client, and plays to its end.
    pub(crate) fn play(
        &self,
        stage: &mut Stage,
        broker: &Broker,
        client: &Path,
        folder: &Folder,
    ) -> Result<(), Error> {
        stage.act(self.title)?;
        let mut scene = Scene::open(self, stage, broker, client, folder)?;
        let played = scene.play();
        if played.is_err() {
            scene.show_rest_of_log();
        }
        played
    }
}

/// An act, being played.
struct Scene<'a> {
    act: &'a Act,
    stage: &'a mut Stage,
    broker: &'a Broker,
    folder: &'a Folder,
    client: Process,
    /// What the client would do, on its standard output.
    commands: Lines,
    /// Its standard error.
    log: Lines,
}

impl<'a> Scene<'a> {
    fn open(
        act: &'a Act,
        stage: &'a mut Stage,
        broker: &'a Broker,
        client: &Path,
        folder: &'a Folder,
    ) -> Result<Self, Error> {
        stage.step("The client starts: -l comes back after a loss, -d logs each line of the protocol")?;
        let mut command = Command::new(client);
        command.args(["--rehearse", "-l", "-d"]).args(act.options);
        command.args(["-u", "me", "-p", &broker.port, "--auth-file", PASSWORDS]);
        command.args(["-s", SCRIPT, "-f", PID_FILE, "127.0.0.1"]);
        let words: Vec<_> = command.get_args().map(|word| quote(&word.to_string_lossy())).collect();
        stage.say("$", &format!("dtcpclient {}", words.join(" ")))?;
        let mut client = Process::start("client", command.current_dir(folder.path()).stderr(Stdio::piped()))?;
        let (commands, log) = (client.stdout("command")?, client.stderr("log")?);
        Ok(Self { act, stage, broker, folder, client, commands, log })
    }

    fn play(&mut self) -> Result<(), Error> {
        self.log_in()?;
        self.make_tunnel()?;
        self.run_script()?;
        self.ping()?;
        self.log_in_again()?;
        self.tell_status()?;
        self.end()
    }

    fn log_in(&mut self) -> Result<(), Error> {
        self.stage.step("It logs in: a challenge, the response (not for the log), what the broker grants")?;
        self.see_login()
    }

    fn see_login(&self) -> Result<(), Error> {
        let stage = &self.stage;
        stage.find(&self.log, &["connected to 127.0.0.1:"])?;
        stage.find(&self.log, &["server: +OK ", "DTCP broker"])?;
        stage.find(&self.log, &["client: tunnel me *"])?;
        stage.find(&self.log, &["server: +OK 127.0.0.1 127.0.0.1"])?;
        stage.expect(&self.broker.events, self.act.granted)
    }

    fn make_tunnel(&mut self) -> Result<(), Error> {
        self.stage.step("It makes the tunnel, and tells each change as the command that would make it")?;
        let pid = self.client.id().to_string();
        for command in self.act.make {
            self.stage.expect(&self.commands, &command.replace("PID", &pid))?;
        }
        self.stage.find(&self.log, &["made "])
    }

    fn run_script(&mut self) -> Result<(), Error> {
        self.stage.step("It would run the script")?;
        self.see_script("up")
    }

    fn see_script(&self, state: &str) -> Result<(), Error> {
        let script = quote(&self.folder.file(SCRIPT).to_string_lossy());
        self.stage.expect(&self.commands, &format!("{script} {state} {}", self.act.facts))
    }

    fn ping(&mut self) -> Result<(), Error> {
        self.stage.step("It pings the broker, at once and then every minute")?;
        self.see_ping()
    }

    fn see_ping(&self) -> Result<(), Error> {
        self.stage.find(&self.log, &["client: ping"])?;
        self.stage.expect(&self.broker.events, "ping me")?;
        self.stage.find(&self.log, &["server: +OK hi"])
    }

    fn log_in_again(&mut self) -> Result<(), Error> {
        self.stage.step("SIGHUP has it log in again: the interface stays, and is pointed anew")?;
        self.client.send(Signal::SIGHUP)?;
        self.see_quit()?;
        self.see_script("down")?;
        self.see_login()?;
        self.stage.expect(&self.commands, self.act.repoint)?;
        self.see_script("up")?;
        self.see_ping()
    }

    fn see_quit(&self) -> Result<(), Error> {
        self.stage.find(&self.log, &["client: quit"])?;
        self.stage.expect(&self.broker.events, "quit me")?;
        self.stage.expect(&self.broker.events, "closed me")
    }

    fn tell_status(&mut self) -> Result<(), Error> {
        self.stage
            .step("SIGUSR1, or SIGINFO on FreeBSD, has it tell its state; its pid file tells whom to ask")?;
        let pid = self.client.id();
        let held = fs::read_to_string(self.folder.file(PID_FILE)).unwrap_or_default();
        self.stage.say(PID_FILE, held.trim_end())?;
        if held.trim_end() != pid.to_string() {
            return Err(Error::PidFile { expected: pid, found: held });
        }
        self.client.send(Signal::SIGUSR1)?;
        self.stage.find(&self.log, self.act.status)
    }

    fn end(&mut self) -> Result<(), Error> {
        self.stage.step("SIGTERM ends it: the script, the tunnel and the pid file, with exit status 0")?;
        self.client.send(Signal::SIGTERM)?;
        self.see_quit()?;
        self.see_script("down")?;
        self.stage.expect(&self.commands, self.act.remove)?;
        self.stage.expect_end(&self.commands)?;
        self.stage.hear_out(&self.log)?;
        self.client.expect_success()?;
        let pid_file = self.folder.file(PID_FILE);
        if pid_file.exists() {
            return Err(Error::PidFileLeft(pid_file));
        }
        Ok(self.stage.say("exit", "status 0, and the pid file is gone")?)
    }

    /// Ends the client, whose log may tell what went wrong.
    fn show_rest_of_log(&mut self) {
        self.client.kill();
        let _ = self.stage.step("The rest of the client's log").map(|()| self.stage.hear_out(&self.log));
    }
}
