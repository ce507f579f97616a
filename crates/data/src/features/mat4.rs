//! MATLAB files of version 4: the matrix `feats`.
//!
//! Each variable is a header of five 32-bit numbers (type, rows, columns, imaginary flag, length of the name), the
//! name with a final zero byte, and the numbers column after column. The type's decimal digits M O P T say: byte
//! order (0 little, 1 big), always 0, number type, and 0 full / 1 text / 2 sparse.
//!
//! Memory: four times the file's size at most (bytes that become f32).
//! Source: MathWorks, "MAT-File Format" (R2019b), chapter 2.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::number::Number;
use super::stream::Stream;
use super::{Matrix, Storage};
use crate::error::{DataError, Position, Source};

const HEADER: u64 = 20;
/// MATLAB 4's longest name has 19 bytes; scipy writes longer ones.
const LONGEST_NAME: u32 = 4096;

/// The type field of a variable, taken apart.
#[derive(Clone, Copy)]
struct Type {
    big_endian: bool,
    number: Number,
    /// 0 full, 1 text, 2 sparse.
    kind: u32,
}

impl Type {
    /// `None` where `bytes` are no type field in either byte order.
    fn parse(bytes: [u8; 4]) -> Option<Self> {
        let (little, big) = (u32::from_le_bytes(bytes), u32::from_be_bytes(bytes));
        // Little endian files have M = 0; read the wrong way round the value is far above 4999.
        let (value, big_endian) = match (little, big) {
            (0..=999, _) => (little, false),
            (_, 1000..=1999) => (big, true),
            _ => return None,
        };
        let (zero, precision, kind) = (value / 100 % 10, value / 10 % 10, value % 10);
        let number = match precision {
            0 => Number::F64,
            1 => Number::F32,
            2 => Number::I32,
            3 => Number::I16,
            4 => Number::U16,
            5 => Number::U8,
            _ => return None,
        };
        (zero == 0 && kind <= 2).then_some(Self {
            big_endian,
            number,
            kind,
        })
    }
}

/// True where the first bytes of a file can be those of version 4.
pub(super) fn recognises(start: &[u8]) -> bool {
    let Some(bytes) = start.first_chunk() else {
        return false;
    };
    // Type 0 (little endian, f64) is four zero bytes: ask for a plausible name, too.
    let plausible = |t: Type| match start.get(16..20).and_then(|b| b.first_chunk()) {
        Some(&length) => (1..=LONGEST_NAME).contains(&u32_of(length, t.big_endian)),
        None => false,
    };
    Type::parse(*bytes).is_some_and(plausible)
}

/// Reads `feats` (D, N) of an open file.
pub(super) fn read(mut file: File, path: &Path) -> Result<Matrix, DataError> {
    let source = Source {
        path,
        format: "MAT v4",
    };
    let length = file.metadata().map_err(DataError::io(path))?.len();
    let (mut offset, mut others) = (0, Vec::new());
    while offset < length {
        file.seek(SeekFrom::Start(offset))
            .map_err(DataError::io(path))?;
        let mut buffered = BufReader::new(Read::by_ref(&mut file));
        let mut stream = Stream::plain(&mut buffered, source, offset);
        let first = stream.array("a type")?;
        let Some(kind) = Type::parse(first) else {
            let found = format!("{}", u32::from_le_bytes(first));
            return Err(source.malformed(
                Position::Byte(offset),
                "a type of digits M O P T",
                found,
            ));
        };
        let [rows, columns, imaginary, name_length] = {
            let bytes: [u8; 16] = stream.array("a header")?;
            let mut sizes = [0; 4];
            for (size, bytes) in sizes.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *size = u32_of(*bytes, kind.big_endian);
            }
            sizes
        };
        if LONGEST_NAME < name_length {
            let expected = format!("a name of at most {LONGEST_NAME} bytes");
            return Err(stream.malformed(expected, format!("{name_length} bytes")));
        }
        let mut name = vec![0; name_length as usize];
        stream.read(&mut name, "a name")?;
        let name = name.split(|&b| b == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        // u128: four billion squared times eight bytes times two does not fit in 64 bits.
        let parts = if imaginary == 0 { 1 } else { 2 };
        let numbers = u128::from(rows) * u128::from(columns);
        let data = numbers * kind.number.size() as u128 * parts;
        let start = offset + HEADER + u64::from(name_length);
        if u128::from(length - start.min(length)) < data {
            let expected = format!("{rows} x {columns} numbers of `{name}`, {data} bytes");
            return Err(stream.malformed(expected, format!("{} bytes", length - start.min(length))));
        }
        if name == "feats" {
            let wanted = "a real, full, numeric matrix `feats` (D, N)";
            if kind.kind != 0 {
                let found = ["", "text", "a sparse matrix"][kind.kind as usize];
                return Err(stream.unsupported(wanted, found));
            }
            if imaginary != 0 {
                return Err(stream.unsupported(wanted, "a complex one"));
            }
            let count = numbers as usize; // fits: the file is at least as long
            return Ok(Matrix {
                dimension: rows as usize,
                regions: 1,
                storage: Storage::Owned(stream.numbers(
                    kind.number,
                    kind.big_endian,
                    count,
                    count,
                )?),
            });
        }
        others.push(name);
        offset = start + data as u64;
    }
    Err(super::no_feats(source, &others))
}

fn u32_of(bytes: [u8; 4], big_endian: bool) -> u32 {
    if big_endian {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}
