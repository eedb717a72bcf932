//! The README says what the program says.

use clap::CommandFactory;
use dtcpclient::exit::Exit;
use dtcpclient::options::CommandLine;

const README: &str = include_str!("../README.md");

fn row_of<'a>(first: &str) -> Option<&'a str> {
    README.lines().find(|line| line.starts_with(&format!("| {first}")))
}

#[test]
fn every_option_is_in_the_readme_with_its_default() {
    let command = CommandLine::command();
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
fn every_exit_status_is_in_the_readme_with_its_meaning() {
    for (exit, meaning) in Exit::TABLE {
        assert_eq!(row_of(&format!("{} |", exit.code())), Some(&*format!("| {} | {meaning} |", exit.code())));
    }
    let rows =
        README.lines().filter(|line| line.split(' ').nth(1).is_some_and(|word| word.parse::<u8>().is_ok()));
    assert_eq!(rows.count(), Exit::TABLE.len());
}
