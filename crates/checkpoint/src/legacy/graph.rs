//! Refuses containers that contain themselves or nest without end.
//!
//! Here: one depth-first walk with its own stack, so that a hostile file can't overflow ours.
//! Every value is visited once, however often it is shared.

use super::pickle::{Id, Node};
use super::pickle_error::{PickleError, PickleProblem};

/// Deepest nesting that is read; a NeuralTalk checkpoint needs three.
pub(super) const MAX_DEPTH: usize = 100;

/// Height of a value: unknown, being visited, or known (1 for a value without elements).
const NEW: u8 = 0;
const OPEN: u8 = u8::MAX;

/// Checks everything that `root` reaches; `made_at` has the offset of each value's opcode.
pub(super) fn check(nodes: &[Node<'_>], made_at: &[usize], root: Id) -> Result<(), PickleError> {
    let mut height = vec![NEW; nodes.len()];
    let mut stack = vec![root];
    while let Some(&id) = stack.last() {
        let at = id as usize;
        match height[at] {
            NEW => {
                height[at] = OPEN;
                nodes[at].children(|child| {
                    if height[child as usize] == NEW {
                        stack.push(child);
                    }
                });
            }
            OPEN => {
                stack.pop();
                // What is still open now lies between the root and this value.
                let mut tallest = 0;
                let mut cycle = false;
                nodes[at].children(|child| match height[child as usize] {
                    OPEN => cycle = true,
                    known => tallest = tallest.max(known),
                });
                if cycle {
                    return Err(error(made_at[at], PickleProblem::Cycle));
                }
                if usize::from(tallest) >= MAX_DEPTH {
                    return Err(error(made_at[at], PickleProblem::TooDeep(MAX_DEPTH)));
                }
                height[at] = tallest + 1;
            }
            _ => drop(stack.pop()), // shared, and visited from elsewhere meanwhile
        }
    }
    Ok(())
}

fn error(offset: usize, problem: PickleProblem) -> PickleError {
    PickleError { offset, problem }
}
