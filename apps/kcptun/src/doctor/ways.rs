//! The ways to speak to a server that differ from the one asked for: one of them may be the server's.

use kcptun_async::PacketCipher;
use kcptun_tunnel::crypt::CipherKind;
use smux_proto::wire::Version;

use super::Subject;
use crate::config::{ClientConfig, Crypt, Secret};

/// A way to speak to a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    crypt: &'static str,
    compression: bool,
    version: Version,
    has_default_key: bool,
}

impl Way {
    /// All but the one of `config`; those that differ less come first.
    pub(super) fn others(config: &ClientConfig, subject: &Subject) -> Vec<Self> {
        let given = Self {
            crypt: config.common.crypt.name(),
            compression: subject.tunnel.compression,
            version: subject.tunnel.smux.version,
            has_default_key: false,
        };
        let other_version = match given.version {
            Version::V1 => Version::V2,
            Version::V2 => Version::V1,
        };
        let recompressed = Self { compression: !given.compression, ..given };
        let mut ways = vec![
            recompressed,
            Self { version: other_version, ..given },
            Self { version: other_version, ..recompressed },
            Self { has_default_key: true, ..given },
        ];
        for way in [given, recompressed] {
            let others = Crypt::NAMES.into_iter().filter(|&name| name != given.crypt);
            ways.extend(others.map(|crypt| Self { crypt, ..way }));
        }
        ways
    }

    /// The tunnel of `given`, spoken to in this way; `None` when this build has no such cipher.
    pub(super) fn subject(self, config: &ClientConfig, given: &Subject) -> Option<Subject> {
        let key = match self.has_default_key {
            true => Secret::DEFAULT.as_bytes(),
            false => config.common.key.as_bytes(),
        };
        let cipher = PacketCipher::new(CipherKind::from_name(self.crypt)?, key).ok()?;
        let mut subject = Subject { cipher, ..given.clone() };
        subject.tunnel.compression = self.compression;
        subject.tunnel.smux.version = self.version;
        Some(subject)
    }

    /// In what it differs.
    pub(super) fn describe(self, config: &ClientConfig) -> String {
        let common = &config.common;
        let mut parts = Vec::new();
        if self.has_default_key {
            parts.push("to the published default key".to_owned());
        }
        if self.crypt != common.crypt.name() {
            parts.push(format!("to --crypt {}", self.crypt));
        }
        if self.compression != common.compression {
            let nocomp = if self.compression { "without --nocomp" } else { "with --nocomp" };
            parts.push(nocomp.to_owned());
        }
        if self.version.number() != common.smux_version.number() {
            parts.push(format!("to --smuxver {}", self.version.number()));
        }
        format!("the server answers {}: use the same at both ends", parts.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Outcome;
    use crate::settings;

    #[test]
    fn what_differs_least_comes_first_and_no_way_comes_twice() {
        let words = ["-r", "127.0.0.1:9", "--key", "k", "--nocomp"];
        let Ok(Outcome::Run(parsed)) = ClientConfig::parse(words, &|_| None) else { panic!() };
        let config = parsed.config;
        let subject = Subject {
            remote: ([127, 0, 0, 1], 9).into(),
            cipher: settings::cipher(&config.common).unwrap(),
            tunnel: settings::tunnel(&config.common),
            socket: settings::socket(&config.common),
        };
        let ways = Way::others(&config, &subject);
        let told: Vec<String> = ways.iter().map(|way| way.describe(&config)).collect();
        let told: Vec<&str> = told
            .iter()
            .filter_map(|text| text.strip_prefix("the server answers ")?.split(':').next())
            .collect();
        assert_eq!(
            told[..5],
            [
                "without --nocomp",
                "to --smuxver 2",
                "without --nocomp and to --smuxver 2",
                "to the published default key",
                "to --crypt aes-128",
            ]
        );
        assert_eq!(told.len(), 4 + 2 * (Crypt::NAMES.len() - 1));
        let different: std::collections::HashSet<_> = told.iter().collect();
        assert_eq!(different.len(), told.len());
        assert!(ways.iter().all(|way| way.subject(&config, &subject).is_some()));
    }
}
