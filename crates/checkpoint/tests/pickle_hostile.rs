//! Pickles cut off, changed and built to harm: an error with a position, never a panic.

mod fixtures;

use checkpoint::legacy::{
    Kind, Pickle, PickleError, PickleProblem, export_neuraltalk, read_neuraltalk,
};
use fixtures::{Random, lstm, rnn, shared};
use proptest::prelude::*;
use serde_json::json;

fn parse(bytes: &[u8]) -> Result<(), PickleError> {
    Pickle::parse(bytes).map(drop)
}

fn problem(bytes: &[u8]) -> String {
    parse(bytes).expect_err("a refused pickle").to_string()
}

/// A pickle of our own writer.
fn exported(checkpoint: &checkpoint::Checkpoint) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.p");
    export_neuraltalk(checkpoint, &path).expect("exported");
    std::fs::read(&path).expect("read")
}

#[test]
fn every_prefix_is_refused_and_a_thousand_mutations_do_no_harm() {
    let mut files = vec![
        ("ours".to_owned(), exported(&lstm())),
        ("ours".to_owned(), exported(&rnn())),
    ];
    if let Some(folder) = shared("oracle/pickle_format") {
        for name in [
            "mini_lstm_cpickle_p0.p",
            "mini_rnn_cpickle_p2.p",
            "odd_values_cpickle_p0.p",
            "modern_py3_numpy2_p5.p",
        ] {
            files.push((name.into(), std::fs::read(folder.join(name)).expect(name)));
        }
    }
    for (name, file) in files {
        for n in 0..file.len() {
            let error = parse(&file[..n]).expect_err("a prefix");
            assert!(error.offset <= n, "{name}: prefix {n}: {error}");
        }
        let mut random = Random(1997);
        let mut refused = 0;
        for _ in 0..1000 {
            let mutant = random.mutate(&file);
            let read = checkpoint::legacy::NeuralTalkCheckpoint::parse(&mutant, "m.p".as_ref());
            match read {
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().starts_with("`m.p`"), "{error}");
                }
                Ok(read) => drop(read.into_checkpoint()),
            }
        }
        assert!(refused > 300, "{name}: {refused} refused");
    }
}

#[test]
fn whatever_could_act_is_refused_by_name() {
    let cases: [(&[u8], &str); 16] = [
        (b"cos\nsystem\n(S'x'\ntR.", "byte 0: refers to `os.system`"),
        (
            b"\x80\x02c__builtin__\neval\n.",
            "byte 2: refers to `__builtin__.eval`",
        ),
        (
            b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
            "byte 14: refers to `os.system`",
        ),
        (b"(S'x'\nios\nsystem\n.", "byte 6: refers to `os.system`"),
        (b"cnumpy\nload\n.", "refers to `numpy.load`"),
        (
            b"cnumpy.core.multiarray\nfromfile\n.",
            "refers to `numpy.core.multiarray.fromfile`",
        ),
        (b"c_codecs\ndecode\n.", "refers to `_codecs.decode`"),
        (
            b"ccopy_reg\n_reconstructor\n.",
            "refers to `copy_reg._reconstructor`",
        ),
        (b"c\x1b[31m\nx\n.", "refers to `\\u{1b}[31m.x`"),
        (b"(o.", "byte 1: opcode OBJ builds objects"),
        (b"Pid\n.", "opcode PERSID"),
        (b"NQ.", "byte 1: opcode BINPERSID"),
        (b"))\x81.", "byte 2: opcode NEWOBJ"),
        (b"\x82\x01.", "opcode EXT1"),
        (b"\x97.", "opcode NEXT_BUFFER"),
        (
            b"c__builtin__\nbytes\n(I1000000000\ntR.",
            "bytes() with arguments",
        ),
    ];
    for (bytes, want) in cases {
        let found = problem(bytes);
        assert!(found.contains(want), "{found}\ninstead of {want}");
    }
    // The reconstructors themselves, misused.
    let numpy: [(&[u8], &str); 9] = [
        (b"cnumpy\nndarray\n)R.", "ndarray called directly"),
        (b"cnumpy\ndtype\n(S'O8'\ntR.", "dtype `O8` is not read"),
        (b"cnumpy\ndtype\n(S'V8'\ntR.", "dtype `V8` is not read"),
        (b"cnumpy\ndtype\n)R.", "dtype without a name"),
        (
            b"c_codecs\nencode\n(Vx\nS'rot13'\ntR.",
            "expected a text and 'latin1'",
        ),
        (
            b"c_codecs\nencode\n(V\\u6771\nS'latin1'\ntR.",
            "byte string has U+6771",
        ),
        (
            b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\ntRS'abc'\ntR.",
            "scalar of <f8 needs 8 bytes, found 3",
        ),
        (b"]}b.", "state is a dictionary, expected a tuple"),
        (b"])b.", "state for a list, expected an array"),
    ];
    for (bytes, want) in numpy {
        let found = problem(bytes);
        assert!(found.contains(want), "{found}\ninstead of {want}");
    }
}

#[test]
fn malformed_arguments_are_named() {
    let cases: [(&[u8], &str); 24] = [
        (b"", "byte 0: the pickle ends without a STOP opcode"),
        (b".", "byte 0: STOP needs a value, the stack is empty"),
        (b"N", "byte 1: the pickle ends without a STOP opcode"),
        (b"\x80\x06N.", "byte 0: pickle protocol 6, expected 0 to 5"),
        (b"N\xfe.", "byte 1: 0xfe is no pickle opcode"),
        (b"I12", "cut off inside a line"),
        (b"I1x\n.", "INT argument does not parse: `1x` is no integer"),
        (b"Lx\n.", "LONG argument does not parse: `x` is no integer"),
        (
            b"F1.5.\n.",
            "FLOAT argument does not parse: `1.5.` is no number",
        ),
        (
            b"S'abc\n.",
            "STRING argument does not parse: a string needs quotes around it",
        ),
        (b"S'\\x4'\n.", "\\x needs two hexadecimal digits"),
        (b"V\\u12\n.", "\\u needs 4 hexadecimal digits"),
        (b"V\\ud83d\n.", "U+D83D is no character"),
        (b"V\\ude00\n.", "U+DE00 is no character"),
        (b"V\\U00110000\n.", "U+110000 is no character"),
        (
            b"X\x02\0\0\0\xff\xfe.",
            "BINUNICODE argument does not parse: invalid utf-8",
        ),
        (
            b"T\xff\xff\xff\xff.",
            "BINSTRING argument does not parse: length -1",
        ),
        (
            b"T\xff\xff\xff\x7f.",
            "the pickle is cut off: 2147483647 bytes expected, 1 left",
        ),
        (
            b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",
            "18446744073709551615 bytes expected, 1 left",
        ),
        (b"h\x07.", "memo entry 7 was never stored"),
        (b"Na.", "APPEND needs a value, the stack is empty"),
        (b"NNa.", "APPEND expected a list, found None"),
        (b"(Nd.", "DICT: a dictionary needs pairs, found 1 values"),
        (b"Nt.", "TUPLE needs a MARK, there is none"),
    ];
    for (bytes, want) in cases {
        let found = problem(bytes);
        assert!(found.contains(want), "{found}\ninstead of {want}");
    }
}

#[test]
fn loops_and_depth_are_refused_without_recursion() {
    // l = []; l.append(l)
    assert_eq!(
        parse(b"]q\0h\0a.").expect_err("a loop").problem,
        PickleProblem::Cycle
    );
    // d = {}; d[0] = (d,)
    assert_eq!(
        parse(b"}q\0K\0h\0\x85s.").expect_err("a loop").problem,
        PickleProblem::Cycle
    );
    // A loop that the result does not reach harms nobody.
    assert_eq!(parse(b"]q\0h\0a0N."), Ok(()));
    // A million deep, as lists, as tuples and as tuples of one.
    let million = 1_000_000;
    let lists = [&b"]".repeat(million)[..], &b"a".repeat(million - 1), b"."].concat();
    let tuples = [&b"(".repeat(million)[..], &b"t".repeat(million), b"."].concat();
    let ones = [b"N", &b"\x85".repeat(million)[..], b"."].concat();
    for file in [lists, tuples, ones] {
        let error = parse(&file).expect_err("too deep");
        assert_eq!(error.problem, PickleProblem::TooDeep(100), "{error}");
    }
    assert_eq!(
        parse(&[b"N", &b"\x85".repeat(99)[..], b"."].concat()),
        Ok(())
    );
    assert_eq!(
        parse(&[b"N", &b"\x85".repeat(100)[..], b"."].concat())
            .expect_err("101 deep")
            .problem,
        PickleProblem::TooDeep(100)
    );
}

/// "Billion laughs": fifty lists, each holding the one before twice. Shared, it is small; only
/// who writes it out as a tree pays, so the parameters refuse to.
#[test]
fn shared_lists_do_not_explode() {
    let mut laughs = b"]".to_vec();
    for _ in 0..50 {
        laughs.extend(b"q\x000](h\x00h\x00e");
    }
    let pickle = [&laughs[..], b"."].concat();
    let pickle = Pickle::parse(&pickle).expect("small");
    let Kind::List(items) = pickle.root().kind() else {
        panic!("a list");
    };
    assert_eq!(items.len(), 2);
    // The same depth-first, six deep and ten wide: a million values.
    let mut params = b"(dS'ixtoword'\n(dI0\nS'.'\nssS'params'\n(dS'x'\nI1\np0\n".to_vec();
    for _ in 0..6 {
        params.extend(b"0(");
        params.extend(b"g0\n".repeat(10));
        params.extend(b"tp0\n");
    }
    params.extend(b"ss.");
    let read = checkpoint::legacy::NeuralTalkCheckpoint::parse(&params, "m.p".as_ref());
    let error = read.expect_err("too many").to_string();
    assert!(
        error.contains("more than 10000 values in the parameters"),
        "{error}"
    );
}

/// Escapes against a table that Python 2.7 would agree with.
#[test]
fn text_opcodes_decode_as_python_does() {
    let strings: [(&[u8], &[u8]); 9] = [
        (b"'plain'", b"plain"),
        (b"\"it's\"", b"it's"),
        (b"'it\\'s'", b"it's"),
        (b"'\\\\n'", b"\\n"),
        (b"'\\n\\r\\t\\a\\b\\f\\v'", b"\n\r\t\x07\x08\x0c\x0b"),
        (b"'\\x00\\xfF'", b"\0\xff"),
        (b"'\\0\\7\\101\\1012\\777'", b"\0\x07AA2\xff"),
        (b"'\\q'", b"\\q"),
        (b"''  ", b""),
    ];
    for (line, want) in strings {
        let file = [b"S", line, b"\n."].concat();
        let pickle = Pickle::parse(&file).expect("a string");
        assert_eq!(
            pickle.root().as_bytes(),
            Some(want),
            "{}",
            line.escape_ascii()
        );
    }
    let texts: [(&[u8], &str); 9] = [
        (b"plain", "plain"),
        (b"caf\xe9", "café"),
        (b"\\u6771\\u4eac", "東京"),
        (b"\\ud83d\\ude00!", "😀!"),
        (b"\\U0001f600", "😀"),
        (b"\\u005cn", "\\n"),
        (b"\\\\u0041", "\\\\u0041"),
        (b"\\\\\\u0041", "\\\\A"),
        (b"\\n", "\\n"),
    ];
    for (line, want) in texts {
        let file = [b"V", line, b"\n."].concat();
        let pickle = Pickle::parse(&file).expect("a text");
        assert_eq!(
            pickle.root().as_str(),
            Some(want),
            "{}",
            line.escape_ascii()
        );
    }
    let integers: [(&[u8], i64); 8] = [
        (b"I-5\n.", -5),
        (b"I01\n.", 1),
        (b"L7L\n.", 7),
        (b"\x8a\x00.", 0),
        (b"\x8a\x01\xff.", -1),
        (b"\x8a\x02\xff\x00.", 255),
        (b"J\xff\xff\xff\xff.", -1),
        (b"\x8b\x01\x00\x00\x00\x80.", -128),
    ];
    for (file, want) in integers {
        let pickle = Pickle::parse(file).expect("an integer");
        assert_eq!(
            pickle.root().as_i64(),
            Some(want),
            "{}",
            file.escape_ascii()
        );
    }
}

#[test]
fn stack_opcodes_do_what_they_say() {
    let cases: [(&[u8], &str); 8] = [
        (b"K\x01K\x020.", "Integer(Small(1))"),
        (b"K\x01(K\x02K\x031.", "Integer(Small(1))"),
        (b"K\x01(0.", "Integer(Small(1))"),
        (b"K\x012\x86.", "Tuple(2 items)"),
        (b"(K\x01K\x02\x91.", "Set(2 items)"),
        (b"\x8f(K\x01\x90.", "Set(1 items)"),
        (b"K\x05\x940h\x00.", "Integer(Small(5))"),
        (b"\x95\x02\0\0\0\0\0\0\0N.trailing", "None"),
    ];
    for (file, want) in cases {
        let pickle = Pickle::parse(file).unwrap_or_else(|e| panic!("{}: {e}", file.escape_ascii()));
        assert_eq!(
            format!("{:?}", pickle.root().kind()),
            want,
            "{}",
            file.escape_ascii()
        );
    }
    // Nine bytes of LONG1 for what needs the 64th bit, and one number too many.
    let as_u64 = |file: &[u8]| match Pickle::parse(file).expect("a pickle").root().kind() {
        Kind::Integer(n) => n.as_u64(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        as_u64(b"\x8a\x09\xfe\xff\xff\xff\xff\xff\xff\xff\x00."),
        Some(u64::MAX - 1)
    );
    assert_eq!(
        as_u64(b"\x8a\x09\xfe\xff\xff\xff\xff\xff\xff\xff\x01."),
        None
    );
    assert_eq!(as_u64(b"L18446744073709551615L\n."), Some(u64::MAX));
    assert_eq!(as_u64(b"L18446744073709551616L\n."), None);
    assert_eq!(as_u64(b"J\xff\xff\xff\xff."), None);
    // numpy integers: byte order, sign and width.
    for (name, order, bytes, want) in [
        ("i2", '>', "\\xff\\xfe", Some(-2)),
        ("i2", '<', "\\xfe\\xff", Some(-2)),
        ("u2", '>', "\\x01\\x00", Some(256)),
        (
            "i8",
            '>',
            "\\x00\\x00\\x00\\x00\\x00\\x00\\x01\\x02",
            Some(258),
        ),
        ("u8", '<', "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff", None),
        ("b1", '|', "\\x01", Some(1)),
        ("f4", '<', "\\x00\\x00\\x80?", None),
    ] {
        let file = format!(
            "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'{name}'\nI0\nI1\ntR\
             (I3\nS'{order}'\nNNNI-1\nI-1\nI0\ntbS'{bytes}'\ntR."
        );
        let pickle = Pickle::parse(file.as_bytes()).expect(&file);
        assert_eq!(pickle.root().as_i64(), want, "{file}");
    }
    // A value below a MARK is out of reach.
    assert!(parse(b"N(0.").is_ok());
    assert!(problem(b"](Na0.").contains("APPEND needs a value"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_at_all_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&bytes));
    }

    /// Bytes that are opcodes more often than not.
    #[test]
    fn no_opcodes_make_it_panic(
        picks in proptest::collection::vec(0..OPCODES.len(), 0..100),
        tail in any::<[u8; 4]>(),
    ) {
        let mut bytes: Vec<u8> = picks.iter().flat_map(|&i| OPCODES[i].iter().copied()).collect();
        bytes.extend(tail);
        bytes.push(b'.');
        drop(parse(&bytes));
    }

    /// What our writer writes, our reader reads.
    #[test]
    fn export_and_import_are_inverse(
        word in "[^\u{0}]{0,8}",
        number in any::<i64>(),
        large in (i64::MAX as u64 + 1)..,
        real in proptest::num::f64::NORMAL | proptest::num::f64::ZERO,
        bits in proptest::num::f32::ANY,
        switch in any::<bool>(),
    ) {
        let mut checkpoint = lstm();
        checkpoint.word_counts = None;
        checkpoint.words[2] = word.clone();
        checkpoint.scores.remove("bleu4");
        checkpoint.weights[3].data.singles_mut()[5] = bits;
        checkpoint.params.insert("fappend".into(), json!(word));
        checkpoint.params.insert("number".into(), json!(number));
        // A Python long, as a random seed may be.
        checkpoint.params.insert("large".into(), json!(large));
        checkpoint.params.insert("real".into(), json!(real));
        checkpoint.params.insert("nested".into(), json!({"list": [switch, null, [1, 2]], "none": {}}));
        checkpoint.epoch = real.abs();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.p");
        export_neuraltalk(&checkpoint, &path).expect("exported");
        let back = read_neuraltalk(&path).expect("imported").into_checkpoint();
        prop_assert_eq!(&back.words, &checkpoint.words);
        prop_assert_eq!(&back.decoder, &checkpoint.decoder);
        prop_assert_eq!(back.epoch.to_bits(), checkpoint.epoch.to_bits());
        for (key, value) in &checkpoint.params {
            prop_assert_eq!(&back.params[key], value);
        }
        for (found, want) in back.weights.iter().zip(&checkpoint.weights) {
            prop_assert_eq!(&found.shape, &want.shape);
            let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
            let (found, known) = (found.data.singles(), want.data.singles());
            prop_assert!(found.iter().zip(&*known).all(same), "{}", want.name);
        }
    }
}

const OPCODES: &[&[u8]] = &[
    b"(",
    b"N",
    b"]",
    b"}",
    b")",
    b"t",
    b"l",
    b"d",
    b"a",
    b"e",
    b"s",
    b"u",
    b"0",
    b"1",
    b"2",
    b"R",
    b"b",
    b"q\0",
    b"h\0",
    b"q\x01",
    b"h\x01",
    b"\x94",
    b"\x85",
    b"\x86",
    b"\x87",
    b"\x8f",
    b"\x90",
    b"\x91",
    b"\x93",
    b"K\x01",
    b"K\0",
    b"\x88",
    b"\x89",
    b"S'f4'\n",
    b"S'<'\n",
    b"U\x04\0\0\x80?",
    b"\x8c\x05numpy",
    b"\x8c\x07ndarray",
    b"cnumpy\nndarray\n",
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"cnumpy.core.multiarray\nscalar\n",
    b"cnumpy._core.numeric\n_frombuffer\n",
    b"S'C'\n",
];
