//! `host:port` or a unix path, the addresses of the TCP side.

use core::fmt;
use core::str::FromStr;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::{AddressError, LOCAL_V4, LOCAL_V6, resolve_to_bind, resolve_to_reach, split_host_port};

/// A host and one port. Read by the rules of Go's `net` package: no port means 0, and the few
/// service names that Go knows by itself (`host:http`) are understood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    text: Box<str>,
    host: Box<str>,
    port: u16,
}

impl HostPort {
    /// Host name or IP literal, without brackets; may be empty.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port; 0 lets the system choose when listening.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Addresses to listen on: `[::]` (both families) for any, else the host's, IPv4 first. Blocks.
    ///
    /// # Errors
    /// As [`super::resolve_host`].
    pub fn resolve_to_bind(&self) -> io::Result<Vec<SocketAddr>> {
        resolve_to_bind(&self.host, self.port)
    }

    /// Addresses to connect to where nobody has to be asked for them: the host is an IP literal, or
    /// none, which means this machine. `None` for a name.
    #[must_use]
    pub fn literal_to_dial(&self) -> Option<Vec<SocketAddr>> {
        let is_literal = self.host.is_empty() || self.host.parse::<IpAddr>().is_ok();
        // Literals cannot fail.
        if is_literal { self.resolve_to_dial().ok() } else { None }
    }

    /// Addresses to connect to, IPv4 first; no host means this machine. Blocks unless the host is a
    /// [literal](Self::literal_to_dial).
    ///
    /// # Errors
    /// As [`super::resolve_host`].
    pub fn resolve_to_dial(&self) -> io::Result<Vec<SocketAddr>> {
        resolve_to_reach(&self.host, self.port, [LOCAL_V4, LOCAL_V6])
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) =
            split_host_port(text).ok_or_else(|| AddressError::Malformed(text.into()))?;
        let port = port_number(port).ok_or_else(|| AddressError::Port(text.into()))?;
        Ok(Self { text: text.into(), host: host.into(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where a server connects each stream to: `--target`. A text that does not split into host and
/// port is a path, so `12948` alone is one, as with the original.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TargetAddress {
    /// A TCP service.
    Tcp(HostPort),
    /// A unix socket; a leading `@` means Linux's abstract names.
    Unix(PathBuf),
}

impl FromStr for TargetAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Ok(match tcp_or_path(text)? {
            Split::Tcp(address) => Self::Tcp(address),
            Split::Path(path) => Self::Unix(path),
        })
    }
}

impl fmt::Display for TargetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Where a client accepts connections: `--localaddr`. Told apart like [`TargetAddress`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A TCP port.
    Tcp(HostPort),
    /// A unix socket; a leading `@` means Linux's abstract names.
    Unix(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Ok(match tcp_or_path(text)? {
            Split::Tcp(address) => Self::Tcp(address),
            Split::Path(path) => Self::Unix(path),
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

enum Split {
    Tcp(HostPort),
    Path(PathBuf),
}

fn tcp_or_path(text: &str) -> Result<Split, AddressError> {
    match text.parse() {
        Ok(address) => Ok(Split::Tcp(address)),
        Err(AddressError::Malformed(_)) if text.is_empty() => Err(AddressError::Empty),
        Err(AddressError::Malformed(_)) => Ok(Split::Path(text.into())),
        Err(error) => Err(error),
    }
}

fn port_number(text: &str) -> Option<u16> {
    if text.is_empty() {
        return Some(0);
    }
    let named = || GO_SERVICES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    text.parse().ok().or_else(|| named().map(|(_, port)| *port))
}

/// Go's own table of TCP services (net, `services`).
const GO_SERVICES: [(&str, u16); 14] = [
    ("domain", 53),
    ("ftp", 21),
    ("ftps", 990),
    ("gopher", 70),
    ("http", 80),
    ("https", 443),
    ("imap2", 143),
    ("imap3", 220),
    ("imaps", 993),
    ("pop3", 110),
    ("pop3s", 995),
    ("smtp", 25),
    ("ssh", 22),
    ("telnet", 23),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn host_and_port_or_path() {
        for (text, host, port) in [
            ("127.0.0.1:12948", "127.0.0.1", 12948),
            (":12948", "", 12948),
            ("[::1]:80", "::1", 80),
            ("localhost:http", "localhost", 80),
            ("localhost:", "localhost", 0),
        ] {
            let TargetAddress::Tcp(address) = text.parse().unwrap() else { panic!("{text}") };
            assert_eq!((address.host(), address.port()), (host, port), "{text}");
        }
        for path in ["12948", "/run/app.sock", "@name", "::1:80", "./a"] {
            assert_eq!(path.parse(), Ok(ListenAddress::Unix(path.into())));
        }
    }

    #[test]
    fn bad_ports_are_errors_not_paths() {
        for text in ["host:65536", "host:-1", "host:nonsense", "host:80-90"] {
            let expected = AddressError::Port(text.into());
            assert_eq!(text.parse::<TargetAddress>(), Err(expected));
        }
        assert_eq!("".parse::<ListenAddress>(), Err(AddressError::Empty));
    }

    #[test]
    fn no_host_is_any_address_or_this_machine() {
        let address: HostPort = ":80".parse().unwrap();
        assert_eq!(address.resolve_to_bind().unwrap(), ["[::]:80".parse().unwrap()]);
        let local = ["127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap()];
        assert_eq!(address.resolve_to_dial().unwrap(), local);
    }

    #[test]
    fn only_names_have_to_be_asked_for() {
        for (text, expected) in [
            ("192.0.2.1:80", Some(&["192.0.2.1:80"][..])),
            ("[2001:db8::1]:80", Some(&["[2001:db8::1]:80"])),
            ("[::ffff:192.0.2.1]:80", Some(&["192.0.2.1:80"])),
            ("0.0.0.0:80", Some(&["127.0.0.1:80"])),
            (":80", Some(&["127.0.0.1:80", "[::1]:80"])),
            ("localhost:80", None),
            ("192.0.2:80", None),
            ("[fe80::1%lo]:80", None),
        ] {
            let address: HostPort = text.parse().unwrap();
            let expected = expected.map(|all| all.iter().map(|one| one.parse().unwrap()).collect());
            assert_eq!(address.literal_to_dial(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_gives_its_text_back(text in "\\PC*|[a-z\\[\\]:0-9/@-]{0,16}") {
            if let Ok(address) = text.parse::<TargetAddress>() {
                prop_assert_eq!(address.to_string(), text.as_str());
                prop_assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
            }
        }
    }
}
