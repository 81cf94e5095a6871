//! Addresses as the flags write them: `host:port`, `:port`, `[v6]:port`, or a path.

use std::fmt;
use std::path::PathBuf;

/// A host and a port, checked for form only: a name is looked up when it is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// Splits `text` as Go's `net.SplitHostPort` does; an empty port means 0.
    ///
    /// # Errors
    ///
    /// When there is no port, when brackets or colons do not add up, or when the port is not a
    /// number from 0 to 65535. Go's service names (`:http`) and kcptun's port ranges
    /// (`host:3000-4000`) are among the latter.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (host, port) = split(text)?;
        let port = match port {
            "" => 0,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| AddressError::BadPort)?
            }
            range if is_range(range) => return Err(AddressError::PortRange),
            _ => return Err(AddressError::BadPort),
        };
        Ok(Self { host: host.to_owned(), port })
    }

    /// The host name or address without brackets. Empty: all addresses for a listener, this
    /// machine for a destination.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 lets the system choose one for a listener.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// With an empty host it reads `[::]:port`, as Go shows a listener on all addresses.
impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.as_str() {
            "" => write!(f, "[::]:{}", self.port),
            host if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

/// Where a stream of bytes can be handed on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StreamAddress {
    /// Over TCP.
    Tcp(HostPort),
    /// Over the unix socket at this path.
    Unix(PathBuf),
}

impl fmt::Display for StreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Why a text is not `host:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no colon before a port.
    MissingPort,
    /// More than one colon outside brackets.
    TooManyColons,
    /// Brackets that are not one pair around the host.
    Brackets,
    /// The port is not a number from 0 to 65535.
    BadPort,
    /// A range of ports.
    PortRange,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingPort => "no port in it; write host:port, or :port for all addresses",
            Self::TooManyColons => "too many colons; write an IPv6 address as [address]:port",
            Self::Brackets => "brackets do not match; write an IPv6 address as [address]:port",
            Self::BadPort => "the port must be a number from 0 to 65535",
            Self::PortRange => "a range of ports cannot be used; write one port",
        })
    }
}

impl std::error::Error for AddressError {}

/// Host and port as they stand (Go 1.19, `net/ipsock.go`, `SplitHostPort`).
fn split(text: &str) -> Result<(&str, &str), AddressError> {
    let (before, port) = text.rsplit_once(':').ok_or(AddressError::MissingPort)?;
    let host = if let Some(inside) = text.strip_prefix('[') {
        let end = inside.find(']').ok_or(AddressError::Brackets)?;
        match inside[end + 1..].strip_prefix(':') {
            None if inside[end + 1..].is_empty() => return Err(AddressError::MissingPort),
            Some(rest) if rest == port => &inside[..end],
            Some(_) => return Err(AddressError::TooManyColons),
            None => return Err(AddressError::Brackets),
        }
    } else if before.contains(':') {
        return Err(AddressError::TooManyColons);
    } else {
        before
    };
    if host.contains(['[', ']']) || port.contains(['[', ']']) {
        return Err(AddressError::Brackets);
    }
    Ok((host, port))
}

fn is_range(port: &str) -> bool {
    port.split_once('-').is_some_and(|(low, high)| {
        [low, high]
            .iter()
            .all(|end| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_split_as_go_splits_them() {
        for (text, host, port, shown) in [
            (":12948", "", 12948, "[::]:12948"),
            ("vps:29900", "vps", 29900, "vps:29900"),
            ("127.0.0.1:0", "127.0.0.1", 0, "127.0.0.1:0"),
            ("[::1]:9", "::1", 9, "[::1]:9"),
            ("[fe80::1%eth0]:9", "fe80::1%eth0", 9, "[fe80::1%eth0]:9"),
            ("[name]:9", "name", 9, "name:9"),
            ("localhost:", "localhost", 0, "localhost:0"),
        ] {
            let address = HostPort::parse(text).unwrap();
            assert_eq!((address.host(), address.port()), (host, port), "{text}");
            assert_eq!(address.to_string(), shown);
        }
        for (text, error) in [
            ("", AddressError::MissingPort),
            ("12948", AddressError::MissingPort),
            ("[::1]", AddressError::MissingPort),
            ("h:1:2", AddressError::TooManyColons),
            ("::1", AddressError::TooManyColons),
            ("[::1]:1:2", AddressError::TooManyColons),
            ("[::1:9", AddressError::Brackets),
            ("[::1]x:9", AddressError::Brackets),
            ("a[b]:9", AddressError::Brackets),
            ("::1]:9", AddressError::TooManyColons),
            (":70000", AddressError::BadPort),
            (":+1", AddressError::BadPort),
            (":http", AddressError::BadPort),
            (":-1", AddressError::BadPort),
            ("host:3000-4000", AddressError::PortRange),
        ] {
            assert_eq!(HostPort::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(text in r"[\[\]:a-f0-9.%-]{0,20}|.{0,12}:[0-9]{1,5}") {
            if let Ok(address) = HostPort::parse(&text) {
                let again = HostPort::parse(&address.to_string());
                prop_assert_eq!(again.map(|again| again.port), Ok(address.port));
            }
        }
    }
}
