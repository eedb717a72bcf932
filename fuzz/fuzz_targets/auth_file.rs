//! The auth file.
#![no_main]

use auth_file::{BadLine, find_entry};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[path = "../../src/password/auth_file.rs"]
mod auth_file;

/// A line of the file.
#[derive(Arbitrary, Debug)]
enum Line<'a> {
    Any(&'a [u8]),
    Entry { server: bool, user: bool, password: &'a [u8] },
}

fuzz_target!(|lines: Vec<Line>| {
    let content = lines.iter().map(Line::encode).collect::<Vec<_>>().join(&b'\n');
    let texts: Vec<_> = content.split(|&byte| byte == b'\n').collect();
    let text = |line: usize| texts[line - 1];
    let with_another = [&content[..], b"\nbroker:foo:more"].concat();
    let with_another = find_entry(&with_another, "broker", "foo");
    match (find_entry(&content, "broker", "foo"), with_another) {
        (Err(BadLine(line)), Err(BadLine(same))) => {
            assert!(line == same && !text(line).starts_with(b"#") && !text(line).trim_ascii().is_empty());
        }
        // Alone, it is read as the same.
        (Ok(Some(entry)), Ok(Some(same))) => {
            assert!((entry.line, entry.password) == (same.line, same.password));
            let alone = find_entry(text(entry.line), "BROKER", "foo");
            assert!(alone.is_ok_and(|found| found.is_some_and(|alone| alone.password == entry.password)));
        }
        (Ok(None), Ok(Some(other))) => assert_eq!(other.password, b"more"),
        _ => panic!("an entry after all others changed what was found"),
    }
});

impl Line<'_> {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Any(bytes) => bytes.to_vec(),
            Self::Entry { server, user, password } => {
                let server = if *server { "Broker" } else { "other" };
                let user = if *user { "foo" } else { "bar" };
                [server.as_bytes(), user.as_bytes(), password].join(&b':')
            }
        }
    }
}
