//! Passes the installation prefix to the program, which names its default files by it.

fn main() {
    println!("cargo::rerun-if-env-changed=DTCPCLIENT_PREFIX");
    println!("cargo::rerun-if-changed=build.rs");
    let prefix = std::env::var("DTCPCLIENT_PREFIX").unwrap_or_else(|_| "/usr/local".to_owned());
    let plain = prefix.starts_with('/') && !prefix.contains(char::is_control);
    assert!(plain, "DTCPCLIENT_PREFIX must be an absolute path, not {prefix:?}");
    println!("cargo::rustc-env=DTCPCLIENT_PREFIX={}", prefix.trim_end_matches('/'));
}
