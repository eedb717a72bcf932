//! A process whose output is read as it comes, and which does not outlive the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{DEADLINE, poll};

/// The lines of a process, and how many of its streams are still open.
#[derive(Default)]
struct Output {
    lines: Mutex<(Vec<String>, usize)>,
    changed: Condvar,
}

/// A running process. Both of its output streams are kept, line by line, as they come.
pub struct Process {
    child: Child,
    output: Arc<Output>,
}

impl Process {
    /// Starts it without standard input.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = Arc::new(Output::default());
        output.lock().1 = 2;
        output.read(child.stdout.take().expect("a pipe"));
        output.read(child.stderr.take().expect("a pipe"));
        Self { child, output }
    }

    /// Its pid.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that contains this text.
    pub fn wait_for(&self, text: &str) {
        self.wait_for_count(text, 1);
    }

    /// Waits for the `count`th line that contains this text.
    pub fn wait_for_count(&self, text: &str, count: usize) {
        self.wait_until(text, |lines| {
            (lines.iter().filter(|line| line.contains(text)).count() >= count).then_some(())
        });
    }

    /// The first line that contains this text, once it has come.
    pub fn line_with(&self, text: &str) -> String {
        self.wait_until(text, |lines| lines.iter().find(|line| line.contains(text)).cloned())
    }

    /// Waits until `find` finds something in the lines so far; panics if that cannot happen any more.
    pub fn wait_until<T>(&self, what: &str, find: impl Fn(&[String]) -> Option<T>) -> T {
        let mut found = None;
        let output = self.output.wait_while(|lines, streams| {
            found = find(lines);
            found.is_none() && streams > 0
        });
        found.unwrap_or_else(|| panic!("missing \"{what}\" in {:#?}", output.0))
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.lock().0.clone()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, signal).expect("the process is there");
    }

    /// Waits for its end, and returns its exit status and all that it has printed.
    pub fn wait(&mut self) -> (Option<i32>, String) {
        let status = poll(|| self.child.try_wait().expect("a child"));
        let status = status.unwrap_or_else(|| panic!("it does not end: {:#?}", self.lines()));
        (status.code(), self.output.wait_while(|_, streams| streams > 0).0.join("\n"))
    }

    /// Waits for its end, which is to have this exit status and these words in the output; returns all of that.
    pub fn ends(mut self, status: i32, words: &str) -> String {
        let (code, output) = self.wait();
        assert_eq!(code, Some(status), "{output}");
        assert!(output.contains(words), "no \"{words}\" in {output}");
        output
    }

    /// Ends it with a signal, as an administrator does, which takes less than five seconds; returns all that it has
    /// printed.
    pub fn stop(self, signal: Signal) -> String {
        let start = Instant::now();
        self.signal(signal);
        let output = self.ends(0, "");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}: {output}", start.elapsed());
        output
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, (Vec<String>, usize)> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the condition is false or the deadline has passed.
    fn wait_while(
        &self,
        mut condition: impl FnMut(&[String], usize) -> bool,
    ) -> MutexGuard<'_, (Vec<String>, usize)> {
        let condition = |(lines, streams): &mut (Vec<String>, usize)| condition(lines, *streams);
        let waited = self.changed.wait_timeout_while(self.lock(), DEADLINE, condition);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn read(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let output = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                output.lock().0.push(String::from_utf8_lossy(&line).into_owned());
                output.changed.notify_all();
            }
            output.lock().1 -= 1;
            output.changed.notify_all();
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
