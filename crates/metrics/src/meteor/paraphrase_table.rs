//! The paraphrase table as a file: gzip text, three lines an entry.
//!
//! Here: a thread that unpacks ahead, and the reader that goes through the lines. Not here: what is kept of it
//! (`paraphrases.rs`).
//!
//! Each entry is a probability (unused), a phrase, and a phrase that means the same; 5.3 million of them, 62 MB
//! packed and 272 MB unpacked in METEOR 1.5. Unpacking is serial and takes longest, so it has a thread of its own
//! and can start before the captions are known.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use flate2::bufread::MultiGzDecoder;

use super::error::{MeteorError, excerpt};
use super::newlines;

/// Bytes of one unpacked piece.
const PIECE: usize = 256 << 10;
/// Unpacked pieces that may wait for the reader: 96 MiB, what is unpacked while captions are read and tokenized.
const PIECES_AHEAD: usize = 384;
/// Bytes; the longest real line has 60.
const LINE_LIMIT: usize = 64 << 10;
/// A real table unpacks to 4.4 times its size; more than this many times means a trap.
const RATIO_LIMIT: u64 = 100;

/// A table that is being unpacked.
pub(super) struct Unpacking {
    path: PathBuf,
    pieces: Receiver<std::io::Result<Vec<u8>>>,
    used: Sender<Vec<u8>>,
}

/// Receives the entries of a table; the words are still one text, separated by blanks.
pub(super) trait Entries {
    /// A new first phrase; false if its entries aren't wanted.
    fn phrase(&mut self, phrase: &[u8]) -> bool;
    /// A paraphrase of the last first phrase.
    fn paraphrase(&mut self, phrase: &[u8]);
}

impl Unpacking {
    /// Starts the thread. It ends with the file or when this is dropped.
    pub(super) fn start(path: &Path) -> Result<Self, MeteorError> {
        let path = path.to_owned();
        let read = |source| MeteorError::Read {
            path: path.clone(),
            source,
        };
        let file = File::open(&path).map_err(read)?;
        let limit = file.metadata().map_err(read)?.len() * RATIO_LIMIT + (1 << 20);
        let (sender, pieces) = sync_channel(PIECES_AHEAD);
        let (used, reuse) = channel();
        std::thread::spawn(move || unpack(file, limit, &sender, &reuse));
        Ok(Self { path, pieces, used })
    }

    /// Goes through all entries.
    pub(super) fn read(self, entries: &mut impl Entries) -> Result<(), MeteorError> {
        let mut lines = Lines {
            table: &self,
            entries,
            number: 0,
            first: Vec::new(),
            wanted: false,
        };
        // The start of a line whose end is in the next piece.
        let mut cut = Vec::new();
        let mut ends = Vec::new();
        while let Ok(piece) = self.pieces.recv() {
            let piece = piece.map_err(|source| MeteorError::Unpack {
                path: self.path.clone(),
                line: lines.number,
                source,
            })?;
            newlines::find(&piece, &mut ends);
            let mut start = 0;
            let mut rest = ends.as_slice();
            // The rest of the entry that the last piece left.
            while let Some((&end, others)) = rest.split_first()
                && !(cut.is_empty() && lines.number.is_multiple_of(3))
            {
                cut.extend_from_slice(&piece[start..end as usize]);
                lines.line(&cut)?;
                cut.clear();
                start = end as usize + 1;
                rest = others;
            }
            let (entries, rest) = rest.as_chunks::<3>();
            for &ends in entries {
                let ends = ends.map(|end| end as usize);
                lines.entry(
                    &piece[start..ends[0]],
                    &piece[ends[0] + 1..ends[1]],
                    &piece[ends[1] + 1..ends[2]],
                )?;
                start = ends[2] + 1;
            }
            for &end in rest {
                lines.line(&piece[start..end as usize])?;
                start = end as usize + 1;
            }
            cut.extend_from_slice(&piece[start..]);
            if LINE_LIMIT < cut.len() {
                return Err(lines.error("a line of at most 65536 bytes", &cut));
            }
            // The thread may have ended already; then nobody needs the buffer.
            drop(self.used.send(piece));
        }
        if !cut.is_empty() {
            lines.line(&cut)?;
        }
        lines.end()
    }
}

/// The thread: pieces of unpacked bytes until the end, an error, or nobody listens.
fn unpack(
    file: File,
    limit: u64,
    sender: &SyncSender<std::io::Result<Vec<u8>>>,
    reuse: &Receiver<Vec<u8>>,
) {
    let file = std::io::BufReader::with_capacity(PIECE, file);
    let mut unpacked = MultiGzDecoder::new(file);
    let mut total = 0;
    loop {
        let mut piece = reuse.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let piece = match unpacked.read(&mut piece) {
            Ok(0) => return,
            Ok(length) => {
                piece.truncate(length);
                total += length as u64;
                if limit < total {
                    let message = format!("more than {limit} bytes come out");
                    Err(std::io::Error::other(message))
                } else {
                    Ok(piece)
                }
            }
            Err(error) => Err(error),
        };
        let last = piece.is_err();
        if sender.send(piece).is_err() || last {
            return;
        }
    }
}

/// Where in the table the reader is.
struct Lines<'a, E> {
    table: &'a Unpacking,
    entries: &'a mut E,
    /// Lines read.
    number: u64,
    /// The last first phrase, and whether its entries are wanted: they stand together in the file.
    first: Vec<u8>,
    wanted: bool,
}

impl<E: Entries> Lines<'_, E> {
    fn line(&mut self, line: &[u8]) -> Result<(), MeteorError> {
        self.number += 1;
        match self.number % 3 {
            1 if !line
                .first()
                .is_some_and(|&byte| byte.is_ascii_digit() || byte == b'.') =>
            {
                return Err(self.error("a probability", line));
            }
            1 => {}
            _ if line.trim_ascii().is_empty() => return Err(self.error("a phrase", line)),
            2 => self.first(line),
            _ if self.wanted => self.entries.paraphrase(line),
            _ => {}
        }
        Ok(())
    }

    /// The three lines of an entry.
    fn entry(&mut self, probability: &[u8], from: &[u8], to: &[u8]) -> Result<(), MeteorError> {
        let starts =
            |line: &[u8], with: fn(u8) -> bool| line.first().is_some_and(|&byte| with(byte));
        let visible = |byte| b' ' < byte;
        if !(starts(probability, |byte| byte.is_ascii_digit())
            && starts(from, visible)
            && starts(to, visible))
        {
            return [probability, from, to]
                .into_iter()
                .try_for_each(|line| self.line(line));
        }
        self.number += 3;
        self.first(from);
        if self.wanted {
            self.entries.paraphrase(to);
        }
        Ok(())
    }

    /// An entry's first phrase.
    fn first(&mut self, phrase: &[u8]) {
        if !is_same(phrase, &self.first) {
            self.first.clear();
            self.first.extend_from_slice(phrase);
            self.wanted = self.entries.phrase(phrase);
        }
    }

    /// The file must not end within an entry.
    fn end(&mut self) -> Result<(), MeteorError> {
        if self.number.is_multiple_of(3) {
            return Ok(());
        }
        self.number += 1;
        Err(MeteorError::Line {
            file: self.table.path.display().to_string(),
            line: self.number,
            expected: "a phrase",
            found: "the end of the file".to_owned(),
        })
    }

    fn error(&self, expected: &'static str, found: &[u8]) -> MeteorError {
        MeteorError::Line {
            file: self.table.path.display().to_string(),
            line: self.number,
            expected,
            found: excerpt(found),
        }
    }
}

/// Whether two phrases are equal. Nearly all have 4 to 16 bytes: two words, which may overlap, hold them.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    fn ends<const N: usize>(of: &[u8]) -> (Option<&[u8; N]>, Option<&[u8; N]>) {
        (of.first_chunk(), of.last_chunk())
    }
    a.len() == b.len()
        && match a.len() {
            4..8 => ends::<4>(a) == ends::<4>(b),
            8..=16 => ends::<8>(a) == ends::<8>(b),
            _ => a == b,
        }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// Everything that comes, but nothing for phrases that start with `-`.
    #[derive(Default)]
    struct Log(Vec<String>);

    impl Entries for Log {
        fn phrase(&mut self, phrase: &[u8]) -> bool {
            self.0.push(format!("{}:", String::from_utf8_lossy(phrase)));
            phrase[0] != b'-'
        }

        fn paraphrase(&mut self, phrase: &[u8]) {
            self.0.push(String::from_utf8_lossy(phrase).into_owned());
        }
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    fn read(packed: &[u8]) -> Result<Vec<String>, MeteorError> {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(packed).expect("file");
        let mut log = Log::default();
        Unpacking::start(file.path())?.read(&mut log)?;
        Ok(log.0)
    }

    fn said(packed: &[u8]) -> String {
        let error = read(packed).expect_err("damaged");
        assert!(error.hint().is_some());
        let text = error.to_string();
        // The temporary name is another one each time.
        match text.split_once("` ") {
            Some((_, rest)) => rest.to_owned(),
            None => text,
        }
    }

    #[test]
    fn entries_of_one_phrase_stand_together() {
        let text = b"0.5\na b\nc\n.1\na b\nd e\n1e-3\n-x\ny\n0.2\n-x\nz\n0.1\na b\nf";
        assert_eq!(
            read(&packed(text)).expect("valid"),
            ["a b:", "c", "d e", "-x:", "a b:", "f"]
        );
        assert_eq!(read(&packed(b"")).expect("valid"), [""; 0]);
    }

    #[test]
    fn phrases_are_compared_to_their_last_byte() {
        for length in 0..20 {
            let phrase: Vec<u8> = (0..length).collect();
            assert!(is_same(&phrase, &phrase.clone()));
            assert!(!is_same(&phrase, &[&phrase[..], b"x"].concat()));
            for at in 0..phrase.len() {
                let mut other = phrase.clone();
                other[at] ^= 128;
                assert!(!is_same(&phrase, &other), "{length} bytes, byte {at}");
            }
        }
    }

    /// A piece ends where its part of a joined file does: within a line, or between any two lines of an entry. Phrases that
    /// look like probabilities tell which line is which.
    #[test]
    fn a_piece_may_end_anywhere() {
        let text = b"0.5\n2 men\n3 men\n0.25\n4 dogs\n5 dogs\n0.5\n2 men\n6\n";
        let wanted = ["2 men:", "3 men", "4 dogs:", "5 dogs", "2 men:", "6"];
        for at in 0..=text.len() {
            let (first, second) = text.split_at(at);
            let joined = [packed(first), packed(second)].concat();
            assert_eq!(read(&joined).expect("valid"), wanted, "cut at {at}");
        }
    }

    /// Longer than the pieces that travel between the threads, with cuts everywhere; and of a size that counts for
    /// the limit of what may come out.
    #[test]
    fn pieces_are_joined() {
        let entries: Vec<_> = (0..100_000)
            .map(|i| (format!("from {i}"), format!("to {}", i * 7)))
            .collect();
        let text: String = entries
            .iter()
            .map(|(from, to)| format!("0.125\n{from}\n{to}\n"))
            .collect();
        assert!(PIECE < text.len() && 2 << 20 < text.len());
        let wanted: Vec<_> = entries
            .iter()
            .flat_map(|(from, to)| [format!("{from}:"), to.clone()])
            .collect();
        assert_eq!(read(&packed(text.as_bytes())).expect("valid"), wanted);
        // gzip files may be joined.
        let (first, second) = text.split_at(text.len() / 2);
        let joined = [packed(first.as_bytes()), packed(second.as_bytes())].concat();
        assert_eq!(read(&joined).expect("valid"), wanted);
    }

    #[test]
    fn a_small_table_may_repeat_itself() {
        let text = "0.5\na b\nc d\n".repeat(40_000);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text.as_bytes()).expect("memory");
        let packed = encoder.finish().expect("memory");
        assert!((packed.len() as u64) * RATIO_LIMIT < text.len() as u64);
        assert_eq!(read(&packed).expect("valid").len(), 40_001);
    }

    #[test]
    fn as_much_as_the_limit_may_come_out() {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(&packed(&[b'x'; 2 * PIECE])).expect("file");
        let pieces = |limit| {
            let mut file = file.try_clone().expect("file");
            file.rewind().expect("file");
            let ((sender, pieces), (_, reuse)) = (sync_channel(4), channel());
            unpack(file, limit, &sender, &reuse);
            drop(sender);
            let lengths = pieces.iter().map(|piece| Some(piece.ok()?.len()));
            lengths.collect::<Vec<_>>()
        };
        let all = 2 * PIECE as u64;
        assert_eq!(pieces(all), [Some(PIECE), Some(PIECE)]);
        assert_eq!(pieces(all - 1), [Some(PIECE), None]);
        // Nothing comes after an error.
        assert_eq!(pieces(0), [None]);
    }

    /// A line is only looked at where a piece ends in it.
    #[test]
    fn a_line_may_be_as_long_as_the_limit_at_the_end_of_a_piece() {
        let before = "0.5\na\nb\n".repeat((PIECE - LINE_LIMIT) / 8);
        assert_eq!(before.len(), PIECE - LINE_LIMIT);
        let text = format!("{before}{}\na\nc\n", "5".repeat(LINE_LIMIT + 9));
        let last = read(&packed(text.as_bytes())).expect("valid").pop();
        assert_eq!(last.as_deref(), Some("c"));
        // One byte less before it, one more of it.
        let error = said(&packed(&text.as_bytes()[1..]));
        assert!(error.contains("a line of at most 65536 bytes"), "{error}");
    }

    #[test]
    fn every_prefix_of_a_table_is_refused() {
        let packed = packed("0.5\na b\nc d\n".repeat(20).as_bytes());
        for length in 0..packed.len() {
            let error = read(&packed[..length]).expect_err("cut off");
            assert!(
                matches!(error, MeteorError::Unpack { .. }),
                "prefix {length}: {error}"
            );
        }
    }

    #[test]
    fn damage_is_named_with_its_line() {
        assert_eq!(
            said(&packed(b"0.5\na\nb\nc\n")),
            "line 4: expected a probability, found `c`"
        );
        assert_eq!(
            said(&packed(b"0.5\na\nb\n\n")),
            "line 4: expected a probability, found ``"
        );
        assert_eq!(
            said(&packed(b"0.5\n \nb\n")),
            "line 2: expected a phrase, found ` `"
        );
        assert_eq!(
            said(&packed(b"0.5\na\n\n")),
            "line 3: expected a phrase, found ``"
        );
        for blank in [" ", "\t"] {
            let error = said(&packed(format!("0.5\n{blank}\n{blank}\n").as_bytes()));
            assert!(error.starts_with("line 2: expected a phrase"), "{error}");
        }
        assert_eq!(
            said(&packed(b"0.5\na\n")),
            "line 3: expected a phrase, found the end of the file"
        );
        assert_eq!(
            said(&packed(b"0.5")),
            "line 2: expected a phrase, found the end of the file"
        );
        assert_eq!(
            said(&packed(b"\xff\x00junk")),
            "line 1: expected a probability, found `\u{fffd}\\0junk`"
        );
        assert_eq!(
            said(b"0.5\na phrase\nanother\n"),
            "after line 0: invalid gzip header"
        );
    }

    #[test]
    fn traps_are_refused() {
        let long = [b"0.5\n".as_slice(), &vec![b'x'; LINE_LIMIT + PIECE]].concat();
        let error = said(&packed(&long));
        assert!(
            error.starts_with("line 1: expected a line of at most 65536 bytes, found `xxx"),
            "{error}"
        );
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        for _ in 0..60_000 {
            bomb.write_all(&[b"0.5\na\n".as_slice(), &[b'b'; 200], b"\n"].concat())
                .expect("memory");
        }
        let error = said(&bomb.finish().expect("memory"));
        assert!(error.contains("bytes come out"), "{error}");
    }

    #[test]
    fn the_thread_ends_when_nobody_listens() {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        let text = "0.5\nabc\ndef\n".repeat(100);
        file.write_all(&packed(text.as_bytes())).expect("file");
        drop(Unpacking::start(file.path()).expect("file"));
        let missing = Unpacking::start(Path::new("no/such/table.gz"))
            .err()
            .expect("missing");
        assert!(
            missing
                .to_string()
                .starts_with("cannot read METEOR's data `no/such/table.gz`: ")
        );
    }
}
