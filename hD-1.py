import re
def sub(path, *pairs):
    s = open(path).read()
    for a, b in pairs:
        assert s.count(a) == 1, (path, s.count(a), a)
        s = s.replace(a, b)
    open(path, 'w').write(s)

sub('adapters/net/src/address/ports.rs',
("""/// One or more consecutive ports, 1 to 65,535.
#""", """/// One or more consecutive ports, 1 to 65,535; or port 0 alone, in a [`BindAddress`]: the system
/// chooses one.
#"""),
("""        match (u16::try_from(min), u16::try_from(max)) {
            (Ok(first), Ok(last)) if first != 0 && first <= last => Ok(Self { first, last }),
            _ => Err(out_of_range),
        }
    }
""", """        match (u16::try_from(min), u16::try_from(max)) {
            (Ok(first), Ok(last)) if first != 0 && first <= last => Ok(Self { first, last }),
            _ => Err(out_of_range),
        }
    }

    /// Whether this is port 0.
    #[must_use]
    pub fn is_for_system_to_choose(self) -> bool {
        self.first == 0
    }
"""),
("""    fn from_str(text: &str) -> Result<Self, AddressError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for RemoteAddress {""", """    fn from_str(text: &str) -> Result<Self, AddressError> {
        MultiPort::parse(text, PortRange::checked).map(Self)
    }
}

impl fmt::Display for RemoteAddress {"""),
("""    fn from_str(text: &str) -> Result<Self, AddressError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for BindAddress {""", """    fn from_str(text: &str) -> Result<Self, AddressError> {
        MultiPort::parse(text, PortRange::checked_to_bind).map(Self)
    }
}

impl fmt::Display for BindAddress {"""),
("""/// Where a server waits for datagrams: `--listen`. Same grammar as [`RemoteAddress`]; no host
/// means every address of both families.
""", """/// Where a server waits for datagrams: `--listen`. Same grammar as [`RemoteAddress`]; no host
/// means every address of both families. Port 0, but not a range with it, lets the system choose
/// (kcptun 20210624; later versions refuse it).
"""),
)
s = open('adapters/net/src/address/ports.rs').read()
i = s.index("impl FromStr for MultiPort {"); j = s.index("/// One to five leading digits")
s = s[:i] + """impl MultiPort {
    /// Reads an address whose ports, the first and the last if there is one, pass `check`.
    fn parse(
        text: &str,
        check: fn(u32, Option<u32>) -> Result<PortRange, AddressError>,
    ) -> Result<Self, AddressError> {
        // The original's pattern, `(.*)\\:([0-9]{1,5})-?([0-9]{1,5})?`, never crosses a line end.
        let (colon, min, max) = text
            .split('\\n')
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

""" + s[j:]
a = """    fn checked(min: u32, max: u32) -> Result<Self, AddressError> {
        let out_of_range"""
assert s.count(a) == 1
s = s.replace(a, """    /// The ports of a peer.
    fn checked(min: u32, max: Option<u32>) -> Result<Self, AddressError> {
        let max = max.unwrap_or(min);
        let out_of_range""")
s = s.replace("Self::checked(first.into(), last.into())", "Self::checked(first.into(), Some(last.into()))")
a = """
    /// Whether this is port 0."""
s = s.replace(a, """
    /// The ports of this machine, among which 0 stands for any.
    fn checked_to_bind(min: u32, max: Option<u32>) -> Result<Self, AddressError> {
        match (min, max) {
            (0, None) => Ok(Self { first: 0, last: 0 }),
            _ => Self::checked(min, max),
        }
    }
""" + a)
# tests
a = """    #[test]
    fn no_host_is_any_address_to_bind"""
assert s.count(a) == 1
s = s.replace(a, """    #[test]
    fn port_0_is_one_to_listen_on_and_never_to_send_to() {
        for text in [":0", "127.0.0.1:0", "[::1]:0", "host:0-", "host:00000"] {
            let ports = text.parse::<BindAddress>().unwrap().ports();
            assert!(ports.is_for_system_to_choose(), "{text}");
            assert_eq!((ports.count(), ports.iter().next(), ports.pick(7)), (1, Some(0), 0));
            assert!(text.parse::<RemoteAddress>().is_err(), "{text}");
        }
        for text in ["host:0-0", "host:0-5", "host:5-0", "host:000000"] {
            assert!(text.parse::<BindAddress>().is_err(), "{text}");
        }
        assert!(!":1".parse::<BindAddress>().unwrap().ports().is_for_system_to_choose());
    }

""" + a)
open('adapters/net/src/address/ports.rs','w').write(s)

sub('tests/fuzzing/src/address.rs',
("""    assert_eq!(remote.as_ref().err(), bind.as_ref().err(), "one grammar");
""", """    // Port 0 can be listened on, not sent to.
    if !bind.as_ref().is_ok_and(|bind| bind.ports().is_for_system_to_choose()) {
        assert_eq!(remote.as_ref().err(), bind.as_ref().err(), "one grammar");
    }
"""))
