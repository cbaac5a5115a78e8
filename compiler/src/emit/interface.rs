//! `Input` and `Output`: one field an ONNX port, shapes in the type.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};
use zkiln_runtime::model::{Model, Port, Visibility};

use crate::emit::describe::quoted;
use crate::emit::identifiers::{Scope, screaming_case, snake_case};
use crate::graph::Dtype;
use crate::program::PortInfo;
use crate::scale::{Run, Scale};

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
    let name = side.structure();
    let doc = match side {
        Side::Input => " What the model computes on.",
        Side::Output => " What the model computes.",
    };
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

/// A port and what a method that shows it says.
#[derive(Clone)]
struct Shown<'a> {
    port: &'a Port,
    info: &'a PortInfo,
    side: Side,
    index: Literal,
    scale: Ident,
    /// Whether one method shows the whole side.
    whole: bool,
}

/// The statement's methods `commitments` and `public`, where there is something for them to show.
pub fn accessors(model: &Model, inputs: &[PortInfo], outputs: &[PortInfo]) -> TokenStream {
    let inputs = shown(Side::Input, &model.inputs, inputs);
    let ports = [inputs, shown(Side::Output, &model.outputs, outputs)].concat();
    let (commitments, public) = (commitments(&ports), public(&ports));
    quote! {
        #commitments
        #public
    }
}

fn shown<'a>(side: Side, ports: &'a [Port], infos: &'a [PortInfo]) -> Vec<Shown<'a>> {
    let is_public = |port: &Port| port.visibility == Visibility::Public;
    let whole = ports.iter().all(is_public);
    let mut scales = Scope::default();
    let ports = ports.iter().zip(infos).enumerate();
    ports
        .map(|(index, (port, info))| Shown {
            port,
            info,
            side,
            index: Literal::usize_unsuffixed(index),
            scale: scales.unique(screaming_case(&info.name)),
            whole,
        })
        .collect()
}

/// `Commitments`, with a field for each committed port.
fn commitments(ports: &[Shown]) -> Option<TokenStream> {
    let mut names = Scope::default();
    let committed = |shown: &&Shown| shown.port.visibility == Visibility::Committed;
    let (fields, values): (Vec<_>, Vec<_>) = ports
        .iter()
        .filter(committed)
        .map(|shown| {
            let field = names.unique(snake_case(&shown.info.name));
            let (list, index) = (shown.side.list(), &shown.index);
            let doc = format!(" To the {}.", shown.title());
            (
                quote!(#[doc = #doc] pub #field: Option<&'a Commitment>),
                quote!(#field: commitment(&self.0.#list, #index)),
            )
        })
        .unzip();
    (!fields.is_empty()).then(|| {
        quote! {
            /// The commitments in a statement: all are there if it is one about this model.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct Commitments<'a> { #(#fields),* }

            impl Statement {
                /// The commitments to the committed ports.
                pub fn commitments(&self) -> Commitments<'_> {
                    Commitments { #(#values),* }
                }
            }
        }
    })
}

/// `Public`, with a field for each public port of a side that is not public as a whole.
fn public(ports: &[Shown]) -> Option<TokenStream> {
    let mut names = Scope::default();
    let public = |shown: &&Shown| shown.port.visibility == Visibility::Public && !shown.whole;
    let (fields, values): (Vec<_>, Vec<_>) = ports
        .iter()
        .filter(public)
        .map(|shown| {
            let field = names.unique(snake_case(&shown.info.name));
            let (list, index) = (shown.side.list(), &shown.index);
            let (structure, scale) = (shown.side.structure(), &shown.scale);
            let tensor = tensor(shown.info);
            let doc = format!(" The {}.", shown.title());
            (
                quote!(#[doc = #doc] pub #field: #tensor),
                quote!(#field: #structure::#scale.dequantize(integers(&self.0.#list, #index))),
            )
        })
        .unzip();
    (!fields.is_empty()).then(|| {
        quote! {
            /// Public ports beside others that are not public.
            #[derive(Clone, Debug, PartialEq)]
            pub struct Public { #(#fields),* }

            impl Statement {
                /// The public ports, as real numbers.
                pub fn public(&self) -> Public {
                    Public { #(#values),* }
                }
            }
        }
    })
}

impl Shown<'_> {
    /// ``input `x` ``.
    fn title(&self) -> String {
        format!("{} `{}`", self.side.word(), quoted(&self.info.name))
    }
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }

    /// The struct of the side.
    fn structure(self) -> Ident {
        match self {
            Self::Input => format_ident!("Input"),
            Self::Output => format_ident!("Output"),
        }
    }

    /// The statement's field for the side.
    fn list(self) -> Ident {
        format_ident!("{}s", self.word())
    }
}

/// The type of a port's tensor.
fn tensor(info: &PortInfo) -> TokenStream {
    let element = format_ident!("{}", element(info.dtype));
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
        let docs = self.meaning();
        quote!(#(#[doc = #docs])* pub #field: #tensor)
    }

    /// What its elements may be, in lines of documentation.
    fn meaning(&self) -> Vec<String> {
        let (name, (low, high)) = (quoted(&self.info.name), self.port.range);
        let reals = |run: &Run| {
            let [low, high] = run.ends(self.port.range);
            format!("{low} to {high} in steps of {}.", run.step)
        };
        let runs = self.info.scale.runs();
        match (self.info.dtype, runs.as_slice()) {
            (Dtype::Float32, [other]) if (low, high) == (0, 1) => {
                vec![format!(" `{name}`: 0 or {}.", other.step)]
            }
            (Dtype::Float32, [all]) => vec![format!(" `{name}`: {}", reals(all))],
            (Dtype::Float32, runs) => {
                let lines = runs.iter().map(|run| format!(" - {run}: {}", reals(run)));
                let heading = [format!(" `{name}`, by index:"), String::new()];
                heading.into_iter().chain(lines).collect()
            }
            (Dtype::Bool, _) => vec![format!(" `{name}`.")],
            _ => vec![format!(" `{name}`: {low} to {high}.")],
        }
    }

    fn scale(&self) -> TokenStream {
        let (scale, name) = (&self.scale, &self.info.name);
        let [low, high] = [self.port.range.0, self.port.range.1].map(integer);
        let (units, unit) = match &self.info.scale {
            Scale::Uniform(f64::NEG_INFINITY) => (None, quote!(f64::NEG_INFINITY)),
            Scale::Uniform(step) => (None, float(*step)),
            Scale::Along { axis, steps } => {
                let inner: usize = self.info.shape.iter().skip(axis + 1).product();
                let inner = Literal::usize_unsuffixed(inner);
                let steps = steps.iter().map(|step| Literal::f64_unsuffixed(*step));
                let unit = quote!(Along { inner: #inner, steps: &[#(#steps),*] });
                (Some(quote!(<Along>)), unit)
            }
        };
        quote!(const #scale: Scale #units = Scale { port: #name, unit: #unit, range: (#low, #high) };)
    }
}

/// Unsuffixed, with its sign apart as in Rust's grammar.
fn float(value: f64) -> TokenStream {
    let (sign, magnitude) = ((value < 0.0).then(|| quote!(-)), value.abs());
    let magnitude = Literal::f64_unsuffixed(magnitude);
    quote!(#sign #magnitude)
}

/// As [`float`].
fn integer(value: i64) -> TokenStream {
    let magnitude = Literal::u64_unsuffixed(value.unsigned_abs());
    if value < 0 {
        quote!(-#magnitude)
    } else {
        quote!(#magnitude)
    }
}

/// Rust's type of an element.
pub fn element(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Float32 => "f32",
        Dtype::Int8 => "i8",
        Dtype::Int16 => "i16",
        Dtype::Int32 => "i32",
        Dtype::Int64 => "i64",
        Dtype::Uint8 => "u8",
        Dtype::Uint16 => "u16",
        Dtype::Uint32 => "u32",
        Dtype::Uint64 => "u64",
        Dtype::Bool => "bool",
    }
}

fn element_bytes(dtype: Dtype) -> usize {
    match dtype.bits() {
        None => size_of::<f32>(),
        Some((bits, _)) => bits.div_ceil(8) as usize,
    }
}
