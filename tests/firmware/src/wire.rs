//! A network card whose cable delays and loses frames.

use core::time::Duration;

use proto_base::Instant;

use crate::MTU;

/// A frame under way, or room for one.
#[derive(Debug)]
pub(crate) struct Frame {
    due: Instant,
    /// The end it goes to.
    to: u8,
    /// 0: no frame is here.
    len: usize,
    bytes: [u8; MTU],
}

impl Frame {
    pub(crate) const EMPTY: Self = Self { due: Instant::ZERO, to: 0, len: 0, bytes: [0; MTU] };
}

/// Two ends of a cable, in fixed memory. What finds no room is lost, and besides it so many frames
/// in a thousand; delays differ, so frames overtake each other.
#[derive(Debug)]
pub struct Wire<'m> {
    frames: &'m mut [Frame],
    loss_per_mille: u32,
    random: u32,
    /// Frames lost so far.
    pub(crate) lost: u32,
    /// Frames carried so far.
    pub(crate) carried: u32,
}

/// Shortest way from end to end.
const DELAY: Duration = Duration::from_millis(20);
/// What a frame may need in addition, in microseconds.
const JITTER: u32 = 4_000;

impl<'m> Wire<'m> {
    pub(crate) fn new(frames: &'m mut [Frame], loss_per_mille: u32, seed: u32) -> Self {
        frames.iter_mut().for_each(|frame| frame.len = 0);
        Self { frames, loss_per_mille, random: seed, lost: 0, carried: 0 }
    }

    /// Sends a frame to end `to`.
    pub(crate) fn transmit(&mut self, now: Instant, to: u8, bytes: &[u8]) {
        let is_lost = self.draw(1_000) < self.loss_per_mille;
        let jitter = Duration::from_micros(self.draw(JITTER).into());
        let free = self.frames.iter_mut().find(|frame| frame.len == 0);
        match free {
            Some(frame) if !is_lost && bytes.len() <= MTU => {
                frame.due = now + DELAY + jitter;
                frame.to = to;
                frame.len = bytes.len();
                frame.bytes[..bytes.len()].copy_from_slice(bytes);
                self.carried += 1;
            }
            _ => self.lost += 1,
        }
    }

    /// Takes a frame that has arrived at end `to`.
    pub(crate) fn receive(&mut self, now: Instant, to: u8) -> Option<&[u8]> {
        let due = |frame: &&mut Frame| frame.len > 0 && frame.to == to && frame.due <= now;
        let frame = self.frames.iter_mut().filter(due).min_by_key(|frame| frame.due)?;
        let len = core::mem::take(&mut frame.len);
        Some(&frame.bytes[..len])
    }

    /// When the next frame arrives.
    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.frames.iter().filter(|frame| frame.len > 0).map(|frame| frame.due).min()
    }

    /// A number below `bound` (from Numerical Recipes' linear congruential generator).
    fn draw(&mut self, bound: u32) -> u32 {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.random >> 8) % bound
    }
}
