//! Addresses from text.

use std::str::FromStr;

use kcptun_net::{AddressError, BindAddress, ListenAddress, RemoteAddress, TargetAddress};

/// Reads text as each kind of address.
///
/// # Panics
/// When an address does not give its text back, ports are out of range, an error is no single
/// line, or two types with one grammar disagree.
pub fn address_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let listen = read::<ListenAddress>(&text);
    let target = read::<TargetAddress>(&text);
    assert_eq!(listen.is_ok(), target.is_ok(), "one grammar");
    let (remote, bind) = (read::<RemoteAddress>(&text), read::<BindAddress>(&text));
    // Port 0 can be listened on, not sent to.
    match (&remote, &bind) {
        (Err(AddressError::PortRange { min: 0, max: 0 }), Ok(bind)) => {
            assert!(bind.ports().is_system_chosen());
        }
        // Who takes port 0 looks at the host next.
        (Err(AddressError::PortRange { min: 0, max: 0 }), Err(AddressError::Brackets(_))) => {}
        _ => assert_eq!(remote.as_ref().err(), bind.as_ref().err(), "one grammar"),
    }
    if let (Ok(remote), Ok(bind)) = (remote, bind) {
        assert_eq!((remote.host(), remote.ports()), (bind.host(), bind.ports()));
        let ports = remote.ports();
        assert!(0 < ports.first() && ports.first() <= ports.last());
        for random in [0, 1, u32::MAX] {
            assert!((ports.first()..=ports.last()).contains(&ports.pick(random)));
        }
    }
}

fn read<A>(text: &str) -> Result<A, AddressError>
where
    A: FromStr<Err = AddressError> + ToString,
{
    let read = text.parse::<A>();
    match &read {
        Ok(address) => assert_eq!(address.to_string(), text),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    read
}
