//! Rows without sockets: ciphers, FEC and KCP alone, ours and those that the original stands on.
//!
//! Ours are measured by `kcptun-functions` (in `bin`), built as the tunnels are; the original's by
//! a small Go program (`original/functions.go`) on the libraries of Debian's packages; OpenSSL by
//! its own `openssl speed`. All of them count the time that they have the processor, so that other
//! work on the machine costs little of the figures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::failure::Failure;
use crate::figure::{
    ACKNOWLEDGED, DECODED, DECRYPTED, ENCODED, ENCRYPTED, Figure, QUEUED, RECEIVED, SENT,
};
use crate::measure::{Outcome, Side};
use crate::program::{Need, find, output};

const GO: Need = ("go", "golang-go");
const OPENSSL: Need = ("openssl", "openssl");
/// Where Debian puts Go's libraries, and the one that is needed.
const GO_PATH: &str = "/usr/share/gocode";
const KCP_GO: &str = "/usr/share/gocode/src/github.com/xtaci/kcp-go";
const KCP_GO_PACKAGE: &str = "golang-github-xtaci-kcp-dev";
/// Length of one try of a measurement; there are three.
const TIME: &str = "30";
/// For KCP, which needs many rounds for its median.
const KCP_TIME: &str = "150";

/// What to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Function {
    /// A packet cipher, by kcptun's name.
    Cipher(&'static str),
    /// AES in batches against OpenSSL's, which takes one packet at a time; by kcptun's name.
    CipherOneByOne(&'static str),
    /// A kernel of FEC, by its name.
    Fec(&'static str),
    /// The KCP machine with this window.
    Kcp(u16),
}

/// The programs that measure; those that are missing say what would bring them.
#[derive(Debug)]
pub(crate) struct Tools {
    ours: PathBuf,
    original: Result<PathBuf, Failure>,
    openssl: Result<PathBuf, Failure>,
    /// Where the Go program is.
    _home: Option<TempDir>,
}

impl Tools {
    /// Looks for the programs and builds the Go program. `ours` is `kcptun-functions`.
    pub(crate) fn prepare(ours: PathBuf) -> Self {
        let home = TempDir::new().map_err(|error| Failure(format!("no directory: {error}")));
        let original = home.as_ref().map_err(Clone::clone).and_then(|home| build(home.path()));
        Self { ours, original, openssl: find(OPENSSL), _home: home.ok() }
    }

    /// What is missing for the columns of others, if anything.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &Failure> {
        [&self.original, &self.openssl].into_iter().filter_map(|tool| tool.as_ref().err())
    }
}

/// Builds the Go program without modules, which would have to be fetched.
fn build(home: &Path) -> Result<PathBuf, Failure> {
    let go = find(GO)?;
    if !Path::new(KCP_GO).is_dir() {
        return Err(Failure(format!("kcp-go: run `apt-get install {KCP_GO_PACKAGE}` as root")));
    }
    let (source, program) = (home.join("functions.go"), home.join("functions"));
    fs::write(&source, include_str!("../original/functions.go"))
        .map_err(|error| Failure(format!("{}: {error}", source.display())))?;
    let mut command = Command::new(go);
    command.current_dir(home).arg("build").arg("-o").arg(&program).arg(&source);
    command.env("GO111MODULE", "off").env("GOFLAGS", "").env("GOPATH", GO_PATH);
    command.env("GOCACHE", home.join("cache")).env("HOME", home);
    output(&mut command)?;
    Ok(program)
}

impl Function {
    /// Whether there is something to compare with.
    pub(crate) fn has_rival(&self) -> bool {
        !matches!(self, Self::Kcp(_))
    }

    /// Measures one side; no figures when its program is missing.
    pub(crate) fn measure(&self, tools: &Tools, side: Side) -> Result<Outcome, Failure> {
        let figures = match (self, side) {
            (Self::Cipher(name), Side::Ours) => {
                run(&tools.ours, ["cipher", name, TIME], &[ENCRYPTED, DECRYPTED])?
            }
            (Self::Cipher(name), Side::Peer) => match &tools.original {
                Ok(program) => run(program, ["cipher", name, TIME], &[ENCRYPTED, DECRYPTED])?,
                Err(_) => Vec::new(),
            },
            (Self::CipherOneByOne(name), Side::Ours) => {
                // Without the figure for decryption, which any CFB can do in parallel.
                run(&tools.ours, ["cipher", name, TIME], &[ENCRYPTED])?
            }
            (Self::CipherOneByOne(name), Side::Peer) => match &tools.openssl {
                Ok(program) => vec![(ENCRYPTED, openssl(program, name)?)],
                Err(_) => Vec::new(),
            },
            (Self::Fec(kernel), Side::Ours) => {
                run(&tools.ours, ["fec", kernel, TIME], &[ENCODED, DECODED])?
            }
            (Self::Fec(_), Side::Peer) => match &tools.original {
                Ok(program) => run(program, ["fec", "any", TIME], &[ENCODED, DECODED])?,
                Err(_) => Vec::new(),
            },
            (Self::Kcp(window), Side::Ours) => {
                let figures = [QUEUED, SENT, RECEIVED, ACKNOWLEDGED];
                run(&tools.ours, ["kcp", &window.to_string(), KCP_TIME], &figures)?
            }
            (Self::Kcp(_), Side::Peer) => Vec::new(),
        };
        Ok(Outcome { figures, ..Outcome::default() })
    }
}

/// The figures that a program prints, as many as are named.
fn run(
    program: &Path,
    arguments: [&str; 3],
    figures: &[Figure],
) -> Result<Vec<(Figure, f64)>, Failure> {
    let text = output(Command::new(program).args(arguments))?;
    let values: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    if values.len() < figures.len() {
        return Err(Failure(format!("{} said {}", program.display(), text.trim())));
    }
    Ok(figures.iter().copied().zip(values).collect())
}

/// MB/s of one packet of 1500 bytes after the other. (The IV goes on from packet to packet, which
/// spares OpenSSL the setting of a new one.)
fn openssl(program: &Path, cipher: &str) -> Result<f64, Failure> {
    let bits = cipher.strip_prefix("aes-").unwrap_or("256");
    let name = format!("aes-{bits}-cfb");
    let mut command = Command::new(program);
    command.args(["speed", "-mr", "-seconds", "1", "-bytes", "1500", "-evp", &name]);
    let text = output(&mut command)?;
    speed_in(&text).ok_or_else(|| Failure(format!("openssl speed said {}", text.trim())))
}

/// MB/s in what `openssl speed -mr` prints: `+F:NUMBER:NAME:BYTES PER SECOND`.
fn speed_in(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with("+F:"))?;
    Some(line.rsplit(':').next()?.trim().parse::<f64>().ok()? / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_of_openssl_is_read() {
        let text = "+H:1500\n+F:25:AES-256-CFB:706353750.00\n";
        assert_eq!(speed_in(text), Some(706.35375));
        assert_eq!(speed_in("+H:1500\n"), None);
    }

    #[test]
    fn figures_are_named_in_order_and_none_may_lack() {
        let echo = Path::new("echo");
        let figures = run(echo, ["1.5", "2", ""], &[ENCRYPTED, DECRYPTED]).unwrap();
        assert_eq!(figures, [(ENCRYPTED, 1.5), (DECRYPTED, 2.0)]);
        assert!(run(echo, ["1.5", "x", ""], &[ENCRYPTED, DECRYPTED]).is_err());
    }

    #[test]
    fn a_missing_program_leaves_its_column_empty() {
        let missing = || Err(Failure("go: install it".into()));
        let ours = "/no/such/program".into();
        let tools = Tools { ours, original: missing(), openssl: missing(), _home: None };
        assert_eq!(tools.missing().count(), 2);
        for function in [Function::Cipher("aes"), Function::CipherOneByOne("aes")] {
            assert!(function.measure(&tools, Side::Peer).unwrap().figures.is_empty());
            assert!(function.measure(&tools, Side::Ours).is_err());
        }
    }
}
