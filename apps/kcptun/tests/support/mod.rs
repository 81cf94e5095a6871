//! Helpers of the integration tests.

use std::path::Path;

/// Compares `text` with the file `tests/snapshots/NAME.txt`; with `UPDATE_SNAPSHOTS=1` writes it.
#[track_caller]
pub(crate) fn assert_snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{name}.txt: {error}; UPDATE_SNAPSHOTS=1 writes it");
    });
    assert!(
        text == expected,
        "{name}.txt differs; UPDATE_SNAPSHOTS=1 rewrites it\n--- expected\n{expected}--- found\n{text}"
    );
}
