//! Pictures as the input of training: files, the encoder, and the features that it makes of them now.
//!
//! Here: which encoder, features of a batch, features that are computed once while the encoder
//! is frozen, and those of the validation pictures. Not here: how the encoder learns (`finetune.rs`), reading of
//! pictures (`reader.rs`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use checkpoint::{Checkpoint, EncoderAbout, EncoderPart};
use data::picture::{Augmentation, PictureError};
use data::{Batch, Dataset, Encoded, Features, Split};
use half::f16;
use tensor::{Device, Table, Tensor};

use crate::TrainError;
use crate::finetune::FineTuner;
use crate::options::{Generator, Options};
use crate::reader::{Ahead, Reader, Wanted};
use crate::step::Pictures;

/// Pictures that are decoded and encoded together where they are encoded once.
const BLOCK: usize = 64;

/// Pictures with an encoder that may learn.
#[derive(Debug)]
pub(crate) struct Vision {
    about: EncoderAbout,
    pub(crate) tuner: FineTuner,
    reader: Arc<Reader>,
    ahead: Ahead,
    /// R (1 for one vector a picture) and D.
    sizes: [usize; 2],
    /// Features (R, D) of the training pictures, in their order, while the encoder is frozen.
    cache: Option<Table>,
    /// What the front of the encoder made of the newest batch, if the encoder learns from it.
    seen: Option<Tensor>,
    /// Whether weights have moved since the validation features were computed.
    moved: bool,
}

impl Vision {
    /// The encoder of `options` or of the checkpoint that the run starts from; none where stored features are read.
    pub(crate) fn open(
        options: &Options,
        from: Option<&Checkpoint>,
        dataset: &Dataset,
        place: &Path,
        device: &Device,
    ) -> Result<Option<Self>, TrainError> {
        let inside = from.and_then(|checkpoint| checkpoint.encoder.clone());
        let part = match (&options.encoder, inside) {
            (_, Some(part)) if options.features.is_none() => part,
            (Some(path), _) => EncoderPart::load(path)?,
            (None, _) => return Ok(None),
        };
        let about = part.about.clone();
        let path = || options.encoder.clone().unwrap_or_default();
        let encoder =
            part.build(device)
                .map_err(|source| checkpoint::CheckpointError::Encoder {
                    path: path(),
                    source,
                })?;
        let widths = about.widths().ok_or_else(|| TrainError::Option {
            option: "encoder",
            value: about.config.to_string(),
            accepted: "one that its own pictures are large enough for".into(),
        })?;
        let regions = options.generator == Generator::Attention;
        let layers = about.config.network().trunk.len();
        let fixed = match usize::try_from(options.finetune_from_block) {
            Ok(block) if block < layers => block,
            Ok(block) => {
                return Err(TrainError::Option {
                    option: "finetune-from-block",
                    value: block.to_string(),
                    accepted: format!("less than {layers}, the blocks of {}", about.config),
                });
            }
            Err(_) => {
                let network = about.config.network();
                network.first_coarse_layer(about.preprocessing.size)
            }
        };
        let folder = match &options.pictures {
            Some(folder) => folder.clone(),
            None => pictures_folder(place),
        };
        let files = dataset.images.iter();
        let files: HashMap<u32, PathBuf> = files
            .map(|image| (image.imgid, folder.join(&image.path)))
            .collect();
        let used = [Split::Train, Split::Val];
        let used = dataset.images.iter().filter(|i| used.contains(&i.split));
        for image in used {
            let path = &files[&image.imgid];
            // Better now than in the middle of an epoch.
            std::fs::metadata(path).map_err(|source| {
                let path = path.clone();
                TrainError::Picture(PictureError::Read { path, source })
            })?;
        }
        Ok(Some(Self {
            tuner: FineTuner::new(
                encoder,
                fixed,
                options.encoder_optimizer(),
                options.encoder_clip(),
                regions,
            ),
            sizes: match regions {
                true => [widths.grid[0] * widths.grid[1], widths.region],
                false => [1, widths.pooled],
            },
            reader: Arc::new(Reader {
                files,
                preprocessing: about.preprocessing.clone(),
                augmentation: Augmentation {
                    area: options.augment_area,
                    aspect: options.augment_aspect,
                    flip: options.augment_flip,
                    contrast: options.augment_contrast,
                    brightness: options.augment_brightness,
                },
                seed: options.seed,
                device: device.clone(),
                decoders: match device.gpu() {
                    Some(_) => Device::cpu(options.threads),
                    None => device.clone(),
                },
            }),
            ahead: Ahead::default(),
            about,
            cache: None,
            seen: None,
            moved: true,
        }))
    }

    /// The encoder for a checkpoint.
    pub(crate) fn part(&self) -> EncoderPart {
        let about = self.about.clone();
        EncoderPart::new(about.config, about.preprocessing, &self.tuner.encoder())
    }

    /// Features of no picture yet, of the right sizes.
    pub(crate) fn no_features(&self) -> Features {
        Features::of_pictures(self.about.config.to_string(), self.sizes, &[], Vec::new())
    }

    /// A batch and the features of its pictures: in a frozen epoch those of the whole pictures, else (`epoch` given) those of
    /// pictures that are changed at random. The pictures of the `next` batch (picks, epoch) are then read while this one is
    /// learnt from.
    pub(crate) fn batch(
        &mut self,
        train: &Encoded,
        picks: &[(usize, usize)],
        epoch: Option<u64>,
        next: Option<(Vec<(usize, usize)>, u64)>,
    ) -> Result<(Batch, Pictures), TrainError> {
        let mut batch = Batch::of_sentences(train, picks);
        [batch.regions, batch.dimension] = self.sizes;
        let Some(epoch) = epoch else {
            if self.cache.is_none() {
                let imgids: Vec<u32> = train.images.iter().map(|image| image.imgid).collect();
                let rows = self.encode_all(&imgids, |row, to: &mut Vec<f16>| {
                    to.extend(row.iter().map(|&x| f16::from_f32(x)));
                })?;
                let width = self.sizes[0] * self.sizes[1];
                self.cache = Some(Table::new(&self.reader.device, width, rows.into()));
            }
            self.seen = None;
            let cache = self.cache.as_ref().expect("just made");
            let pictures = Pictures {
                features: cache.pick(&batch.pictures),
                learning: false,
            };
            return Ok((batch, pictures));
        };
        self.cache = None;
        let wanted = |pictures: &[usize], epoch| {
            let imgids = pictures.iter().map(|&p| train.images[p].imgid).collect();
            Wanted { imgids, epoch }
        };
        let now = wanted(&batch.pictures, epoch);
        let pixels = self.ahead.take(&self.reader, &now);
        let pixels = pixels.map_err(TrainError::Picture)?;
        if let Some((picks, epoch)) = next {
            let next = Batch::of_sentences(train, &picks);
            let next = wanted(&next.pictures, epoch);
            self.ahead.begin(&self.reader, next);
        }
        let (seen, features) = self.tuner.forward(&pixels);
        self.seen = Some(seen);
        let pictures = Pictures {
            features,
            learning: true,
        };
        Ok((batch, pictures))
    }

    /// Moves the encoder's weights along the gradient of the newest batch's features.
    pub(crate) fn update(&mut self, gradient: &Tensor, learning_rate: f64, scale: f64) {
        if let Some(seen) = self.seen.take() {
            self.tuner.update(&seen, gradient, learning_rate, scale);
            self.moved = true;
        }
    }

    /// Features of the validation pictures, if they have changed since they were last asked for.
    pub(crate) fn validation(&mut self, val: &Encoded) -> Result<Option<Features>, TrainError> {
        if !self.moved {
            return Ok(None);
        }
        let imgids: Vec<u32> = val.images.iter().map(|image| image.imgid).collect();
        let rows = self.encode_all(&imgids, |row, to: &mut Vec<f32>| to.extend_from_slice(row))?;
        self.moved = false;
        let name = self.about.config.to_string();
        Ok(Some(Features::of_pictures(name, self.sizes, &imgids, rows)))
    }

    /// Features of whole pictures, row after row through `keep`.
    fn encode_all<N>(
        &self,
        imgids: &[u32],
        keep: impl Fn(&[f32], &mut Vec<N>),
    ) -> Result<Vec<N>, TrainError> {
        let folded = self.tuner.encoder().fold();
        let mut all = Vec::with_capacity(imgids.len() * self.sizes[0] * self.sizes[1]);
        for imgids in imgids.chunks(BLOCK) {
            let read = self.reader.read(imgids, None);
            let pixels = read.map_err(TrainError::Picture)?.pixels();
            let found = folded.encode(&pixels);
            let features = match self.tuner.reads_regions() {
                true => found.regions,
                false => found.pooled,
            };
            keep(features.data(), &mut all);
        }
        Ok(all)
    }
}

/// Where a dataset's pictures lie: `imgs` in its folder, or the folder itself if there is none, as NeuralTalk has it.
pub fn pictures_folder(dataset: &Path) -> PathBuf {
    let folder = match dataset.is_dir() {
        true => dataset,
        // A bare file name lies in the present folder.
        false => match dataset.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        },
    };
    let inside = folder.join("imgs");
    match inside.is_dir() || dataset.is_dir() {
        true => inside,
        false => folder.to_owned(),
    }
}
