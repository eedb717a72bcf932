//! The README says what the program says.

use clap::CommandFactory;
use dtcpclient::exit::Exit;
use dtcpclient::options::Options;

const README: &str = include_str!("../README.md");

fn row_of<'a>(first: &str) -> Option<&'a str> {
    README.lines().find(|line| line.starts_with(&format!("| {first}")))
}

#[test]
fn every_option_is_in_the_readme_with_its_default() {
    let command = Options::command();
    for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
        let long = argument.get_long().expect("every option has a long name");
        let name = match argument.get_short() {
            Some(short) => format!("`-{short}`, `--{long}"),
            None => format!("`--{long}"),
        };
        let row = row_of(&name).unwrap_or_else(|| panic!("no row for {name}"));
        for default in argument.get_default_values().iter().filter(|default| *default != "false") {
            let default = default.to_string_lossy();
            assert!(row.trim_end_matches([' ', '|']).ends_with(&*default), "{row}: {default}");
        }
    }
}

#[test]
fn the_exit_statuses_are_those_of_the_program() {
    let readme: Vec<u8> = README
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")?.0.parse().ok())
        .collect();
    let program: Vec<u8> = Exit::TABLE.iter().map(|(exit, _)| exit.code()).collect();
    assert_eq!(readme, program);
}
