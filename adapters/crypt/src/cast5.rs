//! CAST-128, 16 rounds.

use cipher::KeyInit;

use crate::cfb::Cfb;
use crate::head;

pub(crate) type Cast5 = Cfb<cast5::Cast5>;

/// `cast5`: the first 16 key bytes.
pub(crate) fn cast5(key: &[u8; 32]) -> Cast5 {
    Cfb::new(cast5::Cast5::new(&head(key)))
}
