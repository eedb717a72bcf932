//! The manual page and the service script say of the program what the program itself says.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use clap::{Arg, CommandFactory};
use dtcpclient::backoff;
use dtcpclient::client::REFUSAL_WAIT;
use dtcpclient::exit::Exit;
use dtcpclient::options::{AUTH_FILE, CommandLine, Options, PID_FILE, SCRIPT};
use dtcpclient::protocol::{KEEPALIVE_INTERVAL, Offer, PING_INTERVAL, TunnelType};
use dtcpclient::script::{Event, Limits, Parameters};
use ffi::name::InterfaceName;

const MANUAL: &str = include_str!("../man/dtcpclient.8");
const SERVICE: &str = include_str!("../rc.d/dtcpclient.in");

/// An item of a list in the manual: what it is about, and what is said of it.
struct Item {
    head: &'static str,
    body: Vec<&'static str>,
}

/// The lines of a section or subsection, up to the next one.
fn section(title: &str) -> impl Iterator<Item = &'static str> {
    let title = title.to_owned();
    let starts = move |line: &&str| {
        line.strip_prefix(".Sh ").or_else(|| line.strip_prefix(".Ss ")).is_some_and(|named| named == title)
    };
    MANUAL
        .lines()
        .skip_while(move |line| !starts(line))
        .skip(1)
        .take_while(|line| !line.starts_with(".Sh ") && !line.starts_with(".Ss "))
}

/// The items of all lists in a section; a list within an item is part of the item.
fn items(title: &str) -> Vec<Item> {
    let mut depth = 0;
    let mut items: Vec<Item> = Vec::new();
    for line in section(title) {
        match line.split(' ').next() {
            Some(".Bl") => depth += 1,
            Some(".El") => depth -= 1,
            _ => {}
        }
        match (depth, line.strip_prefix(".It ")) {
            (1, Some(head)) => items.push(Item { head, body: Vec::new() }),
            (0, _) => {}
            (1, None) if line.starts_with(".Bl") => {}
            _ => items.last_mut().expect("a list begins with an item").body.push(line),
        }
    }
    items
}

impl Item {
    /// The names of the option that the item is about: `-p` and `--port` of `Fl p Ar port , Fl -port Ar port`.
    fn option_names(&self) -> BTreeSet<String> {
        self.head
            .split(" , ")
            .map(|form| format!("-{}", form.split(' ').nth(1).unwrap_or_default()))
            .collect()
    }

    /// Whether each form of the option has a value.
    fn takes_value(&self) -> bool {
        let with_value = self.head.split(" , ").filter(|form| form.contains(" Ar ")).count();
        assert!([0, self.head.split(" , ").count()].contains(&with_value), "{}", self.head);
        with_value > 0
    }

    /// The value in `The default is` that value.
    fn default(&self) -> Option<&'static str> {
        let sentence = self.body.iter().position(|line| *line == "The default is")?;
        let value = self.body[sentence + 1].strip_suffix(" .").expect("the sentence ends with the value");
        value.split_once(' ').map(|(_, value)| value)
    }
}

/// The program's options; `--help` and `--version` among them, the server not.
fn program_options() -> Vec<Arg> {
    let mut command = CommandLine::command();
    command.build();
    command.get_arguments().filter(|argument| !argument.is_positional()).cloned().collect()
}

fn names(option: &Arg) -> BTreeSet<String> {
    let short = option.get_short().map(|letter| format!("-{letter}"));
    short.into_iter().chain(option.get_long().map(|word| format!("--{word}"))).collect()
}

fn takes_value(option: &Arg) -> bool {
    option.get_action().takes_values()
}

/// The default as `--help` prints it; the login name is none to print.
fn program_default(option: &Arg) -> Option<String> {
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    let told = help.split_once("[default: ").and_then(|(_, told)| told.strip_suffix(']')).map(str::to_owned);
    let value = option.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    value.filter(|_| takes_value(option)).or(told).filter(|default| default != "the login name")
}

/// The manual's item about an option of the program.
fn item_of(option: &Arg) -> Item {
    let about = items("DESCRIPTION").into_iter().find(|item| item.option_names() == names(option));
    about.unwrap_or_else(|| panic!("the manual has no item for {:?}", names(option)))
}

#[test]
fn the_options_are_those_of_the_program() {
    let manual: BTreeSet<_> =
        items("DESCRIPTION").iter().map(|item| (item.option_names(), item.takes_value())).collect();
    let program: BTreeSet<_> =
        program_options().iter().map(|option| (names(option), takes_value(option))).collect();
    assert_eq!(manual, program);
}

#[test]
fn the_synopsis_has_each_option() {
    let synopsis: Vec<_> = section("SYNOPSIS").collect();
    for option in program_options() {
        let shown = match (option.get_short(), option.get_long()) {
            (Some(letter), _) if takes_value(&option) => {
                synopsis.iter().any(|line| line.starts_with(&format!(".Op Fl {letter} Ar ")))
            }
            (Some(letter), _) => synopsis.iter().any(|line| {
                let flags = line.strip_prefix(".Op Fl ").or_else(|| line.strip_prefix(".Fl "));
                flags.is_some_and(|flags| !flags.contains(" Ar ") && flags.contains(letter))
            }),
            (None, Some(word)) => synopsis.iter().any(|line| line.starts_with(&format!(".Op Fl -{word}"))),
            (None, None) => false,
        };
        assert!(shown, "{:?}", names(&option));
    }
}

#[test]
fn the_defaults_are_those_of_the_program() {
    for option in program_options() {
        let told = item_of(&option).default().map(str::to_owned);
        assert_eq!(told, program_default(&option), "{:?}", names(&option));
    }
}

#[test]
fn the_range_of_the_mtu_is_that_of_the_program() {
    let body = items("DESCRIPTION").into_iter().find(|item| item.head.starts_with("Fl m ")).unwrap().body;
    let numbers: Vec<u16> = body[0].split([' ', '.']).filter_map(|word| word.parse().ok()).collect();
    let [lowest, highest] = numbers[..] else { panic!("no range in {body:?}") };
    let accepted = |mtu: u16| {
        Options::read(["dtcpclient", "-m", &mtu.to_string(), "server"].map(OsString::from)).is_ok()
    };
    assert!(accepted(lowest) && accepted(highest));
    assert!(!accepted(lowest - 1) && !accepted(highest + 1));
}

#[test]
fn the_tunnel_types_are_those_of_the_program() {
    let body = items("DESCRIPTION").into_iter().find(|item| item.head.starts_with("Fl t ")).unwrap().body;
    let types: Vec<_> = body.iter().filter_map(|line| line.strip_prefix(".It Cm ")).collect();
    assert_eq!(types, TunnelType::ALL.map(TunnelType::word));
}

#[test]
fn the_files_are_those_of_the_program() {
    let files: Vec<_> = items("FILES").iter().map(|item| item.head).collect();
    assert_eq!(files, [AUTH_FILE, SCRIPT, PID_FILE].map(|file| format!("Pa {file}")));
}

#[test]
fn the_exit_statuses_are_those_of_the_program() {
    let manual: Vec<_> = items("EXIT STATUS").iter().map(|item| item.head.to_owned()).collect();
    let program: Vec<_> = Exit::TABLE.iter().map(|(exit, _)| exit.code().to_string()).collect();
    assert_eq!(manual, program);
}

#[test]
fn the_values_for_the_script_are_those_of_the_program() {
    let options = Options::read(["dtcpclient", "server"].map(OsString::from)).unwrap();
    let (me, her) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1));
    let offer = Offer { me, her, inner: None, prefix: None, udp_port: None };
    let gif0 = InterfaceName::new("gif0").unwrap();
    let parameters = Parameters::new(&options.tunnel, options.tunnel_type, me, &offer, &gif0);
    for event in [Event::Up, Event::Down] {
        let environment = parameters.environment(event);
        let manual: Vec<_> = items("The script").iter().map(|item| item.head).collect();
        let program: Vec<_> = environment.iter().map(|(name, _)| format!("Va {name}")).collect();
        assert_eq!(manual, program);

        let variables: Vec<_> = environment.iter().map(|(_, value)| *value).collect();
        let arguments = parameters.arguments(event);
        assert_eq!(arguments, variables[..9]);
        assert!(section("The script").any(|line| line.contains("nine arguments")));
        assert!(
            items("The script")[0].body.iter().any(|line| line.contains(&format!("Ql {}", event.word())))
        );
    }
}

#[test]
fn the_times_are_those_of_the_program() {
    let manual = MANUAL.replace('\n', " ");
    for sentence in [
        format!("so on up to {} seconds", backoff::LONGEST.as_secs()),
        format!("the next attempt is made {} seconds later", REFUSAL_WAIT.as_secs()),
        format!("has not ended after {} seconds", Limits::default().run.as_secs()),
        format!("and then every {} seconds", PING_INTERVAL.as_secs()),
        format!("through the tunnel every {} seconds", KEEPALIVE_INTERVAL.as_secs()),
    ] {
        assert!(manual.contains(&sentence), "{sentence}");
    }
}

#[test]
fn the_messages_are_those_of_the_program() {
    let messages = items("DIAGNOSTICS");
    let sources = sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
    for message in &messages {
        for words in
            message.head.trim_matches('"').split("...").map(str::trim).filter(|words| !words.is_empty())
        {
            assert!(sources.contains(words), "no message says: {words}");
        }
    }
    assert!(!messages.is_empty());
}

/// All Rust files of a folder, one after the other.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).expect("the sources can be listed") {
        let path = entry.expect("the sources can be listed").path();
        if path.is_dir() {
            all += &sources(&path);
        } else {
            all += &fs::read_to_string(path).expect("a source is text");
        }
    }
    all
}

#[test]
fn the_service_script_knows_which_options_have_a_value() {
    let with_value: Vec<_> = program_options().into_iter().filter(takes_value).collect();
    let letters: String = with_value.iter().filter_map(Arg::get_short).collect();
    assert!(SERVICE.contains(&format!("[{letters}])")), "{letters}");

    let start = SERVICE.find("--auth-file |").unwrap();
    let end = SERVICE[start..].find(')').unwrap();
    let words: BTreeSet<_> = SERVICE[start..start + end]
        .split(['|', '\\'])
        .map(|word| word.trim().to_owned())
        .filter(|word| !word.is_empty())
        .collect();
    let expected: BTreeSet<_> = with_value
        .iter()
        .filter_map(|option| option.get_long())
        .filter(|word| *word != "pid-file")
        .map(|word| format!("--{word}"))
        .collect();
    assert_eq!(words, expected);
}

#[test]
fn the_default_flags_of_the_service_are_options_of_the_program() {
    let flags =
        SERVICE.split_once("dtcpclient_flags:=\"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
    let line = std::iter::once("dtcpclient").chain(flags.split(' ')).chain(["server"]);
    let options = Options::read(line.map(OsString::from)).unwrap();
    assert!(options.daemon && options.reconnect);
    assert_eq!(options.pid_file.as_deref(), Some(Path::new(PID_FILE)));
}
