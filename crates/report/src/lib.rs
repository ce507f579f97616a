//! What evaluation and prediction leave behind: files and tables.
//!
//! Here: `result_struct.json` and `result.html` in NeuralTalk's form, the files that
//! `multi-bleu.perl` reads, copies of the pictures, and a table of scores as text.
//! Not here: the captions (`generate`), the scores (`metrics`), where text is printed (`cli`).
//! Every file is written beside its name and renamed (`checkpoint::replace`).

mod bleu_files;
mod error;
mod html;
mod pictures;
mod python_json;
mod result_struct;
mod score_table;

pub use bleu_files::{BleuFiles, bleu_files};
pub use error::ReportError;
pub use html::{render_html, write_html};
pub use pictures::copy_pictures;
pub use result_struct::{
    Candidate, ImageBlob, MEMORY_FACTOR, Reference, ResultStruct, parse_result_struct,
    read_result_struct, render_result_struct, write_result_struct,
};
pub use score_table::ScoreTable;
