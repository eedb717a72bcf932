//! Reads the recordings. Each of them says at its head what its lines mean.

use ffi::errno::Errno;

/// Something that happened.
pub(crate) enum Event {
    /// The steps that follow run at this place.
    Place(String),
    /// The administrator ran a command.
    Run(Vec<String>),
    /// The recorder made a call.
    Step(Step),
}

/// One call, with everything that was written down of it.
pub(crate) struct Step {
    /// Scene and line, to name it in a failure.
    pub title: String,
    pub words: Vec<String>,
    /// The bytes that are yet to be checked, with their names.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The name and number of an ioctl(2).
    pub request: Option<(String, u32)>,
    pub errno: Option<Errno>,
}

/// All events of a recording. Panics on a line that it does not know.
pub(crate) fn events(recording: &str) -> Vec<Event> {
    let (mut events, mut scene) = (Vec::new(), "");
    let whole = recording.strip_suffix("@@ end\n").expect("the recording is whole");
    for line in whole.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(' ').expect("a line has two words") {
            ("@@", title) => scene = title,
            ("PLACE", name) => events.push(Event::Place(name.to_owned())),
            ("RUN", command) => events.push(Event::Run(words(command))),
            ("STEP", call) => events.push(Event::Step(Step {
                title: format!("{scene}: {call}"),
                words: words(call),
                fields: Vec::new(),
                request: None,
                errno: None,
            })),
            ("", detail) => match events.last_mut() {
                Some(Event::Step(step)) => step.add(detail.trim_start()),
                _ => panic!("no step has {line:?}"),
            },
            _ => panic!("no event is {line:?}"),
        }
    }
    events
}

/// The words of a line. Those in quotation marks may have blanks in them, or nothing.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('"').zip([false, true].into_iter().cycle());
    let words = quoted.flat_map(|(part, is_quoted)| {
        if is_quoted { vec![part] } else { part.split(' ').filter(|word| !word.is_empty()).collect() }
    });
    words.map(str::to_owned).collect()
}

impl Step {
    fn add(&mut self, detail: &str) {
        let words: Vec<&str> = detail.split(' ').collect();
        match words[..] {
            ["->", "errno", number, ..] => {
                let errno = Errno(number.parse().expect("a number"));
                assert_eq!(detail, format!("-> errno {number} {errno}"), "{}", self.title);
                self.errno = Some(errno);
            }
            ["request", name, number] => {
                let digits = number.strip_prefix("0x").expect("a hexadecimal number");
                self.request = Some((name.to_owned(), u32::from_str_radix(digits, 16).expect("digits")));
            }
            [name, length, digits] => {
                let byte = |start| u8::from_str_radix(&digits[start..start + 2], 16).expect("digits");
                let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
                assert_eq!(length.parse(), Ok(bytes.len()), "{}", self.title);
                self.fields.push((name.to_owned(), bytes));
            }
            _ => panic!("{}: {detail:?} is not understood", self.title),
        }
    }
}
