//! Pickles that real Python 2.7, Python 3 and Jython wrote, against what they hold.

mod fixtures;

use checkpoint::legacy::{Integer, Kind, Pickle, PickleProblem, Value};
use fixtures::shared;
use serde_json::Value as Json;

/// `expected.json` describes each value; see the oracle's README.
fn compare(value: Value<'_>, expected: &Json, at: &str) {
    match (value.kind(), expected) {
        (Kind::None, Json::Null) => {}
        (Kind::Bool(found), Json::Bool(want)) => assert_eq!(found, *want, "{at}"),
        (Kind::Integer(Integer::Small(found)), Json::Number(want)) => {
            assert_eq!(Some(found), want.as_i64(), "{at}");
        }
        (Kind::Integer(found), Json::Object(want)) => {
            let want: i128 = want["int"].as_str().expect(at).parse().expect(at);
            assert_eq!(i128_of(found), want, "{at}");
        }
        (Kind::Float(found), _) => float(found, expected, at),
        (Kind::Bytes(found), Json::Object(want)) => {
            let hex: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, want["bytes_hex"].as_str().expect(at), "{at}");
        }
        (Kind::Text(found), Json::Object(want)) => {
            assert_eq!(found, want["unicode"].as_str().expect(at), "{at}");
        }
        (Kind::List(items), Json::Object(want)) => all(items.iter(), &want["__list__"], at),
        (Kind::Tuple(items), Json::Object(want)) => all(items.iter(), &want["__tuple__"], at),
        (Kind::Dict, Json::Object(want)) => {
            let want = want["__dict__"].as_array().expect(at);
            let found: Vec<_> = value.pairs().expect(at).collect();
            assert_eq!(found.len(), want.len(), "{at}: pairs");
            for pair in want {
                let found = found.iter().find(|(key, _)| same_key(*key, &pair[0]));
                let (_, found) = found.unwrap_or_else(|| panic!("{at}: no key {}", pair[0]));
                compare(*found, &pair[1], &format!("{at}/{}", pair[0]));
            }
        }
        (Kind::Array(array), Json::Object(want)) => {
            assert_eq!(array.dtype().to_string(), want["dtype"], "{at}: dtype");
            assert_eq!(array.is_fortran(), want["fortran"], "{at}: order");
            let shape: Json = array.shape().into();
            assert_eq!(shape, want["shape"], "{at}: shape");
            let want = want["values"].as_array().expect(at);
            let found = array.values();
            assert_eq!(found.len(), want.len(), "{at}: values");
            for (i, (found, want)) in found.iter().zip(want).enumerate() {
                float(*found, want, &format!("{at}[{i}]"));
            }
        }
        (Kind::Scalar(dtype, found), Json::Object(want)) => {
            assert_eq!(dtype.to_string(), want["__scalar__"], "{at}: dtype");
            float(found, &want["value"], at);
        }
        (found, want) => panic!("{at}: {found:?} instead of {want}"),
    }
}

fn all<'p>(items: impl Iterator<Item = Value<'p>>, want: &Json, at: &str) {
    let items: Vec<_> = items.collect();
    let want = want.as_array().expect(at);
    assert_eq!(items.len(), want.len(), "{at}: items");
    for (i, (found, want)) in items.iter().zip(want).enumerate() {
        compare(*found, want, &format!("{at}[{i}]"));
    }
}

/// Bit for bit: -0.0 is not 0.0 and 5e-324 is not 0.
fn float(found: f64, want: &Json, at: &str) {
    let want = match want {
        Json::Bool(on) => f64::from(u8::from(*on)),
        Json::Number(want) => want.as_f64().expect(at),
        other => other["float"].as_str().expect(at).parse().expect(at),
    };
    assert!(
        found.to_bits() == want.to_bits() || found.is_nan() && want.is_nan(),
        "{at}: {found:?} instead of {want:?}"
    );
}

fn same_key(key: Value<'_>, want: &Json) -> bool {
    match key.kind() {
        Kind::Integer(Integer::Small(n)) => want.as_i64() == Some(n),
        Kind::Text(text) => want.get("unicode").is_some_and(|want| want == text),
        Kind::Bytes(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            want.get("bytes_hex").is_some_and(|want| *want == hex)
        }
        _ => false,
    }
}

fn i128_of(integer: Integer<'_>) -> i128 {
    match integer {
        Integer::Small(n) => n.into(),
        Integer::Digits(digits) => digits.parse().expect("at most 128 bits"),
        Integer::Bytes(bytes) => {
            let negative = bytes.last().is_some_and(|&high| high >= 0x80);
            let mut full = [if negative { 0xff } else { 0 }; 16];
            full[..bytes.len()].copy_from_slice(bytes);
            i128::from_le_bytes(full)
        }
    }
}

#[test]
fn every_golden_pickle_holds_what_python_saw() {
    let Some(folder) = shared("oracle/pickle_format") else {
        return;
    };
    let expected = std::fs::read(folder.join("expected.json")).expect("expected.json");
    let expected: Json = serde_json::from_slice(&expected).expect("expected.json");
    let mut seen = 0;
    for (name, want) in expected.as_object().expect("an object") {
        let bytes = std::fs::read(folder.join(name)).expect(name);
        let pickle = Pickle::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        compare(pickle.root(), want, name);
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} golden pickles");
}

/// The same content as `mini_lstm`, with strings where Python 2 had byte strings.
#[test]
fn modern_pickles_hold_the_same_arrays() {
    let Some(folder) = shared("oracle/pickle_format") else {
        return;
    };
    let old = std::fs::read(folder.join("mini_lstm_cpickle_p2.p")).expect("mini_lstm");
    let old = Pickle::parse(&old).expect("mini_lstm");
    for protocol in [2, 3, 4, 5] {
        let name = format!("modern_py3_numpy2_p{protocol}.p");
        let Ok(new) = std::fs::read(folder.join(&name)) else {
            assert_eq!(protocol, 4, "{name} is missing");
            continue;
        };
        let new = Pickle::parse(&new).unwrap_or_else(|error| panic!("{name}: {error}"));
        let model = |pickle: &Pickle<'_>, key: &str| {
            let model = pickle.root().get("model").expect("model");
            let array = model.get(key).and_then(|value| value.as_array());
            let array = array.unwrap_or_else(|| panic!("{name}: no {key}"));
            (array.shape().to_vec(), array.values())
        };
        for key in ["We", "be", "Ws", "WLSTM", "Wd", "bd"] {
            assert_eq!(model(&new, key), model(&old, key), "{name}: {key}");
        }
        let perplexity = |pickle: &Pickle<'_>| pickle.root().get("perplexity")?.as_f64();
        assert_eq!(perplexity(&new), perplexity(&old), "{name}");
    }
}

#[test]
fn jython_pickles_are_read() {
    let Some(folder) = shared("oracle/pickle_format") else {
        return;
    };
    for protocol in 0..=2 {
        let name = format!("jython27_proto{protocol}.p");
        let bytes = std::fs::read(folder.join(&name)).expect(&name);
        let pickle = Pickle::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let root = pickle.root();
        let words = root.get("wordtoix").expect("wordtoix");
        assert_eq!(
            words.get("café").and_then(|v| v.as_i64()),
            Some(3),
            "{name}"
        );
        assert_eq!(
            root.get("n").and_then(|v| v.as_i64()),
            Some(1_000_000_000_000)
        );
        assert_eq!(root.get("perplexity").and_then(|v| v.as_f64()), Some(12.5));
        let Some(Kind::Tuple(tuple)) = root.get("t").map(|v| v.kind()) else {
            panic!("{name}: no tuple");
        };
        let kinds: Vec<_> = tuple.iter().map(|v| format!("{:?}", v.kind())).collect();
        assert_eq!(
            kinds,
            [
                "Integer(Small(1))",
                "Integer(Small(2))",
                "None",
                "Bool(true)"
            ]
        );
    }
}

#[test]
fn bad_pickles_are_refused_with_name_and_offset() {
    let Some(folder) = shared("oracle/pickle_format") else {
        return;
    };
    let refuse = |name: &str| {
        let bytes = std::fs::read(folder.join(name)).expect(name);
        Pickle::parse(&bytes).expect_err(name)
    };
    assert_eq!(refuse("bad_empty.p").problem, PickleProblem::NoStop);
    let error = refuse("bad_global_os_system.p");
    assert_eq!(
        error.to_string(),
        "byte 0: refers to `posix.system`, only numpy arrays and plain data are read"
    );
    let error = refuse("bad_object_array.p");
    assert!(
        error.to_string().contains("dtype `O8` is not read"),
        "{error}"
    );
    assert!(error.offset > 0x80, "{error}");
    let error = refuse("bad_no_stop.p");
    assert_eq!((error.offset, error.problem), (3087, PickleProblem::NoStop));
    refuse("bad_truncated.p");
    // What else was put there since.
    for entry in std::fs::read_dir(&folder).expect("the folder") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("UTF-8");
        if name.starts_with("bad_") {
            refuse(name);
        }
    }
}

/// Ten VGG vectors by picture name, pickled by someone else's Python 2. Printed by
/// `for k, v in pickle.load(open(f, 'rb'), encoding='latin1').items(): print(k, float(v.astype('f8').sum()))`.
#[test]
fn a_stranger_s_pickle_is_read() {
    let Some(path) = shared("data/legacy/python2_protocol0_vgg_vectors.p") else {
        return;
    };
    let bytes = std::fs::read(path).expect("the pickle");
    let pickle = Pickle::parse(&bytes).expect("a pickle");
    let mut seen = 0;
    for (key, value) in pickle.root().pairs().expect("a dictionary") {
        let array = value.as_array().expect("an array");
        assert_eq!(array.shape(), [4096]);
        assert_eq!(array.dtype().to_string(), "<f4");
        let sum: f64 = array.values().iter().sum();
        if key.as_str() == Some("ActiOn_7.jpg") {
            assert!((sum - VGG_SUM).abs() < 1e-6, "{sum:?}");
            seen += 1;
        }
    }
    assert_eq!(seen, 1);
}
const VGG_SUM: f64 = 2377.599480241537;
