//! Weights by name: there and back, and what is said of those that don't fit.

use models::encoder::{Encoder, EncoderConfig, EncoderError, StateDict};
use tensor::Device;

fn state(config: &EncoderConfig) -> StateDict {
    Encoder::<f32>::new(config.network(), 1, &Device::cpu(1)).state()
}

/// All arrays but those that `change` takes away (none) or changes.
fn changed(
    state: &StateDict,
    change: impl Fn(&str, &[usize]) -> Option<(String, Vec<usize>)>,
) -> StateDict {
    let mut all = StateDict::default();
    for (name, shape, values) in state.iter() {
        if let Some((name, shape)) = change(name, shape) {
            all.insert(name, shape, values.clone());
        }
    }
    all
}

#[test]
fn a_state_makes_the_same_encoder_again() {
    let device = Device::cpu(1);
    for config in [
        EncoderConfig::EfficientNetLite(0),
        EncoderConfig::EfficientNetLite(1),
        EncoderConfig::EfficientNetLite(2),
        EncoderConfig::Small(vec![4, 8]),
    ] {
        let state = state(&config);
        assert_eq!(EncoderConfig::detect(&state), Ok(config.clone()));
        let again = Encoder::<f32>::from_state(config.network(), &state, &device).expect("fits");
        assert!(again.state() == state, "{config:?}");
    }
}

#[test]
fn a_description_of_an_unknown_variant_is_known_as_such() {
    for config in [
        EncoderConfig::EfficientNetLite(3),
        EncoderConfig::ResNet(18),
        EncoderConfig::Small(vec![]),
    ] {
        assert!(!config.is_known());
    }
    let text = r#"{"efficient-net-lite":2}"#;
    let config: EncoderConfig = serde_json::from_str(text).expect("a description");
    assert_eq!(config, EncoderConfig::EfficientNetLite(2));
    assert_eq!(serde_json::to_string(&config).expect("text"), text);
}

#[test]
fn what_does_not_fit_is_named() {
    let config = EncoderConfig::EfficientNetLite(0);
    let whole = state(&config);
    let load = |state: &StateDict| {
        Encoder::<f32>::from_state(config.network(), state, &Device::cpu(1))
            .map(drop)
            .expect_err("it doesn't fit")
    };
    let tensor = "_blocks.3._bn1.running_mean";
    let keep = |name: &str, shape: &[usize]| Some((name.to_owned(), shape.to_vec()));
    let missing = changed(&whole, |name, shape| {
        (name != tensor).then(|| keep(name, shape))?
    });
    let expected = vec![144];
    assert_eq!(
        load(&missing),
        EncoderError::Missing {
            tensor: tensor.into(),
            expected: expected.clone()
        }
    );
    let shape = changed(&whole, |name, shape| match name == tensor {
        true => Some((name.into(), vec![12, 12])),
        false => keep(name, shape),
    });
    assert_eq!(
        load(&shape),
        EncoderError::Shape {
            tensor: tensor.into(),
            expected,
            found: vec![12, 12]
        }
    );
    let mut more = whole.clone();
    more.insert("_blocks.16._bn1.weight", vec![2], vec![0.0; 2]);
    assert_eq!(
        load(&more),
        EncoderError::Unexpected {
            tensor: "_blocks.16._bn1.weight".into(),
            found: vec![2]
        }
    );
    // A classifier and the counters of batches are no part, and no mistake.
    let mut published = whole.clone();
    published.insert("_fc.weight", vec![1, 1], vec![0.0]);
    published.insert("_bn0.num_batches_tracked", vec![], vec![0.0]);
    assert!(Encoder::<f32>::from_state(config.network(), &published, &Device::cpu(1)).is_ok());
    let strange = changed(&state(&EncoderConfig::Small(vec![4])), |name, shape| {
        Some((format!("x.{name}"), shape.to_vec()))
    });
    assert!(matches!(
        EncoderConfig::detect(&strange),
        Err(EncoderError::Unknown { .. })
    ));
}
