//! `kcptun keygen` as a user or a script meets it.

use std::process::{Command, Output};

fn keygen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kcptun")).arg("keygen").args(arguments).output().unwrap()
}

/// Standard output of a success.
fn printed(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = keygen(arguments);
    let advice = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{advice}");
    assert!(advice.starts_with("kcptun keygen: ") && advice.contains("both"), "{advice}");
    String::from_utf8(stdout).unwrap()
}

fn is_key(text: &str) -> bool {
    text.len() == 43
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[test]
fn a_key_stands_alone_on_standard_output() {
    let [one, other] = [printed(&[]), printed(&[])];
    assert!(is_key(one.strip_suffix('\n').unwrap()), "{one:?}");
    assert_ne!(one, other);
}

#[test]
fn a_line_for_the_files_holds_a_key() {
    let line = printed(&["--json"]);
    let key = line.strip_prefix("\"key\": \"").and_then(|rest| rest.strip_suffix("\",\n"));
    assert!(is_key(key.unwrap()), "{line:?}");
}

#[test]
fn what_is_not_understood_makes_no_key() {
    let Output { status, stdout, stderr } = keygen(&["--jsn"]);
    assert_eq!(status.code(), Some(2));
    assert!(stdout.is_empty() && String::from_utf8(stderr).unwrap().contains("--jsn"));
}
