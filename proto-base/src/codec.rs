//! Bounds-safe reading and writing of little-endian fields.

/// Reads fields from the front of a byte slice; never past its end.
///
/// ```
/// use proto_base::Reader;
///
/// let mut reader = Reader::new(&[0x51, 0x34, 0x12, 9]);
/// assert_eq!(reader.u8(), Some(0x51));
/// assert_eq!(reader.u16(), Some(0x1234));
/// assert_eq!(reader.u32(), None); // one byte is left, and stays
/// assert_eq!(reader.rest(), &[9]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the front of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next `count` bytes, or `None` (and nothing is taken) when fewer are left.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next two bytes as a little-endian number.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next four bytes as a little-endian number.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// All bytes not yet read.
    pub const fn rest(self) -> &'a [u8] {
        self.bytes
    }

    /// Number of bytes not yet read.
    pub const fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*taken)
    }
}

/// Writes fields to the front of a byte slice; never past its end.
///
/// ```
/// use proto_base::Writer;
///
/// let mut out = [0; 4];
/// let mut writer = Writer::new(&mut out);
/// assert!(writer.u16(0x1234) && writer.u8(7));
/// assert!(!writer.u16(1)); // one byte is left: nothing is written
/// assert_eq!(writer.written(), 3);
/// assert_eq!(out, [0x34, 0x12, 7, 0]);
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// A writer at the front of `bytes`.
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Writes `data`; `false` (and nothing written) when it does not fit.
    pub fn put(&mut self, data: &[u8]) -> bool {
        match self.bytes.get_mut(self.at..).and_then(|rest| rest.get_mut(..data.len())) {
            Some(room) => {
                room.copy_from_slice(data);
                self.at += data.len();
                true
            }
            None => false,
        }
    }

    /// Writes one byte; `false` when it does not fit.
    pub fn u8(&mut self, value: u8) -> bool {
        self.put(&[value])
    }

    /// Writes a little-endian 16-bit number; `false` when it does not fit.
    pub fn u16(&mut self, value: u16) -> bool {
        self.put(&value.to_le_bytes())
    }

    /// Writes a little-endian 32-bit number; `false` when it does not fit.
    pub fn u32(&mut self, value: u32) -> bool {
        self.put(&value.to_le_bytes())
    }

    /// Number of bytes written.
    pub const fn written(&self) -> usize {
        self.at
    }
}
