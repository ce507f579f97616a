//! Numbers as feature files store them, and their way to f32.
//!
//! Here: type, size, byte order, conversion of a block of bytes. Not here: where they come from (`stream.rs`).

/// How one number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Number {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Appends `bytes`, a whole number of numbers, to `out`, rounding to the nearest f32.
    pub fn append(self, bytes: &[u8], big_endian: bool, out: &mut Vec<f32>) {
        /// One arm: `$size` bytes, `$read` makes the number, `as f32` rounds it.
        macro_rules! convert {
            ($size:literal, $number:ty) => {{
                let (words, rest) = bytes.as_chunks::<$size>();
                debug_assert!(rest.is_empty());
                if big_endian {
                    out.extend(words.iter().map(|&w| <$number>::from_be_bytes(w) as f32));
                } else {
                    out.extend(words.iter().map(|&w| <$number>::from_le_bytes(w) as f32));
                }
            }};
        }
        /// The same for the half-width types, which are no primitives.
        macro_rules! convert_half {
            ($number:ty) => {{
                let words = bytes.as_chunks::<2>().0;
                if big_endian {
                    out.extend(words.iter().map(|&w| <$number>::from_be_bytes(w).to_f32()));
                } else {
                    out.extend(words.iter().map(|&w| <$number>::from_le_bytes(w).to_f32()));
                }
            }};
        }
        match self {
            Self::I8 => convert!(1, i8),
            Self::U8 => convert!(1, u8),
            Self::I16 => convert!(2, i16),
            Self::U16 => convert!(2, u16),
            Self::I32 => convert!(4, i32),
            Self::U32 => convert!(4, u32),
            Self::I64 => convert!(8, i64),
            Self::U64 => convert!(8, u64),
            Self::F16 => convert_half!(half::f16),
            Self::Bf16 => convert_half!(half::bf16),
            Self::F32 => convert!(4, f32),
            Self::F64 => convert!(8, f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_and_both_byte_orders_become_f32() {
        let cases: [(Number, &[u8], f32); 12] = [
            (Number::I8, &[0xFE], -2.0),
            (Number::U8, &[0xFE], 254.0),
            (Number::I16, &[0xFE, 0xFF], -2.0),
            (Number::U16, &[0x01, 0x02], 513.0),
            (Number::I32, &[0xFE, 0xFF, 0xFF, 0xFF], -2.0),
            (Number::U32, &[0, 0, 1, 0], 65536.0),
            (
                Number::I64,
                &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
                -2.0,
            ),
            (Number::U64, &[3, 0, 0, 0, 0, 0, 0, 0], 3.0),
            (Number::F16, &[0x00, 0x3E], 1.5),
            (Number::Bf16, &[0xC0, 0x3F], 1.5),
            (Number::F32, &1.5f32.to_le_bytes(), 1.5),
            (Number::F64, &(-0.25f64).to_le_bytes(), -0.25),
        ];
        for (number, little, want) in cases {
            assert_eq!(little.len(), number.size());
            let big: Vec<u8> = little.iter().rev().copied().collect();
            let mut out = Vec::new();
            number.append(little, false, &mut out);
            number.append(&big, true, &mut out);
            assert_eq!(out, [want, want], "{number:?}");
        }
    }
}
