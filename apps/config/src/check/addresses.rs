//! Where to listen, where to connect.

use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use kcptun_net::{AddressError, BindAddress, ListenAddress, TargetAddress};

use crate::number::parse_boolean;
use crate::values::Values;

/// Where `--pprof` answers when no address is given: the port is the original's. It binds all
/// addresses; here nobody outside this machine is let in unasked.
const PPROF: &str = "127.0.0.1:6060";
const ONE_PORT: &str = "one port, not a range";

/// An address in any of the forms that kcptun writes.
pub(super) fn address<A>(values: &mut Values, name: &str) -> Option<A>
where
    A: FromStr<Err = AddressError>,
{
    match values.text(name).parse() {
        Ok(address) => Some(address),
        Err(error) => {
            let allowed = values.allowed(name);
            values.problem(name, &format_args!("{}; allowed: {allowed}", fault(&error)));
            None
        }
    }
}

/// `--listen` of a server with so many shards. Those share the port, so they have to know it.
pub(super) fn bind(values: &mut Values, shards: u16) -> Option<BindAddress> {
    let bind: BindAddress = address(values, "listen")?;
    if shards > 1 && bind.ports().is_system_chosen() {
        let name = values.called("shards");
        let why = format!("with {name} {shards} the port has to be named, as all shards share it");
        values.problem("listen", &why);
        return None;
    }
    Some(bind)
}

/// `--localaddr`.
pub(super) fn listen(values: &mut Values) -> Option<ListenAddress> {
    let listen = address(values, "localaddr");
    if let Some(ListenAddress::Unix(path)) = &listen {
        warn_of_path(values, "localaddr", path);
    }
    listen
}

/// `--target`.
pub(super) fn target(values: &mut Values) -> Option<TargetAddress> {
    let target = address(values, "target");
    if let Some(TargetAddress::Unix(path)) = &target {
        warn_of_path(values, "target", path);
    }
    target
}

/// `--pprof`: a switch, or an address.
pub(super) fn pprof(values: &mut Values) -> Option<BindAddress> {
    match parse_boolean(&values.lossy("pprof")) {
        Some(false) => None,
        Some(true) => PPROF.parse().ok(),
        None => {
            let address = http(values, "pprof")?;
            if !is_local(address.host()) {
                let effect = "whoever reaches this address can read what the program does, and \
                              keep it busy";
                values.warn("pprof", &effect);
            }
            Some(address)
        }
    }
}

/// `--status`.
pub(super) fn status(values: &mut Values) -> Option<BindAddress> {
    if values.raw("status").is_empty() { None } else { http(values, "status") }
}

/// An address for an HTTP server, which has one port.
fn http(values: &mut Values, name: &str) -> Option<BindAddress> {
    let address: BindAddress = address(values, name)?;
    if address.ports().count() > 1 {
        let allowed = values.allowed(name);
        values.problem(name, &format_args!("{ONE_PORT}; allowed: {allowed}"));
        return None;
    }
    Some(address)
}

/// Whether only this machine gets there.
fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What does not split into host and port is the path of a unix socket.
fn warn_of_path(values: &mut Values, name: &str, path: &Path) {
    if !path.to_string_lossy().contains(['/', '@']) {
        values.warn(name, &"not host:port, so it is the path of a unix socket");
    }
}

/// What is wrong with an address, without the text of it, which stands in front already.
fn fault(error: &AddressError) -> String {
    match error {
        AddressError::Malformed(_) => "no port in it".to_owned(),
        AddressError::PortRange { min, max } if min > max => {
            "the range of ports runs backwards".to_owned()
        }
        AddressError::PortRange { .. } => "ports are 1 to 65535".to_owned(),
        AddressError::Brackets(_) => "an IPv6 address needs brackets, as in [::1]:3000".to_owned(),
        AddressError::Port(text) if has_range(text) => ONE_PORT.to_owned(),
        AddressError::Port(_) => "ports are 0 to 65535".to_owned(),
        AddressError::Empty => "empty".to_owned(),
        other => other.to_string(),
    }
}

/// Whether an address ends in two numbers, as one with a range of ports.
fn has_range(text: &str) -> bool {
    let port = text.rsplit_once(':').map_or("", |(_, port)| port);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    port.split_once('-').is_some_and(|(first, last)| is_number(first) && is_number(last))
}
