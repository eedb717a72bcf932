//! What FreeBSD kernels did, byte for byte, and whether this crate does the same.

mod bytes;
mod parse;
mod replay;

/// The recordings: which kernel, and what was written down.
const RECORDINGS: [(&str, &str); 3] = [
    ("13.2", include_str!("../data/transcripts-13.2.txt")),
    ("15.1", include_str!("../data/transcripts-15.1.txt")),
    ("15.1 with modules", include_str!("../data/transcripts-15.1-modules.txt")),
];
