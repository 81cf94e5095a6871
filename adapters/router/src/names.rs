//! Looking up one name beside the poll loop.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Addresses of a name that are kept; later ones are not tried.
pub(crate) const KEPT: usize = 8;
/// Enough for the C library's resolver.
const STACK: usize = 128 << 10;

/// Asks the system's resolver; may wait for as long as that likes.
pub(crate) type LookUp = Box<dyn Fn() -> io::Result<Vec<SocketAddr>> + Send>;

/// A few addresses, in place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    list: [SocketAddr; KEPT],
    len: usize,
}

impl Addresses {
    fn none() -> Self {
        Self { list: [SocketAddr::from(([0; 4], 0)); KEPT], len: 0 }
    }

    fn of(found: &[SocketAddr]) -> Self {
        let mut addresses = Self::none();
        addresses.len = found.len().min(KEPT);
        addresses.list[..addresses.len].copy_from_slice(&found[..addresses.len]);
        addresses
    }

    pub(crate) fn as_slice(&self) -> &[SocketAddr] {
        &self.list[..self.len]
    }
}

/// One name and its addresses. A literal is looked up once, at the start; for a name there is a
/// thread of its own, with a small stack, that asks when told to. The C library allocates there as
/// it always does.
pub(crate) struct Names {
    known: Addresses,
    asker: Option<Asker>,
}

struct Asker {
    shared: Arc<Shared>,
    done: UnixStream,
    is_running: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Default)]
struct State {
    is_asked: bool,
    answer: Option<io::Result<Addresses>>,
}

impl Names {
    /// Gets ready to look up `host`.
    ///
    /// # Errors
    /// When it is a literal that is none, or the thread cannot be started.
    pub(crate) fn new(host: &str, look_up: LookUp) -> io::Result<Self> {
        if host.is_empty() || host.parse::<IpAddr>().is_ok() {
            return Ok(Self { known: Addresses::of(&look_up()?), asker: None });
        }
        let (done, mut tell) = UnixStream::pair()?;
        done.set_nonblocking(true)?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("names".into()).stack_size(STACK).spawn(move || {
            loop {
                theirs.wait_until_asked();
                let answer = look_up().map(|found| Addresses::of(&found));
                lock(&theirs.state).answer = Some(answer);
                if tell.write_all(&[1]).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self {
            known: Addresses::none(),
            asker: Some(Asker { shared, done, is_running: false }),
        })
    }

    /// What tells that there is an answer; `None` for a literal.
    pub(crate) fn source(&self) -> Option<&UnixStream> {
        self.asker.as_ref().map(|asker| &asker.done)
    }

    /// Whether no question needs to be asked.
    pub(crate) fn is_literal(&self) -> bool {
        self.asker.is_none()
    }

    /// Whether the last question was answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.asker.as_ref().is_some_and(|asker| !asker.is_running)
    }

    /// Asks, unless the last question has not been answered yet.
    pub(crate) fn ask(&mut self) {
        if let Some(asker) = &mut self.asker
            && !asker.is_running
        {
            asker.is_running = true;
            lock(&asker.shared.state).is_asked = true;
            asker.shared.asked.notify_one();
        }
    }

    /// The answer, if there is one. Good ones are [known](Self::known) from then on. Costs nothing
    /// while nothing is asked.
    pub(crate) fn poll(&mut self) -> Option<io::Result<()>> {
        let asker = self.asker.as_mut().filter(|asker| asker.is_running)?;
        while asker.done.read(&mut [0; 8]).is_ok_and(|count| count > 0) {}
        let answer = lock(&asker.shared.state).answer.take()?;
        asker.is_running = false;
        Some(answer.map(|addresses| self.known = addresses))
    }

    /// The addresses found last.
    pub(crate) fn known(&self) -> Addresses {
        self.known
    }
}

/// Says that no address of `host` is known, or not yet: the answer may still be on its way.
pub(crate) fn unknown(host: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no address of {host} is known yet"))
}

impl Shared {
    fn wait_until_asked(&self) {
        let mut state = lock(&self.state);
        while !state.is_asked {
            state = self.asked.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_asked = false;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_literal_is_known_at_once_and_a_name_when_it_was_asked() {
        let here: SocketAddr = "127.0.0.1:5".parse().unwrap();
        let names = Names::new("127.0.0.1", Box::new(move || Ok(vec![here]))).unwrap();
        assert!(names.is_literal() && names.known().as_slice() == [here]);

        let answers = Mutex::new(vec![Ok(vec![here; 20]), Err(io::ErrorKind::NotFound.into())]);
        let look_up = move || answers.lock().unwrap().pop().expect("asked twice");
        let mut names = Names::new("host.example", Box::new(look_up)).unwrap();
        assert!(names.poll().is_none() && names.known().as_slice().is_empty());
        for is_good in [false, true] {
            names.ask();
            names.ask();
            let answer = loop {
                match names.poll() {
                    Some(answer) => break answer,
                    None => thread::sleep(Duration::from_millis(1)),
                }
            };
            assert_eq!(answer.is_ok(), is_good);
        }
        assert_eq!(names.known().as_slice(), [here; KEPT]);
    }

    #[test]
    fn while_nothing_is_asked_nobody_looks() {
        let look_up = Box::new(|| Err(io::ErrorKind::NotFound.into()));
        let mut names = Names::new("host.example", look_up).unwrap();
        let shared = Arc::clone(&names.asker.as_ref().unwrap().shared);
        let _held = lock(&shared.state);
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || tell.send(names.poll().is_none()));
        assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok(true), "it waits for the lock");
    }
}
