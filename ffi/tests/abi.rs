//! The facts of FreeBSD's headers stand in two places: in Rust, where the compiler holds them against our structs,
//! and in C, where a compiler holds them against the headers. Here one is held against the other.

use std::collections::BTreeSet;

use ffi::abi::facts::{FACTS, Fact, Kind};

const IN_C: &str = include_str!("../abi/freebsd.c");
const STRUCTS: &str = include_str!("../src/abi.rs");
const NUMBERS: &str = include_str!("../src/abi/numbers.rs");
/// Fields of ours that have no name in C, or none that matters: padding, and what is passed on as it came.
const FILLERS: [&str; 5] = ["padding", "rest", "timing", "sin_zero", "ifam_spare1"];

/// A fact as the line of C that asserts it.
fn line_of_c(fact: &Fact) -> String {
    let Fact { kind, name, lp64, i386 } = fact;
    match kind {
        Kind::Size => format!("SIZE({name}, {lp64}, {i386})"),
        Kind::Align => format!("ALIGN({name}, {lp64}, {i386})"),
        Kind::Offset => format!("OFFSET({}, {lp64}, {i386})", name.replacen('.', ", ", 1)),
        Kind::Const => format!("CONST({name}, {lp64:#x}, {i386:#x})"),
    }
}

/// The lines of C that assert something.
fn assertions(source: &str) -> Vec<&str> {
    let is_assertion =
        |line: &&str| ["SIZE(", "ALIGN(", "OFFSET(", "CONST("].iter().any(|name| line.starts_with(name));
    source.lines().filter(is_assertion).collect()
}

fn is_fact(kind: Kind, name: &str) -> bool {
    FACTS.iter().any(|fact| fact.kind == kind && fact.name == name)
}

#[test]
fn rust_and_c_have_the_same_facts() {
    let in_c: BTreeSet<String> = assertions(IN_C).into_iter().map(str::to_owned).collect();
    let in_rust: BTreeSet<String> = FACTS.iter().map(line_of_c).collect();
    let only_in_c: Vec<_> = in_c.difference(&in_rust).collect();
    let only_in_rust: Vec<_> = in_rust.difference(&in_c).collect();
    assert!(
        only_in_c.is_empty() && only_in_rust.is_empty(),
        "only in C: {only_in_c:?}, only in Rust: {only_in_rust:?}"
    );
}

#[test]
fn no_fact_stands_twice() {
    let facts = assertions(IN_C);
    assert_eq!(facts.iter().collect::<BTreeSet<_>>().len(), facts.len());
}

#[test]
fn every_number_is_a_fact() {
    let names = NUMBERS.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let missing: Vec<&str> = names.filter(|name| !is_fact(Kind::Const, name)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_struct_of_the_headers_is_a_fact_with_its_fields() {
    let mut missing = Vec::new();
    for item in STRUCTS.split("\n\n") {
        let Some((documentation, body)) = item.split_once("\npub struct ") else { continue };
        let Some((_, name)) = documentation.split_once("`struct ") else { continue };
        let (name, _) = name.split_once('`').expect("the name ends");
        let name = format!("struct {name}");
        for kind in [Kind::Size, Kind::Align] {
            if !is_fact(kind, &name) {
                missing.push(format!("{kind} of {name}"));
            }
        }
        let fields = body.lines().filter_map(|line| line.strip_prefix("    pub ")?.split(':').next());
        for field in fields.map(|field| field.trim_start_matches("r#")) {
            let (plain, in_header) = (format!("{name}.{field}"), format!("{name}.header.{field}"));
            let known = is_fact(Kind::Offset, &plain) || is_fact(Kind::Offset, &in_header);
            if !known && !FILLERS.contains(&field) {
                missing.push(plain);
            }
        }
    }
    assert_eq!(missing, [""; 0]);
}
