//! A small made-up dataset, so that everything can be tried without a download.
//!
//! Here: which files there are. Not here: what is in a picture (`scene.rs`), its pixels
//! (`picture.rs`), its feature vector (`features.rs`).
//!
//! A small encoder that has seen nothing yet is there too, for training on the pictures themselves.
//!
//! Coloured shapes on a coloured ground, five sentences a picture. The feature vectors are *not*
//! a network's: they are made from the same facts as the sentences, with noise. The demo shows
//! how the program is used, not how good a captioner gets.

mod features;
mod picture;
mod scene;

use std::fs;
use std::path::Path;

use models::encoder::{Encoder, EncoderConfig};
use serde_json::{Value, json};
use tensor::Device;
use tensor::random::Random;

use crate::exit::cannot;
use features::FeatureMaker;
use scene::Scene;

/// How much to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Pictures with sentences; a tenth each goes to validation and test.
    pub(crate) images: usize,
    /// Pictures without sentences, for `predict`.
    pub(crate) new_images: usize,
}

/// Filters of the small encoder: pictures of 64 pixels become 4 x 4 regions.
const FILTERS: [usize; 4] = [16, 32, 64, 64];

/// Streams of random numbers, so that more pictures don't change the first ones.
const SCENES: u64 = 1;
const NEW_SCENES: u64 = 2;

/// Writes the dataset into the folder `dir`, which is made if missing.
pub(crate) fn write(dir: &Path, size: Size, seed: u64) -> anyhow::Result<()> {
    let maker = FeatureMaker::new(seed);
    let pictures = dir.join("imgs");
    let mut random = Random::new(seed, SCENES);
    let scenes: Vec<Scene> = (0..size.images).map(|_| Scene::draw(&mut random)).collect();
    let names = write_pictures(&pictures, &scenes)?;
    write_file(
        &dir.join("dataset.json"),
        dataset(&scenes, &names).to_string(),
    )?;
    write_file(&dir.join("vgg_feats.mat"), maker.mat_file(&scenes, SCENES))?;
    let network = EncoderConfig::Small(FILTERS.to_vec()).network();
    let encoder: Encoder = Encoder::new(network, seed, &Device::cpu(1));
    checkpoint::save_encoder(&encoder, &dir.join("encoder.safetensors"))?;

    let new = dir.join("new");
    let mut random = Random::new(seed, NEW_SCENES);
    let scenes: Vec<Scene> = (0..size.new_images)
        .map(|_| Scene::draw(&mut random))
        .collect();
    let names = write_pictures(&new, &scenes)?;
    let tasks: String = names.iter().map(|name| format!("{name}\n")).collect();
    write_file(&new.join("tasks.txt"), tasks)?;
    write_file(
        &new.join("vgg_feats.mat"),
        maker.mat_file(&scenes, NEW_SCENES),
    )
}

/// One PNG each; returns their file names.
fn write_pictures(dir: &Path, scenes: &[Scene]) -> anyhow::Result<Vec<String>> {
    fs::create_dir_all(dir).map_err(cannot("make the folder", dir))?;
    let mut names = Vec::with_capacity(scenes.len());
    for (imgid, scene) in scenes.iter().enumerate() {
        let name = format!("{imgid:04}.png");
        write_file(&dir.join(&name), picture::png(scene)?)?;
        names.push(name);
    }
    Ok(names)
}

/// `dataset.json` in NeuralTalk's form.
fn dataset(scenes: &[Scene], names: &[String]) -> Value {
    let mut sentid = 0;
    let images: Vec<Value> = scenes
        .iter()
        .zip(names)
        .enumerate()
        .map(|(imgid, (scene, name))| {
            let first = sentid;
            let sentences: Vec<Value> = scene
                .sentences()
                .into_iter()
                .map(|raw| {
                    let tokens: Vec<&str> = raw.split(' ').collect();
                    sentid += 1;
                    json!({"tokens": tokens, "raw": raw, "imgid": imgid, "sentid": sentid - 1})
                })
                .collect();
            let split = match imgid % 10 {
                8 => "val",
                9 => "test",
                _ => "train",
            };
            let sentids: Vec<usize> = (first..sentid).collect();
            json!({"filename": name, "imgid": imgid, "split": split, "sentids": sentids,
                   "sentences": sentences})
        })
        .collect();
    json!({"dataset": "shapes", "images": images})
}

fn write_file(path: &Path, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    fs::write(path, bytes).map_err(cannot("write", path))
}
