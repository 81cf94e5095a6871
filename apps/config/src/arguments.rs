//! The command line as the original reads it.
//!
//! kcptun parses with Go's `flag` package: one dash or two, `-name value` or `-name=value`, a
//! value may begin with a dash, a boolean takes a value only after `=`, and the options end at
//! `--` or at the first plain word, after which nothing is read.

use std::ffi::{OsStr, OsString};

use crate::closest::closest;
use crate::message::{Problem, Warning, shown};
use crate::number::parse_boolean;
use crate::options::{OptionSpec, Program};

/// What is asked for instead of running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// The help page.
    Help,
    /// The version line.
    Version,
}

/// An option of the command line with its value.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) spec: &'static OptionSpec,
    pub(crate) text: OsString,
}

/// The arguments of one program, read as far as the original reads them.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// The options, in the order given.
    pub(crate) words: Vec<Word>,
    /// Whether `-h` or `-v` stands among them.
    pub(crate) request: Option<Request>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Warning>,
    program: Program,
    spellings: Vec<(&'static str, String)>,
}

impl Arguments {
    /// Reads `arguments`, which do not include the name of the program.
    pub(crate) fn read(program: Program, arguments: &[OsString]) -> Self {
        let mut read = Self {
            words: Vec::new(),
            request: None,
            problems: Vec::new(),
            warnings: Vec::new(),
            program,
            spellings: Vec::new(),
        };
        let mut rest = arguments;
        let mut last = None;
        while let Some(argument) = rest.split_off_first() {
            let Some(option) = Dashed::split(argument) else {
                read.end_at(argument, rest.len(), last.as_deref());
                break;
            };
            if option.is_end() {
                if let Some(word) = rest.split_off_first() {
                    read.end_at(word, rest.len(), Some("--"));
                }
                break;
            }
            last = Some(shown(&option.typed));
            read.option(option, &mut rest);
        }
        read
    }

    fn option(&mut self, option: Dashed, rest: &mut &[OsString]) {
        match option.name() {
            name if matches!(name.as_bytes(), [] | [b'-' | b'=', ..]) => {
                self.problem(&option.typed, "not an option; write -name or --name");
            }
            "help" | "h" => self.ask(&option, Request::Help),
            "version" | "v" => self.ask(&option, Request::Version),
            name => match find(self.program, name) {
                Some(spec) => self.known(spec, &option, rest),
                None => self.unknown(&option, rest),
            },
        }
    }

    fn known(&mut self, spec: &'static OptionSpec, option: &Dashed, rest: &mut &[OsString]) {
        let text = match &option.value {
            Some(value) => value.clone(),
            None if spec.kind.stands_alone() => OsString::from("true"),
            None => match rest.split_off_first() {
                Some(value) => value.clone(),
                None => return self.problem(&spec.flag(), "needs a value"),
            },
        };
        self.words.push(Word { spec, text });
        let name = option.name();
        match self.spellings.iter().find(|(known, _)| *known == spec.name) {
            Some((_, other)) if other != name => {
                let text = format!("--{name} and --{other} are one option; give it once");
                self.problems.push(Problem::new(text));
            }
            Some(_) => {}
            None => self.spellings.push((spec.name, name.to_owned())),
        }
    }

    /// Skips what may be the value of the unknown option, so that the options behind it are read.
    fn unknown(&mut self, option: &Dashed, rest: &mut &[OsString]) {
        if let ([next, behind @ ..], None) = (*rest, &option.value)
            && Dashed::split(next).is_none()
        {
            *rest = behind;
        }
        let (name, program) = (option.name(), self.program.call);
        let mut names = Vec::new();
        for spec in self.program.options() {
            names.push(spec.name);
            names.extend(spec.alias);
        }
        let why = if let Some(other) = self.program.who_has(&|spec| is_called(spec, name)) {
            format!("an option of {other}, not of {program}")
        } else if let Some(name) = closest(name, &names) {
            format!("no such option, did you mean --{name}? {program} -h lists them")
        } else {
            format!("no such option; {program} -h lists them")
        };
        self.problem(&option.typed, &why);
    }

    fn ask(&mut self, option: &Dashed, request: Request) {
        let value = option.value.as_deref().map(OsStr::to_string_lossy);
        match value.as_deref().map(parse_boolean) {
            Some(Some(false)) => {}
            Some(Some(true)) | None => self.request = self.request.or(Some(request)),
            Some(None) => self.problem(&option.typed, "takes no value"),
        }
    }

    /// The original ignores plain words silently. Their text may be a piece of a badly quoted
    /// key, so it is not repeated.
    fn end_at(&mut self, word: &OsStr, behind: usize, last: Option<&str>) {
        if word == "help" || word == "h" {
            self.request = self.request.or(Some(Request::Help));
            return;
        }
        let place = last.map_or_else(String::new, |last| format!(" after {last}"));
        let count = match behind {
            0 => String::new(),
            behind => format!(" and {behind} behind it"),
        };
        self.warnings.push(Warning::new(format!(
            "the plain word{place}{count}: ignored, options end there; \
             write values that belong to a switch as --name=value"
        )));
    }

    fn problem(&mut self, typed: &str, why: &str) {
        let typed = shown(typed);
        self.problems.push(Problem::new(format!("{typed}: {why}")));
    }
}

/// An argument that begins with a dash: `-name`, `--name`, either with `=value`.
struct Dashed {
    /// Dashes and name.
    typed: String,
    dashes: usize,
    value: Option<OsString>,
}

impl Dashed {
    /// `None` for plain words, among them a single dash.
    fn split(argument: &OsStr) -> Option<Self> {
        let bytes = argument.as_encoded_bytes();
        let dashes = match bytes {
            [b'-', b'-', ..] => 2,
            [b'-', _, ..] => 1,
            _ => return None,
        };
        let equals = bytes
            .iter()
            .skip(dashes + 1)
            .position(|byte| *byte == b'=')
            .map(|position| position + dashes + 1);
        let typed = &bytes[..equals.unwrap_or(bytes.len())];
        Some(Self {
            typed: String::from_utf8_lossy(typed).into_owned(),
            dashes,
            value: equals.map(|equals| tail(argument, equals + 1)),
        })
    }

    fn name(&self) -> &str {
        &self.typed[self.dashes..]
    }

    /// Whether this is `--`, the end of the options.
    fn is_end(&self) -> bool {
        self.typed == "--" && self.value.is_none()
    }
}

/// What follows the first `from` bytes of `argument`.
#[cfg(unix)]
fn tail(argument: &OsStr, from: usize) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    OsStr::from_bytes(&argument.as_bytes()[from..]).to_owned()
}

/// What follows the first `from` bytes of `argument`; ill-formed text is replaced.
#[cfg(not(unix))]
fn tail(argument: &OsStr, from: usize) -> OsString {
    String::from_utf8_lossy(&argument.as_encoded_bytes()[from..]).into_owned().into()
}

fn find(program: Program, name: &str) -> Option<&'static OptionSpec> {
    program.options().into_iter().find(|spec| is_called(spec, name))
}

fn is_called(spec: &OptionSpec, name: &str) -> bool {
    spec.name == name || spec.alias == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Side;

    fn read(words: &[&str]) -> Arguments {
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        Arguments::read(Side::Client.into(), &words)
    }

    fn words(arguments: &Arguments) -> Vec<String> {
        let word = |word: &Word| format!("{}={}", word.spec.name, word.text.to_string_lossy());
        arguments.words.iter().map(word).collect()
    }

    #[test]
    fn every_spelling_of_go_is_understood() {
        for (line, expected) in [
            (&["-mode", "fast3"][..], &["mode=fast3"][..]),
            (&["--mode", "fast3"], &["mode=fast3"]),
            (&["-mode=fast3"], &["mode=fast3"]),
            (&["--mode=fast3"], &["mode=fast3"]),
            (&["-l", ":1"], &["localaddr=:1"]),
            (&["--l=:1"], &["localaddr=:1"]),
            (&["-ds", "0x10", "--ps", "2"], &["datashard=0x10", "parityshard=2"]),
            (&["-nocomp", "-quiet=false"], &["nocomp=true", "quiet=false"]),
            (&["-pprof", "-tcp"], &["pprof=true", "tcp=true"]),
            (&["-pprof=:6061", "--c", "f"], &["pprof=:6061", "c=f"]),
            (&["-key", "-mode"], &["key=-mode"]),
            (&["-key", "--"], &["key=--"]),
            (&["-key="], &["key="]),
            (&["-key=a=b"], &["key=a=b"]),
            (&["-mtu", "1", "--", "-mtu", "2"], &["mtu=1"]),
            (&["-mtu", "1", "-", "-mtu", "2"], &["mtu=1"]),
        ] {
            let read = read(line);
            assert_eq!(words(&read), expected, "{line:?}");
            assert_eq!(read.problems, [], "{line:?}");
        }
    }

    #[test]
    fn words_behind_the_options_are_ignored_with_a_warning() {
        let read = read(&["-nocomp", "true", "-smuxver", "2"]);
        assert_eq!(words(&read), ["nocomp=true"]);
        assert_eq!(read.warnings.len(), 1);
        let text = read.warnings[0].to_string();
        assert!(
            text.starts_with("the plain word after -nocomp and 2 behind it: ignored"),
            "{text}"
        );
        assert!(self::read(&["--"]).warnings.is_empty());
    }

    #[test]
    fn bad_syntax_is_collected() {
        let read = read(&[
            "---mode",
            "-=3",
            "-zzz",
            "value",
            "-quite",
            "-qpp",
            "-target",
            "x",
            "-l",
            ":1",
            "-localaddr",
            ":2",
            "-h=maybe",
            "-mtu",
        ]);
        let problems: Vec<String> = read.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "---mode: not an option; write -name or --name",
                "-=3: not an option; write -name or --name",
                "-zzz: no such option; kcptun-client -h lists them",
                "-quite: no such option, did you mean --quiet? kcptun-client -h lists them",
                "-qpp: no such option, did you mean --QPP? kcptun-client -h lists them",
                "-target: an option of kcptun-server, not of kcptun-client",
                "--localaddr and --l are one option; give it once",
                "-h: takes no value",
                "--mtu: needs a value",
            ]
        );
        assert!(read.warnings.is_empty());
    }

    #[test]
    fn help_and_version_in_every_spelling() {
        for word in ["-h", "--h", "-help", "--help", "help", "h", "-h=true"] {
            assert_eq!(read(&["-quiet", word]).request, Some(Request::Help), "{word}");
        }
        for word in ["-v", "--v", "-version", "--version"] {
            assert_eq!(read(&[word]).request, Some(Request::Version), "{word}");
        }
        assert_eq!(read(&["-h=false", "-key", "-h"]).request, None);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_need_not_be_text() {
        use std::os::unix::ffi::OsStringExt;
        let argument = OsString::from_vec(b"-key=\xff\xfe".to_vec());
        let read = Arguments::read(Side::Client.into(), &[argument]);
        assert_eq!(read.words[0].text.as_encoded_bytes(), b"\xff\xfe");
    }
}
