//! The table of faults and the threat model name tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../docs/faults.md");
const THREAT_MODEL: &str = include_str!("../docs/threat-model.md");

/// The cells of each row, without the heads of the tables.
fn rows() -> Vec<Vec<&'static str>> {
    let lines = TABLE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let cells = lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect());
    cells.filter(|cells: &Vec<_>| cells[0] != "fault").collect()
}

/// The text of a test, from its attributes to the end of its body.
fn test<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let name = source.find(&format!("fn {name}("))?;
    let start = source[..name].rfind("\n\n").unwrap_or_default();
    // The closing brace is indented as the function is.
    let indent = name - source[..name].rfind('\n')? - 1;
    let end = name + source[name..].find(&format!("\n{}}}\n", " ".repeat(indent)))?;
    source[start..name].contains("#[test]\n").then_some(&source[start..end])
}

/// Checks a reference of the form `path::test` or `path::test/case`; in a shell script, the test is a statement.
fn assert_exists(reference: &str) {
    let parts = reference.split_once("::");
    let (path, name) = parts.unwrap_or_else(|| panic!("{reference} is not of the form path::test"));
    let (name, case) = name.split_once('/').map_or((name, None), |(name, case)| (name, Some(case)));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let source = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let statement = file.extension() == Some("sh".as_ref()) && source.contains(&format!(" \"{name}\""));
    let text = test(&source, name).or(statement.then_some(name));
    let text = text.unwrap_or_else(|| panic!("{path} has no test {name}"));
    let quoted = |case: &str| text.contains(&format!("\"{case}\""));
    assert!(case.is_none_or(quoted), "{path}: {name} has no case {case:?}");
}

#[test]
fn each_row_is_complete_and_names_a_test_that_exists() {
    if !Path::new(env!("CARGO_MANIFEST_DIR")).exists() {
        return eprintln!("skipped: the sources are not on this machine");
    }
    for row in rows() {
        assert!(row.len() == 4 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        row[3].trim_matches('`').split("`, `").for_each(assert_exists);
    }
}

#[test]
fn the_threat_model_names_tests_that_exist() {
    if !Path::new(env!("CARGO_MANIFEST_DIR")).exists() {
        return eprintln!("skipped: the sources are not on this machine");
    }
    let quoted = THREAT_MODEL.split('`').skip(1).step_by(2);
    quoted.filter(|quoted| quoted.contains("::")).for_each(assert_exists);
}

#[test]
fn there_are_at_least_ninety_faults_and_no_two_alike() {
    let rows = rows();
    let mut faults = BTreeSet::new();
    for row in &rows {
        assert!(faults.insert(row[0].to_lowercase()), "twice: {}", row[0]);
    }
    assert!(faults.len() >= 90, "{}", faults.len());
}
