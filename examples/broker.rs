//! A small DTCP broker to try a client with. All of it is in the crate beside this file, where its tests are too.

fn main() -> std::process::ExitCode {
    broker::main()
}
