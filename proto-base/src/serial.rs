//! Wrapping 32-bit numbers as types.

/// Defines a wrapping 32-bit number: a type of its own with modular comparison.
///
/// Two numbers are compared by their signed difference, as RFC 1982 and KCP do, so order holds
/// across the wrap as long as the numbers compared stand less than 2^31 apart. Different kinds of
/// number (sequence numbers, wire clocks, FEC ids) cannot be mixed up.
///
/// ```
/// proto_base::serial_number! {
///     /// Number of a page.
///     pub struct Page;
/// }
///
/// let last = Page::new(u32::MAX);
/// assert!(last.is_before(last + 1));
/// assert_eq!((last + 3) - last, 3);
/// assert_eq!((last + 3).get(), 2);
/// ```
#[macro_export]
macro_rules! serial_number {
    ($(#[$doc:meta])* $vis:vis struct $name:ident;) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
        $vis struct $name(u32);

        impl $name {
            /// The number with this value on the wire.
            pub const fn new(value: u32) -> Self {
                Self(value)
            }

            /// The value on the wire.
            pub const fn get(self) -> u32 {
                self.0
            }

            /// How far `self` is ahead of `other`; negative when it is behind.
            pub const fn ahead_of(self, other: Self) -> i32 {
                self.0.wrapping_sub(other.0).cast_signed()
            }

            /// Whether `self` comes before `other`.
            pub const fn is_before(self, other: Self) -> bool {
                self.ahead_of(other) < 0
            }
        }

        impl core::ops::Add<u32> for $name {
            type Output = Self;

            fn add(self, step: u32) -> Self {
                Self(self.0.wrapping_add(step))
            }
        }

        impl core::ops::AddAssign<u32> for $name {
            fn add_assign(&mut self, step: u32) {
                self.0 = self.0.wrapping_add(step);
            }
        }

        impl core::ops::Sub<$name> for $name {
            type Output = u32;

            /// Steps from `other` to `self`, modulo 2^32.
            fn sub(self, other: Self) -> u32 {
                self.0.wrapping_sub(other.0)
            }
        }
    };
}
