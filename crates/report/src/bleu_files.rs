//! The files that `multi-bleu.perl` reads: `output` and `reference0`, `reference1`, …
//!
//! As NeuralTalk's `eval_sentence_predictions.py` writes them: one line for each picture, joined
//! by newlines, none after the last. NeuralTalk needs exactly five references for each picture;
//! here a picture with fewer than another repeats its last one, which changes no BLEU: neither the
//! largest count of an n-gram nor the closest length sees a sentence twice. Not here: the score
//! (`metrics`).

use std::fs;
use std::path::Path;

use crate::error::write_file;
use crate::{ReportError, ResultStruct};

/// The contents of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BleuFiles {
    /// Captions, a line each.
    pub output: String,
    /// For each k the k-th reference of every picture, a line each.
    pub references: Vec<String>,
}

/// The captions and references of `result` as such files.
///
/// # Errors
/// A picture has no reference.
pub fn bleu_files(result: &ResultStruct) -> Result<BleuFiles, ReportError> {
    let mut references = Vec::with_capacity(result.imgblobs.len());
    for blob in &result.imgblobs {
        match blob.references.as_deref() {
            None | Some([]) => {
                return Err(ReportError::NoReference {
                    picture: blob.img_path.clone(),
                });
            }
            Some(of_picture) => references.push(of_picture),
        }
    }
    let most = references
        .iter()
        .map(|of_picture| of_picture.len())
        .max()
        .unwrap_or(0);
    let kth = |k: usize| {
        lines(
            references
                .iter()
                .map(|of_picture| &of_picture[k.min(of_picture.len() - 1)].text),
        )
    };
    Ok(BleuFiles {
        output: lines(result.imgblobs.iter().map(|blob| &blob.candidate.text)),
        references: (0..most).map(kth).collect(),
    })
}

impl BleuFiles {
    /// Writes `output`, `reference0`, … into `folder`, which is created if it isn't there. Files
    /// `referenceK` of an earlier run with more references are removed: the Perl script would
    /// read them.
    ///
    /// # Errors
    /// What the operating system refused.
    pub fn write(&self, folder: &Path) -> Result<(), ReportError> {
        let refused = |path: &Path| {
            let path = path.to_path_buf();
            |source| ReportError::Write { path, source }
        };
        fs::create_dir_all(folder).map_err(refused(folder))?;
        write_file(&folder.join("output"), |out| {
            out.write_all(self.output.as_bytes())
        })?;
        for (k, text) in self.references.iter().enumerate() {
            let path = folder.join(format!("reference{k}"));
            write_file(&path, |out| out.write_all(text.as_bytes()))?;
        }
        for k in self.references.len().. {
            let path = folder.join(format!("reference{k}"));
            if !path.exists() {
                break;
            }
            fs::remove_file(&path).map_err(refused(&path))?;
        }
        Ok(())
    }
}

/// Joined by newlines; a newline inside a sentence would shift all that follow, so it becomes a
/// blank.
fn lines<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    texts
        .map(|text| text.replace('\n', " "))
        .collect::<Vec<_>>()
        .join("\n")
}
