//! The lines of the auth file: `server:user:password`.

/// Some editors write it at the start of a file.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// An entry that matches.
pub(super) struct Entry<'a> {
    /// The number of its line; the first is 1.
    pub(super) line: usize,
    pub(super) password: &'a [u8],
}

/// A line that is not an entry, by its number.
pub(super) struct BadLine(pub(super) usize);

/// Returns the first entry that matches. All lines are read, so that a malformed one is always reported.
pub(super) fn find_entry<'a>(
    content: &'a [u8],
    server: &str,
    user: &str,
) -> Result<Option<Entry<'a>>, BadLine> {
    let mut found = None;
    let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.starts_with(b"#") || text.trim_ascii().is_empty() {
            continue;
        }
        let [entry_server, entry_user, password] = fields(text).ok_or(BadLine(line))?;
        let matches = entry_server.eq_ignore_ascii_case(server.as_bytes()) && entry_user == user.as_bytes();
        if found.is_none() && matches {
            found = Some(Entry { line, password });
        }
    }
    Ok(found)
}

/// Server, user and password, separated by colons. The password may contain colons, and blanks at both ends.
fn fields(line: &[u8]) -> Option<[&[u8]; 3]> {
    let mut fields = line.splitn(3, |&byte| byte == b':');
    let entry = [fields.next()?.trim_ascii(), fields.next()?.trim_ascii(), fields.next()?];
    entry.iter().all(|field| !field.is_empty()).then_some(entry)
}
