//! The Debian package and its example files.

use crate::{Ends, Machine};

const PROGRAMS: [&str; 3] = ["kcptun", "kcptun-client", "kcptun-server"];

#[test]
#[ignore = "needs root and the package; run by cargo xtask test"]
fn the_package_is_installed_used_and_removed() {
    let machine = Machine::with_package();
    for program in PROGRAMS {
        let version = machine.shell(&format!("/usr/bin/{program} --version"));
        assert!(version.starts_with("kcptun"), "{program}: {version}");
    }
    // It takes the place of the original's package.
    let status = machine.shell("dpkg-query -W -f '${db:Status-Abbrev}' kcptun || echo none");
    assert!(!status.starts_with("ii"), "{status}");
    assert_eq!(machine.shell("dpkg --verify kcptun-rs"), "");

    let ends = Ends::new();
    for side in ["server", "client"] {
        let example = format!("/usr/share/doc/kcptun-rs/examples/{side}.json");
        let text = ends.put_into(&machine.read(&example));
        assert!(text.contains("put here what `kcptun keygen` prints"), "{text}");
        let text = text.replace("put here what `kcptun keygen` prints", "a key of its own");
        machine.write(&format!("/etc/kcptun/{side}.json"), &text);
    }
    machine.shell("chmod 600 /etc/kcptun/*.json");
    let start = |side| {
        let file = format!("/etc/kcptun/{side}.json");
        machine.command(&format!("/usr/bin/kcptun-{side}"), &["-c", &file])
    };
    let (server, client) = ends.carry(start("server"), start("client"));
    for process in [&server, &client] {
        assert!(!process.log().contains("warning"), "{}", process.log());
    }
    drop((server, client));

    let files =
        machine.shell("dpkg --listfiles kcptun-rs | while read f; do [ -d $f ] || echo $f; done");
    assert!(files.lines().count() > 10, "{files}");
    // What an administrator and systemd make for an instance: `systemctl enable`, and the folders
    // of a unit with DynamicUser= and LogsDirectory=.
    let wants = "/etc/systemd/system/multi-user.target.wants";
    let logs = ["/var/log/private/kcptun-server", "/var/log/kcptun-server"];
    machine.shell("systemctl --root=/ enable kcptun-server@server kcptun-client@client");
    machine.shell(&format!(
        "[ -L {wants}/kcptun-server@server.service ] && [ -L {wants}/kcptun-client@client.service ]
         mkdir -p {private}/server {public} && echo line >{private}/server/k.log
         ln -s ../private/kcptun-server/server {public}/server
         ln -s /bin/sh {wants}/kcptun-client@another.service",
        private = logs[0],
        public = logs[1]
    ));
    machine.shell("rm /etc/kcptun/client.json; dpkg --remove kcptun-rs");
    for file in files.lines() {
        machine.shell(&format!("[ ! -e '{file}' ]"));
    }
    machine.shell("dpkg --purge kcptun-rs");
    // What the administrator wrote is not ours to delete; an empty folder is.
    machine.shell("rm /etc/kcptun/server.json && rmdir /etc/kcptun");
    machine.shell("[ ! -e /usr/share/doc/kcptun-rs ]");
    for left in logs {
        machine.shell(&format!("[ ! -e {left} ]"));
    }
    // What leads somewhere is another package's.
    assert_eq!(
        machine.shell(&format!("cd {wants} && ls -d kcptun*")),
        "kcptun-client@another.service\n"
    );
}

#[test]
#[ignore = "needs root and the package; run by cargo xtask test"]
fn manual_pages_are_clean_and_complete() {
    let machine = Machine::with_package();
    for program in PROGRAMS {
        let page = format!("/usr/share/man/man1/{program}.1.gz");
        assert_eq!(machine.shell(&format!("zcat {page} | groff -man -Tutf8 -ww -z")), "");
        assert_eq!(machine.shell(&format!("zcat {page} | mandoc -T lint -W warning")), "");
        let text = machine.shell(&format!("zcat {page} | mandoc -T utf8 | col -b"));
        let help = machine.shell(&format!("/usr/bin/{program} -h"));
        let words = help.split_whitespace().filter(|word| word.starts_with("--"));
        for flag in words.map(|word| word.trim_matches(|c: char| c != '-' && !c.is_alphanumeric()))
        {
            let name = flag.split(['[', '=']).next().unwrap_or(flag);
            assert!(text.contains(name), "{program}: {name} is not on the page");
        }
    }
}
