//! JSON as Python's `json.dump` writes it: `", "` and `": "`, ASCII only, floats as `repr`.
//!
//! Not that any reader needs it: but a file that was read and written again is the same bytes,
//! so that result files can be compared with `cmp`, and ASCII survives every locale.

use std::io::{self, Write};

use serde_json::ser::Formatter;

/// Python's separators, escapes and floats.
pub(crate) struct PythonJson;

impl Formatter for PythonJson {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    /// `fragment` has no quote, backslash or control character below a blank: those come by
    /// another way, and serde_json escapes them as Python does.
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut units = [0; 2];
        for c in fragment.chars() {
            if matches!(c, ' '..='~') {
                out.write_all(&[c as u8])?;
            } else {
                for unit in c.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        // Both languages print the shortest digits that give the same number, and both turn to
        // exponents below 1e-4 and from 1e16 on; Python's exponent has a sign and two digits.
        let text = format!("{value:?}");
        match text.split_once('e') {
            None => out.write_all(text.as_bytes()),
            Some((digits, exponent)) => {
                let (sign, exponent) = match exponent.strip_prefix('-') {
                    None => ('+', exponent),
                    Some(exponent) => ('-', exponent),
                };
                write!(out, "{digits}e{sign}{exponent:0>2}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    fn json(value: &impl Serialize) -> String {
        let mut out = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, PythonJson);
        value.serialize(&mut serializer).expect("serialize");
        String::from_utf8(out).expect("ASCII")
    }

    /// Golden values: `python3 -c 'import json; print(json.dumps([…]))'`.
    #[test]
    fn floats_are_pythons_repr() {
        let floats = [
            0.0,
            -0.0,
            5.0,
            -5.301895306049241,
            1e-8,
            1.67e-7,
            0.0001,
            0.000099,
            1e15,
            1e16,
            1.5e300,
            5e-324,
            0.1,
            -1e-100,
            123456789012345680.0,
        ];
        assert_eq!(
            json(&floats),
            "[0.0, -0.0, 5.0, -5.301895306049241, 1e-08, 1.67e-07, 0.0001, 9.9e-05, \
             1000000000000000.0, 1e+16, 1.5e+300, 5e-324, 0.1, -1e-100, 1.2345678901234568e+17]"
        );
    }

    #[test]
    fn strings_are_ascii() {
        assert_eq!(
            json(&["caf\u{e9} \"\\\" \n\u{1}\u{7f}\u{1f600}", "a/b ~"]),
            r#"["caf\u00e9 \"\\\" \n\u0001\u007f\ud83d\ude00", "a/b ~"]"#
        );
        assert_eq!(
            json(&serde_json::json!({"a": [], "b": {"c": null}})),
            r#"{"a": [], "b": {"c": null}}"#
        );
    }
}
