//! The container image. There is no Docker engine where the tests run: what the Dockerfile puts
//! into the image is put into a folder together with the libraries of its base image, and runs
//! there as its user. The build step is a plain `cargo build`, as the tests make it too.

use crate::{Ends, Machine, source};

/// The instructions of a Dockerfile.
fn instructions() -> Vec<String> {
    let text = source("docker/Dockerfile").replace("\\\n", " ");
    let is_one = |line: &&str| !line.is_empty() && !line.starts_with('#');
    text.lines().filter(is_one).map(String::from).collect()
}

#[test]
#[ignore = "needs root and the package; run by cargo xtask test"]
fn the_image_has_all_it_needs() {
    let machine = Machine::with_package();
    let all = instructions();
    let find = |word: &str| {
        let found = all.iter().rev().find_map(|line| line.strip_prefix(&format!("{word} ")));
        found.unwrap_or_else(|| panic!("no {word} in {all:#?}"))
    };
    assert_eq!(find("RUN"), "cargo build --locked --release --package kcptun --bins");
    assert!(find("FROM").starts_with("gcr.io/distroless/cc-debian12"), "{}", find("FROM"));
    // Of its libraries, those that Rust programs are linked with.
    machine.shell(
        "mkdir -p /image/tmp && cd /image
         dpkg --listfiles libc6 libgcc-s1 | grep '/lib.*[.]so' | while read file; do
             [ ! -f $file ] || cp --dereference --parents $file .
         done",
    );
    for copy in all.iter().filter_map(|line| line.strip_prefix("COPY --from=build ")) {
        let (from, to) = copy.split_once(' ').expect("from and to");
        // The package has the same binaries.
        let from = match from.strip_prefix("/src/target/release/") {
            Some(program) => format!("/usr/bin/{program}"),
            None => from.replace("/src", concat!(env!("CARGO_MANIFEST_DIR"), "/../..")),
        };
        machine.shell(&format!("mkdir -p /image$(dirname {to}) && cp {from} /image{to}"));
    }
    let ends = Ends::new();
    for side in ["server", "client"] {
        let text = ends.put_into(&source(&format!("examples/{side}.json")));
        machine.write(&format!("/image/etc/kcptun/{side}.json"), &text);
    }
    let user = format!("--userspec={}", find("USER"));
    let start = |side: &str| {
        let program = format!("/usr/bin/kcptun-{side}");
        let file = format!("/etc/kcptun/{side}.json");
        machine.command("chroot", &[&user, "/image", &program, "-c", &file])
    };
    assert_eq!(find("ENTRYPOINT"), "[\"/usr/bin/kcptun-server\"]");
    ends.carry(start("server"), start("client"));
}
