//! What FreeBSD kernels did, byte for byte, and whether this crate does the same: it makes every recorded call that the
//! program makes with the same bytes, reads the answer, and the rehearsal answers alike.

mod calls;
mod parse;
mod steps;

/// The recordings: which kernel, and what was written down.
const RECORDINGS: [(&str, &str); 4] = [
    ("13.2", include_str!("../data/transcripts-13.2.txt")),
    ("13.2 with modules", include_str!("../data/transcripts-13.2-modules.txt")),
    ("15.1", include_str!("../data/transcripts-15.1.txt")),
    ("15.1 with modules", include_str!("../data/transcripts-15.1-modules.txt")),
];

#[test]
fn this_crate_and_its_rehearsal_do_what_the_kernels_did() {
    for (kernel, recording) in RECORDINGS {
        println!("{kernel}");
        let mut replay = steps::Replay::at("host");
        for event in parse::events(recording) {
            replay.event(event);
        }
    }
}
