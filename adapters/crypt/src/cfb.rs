//! Full-block CFB with a constant IV, on batches of datagrams.
//!
//! ```text
//! K0 = E(IV)        C0 = P0 xor K0
//! Kn = E(C[n-1])    Cn = Pn xor Kn      a short last block takes the first bytes of Kn
//! ```
//!
//! The chain starts anew in each datagram, with the IV of kcp-go (kcp-go 5.6.1, crypt.go,
//! `initialVector`), so `K0` is computed once per key.
//!
//! Encryption is serial inside a datagram: each block waits for the one before it. Datagrams are
//! independent of each other, though, so all datagrams of a batch step forward together, one block
//! each, through one multi-block call: the *lanes*. Decryption is parallel inside a datagram.

use core::array;

use cipher::array::{Array, ArraySize};
use cipher::inout::InOutBuf;
use cipher::typenum::Unsigned;
use cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    ParBlocks,
};

use crate::datagrams::{Datagrams, MAX_SEGMENTS};

/// IV of every datagram; ciphers with 8-byte blocks use the first half.
const INITIAL_VECTOR: [u8; 16] = [
    0xa7, 0x73, 0x4f, 0x9c, 0x12, 0xac, 0x1b, 0x01, 0xa4, 0x15, 0xf2, 0xc1, 0xfc, 0x78, 0xe6, 0x6b,
];

/// Lanes of encryption and blocks per decryption call. A whole batch steps together.
const LANES: usize = MAX_SEGMENTS;

/// A block cipher in CFB mode. Both directions use only the cipher's encryption.
#[derive(Clone)]
pub(crate) struct Cfb<C: BlockCipherEncrypt> {
    cipher: C,
    /// E(IV), the key stream of each datagram's first block.
    first: Block<C>,
}

impl<C: BlockCipherEncrypt> Cfb<C> {
    /// CFB over a keyed cipher with blocks of at most 16 bytes.
    pub(crate) fn new(cipher: C) -> Self {
        let size = C::BlockSize::USIZE;
        // With nothing added to its first block, the second one is the key stream made of the first.
        let mut this = Self { cipher, first: Block::<C>::default() };
        let mut blocks = [0; 2 * INITIAL_VECTOR.len()];
        blocks[..size].copy_from_slice(&INITIAL_VECTOR[..size]);
        this.encrypt(Datagrams::single(&mut blocks[..2 * size]));
        this.first.copy_from_slice(&blocks[size..2 * size]);
        this
    }

    /// Encrypts each datagram in place.
    #[inline(never)]
    pub(crate) fn encrypt(&self, datagrams: Datagrams<'_>) {
        self.cipher.encrypt_with_backend(Encrypt { datagrams, first: &self.first });
    }

    /// Decrypts each datagram in place.
    #[inline(never)]
    pub(crate) fn decrypt(&self, datagrams: Datagrams<'_>) {
        self.cipher.encrypt_with_backend(Decrypt { datagrams, first: &self.first });
    }
}

/// The encryption of a batch, run inside the cipher's backend so that its round keys are set up
/// once per batch.
struct Encrypt<'a, 'k, N: ArraySize> {
    datagrams: Datagrams<'a>,
    first: &'k Array<u8, N>,
}

impl<N: ArraySize> BlockSizeUser for Encrypt<'_, '_, N> {
    type BlockSize = N;
}

impl<N: ArraySize> BlockCipherEncClosure for Encrypt<'_, '_, N> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = N>>(self, backend: &B) {
        let stride = self.datagrams.stride();
        let bytes = self.datagrams.into_bytes();
        for group in bytes.chunks_mut(stride.saturating_mul(LANES)) {
            encrypt_group(backend, group, stride, self.first);
        }
    }
}

/// Encrypts up to [`LANES`] datagrams, all together one block further per step.
#[inline(always)]
fn encrypt_group<B: BlockCipherEncBackend>(
    backend: &B,
    bytes: &mut [u8],
    stride: usize,
    first: &Block<B>,
) {
    let size = B::BlockSize::USIZE;
    let count = bytes.len().div_ceil(stride);
    let (long, last) = bytes.split_at_mut((count - 1) * stride);
    let longest = if long.is_empty() { last.len() } else { stride };
    let mut lanes: [Block<B>; LANES] = array::from_fn(|_| first.clone());
    let mut offset = 0;
    // While there is a next block to chain to.
    while offset + size < longest {
        let used = chain_lanes(&mut lanes[..count], long, last, stride, offset);
        encrypt_lanes(backend, &mut lanes, used);
        offset += size;
    }
    let long = long.get_mut(offset..).unwrap_or_default().chunks_mut(stride);
    for (lane, datagram) in lanes.iter().zip(long) {
        let len = datagram.len().min(stride - offset);
        xor(&mut datagram[..len], lane);
    }
    xor(last.get_mut(offset..).unwrap_or_default(), &lanes[count - 1]);
}

/// Encrypts the block at `offset` of each datagram, with the stream in its lane, and leaves the
/// encrypted block there. Returns how many lanes are chained to the next block: those from the first
/// on, as only the last datagram may be shorter.
///
/// Where no vector instructions make it short, all ciphers with blocks of one size share it.
#[cfg_attr(any(target_feature = "sse2", target_feature = "neon"), inline(always))]
#[cfg_attr(not(any(target_feature = "sse2", target_feature = "neon")), inline(never))]
fn chain_lanes<N: ArraySize>(
    lanes: &mut [Array<u8, N>],
    long: &mut [u8],
    last: &mut [u8],
    stride: usize,
    offset: usize,
) -> usize {
    let mut used = 0;
    if let Some(long) = long.get_mut(offset..) {
        for (lane, datagram) in lanes.iter_mut().zip(long.chunks_mut(stride)) {
            chain(lane, datagram);
            used += 1;
        }
    }
    if let (Some(last), Some(lane)) = (last.get_mut(offset..), lanes.last_mut()) {
        chain(lane, last);
        used = lanes.len();
    }
    used
}

/// Encrypts the block that `datagram` begins with, with the stream in `lane`, and leaves the
/// encrypted block there. A block cut short is the last of its datagram and not chained.
#[inline(always)]
fn chain<N: ArraySize>(lane: &mut Array<u8, N>, datagram: &mut [u8]) {
    let Some(block) = datagram.get_mut(..N::USIZE).and_then(Array::<u8, N>::slice_as_mut_array)
    else {
        return xor(datagram, lane);
    };
    // On a copy of its own the loop becomes one vector instruction: four times as fast.
    let mut mixed = lane.clone();
    for (mixed, byte) in mixed.iter_mut().zip(block.iter()) {
        *mixed ^= byte;
    }
    block.copy_from_slice(&mixed);
    *lane = mixed;
}

/// Encrypts the first `used` lanes in place; the others may change.
#[inline(always)]
fn encrypt_lanes<B: BlockCipherEncBackend>(
    backend: &B,
    lanes: &mut [Block<B>; LANES],
    used: usize,
) {
    let parallel = B::ParBlocksSize::USIZE;
    let rest = used % parallel;
    // A wide call costs less than its blocks one by one once a good part of it is needed.
    let used = if rest * PADDING_PAYS >= parallel { used - rest + parallel } else { used };
    let used = used.min(LANES);
    let (wide, single) = InOutBuf::from(&mut lanes[..used]).into_chunks::<B::ParBlocksSize>();
    for blocks in wide {
        backend.encrypt_par_blocks(blocks);
    }
    encrypt_tail(backend, single);
}

/// A multi-block call is padded when one block in this many is needed.
const PADDING_PAYS: usize = 3;

/// Encrypts what is left over by calls for several blocks. Where these are padded in any case, code
/// for single blocks, which is as long, need not be there.
#[inline(always)]
fn encrypt_tail<B: BlockCipherEncBackend>(backend: &B, mut blocks: InOutBuf<'_, '_, Block<B>>) {
    if B::ParBlocksSize::USIZE > PADDING_PAYS {
        return backend.encrypt_tail_blocks(blocks);
    }
    let count = blocks.len();
    if count > 0 {
        let mut padded = ParBlocks::<B>::default();
        padded[..count].clone_from_slice(blocks.get_in());
        backend.encrypt_par_blocks((&mut padded).into());
        blocks.get_out().clone_from_slice(&padded[..count]);
    }
}

/// The decryption of a batch, see [`Encrypt`].
struct Decrypt<'a, 'k, N: ArraySize> {
    datagrams: Datagrams<'a>,
    first: &'k Array<u8, N>,
}

impl<N: ArraySize> BlockSizeUser for Decrypt<'_, '_, N> {
    type BlockSize = N;
}

impl<N: ArraySize> BlockCipherEncClosure for Decrypt<'_, '_, N> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = N>>(self, backend: &B) {
        let mut stream: [Array<u8, N>; LANES] = array::from_fn(|_| Array::default());
        for datagram in self.datagrams {
            decrypt_datagram(backend, datagram, self.first, &mut stream);
        }
    }
}

/// Decrypts one datagram, [`LANES`] blocks at a time, from its end: so the ciphertext that the key
/// stream is made of is still there when it is needed.
#[inline(always)]
fn decrypt_datagram<B: BlockCipherEncBackend>(
    backend: &B,
    datagram: &mut [u8],
    first: &Block<B>,
    stream: &mut [Block<B>; LANES],
) {
    let size = B::BlockSize::USIZE;
    let chained = datagram.len().div_ceil(size).saturating_sub(1);
    let mut end = chained;
    while end > 0 {
        let begin = (end - 1) / LANES * LANES;
        let stream = &mut stream[..end - begin];
        make_stream(backend, &datagram[begin * size..end * size], stream);
        let stop = datagram.len().min(end * size + size);
        xor(&mut datagram[begin * size + size..stop], Array::slice_as_flattened(stream));
        end = begin;
    }
    let head = datagram.len().min(size);
    xor(&mut datagram[..head], first);
}

/// Encrypts whole blocks of `cipher` into `stream`.
#[inline(always)]
fn make_stream<B: BlockCipherEncBackend>(backend: &B, cipher: &[u8], stream: &mut [Block<B>]) {
    let (cipher, _) = Array::slice_as_chunks(cipher);
    let Ok(blocks) = InOutBuf::new(cipher, stream) else { return };
    let (wide, single) = blocks.into_chunks::<B::ParBlocksSize>();
    for blocks in wide {
        backend.encrypt_par_blocks(blocks);
    }
    encrypt_tail(backend, single);
}

/// `bytes ^= stream`, over the shorter of the two.
#[cfg_attr(any(target_feature = "sse2", target_feature = "neon"), inline(always))]
#[cfg_attr(not(any(target_feature = "sse2", target_feature = "neon")), inline(never))]
fn xor(bytes: &mut [u8], stream: &[u8]) {
    for (byte, key) in bytes.iter_mut().zip(stream) {
        *byte ^= key;
    }
}
