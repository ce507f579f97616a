//! Named parameters of a model, in one fixed order.
//!
//! The order is the order of updates and of storage. Not here: what the numbers mean (`models`).

use tensor::{Device, Element, Gradients, Tape, Tensor, Var};

/// One parameter.
#[derive(Debug, Clone)]
pub struct Parameter<T: Element = f32> {
    /// As in the checkpoint, such as `output.weight`.
    pub name: String,
    /// Its numbers.
    pub value: Tensor<T>,
    /// True if the L2 penalty (`--regc`) counts it: weights, not biases.
    pub regularized: bool,
}

/// All parameters of a model.
#[derive(Debug, Clone)]
pub struct Parameters<T: Element = f32> {
    all: Vec<Parameter<T>>,
}

impl<T: Element> Parameters<T> {
    /// Parameters in their order of storage.
    ///
    /// # Panics
    /// If two share a name.
    pub fn new(all: Vec<Parameter<T>>) -> Self {
        for (i, one) in all.iter().enumerate() {
            assert!(
                all[..i].iter().all(|other| other.name != one.name),
                "two parameters named `{}`",
                one.name
            );
        }
        Self { all }
    }

    /// In order.
    pub fn iter(&self) -> std::slice::Iter<'_, Parameter<T>> {
        self.all.iter()
    }

    /// In order, for writing.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Parameter<T>> {
        self.all.iter_mut()
    }

    /// How many parameters (tensors, not numbers).
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True for a model without parameters.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The parameter called `name`.
    ///
    /// # Panics
    /// If there is none: models ask for their own names only.
    pub fn value(&self, name: &str) -> &Tensor<T> {
        &self.all[self.position(name)].value
    }

    fn position(&self, name: &str) -> usize {
        self.all
            .iter()
            .position(|p| p.name == name)
            .unwrap_or_else(|| panic!("no parameter `{name}`"))
    }

    /// Puts every parameter on a tape.
    pub fn bind(&self, tape: &mut Tape<T>) -> Bound<'_, T> {
        let vars = self
            .all
            .iter()
            .map(|p| tape.parameter(p.value.clone()))
            .collect();
        Bound {
            parameters: self,
            vars,
        }
    }

    /// Puts every parameter on a tape without asking for gradients.
    pub fn bind_frozen(&self, tape: &mut Tape<T>) -> Bound<'_, T> {
        let vars = self
            .all
            .iter()
            .map(|p| tape.constant(p.value.clone()))
            .collect();
        Bound {
            parameters: self,
            vars,
        }
    }

    /// The same numbers rounded to another type, on another device.
    pub fn to<S: Element>(&self, device: &Device) -> Parameters<S> {
        let all = self
            .all
            .iter()
            .map(|p| Parameter {
                name: p.name.clone(),
                value: Tensor::from_values(device, p.value.shape(), p.value.data()),
                regularized: p.regularized,
            })
            .collect();
        Parameters { all }
    }
}

/// Parameters on one tape.
pub struct Bound<'a, T: Element = f32> {
    parameters: &'a Parameters<T>,
    vars: Vec<Var>,
}

impl<T: Element> Bound<'_, T> {
    /// Where parameter `name` is on the tape.
    ///
    /// # Panics
    /// If there is none.
    pub fn var(&self, name: &str) -> Var {
        self.vars[self.parameters.position(name)]
    }

    /// The gradients in the order of the parameters; zeros where the loss doesn't depend on one.
    pub fn gradients(&self, gradients: &mut Gradients<T>) -> Vec<Tensor<T>> {
        self.parameters
            .iter()
            .zip(&self.vars)
            .map(|(p, &var)| {
                gradients
                    .take(var)
                    .unwrap_or_else(|| Tensor::zeros(p.value.device(), p.value.shape()))
            })
            .collect()
    }
}
