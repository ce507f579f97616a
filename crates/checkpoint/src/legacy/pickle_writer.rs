//! Writes plain data as a pickle of protocol 2, which Python 2.3 and all after it read.
//!
//! Here: the opcodes that are needed. Not here: what a NeuralTalk checkpoint consists of
//! (`export.rs`).
//!
//! No memo is written: nothing here is shared, and readers don't miss it. Source: CPython
//! `Lib/pickletools.py`; numpy `array_reduce` for the shape of an array's pickle.

use std::io::{self, Write};

use serde_json::Value as Json;

/// Values converted to bytes at a time.
const VALUES_AT_A_TIME: usize = 8 * 1024;

/// Deepest parameter that is written.
const MAX_DEPTH: usize = 100;

/// A pickle being written.
pub(super) struct PickleWriter<'w> {
    out: &'w mut dyn Write,
}

impl<'w> PickleWriter<'w> {
    /// Starts a pickle.
    pub(super) fn new(out: &'w mut dyn Write) -> io::Result<Self> {
        out.write_all(&[0x80, 2])?; // PROTO 2
        Ok(Self { out })
    }

    /// Ends the pickle.
    pub(super) fn finish(self) -> io::Result<()> {
        self.out.write_all(b".")
    }

    /// A dictionary: `items` writes keys and values in turn.
    pub(super) fn dictionary(
        &mut self,
        items: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        self.out.write_all(b"}(")?; // EMPTY_DICT, MARK
        items(self)?;
        self.out.write_all(b"u") // SETITEMS
    }

    /// Python 2's `str`; what is not ASCII becomes a `unicode`, as Python 2 would need it.
    pub(super) fn string(&mut self, text: &str) -> io::Result<()> {
        if !text.is_ascii() {
            return self.unicode(text);
        }
        self.byte_string_head(text.len())?;
        self.out.write_all(text.as_bytes())
    }

    /// Python 2's `unicode`, Python 3's `str`.
    pub(super) fn unicode(&mut self, text: &str) -> io::Result<()> {
        let length = u32::try_from(text.len()).map_err(|_| too_long(text.len()))?;
        self.out.write_all(b"X")?; // BINUNICODE
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(text.as_bytes())
    }

    /// SHORT_BINSTRING or BINSTRING without its bytes.
    fn byte_string_head(&mut self, length: usize) -> io::Result<()> {
        match u8::try_from(length) {
            Ok(short) => self.out.write_all(&[b'U', short]),
            Err(_) => {
                let length = i32::try_from(length).map_err(|_| too_long(length))?;
                self.out.write_all(b"T")?;
                self.out.write_all(&length.to_le_bytes())
            }
        }
    }

    /// An `int`; on a 64-bit Python 2 the text opcode keeps it one beyond 32 bits.
    pub(super) fn integer(&mut self, n: i64) -> io::Result<()> {
        match i32::try_from(n) {
            Ok(small) => {
                self.out.write_all(b"J")?; // BININT
                self.out.write_all(&small.to_le_bytes())
            }
            Err(_) => writeln!(self.out, "I{n}"),
        }
    }

    /// A `float`.
    pub(super) fn float(&mut self, x: f64) -> io::Result<()> {
        self.out.write_all(b"G")?; // BINFLOAT, big-endian
        self.out.write_all(&x.to_be_bytes())
    }

    /// A parameter.
    pub(super) fn json(&mut self, value: &Json) -> io::Result<()> {
        self.json_within(value, MAX_DEPTH)
    }

    fn json_within(&mut self, value: &Json, depth: usize) -> io::Result<()> {
        if depth == 0 {
            let problem = format!("a parameter is nested more than {MAX_DEPTH} deep");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        match value {
            Json::Null => self.out.write_all(b"N"),
            Json::Bool(on) => self.out.write_all(&[if *on { 0x88 } else { 0x89 }]),
            Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(n), _, _) => self.integer(n),
                (_, Some(n), _) => writeln!(self.out, "L{n}L"),
                (_, _, x) => self.float(x.expect("a JSON number is one of the three")),
            },
            Json::String(text) => self.string(text),
            Json::Array(items) => {
                self.out.write_all(b"](")?; // EMPTY_LIST, MARK
                for item in items {
                    self.json_within(item, depth - 1)?;
                }
                self.out.write_all(b"e") // APPENDS
            }
            Json::Object(map) => self.dictionary(|out| {
                for (key, value) in map {
                    out.string(key)?;
                    out.json_within(value, depth - 1)?;
                }
                Ok(())
            }),
        }
    }

    /// A numpy matrix of f64, row-major; `parts` are its rows from first to last.
    ///
    /// # Panics
    /// If `parts` don't hold `rows * columns` values.
    pub(super) fn matrix(
        &mut self,
        rows: usize,
        columns: usize,
        parts: &[&[f32]],
    ) -> io::Result<()> {
        let count: usize = parts.iter().map(|part| part.len()).sum();
        assert_eq!(count, rows * columns, "a matrix of another size");
        self.out
            .write_all(b"cnumpy.core.multiarray\n_reconstruct\n")?;
        // (ndarray, (0,), 'b') REDUCE
        self.out
            .write_all(b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R")?;
        // state: (1, shape, dtype, fortran, bytes)
        self.out.write_all(b"(K\x01")?;
        self.integer(size(rows)?)?;
        self.integer(size(columns)?)?;
        self.out.write_all(b"\x86")?; // TUPLE2
        // dtype('f8', 0, 1) with state (3, '<', None, None, None, -1, -1, 0)
        self.out
            .write_all(b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R")?;
        self.out
            .write_all(b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")?;
        self.out.write_all(b"\x89")?; // not in Fortran order
        self.byte_string_head(count.checked_mul(8).ok_or_else(|| too_long(count))?)?;
        let mut bytes = Vec::with_capacity(8 * VALUES_AT_A_TIME);
        for values in parts.iter().flat_map(|part| part.chunks(VALUES_AT_A_TIME)) {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|&x| f64::from(x).to_le_bytes()));
            self.out.write_all(&bytes)?;
        }
        self.out.write_all(b"tb") // TUPLE, BUILD
    }
}

fn size(n: usize) -> io::Result<i64> {
    i64::try_from(n).map_err(|_| too_long(n))
}

fn too_long(length: usize) -> io::Error {
    let problem = format!("{length} bytes are more than a protocol-2 pickle can hold in one value");
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}
