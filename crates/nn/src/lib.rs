//! What every model is trained with: parameters, initialisation, dropout, optimizers, schedules,
//! the gradient check. Knows no captions.

pub mod dropout;
pub mod gradcheck;
pub mod initialization;
pub mod optimizer;
pub mod parameters;
pub mod schedule;

pub use dropout::Dropout;
pub use optimizer::{Clip, Optimizer, OptimizerConfig};
pub use parameters::{Bound, Parameter, Parameters};
pub use schedule::Schedule;
