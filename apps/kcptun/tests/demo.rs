//! `kcptun demo` as a user meets it in a pipe.

mod support;

use std::process::{Command, Output};

use support::assert_snapshot;

fn demo(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kcptun"));
    command.arg("demo").args(arguments).env_remove("KCPTUN_KEY").output().unwrap()
}

/// The form of an output: each number is `N`, key and digest are hidden, bars and columns are gone, and of
/// lines that look alike in a row one is left.
fn form(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_digit() || ".,".contains(character);
    let mut lines: Vec<String> = Vec::new();
    // Of a machine that was too busy a line says so; that is no matter of form.
    for line in text.lines().filter(|line| !line.contains("lost by this machine")) {
        let words = line.split_whitespace().map(|word| {
            if word.starts_with("KCPTUN_KEY=") {
                return "KCPTUN_KEY=KEY".to_owned();
            }
            if word.ends_with("...)") {
                return "DIGEST...)".to_owned();
            }
            let bare = word.trim_start_matches('(');
            match bare.starts_with(|first: char| first.is_ascii_digit()) {
                true => "N".to_owned() + bare.trim_start_matches(is_part),
                false => word.to_owned(),
            }
        });
        let is_bar = |word: &String| word.chars().all(|character| ('▀'..='▟').contains(&character));
        let line: Vec<String> = words.filter(|word| word.is_empty() || !is_bar(word)).collect();
        let line = line.join(" ");
        if lines.last() != Some(&line) || line.is_empty() {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn a_demo_in_a_pipe_verifies_all_bytes() {
    let output = demo(&["--seconds", "2", "--link", "delay=20ms,loss=2%,rate=20mbit"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(output.stderr.is_empty());
    assert!(!text.contains(['\r', '\x1b']), "{text:?}");
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert_snapshot("demo", &form(&text));
}

#[test]
fn a_hopeless_link_fails_with_a_verdict() {
    let output = demo(&["--seconds", "1", "--loss", "100%"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("FAILED: nothing came through in 8 s: a hopeless link"), "{text}");
    assert!(text.contains("the plain stream carried nothing"), "{text}");
    assert!(!text.contains("kcptun-server"), "{text}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_starts() {
    for (arguments, named) in [
        (["--loss", "101%"], "--loss"),
        (["--crypt", "rot13"], "--crypt"),
        (["--seconds", "61"], "1..=60"),
        (["--parityshard", "250"], "256"),
        (["--speed", "9"], "--speed"),
    ] {
        let output = demo(&arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(text.starts_with("kcptun demo: ") && text.contains(named), "{text}");
    }
    let output = demo(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("--window"));
}
