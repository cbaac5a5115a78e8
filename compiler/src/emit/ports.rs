//! `Input` and `Output`: one field an ONNX port, shapes in the type.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};
use zkiln_runtime::model::{Model, Port, Visibility};

use super::describe::quoted;
use super::names::{Scope, screaming_case, snake_case};
use crate::PortInfo;
use crate::graph::Dtype;

/// Tensors of more bytes are boxed: a thread's stack holds only a few of them.
const BOXED_BYTES: usize = 256 << 10;

/// One port with its names in the generated module.
struct Field<'a> {
    port: &'a Port,
    info: &'a PortInfo,
    field: Ident,
    scale: Ident,
}

/// Which way a struct is converted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To integers and back.
    Input,
    /// From integers.
    Output,
}

/// `Input` or `Output`, with one field for each of `ports`.
pub fn structure(side: Side, ports: &[Port], infos: &[PortInfo]) -> TokenStream {
    let (mut fields, mut scales) = (Scope::default(), Scope::default());
    let fields: Vec<Field> = ports
        .iter()
        .zip(infos)
        .map(|(port, info)| Field {
            port,
            info,
            field: fields.unique(snake_case(&info.name)),
            scale: scales.unique(screaming_case(&info.name)),
        })
        .collect();
    let declarations = fields.iter().map(Field::declaration);
    let scales = fields.iter().map(Field::scale);
    let zeros = fields
        .iter()
        .map(|Field { field, .. }| quote!(#field: zeros()));
    let to_integers = fields
        .iter()
        .map(|Field { field, scale, .. }| quote!(Self::#scale.quantize(&self.#field)?));
    let from_integers = fields
        .iter()
        .enumerate()
        .map(|(i, Field { field, scale, .. })| {
            let i = Literal::usize_unsuffixed(i);
            quote!(#field: Self::#scale.dequantize(tensor(tensors, #i)))
        });
    let to_integers = (side == Side::Input).then(|| {
        quote! {
            fn to_integers(&self) -> Result<Vec<Vec<i64>>, ProveError> {
                Ok(Vec::from([#(#to_integers),*]))
            }
        }
    });
    let (name, doc) = match side {
        Side::Input => ("Input", " What the model computes on."),
        Side::Output => ("Output", " What the model computes."),
    };
    let name = format_ident!("{name}");
    quote! {
        #[doc = #doc]
        #[derive(Clone, Debug, PartialEq)]
        pub struct #name { #(#declarations),* }

        impl #name {
            #(#scales)*

            #to_integers

            fn from_integers(tensors: &[Vec<i64>]) -> Self {
                Self { #(#from_integers),* }
            }
        }

        impl Default for #name {
            fn default() -> Self {
                Self { #(#zeros),* }
            }
        }
    }
}

/// Methods of the statement for every port that it shows, unless one method shows the whole side.
pub fn accessors(model: &Model, inputs: &[PortInfo], outputs: &[PortInfo]) -> TokenStream {
    let mut names = Scope::default();
    let sides = [
        ("input", "inputs", "Input", &*model.inputs, inputs),
        ("output", "outputs", "Output", &*model.outputs, outputs),
    ];
    let mut methods = Vec::new();
    for (side, list, structure, ports, infos) in sides {
        let whole = ports
            .iter()
            .all(|port| port.visibility == Visibility::Public);
        let mut scales = Scope::default();
        let [list, structure] = [list, structure].map(|name| format_ident!("{name}"));
        for (index, (port, info)) in ports.iter().zip(infos).enumerate() {
            let scale = scales.unique(screaming_case(&info.name));
            let method = names.unique(format!("{side}_{}", snake_case(&info.name)));
            let index = Literal::usize_unsuffixed(index);
            let name = quoted(&info.name);
            match port.visibility {
                Visibility::Public if !whole => {
                    let doc = format!(" The public {side} `{name}`, as real numbers.");
                    let tensor = tensor(info);
                    methods.push(quote! {
                        #[doc = #doc]
                        pub fn #method(&self) -> #tensor {
                            #structure::#scale.dequantize(integers(&self.0.#list, #index))
                        }
                    });
                }
                Visibility::Committed => {
                    let doc = format!(" The commitment to the {side} `{name}`.");
                    methods.push(quote! {
                        #[doc = #doc]
                        pub fn #method(&self) -> Option<&Commitment> {
                            commitment(&self.0.#list, #index)
                        }
                    });
                }
                _ => {}
            }
        }
    }
    if methods.is_empty() {
        return TokenStream::new();
    }
    quote! {
        impl Statement {
            #(#methods)*
        }
    }
}

/// The type of a port's tensor.
fn tensor(info: &PortInfo) -> TokenStream {
    let element = element(info.dtype);
    let array = info
        .shape
        .iter()
        .rev()
        .fold(quote!(#element), |inner, &len| {
            let len = Literal::usize_unsuffixed(len);
            quote!([#inner; #len])
        });
    let bytes = info.shape.iter().product::<usize>() * element_bytes(info.dtype);
    if bytes > BOXED_BYTES {
        quote!(Box<#array>)
    } else {
        array
    }
}

impl Field<'_> {
    fn declaration(&self) -> TokenStream {
        let field = &self.field;
        let tensor = tensor(self.info);
        let (low, high) = self.port.range;
        let doc = match self.info.dtype {
            Dtype::Float32 => {
                let [low, high] = [low, high].map(|bound| bound as f64 * self.info.scale);
                format!(
                    " `{}`: {low} to {high} in steps of {}.",
                    quoted(&self.info.name),
                    self.info.scale
                )
            }
            Dtype::Int64 => format!(" `{}`: {low} to {high}.", quoted(&self.info.name)),
            Dtype::Bool => format!(" `{}`.", quoted(&self.info.name)),
        };
        quote!(#[doc = #doc] pub #field: #tensor)
    }

    fn scale(&self) -> TokenStream {
        let (scale, name) = (&self.scale, &self.info.name);
        let unit = Literal::f64_unsuffixed(self.info.scale);
        let [low, high] = [self.port.range.0, self.port.range.1].map(integer);
        quote!(const #scale: Scale = Scale { port: #name, unit: #unit, range: (#low, #high) };)
    }
}

/// Unsuffixed, with its sign apart as in Rust's grammar.
fn integer(value: i64) -> TokenStream {
    let magnitude = Literal::u64_unsuffixed(value.unsigned_abs());
    if value < 0 {
        quote!(-#magnitude)
    } else {
        quote!(#magnitude)
    }
}

fn element(dtype: Dtype) -> TokenStream {
    match dtype {
        Dtype::Float32 => quote!(f32),
        Dtype::Int64 => quote!(i64),
        Dtype::Bool => quote!(bool),
    }
}

fn element_bytes(dtype: Dtype) -> usize {
    match dtype {
        Dtype::Float32 => size_of::<f32>(),
        Dtype::Int64 => size_of::<i64>(),
        Dtype::Bool => size_of::<bool>(),
    }
}
