//! The log: standard error in the foreground, syslog(3) for a daemon.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::syslog::{Facility, LogFlags, Priority, Severity};

/// Whether the log goes to syslog.
static TO_SYSLOG: AtomicBool = AtomicBool::new(false);

struct Logger;

/// Starts to log to standard error; with `debug` each line of the protocol too.
pub fn start(debug: bool) {
    log::set_max_level(if debug { LevelFilter::Debug } else { LevelFilter::Info });
    // A second start, which only a test makes, finds the logger set.
    let _ = log::set_logger(&Logger);
}

/// From here on, logs to syslog (facility daemon).
pub fn use_syslog() {
    // Without an ident: syslog(3) takes the program's own name.
    #[cfg(target_os = "linux")]
    let ident = None;
    #[cfg(not(target_os = "linux"))]
    let ident: Option<&str> = None;
    let opened = nix::syslog::openlog(ident, LogFlags::LOG_PID, Facility::LOG_DAEMON);
    TO_SYSLOG.store(opened.is_ok(), Ordering::Relaxed);
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // A log that cannot be written is no reason to stop a tunnel.
        if TO_SYSLOG.load(Ordering::Relaxed) {
            let priority = Priority::new(severity(record.level()), Facility::LOG_DAEMON);
            let _ = nix::syslog::syslog(priority, &record.args().to_string());
        } else {
            let _ = writeln!(std::io::stderr(), "dtcpclient: {}{}", prefix(record.level()), record.args());
        }
    }

    fn flush(&self) {}
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Error => Severity::LOG_ERR,
        Level::Warn => Severity::LOG_WARNING,
        Level::Info => Severity::LOG_NOTICE,
        Level::Debug | Level::Trace => Severity::LOG_DEBUG,
    }
}

fn prefix(level: Level) -> &'static str {
    match level {
        Level::Error => "error: ",
        Level::Warn => "warning: ",
        Level::Info => "",
        Level::Debug | Level::Trace => "debug: ",
    }
}
