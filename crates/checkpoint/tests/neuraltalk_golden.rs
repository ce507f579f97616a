//! Checkpoints that NeuralTalk's own `driver.py` wrote, against what numpy finds in them.
//!
//! The table was printed by
//! ```python
//! for f in sorted(glob.glob('nt1/checkpoints/*')):
//!     c = pickle.load(open(f, 'rb'), encoding='latin1')
//!     for k in sorted(c['model']):
//!         v = c['model'][k]
//!         print((k, float(v.sum()), float((v*v).sum()), float(v.ravel()[v.size//2])))
//! ```

mod fixtures;

use checkpoint::legacy::{NeuralTalkCheckpoint, export_neuraltalk, read_neuraltalk};
use checkpoint::{CheckpointError, load, load_any, save};
use fixtures::shared;
use models::DecoderConfig;

/// File, iteration, epoch, perplexity.
type Head = (&'static str, u64, f64, f64);
/// Our names of a matrix's parts from its first row to its last; sum, sum of squares, middle value.
type Row = (&'static [&'static str], f64, f64, f64);

const WLSTM: &[&str] = &["lstm.bias", "lstm.input", "lstm.hidden"];

const LSTM: [Row; 6] = [
    (
        WLSTM,
        -13.058968026733083,
        1177.4653019872644,
        0.4915647947079615,
    ),
    (
        &["output.weight"],
        -3.8074126566464273,
        1441.2192384985556,
        -0.9481110795097542,
    ),
    (
        &["projection.weight"],
        -214.40065519837893,
        225.07207167110937,
        -0.0016346646896222403,
    ),
    (
        &["embedding.weight"],
        88.28031929403983,
        596.7678756995848,
        -0.20902333155607844,
    ),
    (
        &["output.bias"],
        -274.9176882613347,
        747.9445858467097,
        -2.908766381403335,
    ),
    (
        &["projection.bias"],
        -1.1630586529489095,
        2.5875228965505173,
        -0.2496430199794906,
    ),
];

const INIT: [Row; 6] = [
    (
        WLSTM,
        1.3103749258101038,
        16.064454131562574,
        -0.0745831268478239,
    ),
    (
        &["output.weight"],
        2.6170603635187746,
        8.67139668373801,
        -0.06588311516331329,
    ),
    (
        &["projection.weight"],
        25.688883113258274,
        326.74140663953665,
        0.0899100604722017,
    ),
    (
        &["embedding.weight"],
        4.08765495281547,
        8.618956676110718,
        -0.06919683723281674,
    ),
    (
        &["output.bias"],
        -279.7069080968809,
        785.0154166141783,
        -2.578432707798824,
    ),
    (&["projection.bias"], 0.0, 0.0, 0.0),
];

const RNN_0_0: [Row; 9] = [
    (
        &["output.weight"],
        -85.81400299453985,
        39.76155936661195,
        0.04019132204421028,
    ),
    (
        &["projection.weight"],
        2957.155101674999,
        978.4893277756764,
        0.06696165505326682,
    ),
    (
        &["rnn.hidden.weight"],
        20.13782126027854,
        8.614736298986664,
        -0.06802391530800302,
    ),
    (
        &["embedding.weight"],
        -6.256344419430679,
        579.7986388803946,
        0.7411352897108532,
    ),
    (
        &["rnn.input.weight"],
        -2.389366399730263,
        444.7911461282178,
        -0.9817953275181435,
    ),
    (
        &["output.bias"],
        -279.6828757788398,
        783.9808829622576,
        -2.6544533115112654,
    ),
    (
        &["projection.bias"],
        1.9547969268405527,
        0.24101154964365148,
        0.025817414379976904,
    ),
    (
        &["rnn.hidden.bias"],
        1.9547969268405527,
        0.24101154964365148,
        0.025817414379976904,
    ),
    (
        &["rnn.input.bias"],
        1.9547969268405523,
        0.2410115496436513,
        0.025817414379976932,
    ),
];

const RNN_0_1: [Row; 9] = [
    (
        &["output.weight"],
        -231.43013697663065,
        107.6787456099529,
        -0.1719795556524977,
    ),
    (
        &["projection.weight"],
        3003.7930165766206,
        865.3933256118358,
        0.1335038814022544,
    ),
    (
        &["rnn.hidden.weight"],
        23.561829767412508,
        12.44628859400434,
        -0.026371424144663393,
    ),
    (
        &["embedding.weight"],
        10.67927926657973,
        292.29639306435206,
        -0.34250682907700275,
    ),
    (
        &["rnn.input.weight"],
        -25.163871948813615,
        208.51224983068656,
        -0.6059723813769617,
    ),
    (
        &["output.bias"],
        -279.16108942783654,
        784.2866719438756,
        -2.5371392772123214,
    ),
    (
        &["projection.bias"],
        2.0446898941326506,
        0.22278267425750387,
        0.05159264969381594,
    ),
    (
        &["rnn.hidden.bias"],
        1.4835768315389057,
        0.388123160617933,
        -0.12394488515117445,
    ),
    (
        &["rnn.input.bias"],
        1.4835768315389062,
        0.38812316061793317,
        -0.12394488515117451,
    ),
];

const RNN_1_1: [Row; 9] = [
    (
        &["output.weight"],
        -264.4156394736335,
        124.24645192040204,
        0.2134101104993116,
    ),
    (
        &["projection.weight"],
        2205.12487094219,
        706.6735999627198,
        0.13420179571982876,
    ),
    (
        &["rnn.hidden.weight"],
        19.471888127443947,
        12.939715463328294,
        0.022230218198726507,
    ),
    (
        &["embedding.weight"],
        45.22656348105144,
        339.20005517428194,
        0.5556248631330665,
    ),
    (
        &["rnn.input.weight"],
        19.126077531221362,
        208.7331594572963,
        -0.7147857884844967,
    ),
    (
        &["output.bias"],
        -279.07725270113156,
        784.5859726773562,
        -2.5267934978539004,
    ),
    (
        &["projection.bias"],
        1.642189087603997,
        0.14678881328056595,
        0.04222479186341957,
    ),
    (
        &["rnn.hidden.bias"],
        -0.317545156253427,
        0.39286756125025407,
        0.2433240120953134,
    ),
    (
        &["rnn.input.bias"],
        10.402593119036728,
        5.480165348717268,
        0.6690737501841836,
    ),
];

const FILES: [(Head, &[Row]); 7] = [
    (("init_lstm.p2", 0, 0.0, 108.0), &INIT),
    (("lstm_tanhC1.p", 499, 49.9, 3.2265754136105578), &LSTM),
    (("lstm_tanhC1.p2", 499, 49.9, 3.2265754136105578), &LSTM),
    (
        ("rnn_relu0_once0.p2", 3899, 389.9, 5.210491225443965),
        &RNN_0_0,
    ),
    (
        ("rnn_relu0_once1.p2", 999, 99.9, 4.471831765503883),
        &RNN_0_1,
    ),
    (
        ("rnn_relu1_once1.p", 1099, 109.9, 4.618372495646359),
        &RNN_1_1,
    ),
    (
        ("rnn_relu1_once1.p2", 1099, 109.9, 4.618372495646359),
        &RNN_1_1,
    ),
];

#[test]
fn every_checkpoint_of_driver_py_holds_what_numpy_finds() {
    let Some(folder) = shared("oracle/nt1/checkpoints") else {
        return;
    };
    for ((file, iteration, epoch, perplexity), rows) in FILES {
        let found = read_neuraltalk(&folder.join(file)).expect(file);
        assert_eq!(found.iteration, iteration, "{file}");
        assert_eq!(found.epoch, epoch, "{file}");
        assert_eq!(found.scores["val_ppl2"], perplexity, "{file}");
        assert_eq!(found.words.len(), 108, "{file}");
        assert_eq!(
            (&*found.words[0], &*found.words[1]),
            (".", "sleeps"),
            "{file}"
        );
        assert_eq!(found.words[107], "the", "{file}");
        assert_eq!(found.params["dataset"], "flickr8k", "{file}");
        check_switches(file, &found.decoder);
        let names: Vec<_> = found
            .arrays
            .iter()
            .map(|a| (&*a.name, a.shape.clone()))
            .collect();
        assert_eq!(names, found.decoder.parameters(), "{file}");
        for (parts, sum, squares, middle) in rows {
            let part = |name: &&str| found.arrays.iter().find(|array| array.name == **name);
            let parts = parts.iter().map(|name| part(name).expect("a part"));
            let values: Vec<f64> = parts.flat_map(|array| array.data.clone()).collect();
            close(values.iter().sum(), *sum);
            close(values.iter().map(|x| x * x).sum(), *squares);
            assert_eq!(values[values.len() / 2], *middle, "{file}");
        }
    }
}

/// numpy adds pairwise, we add in order.
fn close(found: f64, want: f64) {
    assert!(
        (found - want).abs() <= 1e-11 * want.abs().max(1.0),
        "{found:?}, numpy {want:?}"
    );
}

fn check_switches(file: &str, decoder: &DecoderConfig) {
    match decoder {
        DecoderConfig::Lstm(c) => {
            assert!(c.tanh_c && file.contains("lstm"), "{file}");
            assert_eq!(
                (c.feature, c.embedding, c.hidden, c.vocabulary),
                (4096, 24, 24, 108)
            );
        }
        DecoderConfig::Rnn(c) => {
            assert_eq!(c.relu_encoders, file.contains("relu1"), "{file}");
            assert_eq!(c.feed_once, file.contains("once1"), "{file}");
            let embedding = if c.relu_encoders { 20 } else { 24 };
            assert_eq!(
                (c.embedding, c.hidden, c.vocabulary),
                (embedding, 24, 108),
                "{file}"
            );
        }
        DecoderConfig::Attention(_) => panic!("{file}: NeuralTalk has no attention"),
    }
}

/// Protocol 0 and protocol 2 of the same model, through our format and back to NeuralTalk's.
#[test]
fn import_save_load_export_import_loses_nothing_but_half_the_digits() {
    let Some(folder) = shared("oracle/nt1/checkpoints") else {
        return;
    };
    let scratch = tempfile::tempdir().expect("a folder");
    for ((file, ..), _) in FILES {
        let imported = load_any(&folder.join(file)).expect(file);
        let ours = scratch.path().join("model.safetensors");
        save(&imported, &ours).expect(file);
        assert_eq!(load(&ours).expect(file), imported, "{file}");
        let theirs = scratch.path().join("model.p");
        export_neuraltalk(&imported, &theirs).expect(file);
        assert_eq!(load_any(&theirs).expect(file), imported, "{file}");
    }
    let text = read_neuraltalk(&folder.join("lstm_tanhC1.p")).expect("protocol 0");
    let binary = read_neuraltalk(&folder.join("lstm_tanhC1.p2")).expect("protocol 2");
    assert_eq!(text.arrays, binary.arrays);
    assert_eq!(text.words, binary.words);
}

/// Every mini file of the pickle oracle that is a checkpoint, in every disguise, is the same one.
#[test]
fn keys_order_and_byte_order_make_no_difference() {
    let Some(folder) = shared("oracle/pickle_format") else {
        return;
    };
    let read = |name: &str| read_neuraltalk(&folder.join(name)).expect(name);
    let plain = read("mini_lstm_cpickle_p2.p");
    assert_eq!(
        plain.words,
        [".", "a", "dog", "'s", "café", "o\"clock\\n", "東京"]
    );
    assert_eq!(plain.arrays[0].data[3], 5e-324);
    for disguise in [
        "mini_lstm_cpickle_p0.p",
        "mini_lstm_cpickle_p1.p",
        "mini_lstm_pypickle_p0.p",
        "mini_lstm_pypickle_p1.p",
        "mini_lstm_pypickle_p2.p",
        "mini_unikeys_cpickle_p0.p",
        "mini_unikeys_cpickle_p2.p",
        "mini_strkeys_cpickle_p0.p",
        "mini_strkeys_cpickle_p2.p",
        "mini_fortran_cpickle_p0.p",
        "mini_fortran_cpickle_p2.p",
        "mini_bigendian_cpickle_p0.p",
        "mini_shared_odd_arrays_cpickle_p2.p",
        "modern_py3_numpy2_p2.p",
        "modern_py3_numpy2_p3.p",
        "modern_py3_numpy2_p5.p",
    ] {
        let found = read(disguise);
        // strkeys has no words beyond ASCII.
        if !disguise.contains("strkeys") {
            assert_eq!(found.words, plain.words, "{disguise}");
        }
        assert_eq!(found.arrays, plain.arrays, "{disguise}");
        assert_eq!(found.decoder, plain.decoder, "{disguise}");
        // The big-endian file's scalar is another one, so that its byte order shows.
        match disguise.contains("bigendian") {
            true => assert_eq!(found.scores["val_ppl2"], 17.25, "{disguise}"),
            false => assert_eq!(found.scores, plain.scores, "{disguise}"),
        }
    }
    let DecoderConfig::Rnn(_) = read("mini_rnn_cpickle_p0.p").decoder else {
        panic!("an rnn");
    };
}

/// Protocol 0 by hand, so that each part can be taken away or changed.
fn handmade(change: impl FnOnce(&mut String)) -> Result<NeuralTalkCheckpoint, CheckpointError> {
    let array = |rows: usize, columns: usize| {
        let bytes = "\\x00\\x00\\x80?".repeat(rows * columns);
        format!(
            "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I{rows}\nI{columns}\nt\
             cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'{bytes}'\ntbs"
        )
    };
    let mut text = format!(
        "(dS'ixtoword'\n(dI0\nS'.'\nsI1\nVdog\nssS'wordtoix'\n(dS'#START#'\nI0\nsVdog\nI1\nss\
         S'params'\n(dS'generator'\nS'lstm'\nsS'tanhC_version'\nI1\nssS'it'\nI7\nsS'epoch'\nF0.5\ns\
         S'model'\n(dS'We'\n{}S'be'\n{}S'Ws'\n{}S'WLSTM'\n{}S'Wd'\n{}S'bd'\n{}s.",
        array(3, 2),
        array(1, 2),
        array(2, 2),
        array(5, 8),
        array(2, 2),
        array(1, 2)
    );
    change(&mut text);
    NeuralTalkCheckpoint::parse(text.as_bytes(), "m.p".as_ref())
}

fn replaced(from: &str, to: &str) -> String {
    let change = |text: &mut String| {
        assert!(text.contains(from), "{from}");
        *text = text.replacen(from, to, 1);
    };
    handmade(change).expect_err(to).to_string()
}

#[test]
fn a_handmade_checkpoint_is_read_and_each_broken_part_is_named() {
    let good = handmade(|_| {}).expect("a checkpoint");
    assert_eq!((good.iteration, good.epoch), (7, 0.5));
    assert!(good.arrays.iter().all(|a| a.data.iter().all(|&x| x == 1.0)));
    let cases = [
        (
            "S'model'",
            "S'models'",
            "key `model` is missing, there is ixtoword, wordtoix, params, it, epoch, models",
        ),
        ("S'params'", "S'q'", "key `params` is missing"),
        ("S'ixtoword'", "S'q'", "key `ixtoword` is missing"),
        (
            "S'WLSTM'",
            "S'W'",
            "`model` has no `WLSTM`, there is We, be, Ws, W, Wd, bd",
        ),
        (
            "S'lstm'",
            "S'gru'",
            "params.generator is `gru`, expected lstm or rnn",
        ),
        ("S'lstm'", "S'rnn'", "`model` has no `Wxh`"),
        (
            "I1\nssS'it'",
            "I2\nssS'it'",
            "params.tanhC_version is 2, expected 0 or 1",
        ),
        (
            "I1\nVdog",
            "I2\nVdog",
            "`ixtoword` has no index 1, the next is 2",
        ),
        (
            "I1\nVdog",
            "I1\nVcat",
            "`wordtoix` has `dog` at Some(1), `ixtoword` has Some(\"cat\") there",
        ),
        (
            "I1\nVdog",
            "I1\nI5",
            "`ixtoword` 1 is an integer, not UTF-8 text",
        ),
        (
            "I5\nI8\n",
            "I4\nI10\n",
            "model `WLSTM` is (4, 10), expected (5, 8) = (1 + E + H, 4H)",
        ),
        (
            "I3\nI2\n",
            "I2\nI3\n",
            "model `We` is (2, 3), expected (2, 2) = (D, E)",
        ),
        ("I7\n", "I-7\n", "`it` is an integer, expected a count"),
        ("F0.5\n", "Fnan\n", "`epoch` is a float, expected a number"),
        ("(dS'We'", "(lI1\na(dS'We'", "SETITEM"),
        (
            "_reconstruct",
            "_reconstrukt",
            "refers to `numpy.core.multiarray._reconstrukt`",
        ),
        (
            "I3\nI2\n",
            "I3\nI3\n",
            "array [3, 3] of <f4 does not fit its 24 bytes",
        ),
    ];
    for (from, to, want) in cases {
        let found = replaced(from, to);
        assert!(found.contains(want), "{from} -> {to}: {found}");
        assert!(found.starts_with("`m.p`"), "{found}");
    }
}
