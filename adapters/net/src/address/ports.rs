//! `host:port` and `host:min-max`, the addresses of the UDP side.

use core::fmt;
use core::str::FromStr;
use std::io;
use std::net::SocketAddr;

use super::{AddressError, LOCAL_V4, LOCAL_V6, resolve_to_bind, resolve_to_reach, split_host_port};

/// One or more consecutive ports, 1 to 65,535; or port 0 alone, in a [`BindAddress`]: the system
/// chooses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The ports `first..=last`.
    ///
    /// # Errors
    /// [`AddressError::PortRange`] when `first` is 0 or above `last`.
    pub fn new(first: u16, last: u16) -> Result<Self, AddressError> {
        Self::checked(first.into(), Some(last.into()))
    }

    /// Lowest port.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// Highest port.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many ports, at least 1.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// Every port, lowest first: a server listens on each of them.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }

    /// The port for one random number: a client draws one for every new connection.
    #[must_use]
    pub fn pick(self, random: u32) -> u16 {
        let offset = random % self.count();
        // The remainder is below the count, so the sum is at most `last`.
        self.first + u16::try_from(offset).unwrap_or(0)
    }

    /// Whether this is port 0, for which the system chooses one.
    #[must_use]
    pub fn is_system_chosen(self) -> bool {
        self.first == 0
    }

    /// The ports of a peer.
    fn checked(min: u32, max: Option<u32>) -> Result<Self, AddressError> {
        let max = max.unwrap_or(min);
        let out_of_range = AddressError::PortRange { min, max };
        match (u16::try_from(min), u16::try_from(max)) {
            (Ok(first), Ok(last)) if first != 0 && first <= last => Ok(Self { first, last }),
            _ => Err(out_of_range),
        }
    }

    /// The ports of this machine, among which 0 stands for any.
    fn checked_to_bind(min: u32, max: Option<u32>) -> Result<Self, AddressError> {
        match (min, max) {
            (0, None) => Ok(Self { first: 0, last: 0 }),
            _ => Self::checked(min, max),
        }
    }
}

/// Where a client's datagrams go: `--remoteaddr`.
///
/// Grammar of kcptun 20230103 (`ParseMultiPort`): host text, a colon, one to five digits, then
/// optionally a hyphen and optionally up to five more digits. The last colon followed by a digit
/// counts, as many digits as possible are taken, and what follows is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddress(MultiPort);

impl RemoteAddress {
    /// Host name or IP literal, without brackets; empty means this machine.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// Ports to choose from.
    #[must_use]
    pub fn ports(&self) -> PortRange {
        self.0.ports
    }

    /// The host's addresses with `port` (from [`PortRange::pick`]), IPv4 first. The original uses
    /// the first. Blocks.
    ///
    /// # Errors
    /// As [`super::resolve_host`].
    pub fn resolve(&self, port: u16) -> io::Result<Vec<SocketAddr>> {
        // Without a host Go sends to the IPv6 unspecified address, which Linux takes as ::1.
        resolve_to_reach(&self.0.host, port, [LOCAL_V6, LOCAL_V4])
    }
}

impl FromStr for RemoteAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        MultiPort::parse(text, PortRange::checked).map(Self)
    }
}

impl fmt::Display for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

/// Where a server waits for datagrams: `--listen`. Same grammar as [`RemoteAddress`]; no host
/// means every address of both families. Port 0, but not a range with it, lets the system choose
/// (kcptun 20210624; later versions refuse it).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BindAddress(MultiPort);

impl BindAddress {
    /// Host name or IP literal, without brackets; empty means every address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// Ports to listen on, each with a socket of its own.
    #[must_use]
    pub fn ports(&self) -> PortRange {
        self.0.ports
    }

    /// Addresses to bind for `port`: `[::]` for any, else the host's, IPv4 first. The original
    /// binds the first. Blocks.
    ///
    /// # Errors
    /// As [`super::resolve_host`].
    pub fn resolve(&self, port: u16) -> io::Result<Vec<SocketAddr>> {
        resolve_to_bind(&self.0.host, port)
    }
}

impl FromStr for BindAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        MultiPort::parse(text, PortRange::checked_to_bind).map(Self)
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct MultiPort {
    text: Box<str>,
    host: Box<str>,
    ports: PortRange,
}

impl MultiPort {
    /// Reads an address whose ports, the first and the last if there is one, pass `check`.
    fn parse(
        text: &str,
        check: fn(u32, Option<u32>) -> Result<PortRange, AddressError>,
    ) -> Result<Self, AddressError> {
        // The original's pattern, `(.*)\:([0-9]{1,5})-?([0-9]{1,5})?`, never crosses a line end.
        let (colon, min, max) = text
            .split('\n')
            .find_map(find_ports)
            .ok_or_else(|| AddressError::Malformed(text.into()))?;
        let ports = check(min, max)?;
        let (host, _) =
            split_host_port(colon).ok_or_else(|| AddressError::Brackets(text.into()))?;
        Ok(Self { text: text.into(), host: host.into(), ports })
    }
}

/// The text up to and with the last colon before a digit, and the port numbers behind it.
fn find_ports(line: &str) -> Option<(&str, u32, Option<u32>)> {
    let bytes = line.as_bytes();
    let colon = bytes.windows(2).rposition(|w| w[0] == b':' && w[1].is_ascii_digit())?;
    let (min, rest) = leading_number(&bytes[colon + 1..])?;
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    Some((&line[..=colon], min, leading_number(rest).map(|(max, _)| max)))
}

/// One to five leading digits as a number, and what follows them.
fn leading_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let digits = bytes.iter().take(5).take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at(digits);
    let value = number.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    (digits > 0).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> (String, u16, u16) {
        let address: RemoteAddress = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(address.to_string(), text);
        assert_eq!(text.parse::<BindAddress>().unwrap().ports(), address.ports());
        (address.host().into(), address.ports().first(), address.ports().last())
    }

    fn refused(text: &str) -> String {
        text.parse::<RemoteAddress>().unwrap_err().to_string()
    }

    #[test]
    fn accepted_forms() {
        for (text, host, first, last) in [
            ("host:3000", "host", 3000, 3000),
            ("host:3000-4000", "host", 3000, 4000),
            (":3000-4000", "", 3000, 4000),
            ("[::1]:3000-4000", "::1", 3000, 4000),
            ("host:3000-", "host", 3000, 3000),
            ("host:3000-x", "host", 3000, 3000),
            ("host:3000x", "host", 3000, 3000),
            ("host:3000:x", "host", 3000, 3000),
            ("host:1000020000", "host", 10000, 20000),
            ("host:100002000030000", "host", 10000, 20000),
            ("host:00080", "host", 80, 80),
            ("host:1-65535", "host", 1, 65535),
            ("1.2.3.4:80", "1.2.3.4", 80, 80),
            ("no:port\nhost:80", "host", 80, 80),
        ] {
            assert_eq!(parsed(text), (host.into(), first, last), "{text}");
        }
    }

    #[test]
    fn refused_forms_keep_the_sentences_of_the_original() {
        for (text, sentence) in [
            ("host", "malformed address:host"),
            ("", "malformed address:"),
            ("host:", "malformed address:host:"),
            ("host:http", "malformed address:host:http"),
            ("host:-3000", "malformed address:host:-3000"),
            ("host:0", "invalid port range specified: minport:0 -> maxport 0"),
            ("host:65536", "invalid port range specified: minport:65536 -> maxport 65536"),
            ("host:5-0", "invalid port range specified: minport:5 -> maxport 0"),
            ("host:4000-3000", "invalid port range specified: minport:4000 -> maxport 3000"),
            ("host:300004", "invalid port range specified: minport:30000 -> maxport 4"),
        ] {
            assert_eq!(refused(text), sentence, "{text}");
        }
        for text in ["::1:3000", "a:b:3000", "[::1:3000", "[::1]x:3000", "http://host:80"] {
            assert!(refused(text).contains("brackets"), "{text}");
        }
    }

    #[test]
    fn port_0_is_one_to_listen_on_and_never_to_send_to() {
        for text in [":0", "127.0.0.1:0", "[::1]:0", "host:0-", "host:00000"] {
            let ports = text.parse::<BindAddress>().unwrap().ports();
            assert!(ports.is_system_chosen(), "{text}");
            assert_eq!((ports.count(), ports.iter().next(), ports.pick(7)), (1, Some(0), 0));
            assert!(text.parse::<RemoteAddress>().is_err(), "{text}");
        }
        for text in ["host:0-0", "host:0-5", "host:5-0", "host:000000"] {
            assert!(text.parse::<BindAddress>().is_err(), "{text}");
        }
        assert!(!":1".parse::<BindAddress>().unwrap().ports().is_system_chosen());
    }

    #[test]
    fn no_host_is_any_address_to_bind_and_this_machine_to_reach() {
        for any in [":80", "0.0.0.0:80", "[::]:80"] {
            let bind: BindAddress = any.parse().unwrap();
            assert_eq!(bind.resolve(80).unwrap(), ["[::]:80".parse().unwrap()], "{any}");
        }
        for (text, first) in
            [(":80", "[::1]:80"), ("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80")]
        {
            let remote: RemoteAddress = text.parse().unwrap();
            assert_eq!(remote.resolve(80).unwrap()[0], first.parse().unwrap(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_gives_its_text_back(text in "\\PC*|[a-z\\[\\]:0-9\n-]{0,24}") {
            match text.parse::<RemoteAddress>() {
                Ok(address) => {
                    prop_assert_eq!(address.to_string(), text);
                    prop_assert!(1 <= address.ports().first());
                    prop_assert!(address.ports().first() <= address.ports().last());
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }

        #[test]
        fn written_ranges_are_read(host in "[a-z0-9.]{0,12}", a in 1..=u16::MAX, b in 1..=u16::MAX) {
            let (first, last) = (a.min(b), a.max(b));
            let address: RemoteAddress = format!("{host}:{first}-{last}").parse().unwrap();
            prop_assert_eq!(address.host(), host);
            prop_assert_eq!(address.ports(), PortRange::new(first, last).unwrap());
        }

        #[test]
        fn picks_reach_every_port_and_no_other(first in 1..=u16::MAX, span in 0u16..300, random: u32) {
            let range = PortRange::new(first, first.saturating_add(span)).unwrap();
            prop_assert!(range.iter().any(|port| port == range.pick(random)));
            let drawn: Vec<u16> = (0..range.count()).map(|n| range.pick(n)).collect();
            prop_assert_eq!(drawn, range.iter().collect::<Vec<_>>());
        }
    }
}
