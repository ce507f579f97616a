//! The pickle machine: a stack, a memo and one opcode after the other.
//!
//! Here: every opcode of protocols 0 to 5 that data needs; the others are refused by name. Not
//! here: text arguments (`escapes.rs`), numpy's objects (`numpy.rs`), cycles (`graph.rs`).
//!
//! Source: CPython `Lib/pickletools.py`, the opcodes' reference.

use std::borrow::Cow;
use std::collections::HashMap;

use super::escapes;
use super::numpy::{self, Global};
use super::pickle::{Id, Node};
use super::pickle_error::{PickleError, PickleProblem as Problem};
use super::torch::{self, Torch, TorchGlobal};

/// What a run leaves behind: the values, the offset of each one's opcode, the result, the bytes that were read.
type Parsed<'a> = (Vec<Node<'a>>, Vec<usize>, Id, usize);
type Step<T = ()> = Result<T, Problem>;

// Values that every machine starts with, so that a byte that pushes one makes nothing new.
const NONE: Id = 0;
const FALSE: Id = 1;
const TRUE: Id = 2;
const EMPTY_TUPLE: Id = 3;

pub(super) struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    /// Offset of the opcode at work.
    opcode_at: usize,
    nodes: Vec<Node<'a>>,
    made_at: Vec<usize>,
    stack: Vec<Id>,
    /// Heights of the stack at the open MARKs.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// Whether PyTorch's tensors are read too.
    torch: bool,
}

impl<'a> Machine<'a> {
    pub(super) fn new(input: &'a [u8], torch: bool) -> Self {
        let nodes = vec![
            Node::None,
            Node::Bool(false),
            Node::Bool(true),
            Node::Tuple(Vec::new()),
        ];
        Self {
            input,
            at: 0,
            opcode_at: 0,
            made_at: vec![0; nodes.len()],
            nodes,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            torch,
        }
    }

    /// Runs up to the STOP opcode.
    pub(super) fn run(mut self) -> Result<Parsed<'a>, PickleError> {
        let root = loop {
            self.opcode_at = self.at;
            let step = match self.input.get(self.at) {
                Some(&opcode) => {
                    self.at += 1;
                    self.step(opcode)
                }
                None => Err(Problem::NoStop),
            };
            match step {
                Ok(None) => {}
                Ok(Some(root)) => break root,
                Err(problem) => {
                    return Err(PickleError {
                        offset: self.opcode_at,
                        problem,
                    });
                }
            }
        };
        Ok((self.nodes, self.made_at, root, self.at))
    }

    /// One opcode; the result if it was STOP.
    fn step(&mut self, opcode: u8) -> Step<Option<Id>> {
        match opcode {
            b'.' => return self.pop("STOP").map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.discard()?,
            b'1' => drop(self.pop_mark("POP_MARK")?),
            b'2' => {
                let top = self.top("DUP")?;
                self.stack.push(top);
            }

            b'N' => self.stack.push(NONE),
            0x88 => self.stack.push(TRUE),
            0x89 => self.stack.push(FALSE),
            b'I' => self.integer_line("INT", false)?,
            b'L' => self.integer_line("LONG", true)?,
            b'J' => {
                let n = i32::from_le_bytes(self.array()?);
                self.push(Node::Int(n.into()))?;
            }
            b'K' => {
                let [n] = self.array()?;
                self.push(Node::Int(n.into()))?;
            }
            b'M' => {
                let n = u16::from_le_bytes(self.array()?);
                self.push(Node::Int(n.into()))?;
            }
            0x8a => {
                let [length] = self.array()?;
                self.long(length.into())?;
            }
            0x8b => {
                let length = self.length_i32("LONG4")?;
                self.long(length)?;
            }
            b'F' => {
                let line = self.line()?;
                let x = escapes::float(line).map_err(|problem| argument("FLOAT", problem))?;
                self.push(Node::Float(x))?;
            }
            b'G' => {
                let x = f64::from_be_bytes(self.array()?); // the one big-endian argument
                self.push(Node::Float(x))?;
            }

            b'S' => {
                let line = self.line()?;
                let bytes =
                    escapes::quoted_bytes(line).map_err(|problem| argument("STRING", problem))?;
                self.push(Node::Bytes(bytes))?;
            }
            b'T' => {
                let length = self.length_i32("BINSTRING")?;
                self.bytes(length)?;
            }
            b'U' | b'C' => {
                let [length] = self.array()?;
                self.bytes(length.into())?;
            }
            b'B' => {
                let length = u32::from_le_bytes(self.array()?);
                self.bytes(length.into())?;
            }
            0x8e | 0x96 => {
                let length = u64::from_le_bytes(self.array()?);
                self.bytes(length)?;
            }
            b'V' => {
                let line = self.line()?;
                let text =
                    escapes::raw_unicode(line).map_err(|problem| argument("UNICODE", problem))?;
                self.push(Node::Text(text))?;
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                self.text("BINUNICODE", length.into())?;
            }
            0x8c => {
                let [length] = self.array()?;
                self.text("SHORT_BINUNICODE", length.into())?;
            }
            0x8d => {
                let length = u64::from_le_bytes(self.array()?);
                self.text("BINUNICODE8", length)?;
            }

            b']' => self.push(Node::List(Vec::new()))?,
            b'l' => {
                let items = self.pop_mark("LIST")?;
                self.push(Node::List(items))?;
            }
            b'a' => {
                let item = self.pop("APPEND")?;
                self.extend("APPEND", &[item])?;
            }
            b'e' => {
                let items = self.pop_mark("APPENDS")?;
                self.extend("APPENDS", &items)?;
            }
            b')' => self.stack.push(EMPTY_TUPLE),
            b't' => {
                let items = self.pop_mark("TUPLE")?;
                self.push(Node::Tuple(items))?;
            }
            0x85 => self.tuple("TUPLE1", 1)?,
            0x86 => self.tuple("TUPLE2", 2)?,
            0x87 => self.tuple("TUPLE3", 3)?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b'd' => {
                let items = self.pop_mark("DICT")?;
                let pairs = pairs("DICT", &items)?;
                self.push(Node::Dict(pairs))?;
            }
            b's' => {
                let value = self.pop("SETITEM")?;
                let key = self.pop("SETITEM")?;
                self.set_items("SETITEM", &[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark("SETITEMS")?;
                self.set_items("SETITEMS", &items)?;
            }
            0x8f => self.push(Node::Set(Vec::new()))?,
            0x90 => {
                let items = self.pop_mark("ADDITEMS")?;
                self.add_items(&items)?;
            }
            0x91 => {
                let items = self.pop_mark("FROZENSET")?;
                self.push(Node::Set(items))?;
            }

            b'p' | b'g' => {
                let line = self.line()?;
                let key =
                    escapes::memo_key(line).map_err(|problem| argument("PUT/GET", problem))?;
                match opcode {
                    b'p' => self.put(key)?,
                    _ => self.get(key)?,
                }
            }
            b'q' | b'h' => {
                let [key] = self.array()?;
                match opcode {
                    b'q' => self.put(key.into())?,
                    _ => self.get(key.into())?,
                }
            }
            b'r' | b'j' => {
                let key = u32::from_le_bytes(self.array()?);
                match opcode {
                    b'r' => self.put(key.into())?,
                    _ => self.get(key.into())?,
                }
            }
            0x94 => self.put(self.memo.len() as u64)?,

            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.global(
                    &String::from_utf8_lossy(module),
                    &String::from_utf8_lossy(name),
                )?;
            }
            0x93 => self.stack_global()?,
            b'i' => {
                // Builds an object of a class at once; no numpy pickle does.
                let module = String::from_utf8_lossy(self.line()?);
                let name = String::from_utf8_lossy(self.line()?);
                return Err(refused(&module, &name));
            }
            b'R' => self.reduce()?,
            b'b' => self.build()?,

            0x80 => {
                let [protocol] = self.array()?;
                if protocol > 5 {
                    return Err(Problem::Protocol(protocol));
                }
            }
            0x95 => drop(self.array::<8>()?), // FRAME: a hint for buffered readers

            b'o' => return Err(Problem::RefusedOpcode("OBJ")),
            b'P' => return Err(Problem::RefusedOpcode("PERSID")),
            b'Q' if self.torch => {
                let id = self.pop("BINPERSID")?;
                let made = torch::persistent(&self.nodes, &self.nodes[id as usize]);
                self.push(made.map_err(Problem::Torch)?)?;
            }
            b'Q' => return Err(Problem::RefusedOpcode("BINPERSID")),
            0x81 => return Err(Problem::RefusedOpcode("NEWOBJ")),
            0x82 => return Err(Problem::RefusedOpcode("EXT1")),
            0x83 => return Err(Problem::RefusedOpcode("EXT2")),
            0x84 => return Err(Problem::RefusedOpcode("EXT4")),
            0x92 => return Err(Problem::RefusedOpcode("NEWOBJ_EX")),
            0x97 => return Err(Problem::RefusedOpcode("NEXT_BUFFER")),
            0x98 => return Err(Problem::RefusedOpcode("READONLY_BUFFER")),
            other => return Err(Problem::UnknownOpcode(other)),
        }
        Ok(None)
    }

    // Arguments

    /// The next `count` bytes, without believing that there are so many.
    fn take(&mut self, count: u64) -> Step<&'a [u8]> {
        let rest = &self.input[self.at..];
        let bytes = usize::try_from(count)
            .ok()
            .and_then(|count| rest.get(..count))
            .ok_or(Problem::Truncated {
                needed: count,
                left: rest.len() as u64,
            })?;
        self.at += bytes.len();
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        Ok(self.take(N as u64)?.try_into().expect("N bytes were taken"))
    }

    /// Up to the next newline, which is skipped.
    fn line(&mut self) -> Step<&'a [u8]> {
        let rest = &self.input[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or(Problem::UnendedLine)?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    /// A signed length, as the protocol-1 and -2 opcodes have it.
    fn length_i32(&mut self, opcode: &'static str) -> Step<u64> {
        let length = i32::from_le_bytes(self.array()?);
        u64::try_from(length).map_err(|_| argument(opcode, format!("length {length}")))
    }

    fn integer_line(&mut self, opcode: &'static str, long: bool) -> Step {
        let line = self.line()?;
        let node = escapes::integer(line, long).map_err(|problem| argument(opcode, problem))?;
        self.push(node)
    }

    /// A little-endian two's complement integer of any length.
    fn long(&mut self, length: u64) -> Step {
        let bytes = self.take(length)?;
        let node = if bytes.len() <= 8 {
            let negative = bytes.last().is_some_and(|&high| high >= 0x80);
            let mut full = [if negative { 0xff } else { 0 }; 8];
            full[..bytes.len()].copy_from_slice(bytes);
            Node::Int(i64::from_le_bytes(full))
        } else {
            Node::LongBytes(bytes)
        };
        self.push(node)
    }

    fn bytes(&mut self, length: u64) -> Step {
        let bytes = self.take(length)?;
        self.push(Node::Bytes(Cow::Borrowed(bytes)))
    }

    fn text(&mut self, opcode: &'static str, length: u64) -> Step {
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|e| argument(opcode, e.to_string()))?;
        self.push(Node::Text(Cow::Borrowed(text)))
    }

    // Stack and memo

    /// Makes a new value and pushes it.
    fn push(&mut self, node: Node<'a>) -> Step {
        let limit = Id::MAX as usize;
        if self.nodes.len() >= limit {
            return Err(Problem::TooMany(limit));
        }
        self.stack.push(self.nodes.len() as Id);
        self.nodes.push(node);
        self.made_at.push(self.opcode_at);
        Ok(())
    }

    /// The topmost value above the last MARK.
    fn top(&self, opcode: &'static str) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(&id) if self.stack.len() > floor => Ok(id),
            _ => Err(Problem::EmptyStack { opcode }),
        }
    }

    fn pop(&mut self, opcode: &'static str) -> Step<Id> {
        let id = self.top(opcode)?;
        self.stack.pop();
        Ok(id)
    }

    /// POP takes a MARK as well, if that is what lies on top.
    fn discard(&mut self) -> Step {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop("POP").map(drop)
    }

    /// Everything above the last MARK, and the MARK.
    fn pop_mark(&mut self, opcode: &'static str) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or(Problem::NoMark { opcode })?;
        Ok(self.stack.split_off(mark))
    }

    fn put(&mut self, key: u64) -> Step {
        let id = self.top("PUT")?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn get(&mut self, key: u64) -> Step {
        let &id = self.memo.get(&key).ok_or(Problem::NoMemo(key))?;
        self.stack.push(id);
        Ok(())
    }

    // Containers

    fn tuple(&mut self, opcode: &'static str, count: usize) -> Step {
        let mut items = vec![NONE; count];
        for item in items.iter_mut().rev() {
            *item = self.pop(opcode)?;
        }
        self.push(Node::Tuple(items))
    }

    /// The container on top of the stack, to be changed.
    fn container(&mut self, opcode: &'static str) -> Step<&mut Node<'a>> {
        let id = self.top(opcode)?;
        Ok(&mut self.nodes[id as usize])
    }

    fn extend(&mut self, opcode: &'static str, items: &[Id]) -> Step {
        match self.container(opcode)? {
            Node::List(list) => list.extend_from_slice(items),
            other => return Err(kind(opcode, "a list", other)),
        }
        Ok(())
    }

    fn set_items(&mut self, opcode: &'static str, items: &[Id]) -> Step {
        let new = pairs(opcode, items)?;
        match self.container(opcode)? {
            Node::Dict(dictionary) => dictionary.extend(new),
            other => return Err(kind(opcode, "a dictionary", other)),
        }
        Ok(())
    }

    fn add_items(&mut self, items: &[Id]) -> Step {
        match self.container("ADDITEMS")? {
            Node::Set(set) => set.extend_from_slice(items),
            other => return Err(kind("ADDITEMS", "a set", other)),
        }
        Ok(())
    }

    // Objects

    fn global(&mut self, module: &str, name: &str) -> Step {
        match Global::find(module, name) {
            Some(global) => self.push(Node::Global(global)),
            None => match TorchGlobal::find(module, name).filter(|_| self.torch) {
                Some(global) => self.push(Node::Torch(Box::new(Torch::Global(global)))),
                None => Err(refused(module, name)),
            },
        }
    }

    fn stack_global(&mut self) -> Step {
        let name = self.pop("STACK_GLOBAL")?;
        let module = self.pop("STACK_GLOBAL")?;
        match (&self.nodes[module as usize], &self.nodes[name as usize]) {
            (Node::Text(module), Node::Text(name)) => {
                let (module, name) = (module.clone(), name.clone());
                self.global(&module, &name)
            }
            (Node::Text(_), other) | (other, _) => Err(kind("STACK_GLOBAL", "a text", other)),
        }
    }

    fn reduce(&mut self) -> Step {
        let arguments = self.pop("REDUCE")?;
        let function = self.pop("REDUCE")?;
        let function = &self.nodes[function as usize];
        let Node::Tuple(arguments) = &self.nodes[arguments as usize] else {
            let found = &self.nodes[arguments as usize];
            return Err(kind("REDUCE", "a tuple of arguments", found));
        };
        let made = match function {
            Node::Global(function) => {
                numpy::reduce(&self.nodes, *function, arguments).map_err(Problem::Numpy)?
            }
            Node::Torch(torch) => match **torch {
                Torch::Global(function) => {
                    torch::reduce(&self.nodes, function, arguments).map_err(Problem::Torch)?
                }
                _ => return Err(kind("REDUCE", "a function", function)),
            },
            other => return Err(kind("REDUCE", "a function", other)),
        };
        self.push(made)
    }

    fn build(&mut self) -> Step {
        let state = self.pop("BUILD")?;
        let object = self.top("BUILD")?;
        // Attributes of PyTorch's dictionaries are versions, which say nothing about the numbers.
        if self.torch && matches!(self.nodes[object as usize], Node::Dict(_)) {
            return Ok(());
        }
        let (object_node, state) = (&self.nodes[object as usize], &self.nodes[state as usize]);
        let built = numpy::build(&self.nodes, object_node, state).map_err(Problem::Numpy)?;
        self.nodes[object as usize] = built;
        Ok(())
    }
}

fn pairs(opcode: &'static str, items: &[Id]) -> Step<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    match rest {
        [] => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(Problem::OddItems {
            opcode,
            found: items.len(),
        }),
    }
}

fn argument(opcode: &'static str, problem: String) -> Problem {
    Problem::Argument { opcode, problem }
}

fn kind(opcode: &'static str, expected: &'static str, found: &Node<'_>) -> Problem {
    Problem::Kind {
        opcode,
        expected,
        found: found.kind(),
    }
}

fn refused(module: &str, name: &str) -> Problem {
    Problem::RefusedGlobal {
        module: escapes::shorten(module),
        name: escapes::shorten(name),
    }
}
