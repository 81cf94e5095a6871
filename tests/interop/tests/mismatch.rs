//! The two ends are configured differently where they must not be. The original shows nothing at
//! all for hours; our end says in one line what probably differs, whichever end it is.

use std::time::Duration;

use kcptun_interop::{BOTH_WAYS, Case, Job, Maker, Pair, Process};

/// The line has to come while a user still looks at the screen.
const LIMIT: Duration = Duration::from_secs(30);

/// Nothing gets through, and our log has a line with one of `hints` in it.
fn is_explained(name: &str, client: &str, server: &str, hints: &[&str]) {
    // Most of this is waiting, so both ways wait at once.
    std::thread::scope(|scope| {
        for pair in BOTH_WAYS {
            scope.spawn(move || {
                let tunnel = Case::new(name).client(client).server(server).start(pair);
                let job = Job { patience: Duration::from_secs(2), ..Job::small() };
                tunnel.run(&job).expect_err("the ends do not fit");
                let ours = if pair.client == Maker::Ours { &tunnel.client } else { &tunnel.server };
                expect_line(name, pair, ours, hints);
            });
        }
    });
}

fn expect_line(name: &str, pair: Pair, ours: &Process, hints: &[&str]) {
    // The start-up lines repeat the settings; a hint has to say that something differs.
    let explains = |line: &str| {
        let line = line.to_lowercase();
        ["differ", "match", "compare"].iter().any(|word| line.contains(word))
            && hints.iter().any(|hint| line.contains(hint))
    };
    let line = ours.wait_line(LIMIT, explains);
    let line =
        line.unwrap_or_else(|| panic!("{name}, {pair:?}: our log says nothing of {hints:?}"));
    println!("{name}, {pair:?}: {line}");
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn a_wrong_key_is_explained() {
    is_explained("key", "--key one", "--key another", &["key"]);
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn a_wrong_cipher_is_explained() {
    is_explained("crypt", "--crypt aes", "--crypt salsa20", &["crypt"]);
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn wrong_compression_is_explained() {
    is_explained("client nocomp", "--nocomp", "", &["nocomp", "compression"]);
    is_explained("server nocomp", "", "--nocomp", &["nocomp", "compression"]);
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn a_wrong_smux_version_is_explained() {
    is_explained("smuxver 1, 2", "--smuxver 1", "--smuxver 2", &["smux"]);
    is_explained("smuxver 2, 1", "--smuxver 2", "--smuxver 1", &["smux"]);
}
