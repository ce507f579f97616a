//! Why a pickle was refused, and where in it.
//!
//! Here: the reasons. Not here: the file's name, which only the caller knows (`CheckpointError`).

use thiserror::Error;

/// A refused pickle: the byte offset of the opcode at fault, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("byte {offset}: {problem}")]
pub struct PickleError {
    /// Offset of the opcode in the pickle.
    pub offset: usize,
    /// The reason.
    pub problem: PickleProblem,
}

/// The reasons for which a pickle is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PickleProblem {
    /// The pickle ends inside an opcode's argument.
    #[error("the pickle is cut off: {needed} bytes expected, {left} left")]
    Truncated {
        /// Bytes that the argument needs.
        needed: u64,
        /// Bytes that are left.
        left: u64,
    },
    /// A line of a text opcode never ends.
    #[error("the pickle is cut off inside a line")]
    UnendedLine,
    /// The pickle ends without its STOP opcode.
    #[error("the pickle ends without a STOP opcode")]
    NoStop,
    /// A byte that no protocol up to 5 has as an opcode.
    #[error("0x{0:02x} is no pickle opcode")]
    UnknownOpcode(u8),
    /// A protocol after 5.
    #[error("pickle protocol {0}, expected 0 to 5")]
    Protocol(u8),
    /// A class or function that is not one of numpy's reconstructors.
    #[error("refers to `{module}.{name}`, only numpy arrays and plain data are read")]
    RefusedGlobal {
        /// The Python module.
        module: String,
        /// The class or function in it.
        name: String,
    },
    /// An opcode that builds objects or refers to things outside of the file.
    #[error(
        "opcode {0} builds objects or refers to things outside of the file, only plain data is read"
    )]
    RefusedOpcode(&'static str),
    /// An opcode needs more values than the stack holds.
    #[error("{opcode} needs a value, the stack is empty")]
    EmptyStack {
        /// Name of the opcode.
        opcode: &'static str,
    },
    /// An opcode needs a MARK that isn't there.
    #[error("{opcode} needs a MARK, there is none")]
    NoMark {
        /// Name of the opcode.
        opcode: &'static str,
    },
    /// A GET of something that was never PUT.
    #[error("memo entry {0} was never stored")]
    NoMemo(u64),
    /// An argument that can't be parsed.
    #[error("{opcode} argument does not parse: {problem}")]
    Argument {
        /// Name of the opcode.
        opcode: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A value of the wrong kind.
    #[error("{opcode} expected {expected}, found {found}")]
    Kind {
        /// Name of the opcode.
        opcode: &'static str,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// A dictionary with a key but no value.
    #[error("{opcode}: a dictionary needs pairs, found {found} values")]
    OddItems {
        /// Name of the opcode.
        opcode: &'static str,
        /// Values after the mark.
        found: usize,
    },
    /// A numpy array, dtype or scalar that can't be read.
    #[error("numpy {0}")]
    Numpy(String),
    /// A tensor or storage of PyTorch that can't be read.
    #[error("torch {0}")]
    Torch(String),
    /// Containers nested too deeply.
    #[error("nested more than {0} deep")]
    TooDeep(usize),
    /// A container that contains itself.
    #[error("a container contains itself")]
    Cycle,
    /// More values than can be counted.
    #[error("more than {0} values")]
    TooMany(usize),
}

impl PickleError {
    /// What to try next; the CLI prints it as `hint: ...`.
    pub fn hint(&self) -> Option<String> {
        use PickleProblem as P;
        let text = match &self.problem {
            P::Truncated { .. } | P::UnendedLine | P::NoStop => {
                "was it copied while it was being written, or in text mode? copy it again"
            }
            P::RefusedGlobal { .. } | P::RefusedOpcode(_) => {
                "a checkpoint of NeuralTalk's driver.py holds plain data only; don't load this file in Python if you don't trust its source"
            }
            P::UnknownOpcode(_) | P::Protocol(_) => "is it a pickle at all, or a compressed one?",
            P::Numpy(_) => "save the array as float32 or float64",
            _ => return None,
        };
        Some(text.into())
    }
}
