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
        values.problem(name, &format_args!("one port, not a range; allowed: {allowed}"));
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
        AddressError::Port(_) => "ports are 0 to 65535".to_owned(),
        AddressError::Empty => "empty".to_owned(),
        other => other.to_string(),
    }
}
