//! Addresses as kcptun writes them, and what they resolve to.
//!
//! | flag | type | forms |
//! |------|------|-------|
//! | client `--remoteaddr` | [`RemoteAddress`] | `host:3000`, `host:3000-4000`, `[::1]:3000` |
//! | server `--listen` | [`BindAddress`] | the same, and `:3000` for every address of this machine |
//! | client `--localaddr` | [`ListenAddress`] | `:12948`, `host:port`, or the path of a unix socket |
//! | server `--target` | [`TargetAddress`] | `host:port`, or the path of a unix socket |
//!
//! Parsing (`text.parse()`) is pure: no name is looked up, no file touched. `Display` gives the
//! text back as it was written. The `resolve` methods ask the system's resolver and may block
//! for seconds, so drivers call them off the thread that moves packets.

mod ports;
mod stream;

use core::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

pub use ports::{BindAddress, PortRange, RemoteAddress};
pub use stream::{HostPort, ListenAddress, TargetAddress};

/// Why a text is not an address. `Display` is one line that can follow the flag's name.
///
/// Owns the text, since the original's sentences repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// Nothing of the form `:digits` in it (sentence of kcptun 20230103, `ParseMultiPort`).
    Malformed(String),
    /// A port is 0 or above 65,535, or the range runs backwards (sentence of kcptun 20230103).
    PortRange {
        /// First port, as read.
        min: u32,
        /// Last port, as read.
        max: u32,
    },
    /// Colons or brackets in the host part that no resolver understands. Older builds found
    /// this out when they dialed, and tried again forever.
    Brackets(String),
    /// The port is neither a number up to 65,535 nor a known service name.
    Port(String),
    /// No text at all.
    Empty,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => write!(f, "malformed address:{text}"),
            Self::PortRange { min, max } => {
                write!(f, "invalid port range specified: minport:{min} -> maxport {max}")
            }
            Self::Brackets(text) => {
                write!(f, "address {text}: write IPv6 addresses in brackets, as in [::1]:3000")
            }
            Self::Port(text) => write!(f, "address {text}: the port must be 0 to 65535"),
            Self::Empty => f.write_str("empty address: expected host:port or a path"),
        }
    }
}

impl core::error::Error for AddressError {}

/// Looks `host` up and gives every address with `port`, IPv4 first, as Go's resolver prefers
/// when a host has both (net, `forResolve`). Blocks unless `host` is a literal.
///
/// # Errors
/// What the resolver says, with the host's name in front; `NotFound` for a name without addresses.
pub fn resolve_host(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip.to_canonical(), port)]);
    }
    let named = |error: &dyn fmt::Display| format!("cannot resolve {host}: {error}");
    let found = (host, port).to_socket_addrs().map_err(|e| io::Error::new(e.kind(), named(&e)))?;
    let mut all: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    if all.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, named(&"no address")));
    }
    all.sort_by_key(SocketAddr::is_ipv6);
    Ok(all)
}

/// Addresses to listen on. No host, `0.0.0.0` and `[::]` all mean every address of both
/// families, as they do for the original (Go `net`, `favoriteAddrFamily`; seen with Debian's
/// server, whose `-l 0.0.0.0:29900` is an IPv6 socket).
fn resolve_to_bind(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let any = || vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))];
    if host.is_empty() {
        return Ok(any());
    }
    let all = resolve_host(host, port)?;
    Ok(if all.iter().any(|a| a.ip().is_unspecified()) { any() } else { all })
}

/// Addresses to send to. The unspecified address means this machine, as the kernel reads it.
fn resolve_to_reach(host: &str, port: u16, no_host: [IpAddr; 2]) -> io::Result<Vec<SocketAddr>> {
    if host.is_empty() {
        return Ok(no_host.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    let mut all = resolve_host(host, port)?;
    for address in &mut all {
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(LOCAL_V4),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(LOCAL_V6),
            _ => {}
        }
    }
    Ok(all)
}

/// Splits at the last colon by the rules of Go's `net.SplitHostPort`; `None` where Go reports an
/// error (no port, too many colons, brackets out of place). Brackets are taken off the host.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (front, port) = text.rsplit_once(':')?;
    let host = match front.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if front.contains(':') => return None,
        None => front,
    };
    let stray = |part: &str| part.contains(['[', ']']);
    (!stray(host) && !stray(port)).then_some((host, port))
}

const LOCAL_V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOCAL_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_follows_go() {
        for (text, parts) in [
            ("host:80", Some(("host", "80"))),
            (":80", Some(("", "80"))),
            ("host:", Some(("host", ""))),
            ("[::1]:80", Some(("::1", "80"))),
            ("[fe80::1%lo]:80", Some(("fe80::1%lo", "80"))),
            ("[]:80", Some(("", "80"))),
            ("12948", None),
            ("", None),
            ("/run/kcptun.sock", None),
            ("::1:80", None),
            ("[::1]", None),
            ("[::1]80", None),
            ("[::1]:80:90", None),
            ("[a]b:80", None),
            ("a[b]:80", None),
            ("[a[b]:80", None),
            ("host:8]0", None),
        ] {
            assert_eq!(split_host_port(text), parts, "{text}");
        }
    }

    #[test]
    fn literals_need_no_resolver() {
        let resolved = resolve_host("10.0.0.1", 5).unwrap();
        assert_eq!(resolved, ["10.0.0.1:5".parse().unwrap()]);
        let mapped = resolve_host("::ffff:10.0.0.1", 5).unwrap();
        assert_eq!(mapped, ["10.0.0.1:5".parse().unwrap()]);
    }

    #[test]
    fn an_unknown_name_is_named_in_the_error() {
        let error = resolve_host("no host has spaces", 1).unwrap_err();
        assert!(error.to_string().contains("no host has spaces"), "{error}");
    }
}
