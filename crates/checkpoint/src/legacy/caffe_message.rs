//! The parts of Caffe's protocol buffers that hold a trained network.
//!
//! Here: the messages, field by field as `caffe.proto` numbers them; fields that aren't needed are skipped. Not here: what
//! they mean (`caffe.rs`).
//!
//! Source: BVLC Caffe `src/caffe/proto/caffe.proto` (2017), and its `V1LayerParameter` of 2014.

use prost::Message;

/// A network with its weights: `layers` in files of 2014, `layer` in later ones.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Net {
    #[prost(message, repeated, tag = "2")]
    pub(super) layers: Vec<OldLayer>,
    #[prost(string, repeated, tag = "3")]
    pub(super) input: Vec<String>,
    #[prost(int32, repeated, packed = "false", tag = "4")]
    pub(super) input_dim: Vec<i32>,
    #[prost(message, repeated, tag = "8")]
    pub(super) input_shape: Vec<Shape>,
    #[prost(message, repeated, tag = "100")]
    pub(super) layer: Vec<NewLayer>,
}

/// `V1LayerParameter`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OldLayer {
    #[prost(string, repeated, tag = "2")]
    pub(super) bottom: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub(super) top: Vec<String>,
    #[prost(string, optional, tag = "4")]
    pub(super) name: Option<String>,
    /// `LayerType`.
    #[prost(int32, optional, tag = "5")]
    pub(super) kind: Option<i32>,
    #[prost(message, repeated, tag = "6")]
    pub(super) blobs: Vec<Blob>,
    #[prost(message, optional, boxed, tag = "10")]
    pub(super) convolution: Option<Box<Convolution>>,
    #[prost(message, optional, boxed, tag = "17")]
    pub(super) inner_product: Option<Box<InnerProduct>>,
    #[prost(message, optional, boxed, tag = "19")]
    pub(super) pooling: Option<Box<Pooling>>,
    #[prost(message, optional, boxed, tag = "24")]
    pub(super) eltwise: Option<Box<Eltwise>>,
    #[prost(message, optional, boxed, tag = "30")]
    pub(super) relu: Option<Box<Relu>>,
}

/// `LayerParameter`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NewLayer {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) kind: Option<String>,
    #[prost(string, repeated, tag = "3")]
    pub(super) bottom: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(super) top: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub(super) blobs: Vec<Blob>,
    #[prost(message, optional, boxed, tag = "106")]
    pub(super) convolution: Option<Box<Convolution>>,
    #[prost(message, optional, boxed, tag = "110")]
    pub(super) eltwise: Option<Box<Eltwise>>,
    #[prost(message, optional, boxed, tag = "117")]
    pub(super) inner_product: Option<Box<InnerProduct>>,
    #[prost(message, optional, boxed, tag = "121")]
    pub(super) pooling: Option<Box<Pooling>>,
    #[prost(message, optional, boxed, tag = "123")]
    pub(super) relu: Option<Box<Relu>>,
    #[prost(message, optional, boxed, tag = "139")]
    pub(super) batch_norm: Option<Box<BatchNorm>>,
    #[prost(message, optional, boxed, tag = "142")]
    pub(super) scale: Option<Box<Scale>>,
    #[prost(message, optional, boxed, tag = "143")]
    pub(super) input: Option<Box<Input>>,
}

/// Numbers with a shape: four sizes in files of 2014, any number of them later.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Blob {
    #[prost(int32, optional, tag = "1")]
    pub(super) num: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub(super) channels: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub(super) height: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    pub(super) width: Option<i32>,
    #[prost(float, repeated, tag = "5")]
    pub(super) data: Vec<f32>,
    #[prost(message, optional, tag = "7")]
    pub(super) shape: Option<Shape>,
    #[prost(double, repeated, tag = "8")]
    pub(super) double_data: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Shape {
    #[prost(int64, repeated, tag = "1")]
    pub(super) dim: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Convolution {
    #[prost(uint32, optional, tag = "1")]
    pub(super) num_output: Option<u32>,
    #[prost(bool, optional, tag = "2")]
    pub(super) bias_term: Option<bool>,
    #[prost(uint32, repeated, packed = "false", tag = "3")]
    pub(super) pad: Vec<u32>,
    #[prost(uint32, repeated, packed = "false", tag = "4")]
    pub(super) kernel_size: Vec<u32>,
    #[prost(uint32, optional, tag = "5")]
    pub(super) group: Option<u32>,
    #[prost(uint32, repeated, packed = "false", tag = "6")]
    pub(super) stride: Vec<u32>,
    #[prost(uint32, optional, tag = "9")]
    pub(super) pad_h: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    pub(super) pad_w: Option<u32>,
    #[prost(uint32, optional, tag = "11")]
    pub(super) kernel_h: Option<u32>,
    #[prost(uint32, optional, tag = "12")]
    pub(super) kernel_w: Option<u32>,
    #[prost(uint32, optional, tag = "13")]
    pub(super) stride_h: Option<u32>,
    #[prost(uint32, optional, tag = "14")]
    pub(super) stride_w: Option<u32>,
    #[prost(uint32, repeated, packed = "false", tag = "18")]
    pub(super) dilation: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct InnerProduct {
    #[prost(uint32, optional, tag = "1")]
    pub(super) num_output: Option<u32>,
    #[prost(bool, optional, tag = "2")]
    pub(super) bias_term: Option<bool>,
    #[prost(bool, optional, tag = "6")]
    pub(super) transpose: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Pooling {
    /// 0 the largest, 1 the mean, 2 one at random.
    #[prost(int32, optional, tag = "1")]
    pub(super) pool: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub(super) kernel_size: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    pub(super) stride: Option<u32>,
    #[prost(uint32, optional, tag = "4")]
    pub(super) pad: Option<u32>,
    #[prost(uint32, optional, tag = "5")]
    pub(super) kernel_h: Option<u32>,
    #[prost(uint32, optional, tag = "6")]
    pub(super) kernel_w: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    pub(super) stride_h: Option<u32>,
    #[prost(uint32, optional, tag = "8")]
    pub(super) stride_w: Option<u32>,
    #[prost(uint32, optional, tag = "9")]
    pub(super) pad_h: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    pub(super) pad_w: Option<u32>,
    #[prost(bool, optional, tag = "12")]
    pub(super) global_pooling: Option<bool>,
    /// 0 rounds outputs up, 1 down.
    #[prost(int32, optional, tag = "13")]
    pub(super) round_mode: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Eltwise {
    /// 0 product, 1 sum, 2 maximum.
    #[prost(int32, optional, tag = "1")]
    pub(super) operation: Option<i32>,
    #[prost(float, repeated, packed = "false", tag = "2")]
    pub(super) coeff: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Relu {
    #[prost(float, optional, tag = "1")]
    pub(super) negative_slope: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchNorm {
    #[prost(float, optional, tag = "3")]
    pub(super) eps: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Scale {
    #[prost(int32, optional, tag = "1")]
    pub(super) axis: Option<i32>,
    #[prost(bool, optional, tag = "5")]
    pub(super) bias_term: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Input {
    #[prost(message, repeated, tag = "1")]
    pub(super) shape: Vec<Shape>,
}

/// Names of `LayerType` that a trained network may have; those that only training has are left out.
pub(super) fn old_kind(kind: i32) -> Option<&'static str> {
    Some(match kind {
        1 => "Accuracy",
        4 => "Convolution",
        5 => "Data",
        6 => "Dropout",
        8 => "Flatten",
        12 => "ImageData",
        14 => "InnerProduct",
        15 => "LRN",
        17 => "Pooling",
        18 => "ReLU",
        20 => "Softmax",
        21 => "SoftmaxWithLoss",
        22 => "Split",
        25 => "Eltwise",
        29 => "MemoryData",
        36 => "Silence",
        _ => return None,
    })
}
