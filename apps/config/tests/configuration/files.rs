//! The JSON file of `-c`: the same options, the same checks, and where each value stands.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kcptun_config::options::Side;
use kcptun_config::{ClientConfig, Outcome, Parsed, Problems, ServerConfig};
use proptest::prelude::*;

use crate::values::{Chosen, some_options};

/// `examples/local.json` and `examples/server.json` of kcptun 20210624, as its packages ship them.
const LOCAL: &str = include_str!("../examples/local.json");
const SERVER: &str = include_str!("../examples/server.json");

/// A configuration file that only its owner may read.
struct Written {
    folder: tempfile::TempDir,
}

impl Written {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let written = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(written.path(), text).unwrap();
        written.allow(0o600);
        written
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("c.json")
    }

    #[cfg(unix)]
    fn allow(&self, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(self.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[cfg(not(unix))]
    fn allow(&self, _: u32) {}

    /// The message with the path replaced by `FILE`.
    fn without_path(&self, text: &str) -> String {
        text.replace(self.path().to_str().unwrap(), "FILE")
    }
}

fn words(path: &Path, line: &str) -> Vec<OsString> {
    let words = line.split_whitespace().map(OsString::from);
    words.chain(["-c".into(), path.into()]).collect()
}

fn run<C>(outcome: Result<Outcome<C>, Problems>) -> Result<Parsed<C>, Problems> {
    match outcome? {
        Outcome::Run(parsed) => Ok(parsed),
        Outcome::Print(text) => panic!("{text}"),
    }
}

fn nothing(_: &str) -> Option<OsString> {
    None
}

/// A client with the flags of `line` and the file `text`; its warnings.
#[track_caller]
fn client(line: &str, text: impl AsRef<[u8]>) -> (ClientConfig, Vec<String>) {
    let file = Written::new(text);
    let parsed = run(ClientConfig::parse(words(&file.path(), line), &nothing)).unwrap();
    let warnings = parsed.warnings.iter();
    (parsed.config, warnings.map(|it| file.without_path(&it.to_string())).collect())
}

/// The problems of a client with the flags of `line` and the file `text`.
#[track_caller]
fn refused(line: &str, text: impl AsRef<[u8]>) -> Vec<String> {
    let file = Written::new(text);
    let problems = run(ClientConfig::parse(words(&file.path(), line), &nothing)).map(|_| ());
    problems.unwrap_err().iter().map(|it| file.without_path(&it.to_string())).collect()
}

#[test]
fn the_files_of_the_original_are_understood() {
    let (config, warnings) = client("", LOCAL);
    let idle = "FILE:15:13: nodelay 1, interval 40, resend 2, nc 1: no effect with mode fast3";
    assert_eq!(warnings, [idle]);
    assert_eq!(config.listen.to_string(), ":2000");
    assert_eq!(config.remote.to_string(), "11.22.33.44:2000");
    assert_eq!(config.auto_expire.map(|time| time.as_secs()), Some(1800));
    let common = &config.common;
    assert_eq!(common.key.as_bytes(), b"PASSWORD");
    assert_eq!((common.crypt.name(), common.mtu), ("aes-128", 1400));
    assert_eq!((common.send_window, common.receive_window), (128, 1024));
    assert_eq!((common.socket_buffer, common.compression), (16_777_217, false));

    let file = Written::new(SERVER);
    let server = run(ServerConfig::parse(words(&file.path(), ""), &nothing)).unwrap();
    assert_eq!(server.warnings.len(), 1);
    assert_eq!(server.config.target.to_string(), "127.0.0.1:9999");
    assert_eq!(server.config.common.send_window, 2048);
    assert_eq!(server.config.common.pprof, None);
}

#[test]
fn the_file_overrides_the_command_line_and_the_environment() {
    let file = Written::new("{\"key\": \"f\", \"mtu\": 1200, \"conn\": 3, \"quiet\": false}");
    let words = words(&file.path(), "-key c -mtu 1000 -conn 0x3 -rcvwnd 99 -quiet");
    let parsed = run(ClientConfig::parse(words, &|_| Some("e".into()))).unwrap();
    assert_eq!(parsed.config.common.key.as_bytes(), b"f");
    assert_eq!((parsed.config.common.mtu, parsed.config.common.receive_window), (1200, 99));
    assert!(!parsed.config.common.quiet);
    // What is lost is said, unless it is the same.
    let texts: Vec<_> =
        parsed.warnings.iter().map(|it| file.without_path(&it.to_string())).collect();
    assert_eq!(
        texts,
        [
            "--key: without effect, the file has key too (FILE:1:9)",
            "--mtu 1000: without effect, the file has mtu too (FILE:1:21)",
            "--quiet true: without effect, the file has quiet too (FILE:1:47)",
        ]
    );
    let environment = |_: &str| Some("e".into());
    let file = Written::new("{\"key\": \"f\"}");
    let arguments = ["-c".into(), file.path().into_os_string()];
    let parsed = run(ClientConfig::parse(arguments, &environment)).unwrap();
    assert_eq!(parsed.config.common.key.as_bytes(), b"f");
    assert!(parsed.warnings[0].to_string().starts_with("KCPTUN_KEY: without effect"));
}

#[test]
fn keys_have_any_case_null_means_nothing_and_rubbish_may_follow() {
    let text = "\u{feff}{\"KEY\": \"k\", \"SndWnd\": 7, \"mtu\": null, \"QPP\": false, \"qpp-count\": 61} 8 }";
    let (config, warnings) = client("-mtu 1000", text);
    assert_eq!((config.common.send_window, config.common.mtu), (7, 1000));
    assert_eq!(warnings, [""; 0]);
    client("-key k", "null");
}

#[test]
fn unknown_keys_are_named_in_one_warning() {
    let text =
        "{\"key\": \"k\",\n\"mut\": 1,\n\"target\": \"x\", \"zzz\": {\"mtu\": []},\n\"ds\": 1}";
    let (_, warnings) = client("", text);
    assert_eq!(
        warnings,
        ["FILE: unknown keys, ignored: mut (line 2, did you mean mtu?), \
             target (line 3, an option of kcptun-server), zzz (line 3), ds (line 4)"]
    );
    let (_, warnings) = client("", "{\"key\": \"k\", \"c\": \"other.json\"}");
    assert_eq!(warnings, ["FILE: unknown key, ignored: c (line 1)"]);
}

#[test]
fn of_a_key_given_twice_the_last_counts() {
    let (config, warnings) = client("", "{\"key\": \"k\", \"mtu\": 1200,\n\"MTU\": 1300}");
    assert_eq!(config.common.mtu, 1300);
    assert_eq!(warnings, ["FILE: mtu stands in lines 1 and 2; the last counts"]);
}

#[test]
fn a_value_of_another_type_is_an_error_with_its_place() {
    for (text, problem) in [
        (
            "{\n \"mtu\": \"1350\"}",
            "2:9: mtu \"1350\": a whole number without quotes is needed here, not text in quotes; allowed: 50 to 1500 bytes",
        ),
        (
            "{\"mtu\": 1350.0}",
            "1:9: mtu 1350.0: a whole number without quotes is needed here, not a number with a fraction or an exponent; allowed: 50 to 1500 bytes",
        ),
        (
            "{\"conn\": 1e3}",
            "1:10: conn 1e3: a whole number without quotes is needed here, not a number with a fraction or an exponent; allowed: 1 to 65535",
        ),
        (
            "{\"mtu\": true}",
            "1:9: mtu true: a whole number without quotes is needed here, not true or false; allowed: 50 to 1500 bytes",
        ),
        ("{\"log\":\r\n\t7}", "2:2: log 7: text in quotes is needed here, not a number"),
        ("{\"key\": [\"secret\"]}", "1:9: key: text in quotes is needed here, not a list"),
        (
            "{\"NoComp\": \"true\"}",
            "1:12: nocomp \"true\": true or false without quotes is needed here, not text in quotes",
        ),
        (
            "{\"nocomp\": 1}",
            "1:12: nocomp 1: true or false without quotes is needed here, not a number",
        ),
        (
            "{\"pprof\": {\n}}",
            "1:11: pprof {\\n}: true or false without quotes, or text in quotes is needed here, not an object; allowed: true, false, host:port, or :port for all addresses",
        ),
    ] {
        assert_eq!(refused("", text), [format!("FILE:{problem}")], "{text}");
    }
}

#[test]
fn values_of_a_file_are_checked_as_flags_are() {
    for (text, problem) in [
        ("{\"conn\": 0}", "FILE:1:10: conn 0: allowed: 1 to 65535"),
        ("{\"smuxver\":\n3}", "FILE:2:1: smuxver 3: allowed: 1 or 2"),
        (
            "{\"mtu\": 99999999999999999999}",
            "FILE:1:9: mtu 99999999999999999999: too large; allowed: 50 to 1500 bytes",
        ),
        (
            "{\"remoteaddr\": \"vps\"}",
            "FILE:1:16: remoteaddr vps: no port in it; allowed: host:port or host:first-last",
        ),
        (
            "{\"smuxbuf\": 5}",
            "--streambuf 2097152 (the default): allowed: at most smuxbuf, which is 5",
        ),
        (
            "{\"qpp\": true}",
            "FILE:1:9: qpp true: quantum permutation pads are not built; allowed: false",
        ),
    ] {
        assert_eq!(refused("", text), [problem], "{text}");
    }
    let (_, warnings) = client("-key k", "{\"crypt\": \"xor\", \"tcp\": true}");
    assert!(warnings[0].starts_with("FILE:1:11: crypt xor: "), "{warnings:?}");
    assert!(warnings[1].starts_with("FILE:1:25: tcp true: fake TCP is not built"), "{warnings:?}");
}

#[test]
fn problems_of_flags_and_file_come_together() {
    // The flag would be refused by the original too, though the file has the same option.
    let problems = refused("-mtu x -conn 0 -zzz", "{\"mtu\": 1350, \"smuxver\": 9, \"nc\": false}");
    assert_eq!(
        problems,
        [
            "-zzz: no such option; kcptun-client -h lists them",
            "FILE:1:35: nc false: a whole number without quotes is needed here, not true or false; allowed: 0 or 1",
            "--mtu x: not a whole number; allowed: 50 to 1500 bytes",
            "--conn 0: allowed: 1 to 65535",
            "FILE:1:26: smuxver 9: allowed: 1 or 2",
        ]
    );
}

#[test]
fn a_broken_or_missing_file_is_named() {
    assert_eq!(refused("", ""), ["FILE:1:1: not JSON: EOF while parsing a value"]);
    assert_eq!(refused("", "{\n\"mtu\": 1,\n}"), ["FILE:3:1: not JSON: trailing comma"]);
    assert!(refused("", "[1]")[0].contains("an object of options, as in {\"mtu\": 1350}"));
    assert!(refused("-conn 0", "{")[1].contains("--conn 0"));
    assert_eq!(refused("", vec![b' '; 2 << 20]).len(), 1);

    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing.json"), folder.path().to_owned()] {
        let outcome = run(ClientConfig::parse(words(&path, ""), &nothing)).map(|_| ());
        let text = outcome.unwrap_err().to_string();
        let start = format!("{}: the file of -c cannot be read: ", path.display());
        assert!(text.starts_with(&start) && text.lines().count() == 1, "{text}");
    }
    // Without a name there is no file.
    run(ClientConfig::parse(["-c="], &nothing)).unwrap();
}

#[cfg(unix)]
#[test]
fn a_key_that_every_user_can_read_is_a_warning() {
    let said = |text: &str, mode| {
        let file = Written::new(text);
        file.allow(mode);
        let parsed = run(ClientConfig::parse(words(&file.path(), ""), &|_| Some("k".into())));
        let texts = parsed.unwrap().warnings;
        texts
            .iter()
            .any(|it| it.to_string().contains("every user of this machine can read the key"))
    };
    assert!(said("{\"key\": \"k\"}", 0o644));
    assert!(!said("{\"key\": \"k\"}", 0o640));
    assert!(!said("{\"mtu\": 1200}", 0o644));
}

#[test]
fn no_message_shows_the_key() {
    let secret = "hunter2hunter2";
    for text in [
        format!("{{\"key\": \"{secret}\", \"mtu\": \"x\"}}"),
        format!("{{\"key\": [\"{secret}\"]}}"),
        format!("{{\"key\": \"{secret}\" \"mtu\": 1}}"),
        format!("{{\"key\": {secret}}}"),
        format!("{{\"kye\": \"{secret}\", \"mtu\": \"x\"}}"),
    ] {
        assert!(!refused("", &text).concat().contains(secret), "{text}");
    }
    let (config, warnings) =
        client("-key other", format!("{{\"key\": \"{secret}\", \"kye\": \"{secret}\"}}"));
    assert_eq!(config.common.key.as_bytes(), secret.as_bytes());
    assert!(!format!("{config:?}{warnings:?}{:?}", config.start_up_lines("")).contains(secret));
}

fn object(some: &[Chosen]) -> String {
    let members: Vec<_> = some.iter().map(Chosen::member).collect();
    format!("{{{}}}", members.join(",\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_file_is_worth_the_same_as_flags(
        client in some_options(Side::Client),
        server in some_options(Side::Server),
    ) {
        let file = Written::new(object(&client));
        let by_file = run(ClientConfig::parse(words(&file.path(), ""), &nothing)).unwrap();
        let flags = client.iter().map(Chosen::flag);
        let by_flags = run(ClientConfig::parse(flags, &nothing)).unwrap();
        prop_assert_eq!(format!("{:?}", by_file.config), format!("{:?}", by_flags.config));
        prop_assert_eq!(by_file.config.common.key, by_flags.config.common.key);
        prop_assert_eq!(by_file.warnings.len(), by_flags.warnings.len());

        let file = Written::new(object(&server));
        let by_file = run(ServerConfig::parse(words(&file.path(), ""), &nothing)).unwrap();
        let flags = server.iter().map(Chosen::flag);
        let by_flags = run(ServerConfig::parse(flags, &nothing)).unwrap();
        prop_assert_eq!(format!("{:?}", by_file.config), format!("{:?}", by_flags.config));
    }

    #[test]
    fn no_file_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        some in some_options(Side::Client),
        cut: usize,
    ) {
        let text = object(&some);
        let half = &text.as_bytes()[..cut % (text.len() + 1)];
        for bytes in [&bytes[..], half] {
            let file = Written::new(bytes);
            if let Err(problems) = ClientConfig::parse(words(&file.path(), ""), &nothing) {
                let text = problems.to_string();
                prop_assert_eq!(text.lines().count(), problems.iter().count());
            }
        }
    }
}

/// The memory of a router may stand in its file; the other programs say whose option it is.
#[test]
fn routers_have_two_keys_more() {
    let parse = |text: &str| {
        let written = Written::new(text);
        let words = vec![OsString::from("-c"), written.path().into(), "--mem".into(), "1M".into()];
        ServerConfig::parse_for_router("kcptun-server", words, &|_| None)
            .map_err(|it| it.to_string())
    };
    let run = |text| match parse(text) {
        Ok(Outcome::Run(parsed)) => parsed.config.common.memory.map(|it| (it.bytes, it.is_locked)),
        other => panic!("{other:?}"),
    };
    assert_eq!(run(r#"{"mem": "4M", "lock": true}"#), Some((4 << 20, true)));
    assert_eq!(run(r#"{"Mem": "512K"}"#), Some((512 << 10, false)));
    assert_eq!(run("{}"), Some((1 << 20, false)));
    for (text, complaint) in [
        (r#"{"mem": "4X"}"#, ":1:9: mem 4X: allowed: bytes, or a number with K, M or G, as in 8M"),
        (r#"{"lock": "yes"}"#, ":1:10: lock \"yes\": true or false without quotes is needed here"),
    ] {
        let said = parse(text).unwrap_err();
        assert!(said.contains(complaint), "{said}");
    }

    let written = Written::new(r#"{"mem": "4M", "mtu": 1200}"#);
    let outcome = ServerConfig::parse(["-c".into(), written.path().into_os_string()], &|_| None);
    let Ok(Outcome::Run(Parsed { config, warnings })) = outcome else { panic!("{outcome:?}") };
    assert_eq!((config.common.mtu, config.common.memory), (1200, None));
    let warned = warnings.iter().any(|warning| {
        warning
            .to_string()
            .contains("unknown key, ignored: mem (line 1, an option of kcptun-router)")
    });
    assert!(warned, "{warnings:?}");
    let said = ServerConfig::parse(["--mem", "4M"], &|_| None).unwrap_err().to_string();
    assert_eq!(said, "--mem: an option of kcptun-router, not of kcptun-server");
}
