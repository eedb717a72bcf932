//! The log: standard error in the foreground, syslogd(8) for a daemon.

use std::collections::VecDeque;
use std::io::{self, PipeWriter, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::libc::{EAGAIN, ENOBUFS};
use syslog::{Facility, Severity};

/// Where syslogd(8) listens, in the order of syslog(3): FreeBSD's socket for root, FreeBSD's for all users, Linux's.
const SOCKETS: [&str; 3] = ["/var/run/logpriv", "/var/run/log", "/dev/log"];
/// The maximum length of a message, in bytes (RFC 3164, 4.1).
const LONGEST: usize = 1024;
/// How many lines are kept while syslogd(8) is not running or does not read.
const KEPT: usize = 100;

/// The program's only logger.
static LOGGER: Logger = Logger { syslog: OnceLock::new(), console: Mutex::new(None) };

/// Logs to syslogd(8) once that is set, and to standard error until then.
struct Logger {
    syslog: OnceLock<Syslog>,
    /// Gets errors and warnings, too, while the process that started the daemon waits.
    console: Mutex<Option<PipeWriter>>,
}

/// Starts logging to standard error. With `debug`, each line of the protocol is logged as well.
pub(crate) fn start(debug: bool) {
    log::set_max_level(if debug { LevelFilter::Debug } else { LevelFilter::Info });
    // A second start, which only a test makes, finds the logger set.
    let _ = log::set_logger(&LOGGER);
}

/// Switches to syslogd(8), with facility daemon and the pid of this process. Errors and warnings are also written to
/// `console`, if there is one, until [`leave_console`] or the first failure.
pub(crate) fn use_syslog(console: Option<PipeWriter>) {
    LOGGER.syslog.get_or_init(|| Syslog::new(SOCKETS.map(PathBuf::from).to_vec()));
    *LOGGER.console() = console;
}

/// Logs to syslogd(8) alone.
pub(crate) fn leave_console() {
    *LOGGER.console() = None;
}

impl Logger {
    fn console(&self) -> MutexGuard<'_, Option<PipeWriter>> {
        self.console.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_to_console(&self, line: &str) {
        let mut console = self.console();
        // The starter is gone, or is stopped.
        console.take_if(|pipe| pipe.write_all(line.as_bytes()).is_err());
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = record.level();
        let line = format!("dtcpclient: {}{}\n", marks(level).0, record.args());
        if let Some(syslog) = self.syslog.get() {
            syslog.log(level, &record.args().to_string());
            if level <= Level::Warn {
                self.log_to_console(&line);
            }
            return;
        }
        // One write(2) for each line. A failure to log does not stop the tunnel.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    /// Tries again to deliver the lines that syslogd(8) has not accepted yet.
    fn flush(&self) {
        if let Some(syslog) = self.syslog.get() {
            syslog.deliver();
        }
    }
}

/// How a line of this level begins on standard error, and its severity in syslogd(8).
fn marks(level: Level) -> (&'static str, Severity) {
    match level {
        Level::Error => ("error: ", Severity::LOG_ERR),
        Level::Warn => ("warning: ", Severity::LOG_WARNING),
        Level::Info => ("", Severity::LOG_NOTICE),
        Level::Debug | Level::Trace => ("debug: ", Severity::LOG_DEBUG),
    }
}

/// Logs to syslogd(8) without waiting for it.
struct Syslog(Mutex<Queue>);

impl Syslog {
    fn new(sockets: Vec<PathBuf>) -> Self {
        Self(Mutex::new(Queue { sockets, connection: None, lines: VecDeque::new() }))
    }

    fn log(&self, level: Level, text: &str) {
        // Without a timestamp, syslogd(8) uses the time of arrival. The crate's formatter adds one in UTC, but FreeBSD's
        // syslogd(8) reads it as local time.
        let priority = Facility::LOG_DAEMON as u8 | marks(level).1 as u8;
        let mut line = format!("<{priority}>dtcpclient[{}]: {text}", std::process::id());
        line.truncate(line.floor_char_boundary(LONGEST));
        let mut queue = self.queue();
        queue.add(line);
        queue.deliver();
    }

    fn deliver(&self) {
        self.queue().deliver();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines that syslogd(8) has not accepted yet, oldest first.
struct Queue {
    sockets: Vec<PathBuf>,
    connection: Option<UnixDatagram>,
    lines: VecDeque<String>,
}

impl Queue {
    fn add(&mut self, line: String) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    fn deliver(&mut self) {
        while let Some(line) = self.lines.pop_front() {
            if !self.send(&line) {
                return self.lines.push_front(line);
            }
        }
    }

    /// Sends a line as one datagram. Returns whether syslogd(8) accepted it.
    fn send(&mut self, line: &str) -> bool {
        // After a restart of syslogd(8) the first attempt fails.
        for _ in 0..2 {
            let Some(connection) = self.connection.take().or_else(|| self.connect()) else { return false };
            let sent = connection.send(line.as_bytes()).map_err(|error| error.raw_os_error());
            // EAGAIN on Linux, ENOBUFS on FreeBSD: syslogd(8) does not read. A new connection would not help.
            if matches!(sent, Ok(_) | Err(Some(EAGAIN | ENOBUFS))) {
                self.connection = Some(connection);
                return sent.is_ok();
            }
        }
        false
    }

    fn connect(&self) -> Option<UnixDatagram> {
        let connection = UnixDatagram::unbound().ok()?;
        connection.set_nonblocking(true).ok()?;
        self.sockets.iter().any(|path| connection.connect(path).is_ok()).then_some(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness::wait_until;
    use std::fs;
    use std::thread;
    use tempfile::TempDir;

    /// A directory for the socket of syslogd(8), and a log that uses it.
    fn log() -> (TempDir, Syslog) {
        let directory = tempfile::tempdir().unwrap();
        let sockets = ["priv", "log"].map(|name| directory.path().join(name));
        let log = Syslog::new(sockets.to_vec());
        (directory, log)
    }

    /// The socket of syslogd(8).
    fn syslogd(directory: &TempDir) -> UnixDatagram {
        let socket = UnixDatagram::bind(directory.path().join("log")).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    /// Reads all lines, including those that the log has yet to deliver.
    fn read(syslogd: &UnixDatagram, log: &Syslog) -> Vec<String> {
        let mut lines = Vec::new();
        let mut buffer = [0; 2 * LONGEST];
        while let Ok(length) = syslogd.recv(&mut buffer) {
            lines.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
            log.deliver();
        }
        lines
    }

    /// The lines that [`read`] returns for these numbers, logged at level info.
    fn notices(texts: impl IntoIterator<Item = u32>) -> Vec<String> {
        texts.into_iter().map(|text| format!("<29>dtcpclient[{}]: {text}", std::process::id())).collect()
    }

    fn log_numbers(log: &Syslog, numbers: impl IntoIterator<Item = u32>) {
        numbers.into_iter().for_each(|number| log.log(Level::Info, &number.to_string()));
    }

    #[test]
    fn a_line_has_facility_severity_ident_and_pid_and_no_time() {
        let (directory, log) = log();
        let syslogd = syslogd(&directory);
        // Facility daemon is 3, times 8.
        for (level, priority) in
            [(Level::Error, 27), (Level::Warn, 28), (Level::Info, 29), (Level::Debug, 31)]
        {
            log.log(level, "up");
            let line = format!("<{priority}>dtcpclient[{}]: up", std::process::id());
            assert_eq!(read(&syslogd, &log), [line], "{level}");
        }
    }

    #[test]
    fn a_long_line_is_cut_between_two_characters() {
        let (directory, log) = log();
        let syslogd = syslogd(&directory);
        for blanks in 0..4 {
            log.log(Level::Info, &(" ".repeat(blanks) + &"\u{1f6b2}".repeat(1000)));
            let line = read(&syslogd, &log).remove(0);
            assert!((LONGEST - 3..=LONGEST).contains(&line.len()), "{}", line.len());
        }
    }

    #[test]
    fn a_syslogd_that_starts_late_gets_the_lines_logged_before() {
        let (directory, log) = log();
        log_numbers(&log, [1]);
        let syslogd = syslogd(&directory);
        log_numbers(&log, [2]);
        assert_eq!(read(&syslogd, &log), notices([1, 2]));
    }

    #[test]
    fn a_restarted_syslogd_gets_the_next_line_and_the_last_of_those_logged_before() {
        let (directory, log) = log();
        let first = syslogd(&directory);
        log_numbers(&log, [1]);
        assert_eq!(read(&first, &log), notices([1]));
        drop(first);
        log_numbers(&log, [2]);
        fs::remove_file(directory.path().join("log")).unwrap();
        let second = syslogd(&directory);
        log_numbers(&log, [3]);
        assert_eq!(read(&second, &log), notices([2, 3]));
        drop(second);
        log_numbers(&log, 1..=150);
        fs::remove_file(directory.path().join("log")).unwrap();
        let third = syslogd(&directory);
        log_numbers(&log, [151]);
        assert_eq!(read(&third, &log), notices(52..=151));
    }

    #[test]
    fn a_syslogd_that_does_not_read_does_not_block_and_gets_the_last_lines_later() {
        let (directory, log) = log();
        let syslogd = syslogd(&directory);
        let logging = thread::spawn(move || {
            log_numbers(&log, 1..=2000);
            log
        });
        wait_until("the end of the last line", || logging.is_finished().then_some(()));
        let log = logging.join().unwrap();
        let lines = read(&syslogd, &log);
        let taken = u32::try_from(lines.len() - KEPT).unwrap();
        assert!((1..1900).contains(&taken), "{taken}");
        assert_eq!(lines, notices((1..=taken).chain(1901..=2000)));
    }
}
