//! Bytes that tell by themselves where in which stream they belong.

use std::sync::OnceLock;

/// A prime, so that a shift of any length is noticed.
const PERIOD: usize = 65_521;

/// Half noise, half text, so that compression has both kinds.
fn table() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut rng = crate::Rng::new(1);
        let mut bytes = Vec::with_capacity(PERIOD);
        while bytes.len() < PERIOD {
            let noise = bytes.len() % 8_192 < 4_096;
            let piece = if noise {
                rng.next().to_le_bytes().to_vec()
            } else {
                format!("{:05} the quick brown fox. ", bytes.len() % 977).into_bytes()
            };
            bytes.extend_from_slice(&piece);
        }
        bytes.truncate(PERIOD);
        bytes
    })
}

/// Runs of the stream `seed` from `offset` on, `len` bytes in all.
fn runs(seed: u64, offset: u64, len: usize) -> impl Iterator<Item = &'static [u8]> {
    let mut at = ((seed % PERIOD as u64 + offset % PERIOD as u64) % PERIOD as u64) as usize;
    let mut left = len;
    core::iter::from_fn(move || {
        let step = left.min(PERIOD - at);
        let run = &table()[at..at + step];
        left -= step;
        at = 0;
        (step > 0).then_some(run)
    })
}

/// Writes the bytes of the stream `seed` that begin at `offset`.
pub(crate) fn fill(seed: u64, offset: u64, out: &mut [u8]) {
    let mut at = 0;
    for run in runs(seed, offset, out.len()) {
        out[at..at + run.len()].copy_from_slice(run);
        at += run.len();
    }
}

/// Whether `bytes` are those of the stream `seed` that begin at `offset`.
pub(crate) fn matches(seed: u64, offset: u64, bytes: &[u8]) -> bool {
    let mut at = 0;
    runs(seed, offset, bytes.len()).all(|run| {
        let same = bytes[at..at + run.len()] == *run;
        at += run.len();
        same
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_tell_their_place() {
        let mut bytes = vec![0; 100_000];
        fill(9, 60_000, &mut bytes);
        assert!(matches(9, 60_000, &bytes));
        assert!(matches(9, 60_500, &bytes[500..]));
        assert!(!matches(9, 60_001, &bytes[..2_000]));
        assert!(!matches(10, 60_000, &bytes[..2_000]));
    }
}
