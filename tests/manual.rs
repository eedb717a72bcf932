//! The manual page, the README and the service script agree with the program: names, defaults and exit statuses.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::Ipv4Addr;

use clap::{Arg, CommandFactory};
use dtcpclient::exit::Exit;
use dtcpclient::options::{AUTH_FILE, CommandLine, Options, PID_FILE, SCRIPT};
use dtcpclient::protocol::{Offer, TunnelType};
use dtcpclient::script::{Event, Parameters};
use ffi::name::InterfaceName;

const MANUAL: &str = include_str!("../man/dtcpclient.8");
const README: &str = include_str!("../README.md");
const SERVICE: &str = include_str!("../rc.d/dtcpclient.in");

/// A section or subsection of the manual.
fn section(title: &str) -> String {
    let manual = MANUAL.replace("\n.Ss ", "\n.Sh ");
    let section = manual.split("\n.Sh ").find(|section| section.lines().next() == Some(title));
    section.unwrap_or_else(|| panic!("the manual has no section {title}")).to_owned()
}

/// The items of a section's lists, without `.It`, whose first word is as wanted.
fn items(title: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let section = section(title);
    let items = section.lines().filter_map(|line| line.strip_prefix(".It "));
    items.filter(|item| wanted(item.split(' ').next().unwrap_or_default())).map(str::to_owned).collect()
}

/// The options of the program, `--help` and `--version` among them.
fn options() -> Vec<Arg> {
    let mut command = CommandLine::command();
    command.build();
    command.get_arguments().filter(|argument| !argument.is_positional()).cloned().collect()
}

/// The value of an option, as `--help` names it, after a blank; nothing if it takes none.
fn value(option: &Arg) -> String {
    let name = option.get_value_names().and_then(|names| names.first());
    let name = name.filter(|_| option.get_action().takes_values());
    name.map_or_else(String::new, |name| format!(" {name}"))
}

/// The default of an option, as `--help` prints it.
fn default(option: &Arg) -> Option<String> {
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    let in_help = help.split_once("[default: ").map(|(_, default)| default.trim_end_matches(']').to_owned());
    let value = option.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    value.filter(|_| option.get_action().takes_values()).or(in_help)
}

/// An option's item in the manual, such as `Fl p Ar port , Fl -port Ar port`.
fn item(option: &Arg) -> String {
    let value = value(option).to_lowercase().replace(' ', " Ar ");
    let short = option.get_short().map(|letter| format!("Fl {letter}{value}"));
    let long = option.get_long().map(|word| format!("Fl -{word}{value}"));
    short.into_iter().chain(long).collect::<Vec<_>>().join(" , ")
}

#[test]
fn the_manual_has_each_option_and_its_default() {
    let manual: BTreeSet<_> = items("DESCRIPTION", |word| word == "Fl").into_iter().collect();
    assert_eq!(manual, options().iter().map(item).collect());
    let types = items("DESCRIPTION", |word| word == "Cm");
    assert_eq!(types, TunnelType::ALL.map(|tunnel_type| format!("Cm {}", tunnel_type.word())));

    let description = section("DESCRIPTION");
    for option in options() {
        let body = description.split_once(&format!(".It {}\n", item(&option))).expect("an item").1;
        let body = body.split("\n.It Fl ").next().unwrap_or_default();
        let line = body.split_once("The default is\n").and_then(|(_, default)| default.lines().next());
        let manual = line.and_then(|line| line.split(' ').nth(1)).map(str::to_owned);
        let login_name =
            || body.contains("The default is the login name").then(|| "the login name".to_owned());
        assert_eq!(manual.or_else(login_name), default(&option), "{}", item(&option));
    }
}

#[test]
fn the_synopsis_has_each_option() {
    let synopsis = section("SYNOPSIS");
    let flags: String = synopsis
        .lines()
        .filter_map(|line| line.strip_prefix(".Op Fl ").or_else(|| line.strip_prefix(".Fl ")))
        .filter(|flags| !flags.contains(" Ar ") && !flags.starts_with('-'))
        .collect();
    for option in options() {
        let shown = match option.get_short() {
            Some(letter) if !option.get_action().takes_values() => flags.contains(letter),
            _ => {
                let form = item(&option).split(" , ").next().unwrap_or_default().to_owned();
                synopsis.lines().any(|line| line.trim_start_matches(".Op ").trim_start_matches('.') == form)
            }
        };
        assert!(shown, "{}", item(&option));
    }
}

#[test]
fn the_readme_has_each_option_and_its_default() {
    let rows = || README.lines().filter(|line| line.starts_with("| `-"));
    let quoted = |row: &str| -> BTreeSet<String> {
        let cell = row.split(" | ").next().unwrap_or_default();
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let names = |option: &Arg| {
        let short = option.get_short().map(|letter| format!("-{letter}"));
        let long = option.get_long().map(|word| format!("--{word}{}", value(option)));
        short.into_iter().chain(long).collect::<BTreeSet<_>>()
    };
    assert_eq!(rows().flat_map(quoted).collect::<BTreeSet<_>>(), options().iter().flat_map(names).collect());
    for option in options() {
        let row = rows().find(|row| quoted(row).is_superset(&names(&option))).expect("a row");
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let last = last.trim().replace('`', "");
        assert_eq!(last, default(&option).unwrap_or_default(), "{row}");
    }
}

#[test]
fn the_exit_statuses_and_files_are_those_of_the_program() {
    let program: Vec<_> = Exit::TABLE.iter().map(|(exit, _)| exit.code().to_string()).collect();
    let number = |word: &str| word.parse::<u8>().is_ok();
    assert_eq!(items("EXIT STATUS", number), program);
    let rows = README.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    assert_eq!(rows.filter(|cell| number(cell)).collect::<Vec<_>>(), program);
    let files =
        [AUTH_FILE, SCRIPT, PID_FILE, &PID_FILE.replace(".pid", ".sock")].map(|file| format!("Pa {file}"));
    assert_eq!(items("FILES", |word| word == "Pa"), files);
}

#[test]
fn the_values_for_the_script_are_those_of_the_program() {
    let options = Options::read(["dtcpclient", "server"].map(OsString::from)).unwrap();
    let (me, her) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1));
    let offer = Offer { me, her, inner: None, prefix: None, udp_port: None };
    let gif0 = InterfaceName::new("gif0").unwrap();
    let parameters = Parameters::new(&options.tunnel, options.tunnel_type, me, &offer, &gif0, Some(0));
    let environment = parameters.environment(Event::Up);
    let (names, values): (Vec<_>, Vec<_>) = environment.iter().copied().unzip();
    assert_eq!(parameters.arguments(Event::Up), values[..9]);
    let manual = items("The script", |word| word == "Va");
    assert_eq!(manual, names.iter().map(|name| format!("Va {name}")).collect::<Vec<_>>());
    assert!(README.contains(&format!("\n    {}\n", names[..9].join(" "))));
}

#[test]
fn the_manual_has_each_variable_of_the_service_script_and_its_default() {
    let lines = SERVICE.lines().filter_map(|line| line.strip_prefix("# ")?.split_once("=\""));
    let script: Vec<_> =
        lines.map(|(name, rest)| (name, rest.split('"').next().unwrap_or_default())).collect();
    assert!(script.contains(&("dtcpclient_enable", "NO")), "{script:?}");

    let boot = section("STARTING AT BOOT");
    let items = boot.split("\n.It Va ").skip(1).map(|item| {
        let (name, body) = item.split_once('\n').expect("a text");
        let default = body.split_once("The default is\n.Ql ").and_then(|(_, rest)| rest.split_once(" ."));
        (name, default.map_or("", |(default, _)| default))
    });
    assert_eq!(items.collect::<Vec<_>>(), script);
}

#[test]
fn the_manual_refers_to_sections_that_it_has() {
    let references: Vec<_> = MANUAL.lines().filter_map(|line| line.strip_prefix(".Sx ")).collect();
    assert!(!references.is_empty());
    for reference in references {
        section(reference.trim_end_matches([' ', '.', ',', ';']));
    }
}

#[test]
fn the_service_script_passes_options_that_the_program_has_and_its_flags_are_valid() {
    let options = options();
    let names = |option: &Arg| {
        let short = option.get_short().map(|letter| format!("-{letter}"));
        let long = option.get_long().map(|word| format!("--{word}"));
        short.into_iter().chain(long)
    };
    let known: BTreeSet<_> = options.iter().flat_map(names).collect();
    let lines = SERVICE.lines().filter(|line| line.contains("_options=") || line.contains("_cmd="));
    let words = lines.flat_map(|line| line.split([' ', '"', '}']));
    let passed: BTreeSet<_> = words.filter(|word| word.starts_with('-')).map(str::to_owned).collect();
    let expected = ["--interface", "--no-prompt", "--status", "-D", "-U", "-f", "-u", "-w"];
    assert_eq!(passed, expected.map(str::to_owned).into());
    assert!(passed.is_subset(&known), "{passed:?}");

    let flags =
        SERVICE.split_once("dtcpclient_flags:=\"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
    let line = std::iter::once("dtcpclient").chain(flags.split(' ')).chain(["server"]);
    let options = Options::read(line.map(OsString::from)).unwrap();
    assert!(options.reconnect && !options.daemon);
    assert_eq!(options.tunnel_type, TunnelType::Network);
    assert!(SERVICE.contains(&format!("dtcpclient_pidfile=\"{PID_FILE}\"")));
}
