//! The OpenWrt package: its service under busybox's shell, with stand-ins for procd and UCI, and
//! its Makefile with stand-ins for the build system.

use crate::{Ends, Machine, source};

const RC_COMMON: &str = include_str!("openwrt/rc.common");
const INIT: &str = "/etc/init.d/kcptun";

fn router(config: &str) -> Machine {
    let machine = Machine::with_package();
    machine.write("/etc/rc.common", RC_COMMON);
    machine.write(INIT, &source("openwrt/kcptun/files/kcptun.init"));
    machine.write("/etc/config/kcptun", config);
    machine
}

fn service(machine: &Machine, action: &str) -> String {
    machine.shell(&format!("busybox ash /etc/rc.common {INIT} {action}"))
}

#[test]
#[ignore = "needs root, busybox and the package; run by cargo xtask test"]
fn a_tunnel_runs_from_the_old_configuration() {
    let ends = Ends::new();
    // The options of OpenWrt's old package, with its names and their order.
    let config = format!(
        "config server\n\toption disabled 0\n\toption listen {server}\n\
         \toption target '127.0.0.1'\n\toption target_port {target}\n\toption crypt 'aes'\n\
         \toption key 'a \"quoted\" \\ secret'\n\toption mode 'fast'\n\toption datashard 10\n\
         \toption parityshard 3\n\toption dscp 46\n\toption nocomp 1\n\
         \toption snmplog '/tmp/snmp.log'\n\toption snmpperiod 60\n\toption pprof 0\n\
         \toption quiet 1\n\toption syslog 1\n\toption user nobody\n\n\
         config client 'home'\n\toption bind_address '127.0.0.1'\n\
         \toption local_port {entrance}\n\toption server '127.0.0.1'\n\
         \toption server_port {server}\n\toption crypt 'aes'\n\
         \toption key 'a \"quoted\" \\ secret'\n\toption mode 'fast'\n\toption conn 1\n\
         \toption autoexpire 0\n\toption scavengettl 600\n\toption mtu 1350\n\
         \toption sndwnd 128\n\toption rcvwnd 512\n\toption nocomp 1\n\
         \toption sockbuf 4194304\n\toption smuxbuf 4194304\n\toption keepalive 10\n\
         \toption quiet 1\n\toption gogc 20\n\toption user nobody\n",
        server = ends.server,
        target = ends.target.address().port(),
        entrance = ends.entrance,
    );
    let machine = router(&config);
    let told = service(&machine, "start");
    let (server, client) = ("/var/etc/kcptun/server.cfg1.json", "/var/etc/kcptun/client.home.json");
    assert_eq!(
        told,
        format!(
            "open server.cfg1\ncommand /usr/bin/kcptun-server -c {server}\nfile {server}\n\
             user nobody\nlimits nofile=65536 65536\nrespawn 3600 5 0\nstderr 1\nclose\n\
             open client.home\ncommand /usr/bin/kcptun-client -c {client}\nfile {client}\n\
             user nobody\nlimits nofile=65536 65536\nrespawn 3600 5 0\nstderr 1\nclose\n"
        )
    );
    let modes = machine.shell(&format!("stat -c '%U %a' {server} {client}"));
    assert_eq!(modes, "nobody 600\nnobody 600\n");
    let start = |side: &str, file: &str| {
        let program = format!("/usr/bin/kcptun-{side}");
        machine.command("setpriv", &["--reuid=nobody", "--clear-groups", &program, "-c", file])
    };
    let (server, client) = ends.carry(start("server", server), start("client", client));
    for process in [&server, &client] {
        assert!(!process.log().contains("unknown"), "{}", process.log());
    }
    drop((server, client));
    service(&machine, "stop");
    machine.shell("[ ! -e /var/etc/kcptun ]");
}

#[test]
#[ignore = "needs root, busybox and the package; run by cargo xtask test"]
fn the_small_program_gets_its_memory_from_the_configuration() {
    let machine = router(
        "config client 'home'\n\toption local_port 1\n\toption server 'vps'\n\
         \toption server_port 2\n\toption mem '4M'\n\toption lock 1\n",
    );
    let told = service(&machine, "start");
    let file = "/var/etc/kcptun/client.home.json";
    assert!(told.contains("limits nofile=65536 65536 memlock=unlimited\n"), "{told}");
    let json = machine.read(file);
    assert!(json.contains("\"mem\": \"4M\"") && json.contains("\"lock\": true"), "{json}");
    // As the package has it: a link by the name of the client.
    let program = std::env::var_os("KCPTUN_ROUTER_BIN").expect("run by cargo xtask test");
    let program = std::path::PathBuf::from(program);
    machine.shell(&format!(
        "ln -sf '{}' /usr/bin/kcptun-client && sed -i 's/\"vps:2\"/\"nowhere\"/' {file}",
        program.display()
    ));
    let said = machine.shell(&format!("/usr/bin/kcptun-client -c {file} && exit 1 || true"));
    // It knows both options, and only the address is wrong.
    assert!(said.starts_with("kcptun-client: ") && said.contains("remoteaddr nowhere"), "{said}");
    assert!(!said.contains("mem") && !said.contains("lock"), "{said}");
}

#[test]
#[ignore = "needs root, busybox and the package; run by cargo xtask test"]
fn sections_without_their_addresses_are_named_and_the_others_run() {
    let machine = router(
        "config client 'nowhere'\n\toption local_port 1\n\toption server_port 2\n\n\
         config client 'off'\n\toption disabled 1\n\n\
         config client 'six'\n\toption local_port 1\n\toption server '2001:db8::1'\n\
         \toption server_port 2\n\toption conn many\n\toption user root\n\toption syslog 0\n\
         \toption pprof ':6061'\n\toption quiet off\n",
    );
    let told = service(&machine, "start");
    let file = "/var/etc/kcptun/client.six.json";
    assert_eq!(
        told,
        format!(
            "logger -t kcptun -p daemon.err section nowhere: option server is missing\n\
             open client.six\ncommand /usr/bin/kcptun-client -c {file}\nfile {file}\nuser root\n\
             limits nofile=65536 65536\nrespawn 3600 5 0\nclose\n"
        )
    );
    // What is no number goes to the program, which says so.
    assert_eq!(
        machine.read(file),
        "{ \"localaddr\": \":1\", \"remoteaddr\": \"[2001:db8::1]:2\", \"conn\": \"many\", \
         \"quiet\": false, \"pprof\": \":6061\" }\n"
    );
    let said = machine.shell(&format!("/usr/bin/kcptun-client -c {file} && exit 1 || true"));
    assert!(said.contains("client.six.json:1:") && said.contains("conn \"many\": "), "{said}");
}

#[test]
#[ignore = "needs root, busybox and the package; run by cargo xtask test"]
fn the_configuration_that_is_shipped_starts_nothing() {
    let machine = router(&source("openwrt/kcptun/files/kcptun.config"));
    assert_eq!(service(&machine, "start"), "");
    // Switched on, it is complete.
    machine.shell("sed -i \"s/disabled '1'/disabled '0'/\" /etc/config/kcptun");
    let told = service(&machine, "start");
    assert!(told.contains("open server.cfg1\n") && told.contains("open client.cfg2\n"), "{told}");
}

#[test]
#[ignore = "needs root and make; run by cargo xtask test"]
fn the_makefile_defines_the_packages_and_builds_what_is_selected() {
    let machine = Machine::start();
    let folder = "/feeds/packages/lang/rust";
    machine.write("/sdk/rules.mk", "INCLUDE_DIR:=/sdk/include\n");
    machine.write("/sdk/include/package.mk", include_str!("openwrt/package.mk"));
    machine
        .write(&format!("/sdk{folder}/rust-package.mk"), include_str!("openwrt/rust-package.mk"));
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/../../apps/packaging/openwrt/kcptun");
    let make = |selected: &str| {
        machine.shell(&format!("make -s -C '{files}' TOPDIR=/sdk {selected}")).replace("  ", "")
    };
    let told = make("");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        told,
        format!(
            "kcptun-config {version}: @rust\n\
             kcptun-client {version}: @rust +kcptun-config\n/dest/usr/bin/kcptun-client\n\
             kcptun-server {version}: @rust +kcptun-config\n/dest/usr/bin/kcptun-server\n\
             kcptun-router {version}: @rust +kcptun-config\n/dest/usr/bin/kcptun-router\n\
             /dest/usr/bin/kcptun-client\n/dest/usr/bin/kcptun-server\n"
        )
    );
    let built = |selected| make(selected).strip_prefix(&told).map(str::to_owned);
    let [plain, small] =
        ["cargo apps/kcptun: release\n", "cargo apps/kcptun-router: router\n"].map(str::to_owned);
    assert_eq!(built("CONFIG_PACKAGE_kcptun-server=y"), Some(plain.clone()));
    assert_eq!(built("CONFIG_PACKAGE_kcptun-router=y"), Some(small.clone()));
    let both = "CONFIG_PACKAGE_kcptun-client=m CONFIG_PACKAGE_kcptun-router=m";
    assert_eq!(built(both), Some(plain + &small));
}
