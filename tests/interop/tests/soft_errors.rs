//! What the system suspects of a connection and what breaks it are two things.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use kcptun_interop::Namespace;

/// Three questions, one a second, and then nobody is there for the kernel.
const UNTIL_SUSPECTED: Duration = Duration::from_secs(4);

/// A neighbour that does not answer for a while, as a host that sleeps: the connection outlives it,
/// and a look at it must not say otherwise.
#[test]
#[ignore = "needs root; run by cargo xtask test"]
fn a_neighbour_that_does_not_answer_breaks_no_connection() {
    let (near, far) = (Namespace::create("asking"), Namespace::create("asleep"));
    near.join("10.77.4.1/24", &far, "10.77.4.2/24", "veth", 1500);
    let listener = far.run(|| TcpListener::bind("10.77.4.2:0")).expect("an address of its own");
    let address = listener.local_addr().expect("bound");
    let mut ours = near.run(|| TcpStream::connect(address)).expect("they are joined");
    let (mut theirs, _) = listener.accept().expect("a connection");

    far.ip("link set dev veth arp off");
    near.ip("neigh flush dev veth");
    ours.write_all(b"a question").expect("room");
    let mut suspected = None;
    for _ in 0..5 {
        std::thread::sleep(UNTIL_SUSPECTED);
        assert!(kcptun_net::tcp::is_sending(&ours).expect("it is not broken"));
        // That it was suspected: the system says so once, to who asks like this.
        suspected = ours.take_error().expect("a socket");
        if suspected.is_some() {
            break;
        }
    }
    assert_eq!(suspected.map(|it| it.kind()), Some(io::ErrorKind::HostUnreachable));

    far.ip("link set dev veth arp on");
    let mut question = [0; 10];
    theirs.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    theirs.read_exact(&mut question).expect("it is sent again");
    assert_eq!(&question, b"a question");
}
