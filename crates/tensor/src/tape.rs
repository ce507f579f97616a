//! The tape: what was computed, in order, and how to go back.
//!
//! An operation pushes its value and a closure that turns the gradient of the value into
//! gradients of its inputs. [`Tape::backward`] runs the closures last to first (reverse-mode
//! differentiation; Linnainmaa 1970). Not here: any operation (`ops`).

use crate::{Device, Element, Tensor};

/// A value on a [`Tape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Var(usize);

type Backward<T> = Box<dyn FnOnce(Tensor<T>, &mut Gradients<T>) + Send>;

struct Node<T: Element> {
    value: Tensor<T>,
    wanted: bool,
    backward: Option<Backward<T>>,
}

/// The record of one forward computation.
pub struct Tape<T: Element = f32> {
    device: Device,
    nodes: Vec<Node<T>>,
}

impl<T: Element> Tape<T> {
    /// An empty tape whose values live on `device`.
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
            nodes: Vec::new(),
        }
    }

    /// Where the values live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A value whose gradient is asked for.
    pub fn parameter(&mut self, value: Tensor<T>) -> Var {
        self.push_node(value, true, None)
    }

    /// A value without a gradient: input, or a parameter that is frozen.
    pub fn constant(&mut self, value: Tensor<T>) -> Var {
        self.push_node(value, false, None)
    }

    /// What was computed.
    pub fn value(&self, var: Var) -> &Tensor<T> {
        &self.nodes[var.0].value
    }

    /// True if a gradient will reach any of `inputs`.
    pub fn wanted(&self, inputs: &[Var]) -> bool {
        inputs.iter().any(|v| self.nodes[v.0].wanted)
    }

    /// Records the result of an operation. `backward` gets the gradient of `value` and adds to
    /// the gradients of the inputs; it is dropped if none of the inputs wants one.
    pub fn push(
        &mut self,
        value: Tensor<T>,
        inputs: &[Var],
        backward: impl FnOnce(Tensor<T>, &mut Gradients<T>) + Send + 'static,
    ) -> Var {
        if self.wanted(inputs) {
            self.push_node(value, true, Some(Box::new(backward)))
        } else {
            self.push_node(value, false, None)
        }
    }

    fn push_node(&mut self, value: Tensor<T>, wanted: bool, backward: Option<Backward<T>>) -> Var {
        self.nodes.push(Node {
            value,
            wanted,
            backward,
        });
        Var(self.nodes.len() - 1)
    }

    /// Gradients of the one number `loss` with respect to every parameter.
    ///
    /// # Panics
    /// If `loss` is not one number.
    pub fn backward(self, loss: Var) -> Gradients<T> {
        let shape = self.nodes[loss.0].value.shape().to_vec();
        let one = Tensor::new(&self.device, &shape, vec![T::ONE]);
        self.backward_from(loss, one)
    }

    /// Gradients of Σ value(var) · gradient: goes on from where the gradient of `var` is known, say from another tape.
    ///
    /// # Panics
    /// If `gradient` has another shape than the value.
    pub fn backward_from(self, var: Var, gradient: Tensor<T>) -> Gradients<T> {
        assert_eq!(
            self.nodes[var.0].value.shape(),
            gradient.shape(),
            "a gradient has its value's shape"
        );
        let device = self.device.clone();
        device.install(|| {
            let mut gradients = Gradients {
                wanted: self.nodes.iter().map(|n| n.wanted).collect(),
                values: vec![None; self.nodes.len()],
            };
            gradients.add(var, gradient);
            for (i, node) in self.nodes.into_iter().enumerate().rev() {
                // The value goes before its gradient is computed: closures hold what they need.
                drop(node.value);
                if let Some(backward) = node.backward
                    && let Some(gradient) = gradients.values[i].take()
                {
                    backward(gradient, &mut gradients);
                }
            }
            gradients
        })
    }
}

/// Gradients by [`Var`].
pub struct Gradients<T: Element = f32> {
    wanted: Vec<bool>,
    values: Vec<Option<Tensor<T>>>,
}

impl<T: Element> Gradients<T> {
    /// True if someone will read the gradient of `var`: its computation may be skipped if not.
    pub fn wants(&self, var: Var) -> bool {
        self.wanted[var.0]
    }

    /// Adds to the gradient of `var`.
    ///
    /// # Panics
    /// If it already has a gradient of another shape.
    pub fn add(&mut self, var: Var, gradient: Tensor<T>) {
        if !self.wants(var) {
            return;
        }
        match &mut self.values[var.0] {
            Some(sum) => {
                assert_eq!(sum.shape(), gradient.shape(), "two gradients of one value");
                crate::ops::add_assign(sum, &gradient);
            }
            empty => *empty = Some(gradient),
        }
    }

    /// The gradient of a parameter; none if the loss doesn't depend on it.
    pub fn take(&mut self, var: Var) -> Option<Tensor<T>> {
        self.values[var.0].take()
    }
}
