//! Which metrics there are, and their names.
//!
//! Here: the list. Not here: the formulas, each in its own file.

use serde::{Deserialize, Serialize};

/// A metric that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// BLEU-1 to BLEU-4 as coco-caption computes them: four scores.
    Bleu,
    /// BLEU-1 to BLEU-4 by the paper's formula: four scores.
    StandardBleu,
    /// METEOR 1.5.
    Meteor,
    /// ROUGE-L with beta 1.2.
    Rouge,
    /// What coco-caption calls CIDEr: CIDEr-D times 10.
    Cider,
    /// The paper's plain CIDEr.
    PlainCider,
}

impl Metric {
    /// What coco-caption computes, in its order.
    pub const COCO: [Self; 4] = [Self::Bleu, Self::Meteor, Self::Rouge, Self::Cider];

    /// Every metric.
    pub const ALL: [Self; 6] = [
        Self::Bleu,
        Self::StandardBleu,
        Self::Meteor,
        Self::Rouge,
        Self::Cider,
        Self::PlainCider,
    ];

    /// What a user types: `bleu`, `standard-bleu`, `meteor`, `rouge`, `cider`, `plain-cider`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bleu => "bleu",
            Self::StandardBleu => "standard-bleu",
            Self::Meteor => "meteor",
            Self::Rouge => "rouge",
            Self::Cider => "cider",
            Self::PlainCider => "plain-cider",
        }
    }
}

impl std::str::FromStr for Metric {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let metric = Self::ALL.into_iter().find(|metric| metric.name() == name);
        let names = || Self::ALL.map(Self::name).join(", ");
        metric.ok_or_else(|| format!("there is no metric `{name}`; there are {}", names()))
    }
}
