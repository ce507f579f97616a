//! Writing feature files: a header, then N rows of D numbers (or of R regions of D), the same bytes in every form.
//!
//! MATLAB keeps columns together, and `feats` is (D, N): its columns are our rows. Here: the headers of `.mat`
//! (level 5, uncompressed, what NeuralTalk's scripts read), `.npy` and `.safetensors`. Not here: readers (one file each
//! beside this one), where the numbers come from.
//!
//! Sources: "MAT-File Format", MathWorks, version 5; numpy's `format.py`, version 1.0; the safetensors README.

use std::io::{self, Write};
use std::path::Path;

/// A form of feature file that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenForm {
    /// MATLAB level 5, variable `feats` (D, N), single.
    Mat,
    /// numpy, (N, D), little-endian f32.
    Npy,
    /// Tensor `feats` (N, D), F32.
    Safetensors,
}

impl WrittenForm {
    /// By the ending of a file's name.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "mat" => Some(Self::Mat),
            "npy" => Some(Self::Npy),
            "safetensors" => Some(Self::Safetensors),
            _ => None,
        }
    }

    /// Writes what stands before the numbers: `count` rows of R regions of D numbers (R = 1 for one vector), row-major f32, must follow,
    /// then [`end`](Self::end).
    ///
    /// # Errors
    /// What `out` reports; `InvalidInput` for a matrix that the form can't hold (4 GiB in a MAT file).
    pub fn begin(
        self,
        out: &mut dyn Write,
        count: usize,
        [regions, dimension]: [usize; 2],
    ) -> io::Result<()> {
        let bytes = 4 * count as u64 * regions as u64 * dimension as u64;
        let sizes = |between: &str| match regions {
            1 => format!("{count}{between}{dimension}"),
            _ => format!("{count}{between}{regions}{between}{dimension}"),
        };
        match self {
            Self::Mat if regions != 1 => {
                let problem =
                    "a MAT file here holds one vector a picture: write .npy or .safetensors";
                Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
            }
            Self::Mat => begin_mat(out, count, dimension, bytes),
            Self::Npy => {
                let header = format!(
                    "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}",
                    sizes(", ")
                );
                // Magic, version, length and header end at a multiple of 64 bytes with a newline.
                let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
                out.write_all(b"\x93NUMPY\x01\x00")?;
                out.write_all(&(padded as u16).to_le_bytes())?;
                writeln!(out, "{header:<0$}", padded - 1)
            }
            Self::Safetensors => {
                let header = format!(
                    "{{\"feats\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[0,{bytes}]}}}}",
                    sizes(",")
                );
                let padded = header.len().next_multiple_of(8);
                out.write_all(&(padded as u64).to_le_bytes())?;
                write!(out, "{header:<padded$}")
            }
        }
    }

    /// Writes what stands behind the numbers.
    ///
    /// # Errors
    /// What `out` reports.
    pub fn end(self, out: &mut dyn Write, count: usize, width: usize) -> io::Result<()> {
        match self {
            // An element of a MAT file ends at a multiple of eight bytes.
            Self::Mat if (count * width) % 2 == 1 => out.write_all(&[0; 4]),
            _ => Ok(()),
        }
    }
}

fn begin_mat(out: &mut dyn Write, count: usize, dimension: usize, bytes: u64) -> io::Result<()> {
    /// Tags and contents of flags, dimensions and name, and the tag of the numbers.
    const BEFORE: u64 = 16 + 16 + 16 + 8;
    let whole = BEFORE + bytes.next_multiple_of(8);
    let (Ok(whole), Ok(bytes), Ok(n), Ok(d)) = (
        u32::try_from(whole),
        u32::try_from(bytes),
        i32::try_from(count),
        i32::try_from(dimension),
    ) else {
        let problem = "a MAT file of level 5 holds at most 4 GiB: write .npy or .safetensors";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    };
    let text = "MATLAB 5.0 MAT-file, picture features by neuraltalk";
    write!(out, "{text:<124}")?;
    out.write_all(&[0, 1, b'I', b'M'])?;
    let mut words = |words: &[u32]| -> io::Result<()> {
        words
            .iter()
            .try_for_each(|word| out.write_all(&word.to_le_bytes()))
    };
    // miMATRIX; flags (miUINT32): mxSINGLE_CLASS; dimensions (miINT32); name (miINT8), padded to eight bytes.
    words(&[14, whole, 6, 8, 7, 0, 5, 8, d as u32, n as u32, 1, 5])?;
    out.write_all(b"feats\0\0\0")?;
    for word in [7, bytes] {
        out.write_all(&u32::to_le_bytes(word))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Features;

    /// Our own readers are held to files of MATLAB, scipy and numpy elsewhere.
    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        for (count, dimension) in [(3, 5), (2, 4), (1, 1), (0, 7), (130, 33)] {
            let rows: Vec<f32> = (0..count * dimension).map(|i| i as f32 - 3.5).collect();
            for name in ["a.mat", "a.NPY", "a.safetensors"] {
                let path = folder.path().join(name);
                let form = WrittenForm::of(&path).unwrap();
                let mut bytes = Vec::new();
                form.begin(&mut bytes, count, [1, dimension]).unwrap();
                rows.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
                form.end(&mut bytes, count, dimension).unwrap();
                std::fs::write(&path, bytes).unwrap();
                if count == 0 {
                    continue; // Readers may refuse a file of nothing.
                }
                let read = Features::open(&path).unwrap();
                assert_eq!((read.len(), read.dimension()), (count, dimension), "{name}");
                for (imgid, row) in (0..).zip(rows.chunks(dimension)) {
                    assert_eq!(read.row(imgid).unwrap(), row, "{name}");
                }
            }
        }
        assert_eq!(WrittenForm::of(Path::new("feats.csv")), None);
    }

    #[test]
    fn regions_read_back_with_their_shape() {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<f32> = (0..2 * 3 * 5).map(|i| i as f32).collect();
        for name in ["a.npy", "a.safetensors"] {
            let path = folder.path().join(name);
            let mut bytes = Vec::new();
            let form = WrittenForm::of(&path).unwrap();
            form.begin(&mut bytes, 2, [3, 5]).unwrap();
            rows.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
            std::fs::write(&path, bytes).unwrap();
            let read = Features::open(&path).unwrap();
            assert_eq!((read.len(), read.regions(), read.dimension()), (2, 3, 5));
            assert_eq!(read.row(1).unwrap(), &rows[15..], "{name}");
        }
        let error = WrittenForm::Mat
            .begin(&mut Vec::new(), 2, [3, 5])
            .unwrap_err();
        assert!(error.to_string().contains(".npy"), "{error}");
    }

    #[test]
    fn a_mat_file_over_4_gib_is_refused_before_it_is_written() {
        let mut bytes = Vec::new();
        let error = WrittenForm::Mat
            .begin(&mut bytes, 1 << 20, [1, 1 << 12])
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(bytes.is_empty());
    }
}
