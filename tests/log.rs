//! The log of a program in the foreground.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use harness::{Folder, Programs};

#[test]
fn each_line_is_written_in_one_piece() {
    // What is written to a datagram socket at once is read at once.
    let (log, stderr) = UnixDatagram::pair().expect("sockets");
    let folder = Folder::new();
    let mut client = folder.client(&Programs::find(env!("CARGO_BIN_EXE_dtcpclient")), 1, &["--rehearse"]);
    client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(OwnedFd::from(stderr));
    let status = client.status().expect("it runs");
    assert_eq!(status.code(), Some(69), "nothing listens there");
    log.set_nonblocking(true).expect("a socket");
    let mut buffer = [0; 4096];
    let mut lines = 0;
    while let Ok(length) = log.recv(&mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]);
        assert!(line.starts_with("dtcpclient: ") && line.find('\n') == Some(length - 1), "{line}");
        lines += 1;
    }
    assert!(lines >= 2, "what it starts, and how it ends");
}
