//! `"path.onnx", name = "net", dims = { batch = 1 }, freeze = { sr = 16000 }, samples = "s.jsonl", settings = "net.settings.json", saturate = true, objective = size, visibility = { inputs = public }, blinding_key = "net.blinding",
//! activation_bits = 12, weight_bits = 12`.

use std::path::PathBuf;

use proc_macro2::TokenTree;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, LitBool, LitInt, LitStr, Token, braced, bracketed, token};
use zkiln_compiler::compile::Request;
use zkiln_compiler::{Frozen, Visibility};

/// What was written between the parentheses.
#[derive(Debug)]
pub struct Arguments {
    /// The model's path, as written.
    pub path: LitStr,
    /// The path and all options.
    pub request: Request,
}

impl Parse for Arguments {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let path: LitStr = input.parse()?;
        let mut request = Request::new(path.value());
        let mut given: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let option: Ident = input.parse()?;
            if given.contains(&option) {
                return Err(Error::new(
                    option.span(),
                    format!("`{option}` is given twice"),
                ));
            }
            input.parse::<Token![=]>()?;
            assign(&mut request, &option, input)?;
            given.push(option);
        }
        Ok(Self { path, request })
    }
}

fn assign(request: &mut Request, option: &Ident, input: ParseStream) -> syn::Result<()> {
    let options = &mut request.options;
    match option.to_string().as_str() {
        "name" => options.name = Some(name(input)?),
        "dims" => options.dimensions = dimensions(input)?,
        "freeze" => {
            for (name, value) in entries(input, frozen)? {
                match value {
                    FrozenInput::Value(value) => options.frozen.push((name, value)),
                    FrozenInput::File(path) => request.frozen.push((name, path)),
                }
            }
        }
        "samples" => request.samples = paths(input)?,
        "settings" => request.settings = Some(PathBuf::from(input.parse::<LitStr>()?.value())),
        "saturate" => options.saturate = input.parse::<LitBool>()?.value,
        "objective" => {
            let word: Ident = input.parse()?;
            let objective = word.to_string().parse();
            options.objective = objective.map_err(|message| Error::new(word.span(), message))?;
        }
        "blinding_key" => {
            request.blinding_key = Some(PathBuf::from(input.parse::<LitStr>()?.value()))
        }
        "visibility" => options.visibility = visibilities(input)?,
        "activation_bits" => {
            options.activation_bits = Some(input.parse::<LitInt>()?.base10_parse()?)
        }
        "weight_bits" => options.weight_bits = Some(input.parse::<LitInt>()?.base10_parse()?),
        _ => {
            let known = "`name`, `dims`, `freeze`, `samples`, `settings`, `saturate`, `objective`, `visibility`, `blinding_key`, `activation_bits`, `weight_bits`";
            let message = format!("there is no option `{option}`; the options are {known}");
            return Err(Error::new(option.span(), message));
        }
    }
    Ok(())
}

/// A string that names a module.
fn name(input: ParseStream) -> syn::Result<String> {
    let name: LitStr = input.parse()?;
    match name.parse::<Ident>() {
        Ok(_) => Ok(name.value()),
        Err(_) => Err(Error::new(name.span(), "a module cannot have this name")),
    }
}

/// `{ name = value, "quoted name" = value }`.
fn entries<T>(
    input: ParseStream,
    value: impl Fn(ParseStream) -> syn::Result<T>,
) -> syn::Result<Vec<(String, T)>> {
    let content;
    braced!(content in input);
    let mut entries = Vec::new();
    while !content.is_empty() {
        let name = if content.peek(LitStr) {
            content.parse::<LitStr>()?.value()
        } else {
            content.parse::<Ident>()?.to_string()
        };
        content.parse::<Token![=]>()?;
        entries.push((name, value(&content)?));
        if !content.is_empty() {
            content.parse::<Token![,]>()?;
        }
    }
    Ok(entries)
}

/// `{ batch = 1, "seq-len" = 64 }`.
fn dimensions(input: ParseStream) -> syn::Result<Vec<(String, usize)>> {
    entries(input, |input| {
        let value: LitInt = input.parse()?;
        let positive = || Error::new(value.span(), "a dimension is a positive integer");
        let len = value.base10_parse().ok().filter(|&len: &usize| len > 0);
        len.ok_or_else(positive)
    })
}

/// What an input is frozen to.
enum FrozenInput {
    Value(Frozen),
    File(PathBuf),
}

/// `16000`, `[[1, 0]]`, or the path of an array, `"mask.npy"`.
fn frozen(input: ParseStream) -> syn::Result<FrozenInput> {
    if input.peek(LitStr) {
        let path: LitStr = input.parse()?;
        return Ok(FrozenInput::File(path.value().into()));
    }
    let sign: Option<Token![-]> = input.parse()?;
    let value: TokenTree = input.parse()?;
    let text = format!("{}{value}", if sign.is_some() { "-" } else { "" });
    let parsed = text.replace(' ', "").parse();
    parsed
        .map(FrozenInput::Value)
        .map_err(|message| Error::new(value.span(), message))
}

/// `{ inputs = private, logits = committed }`.
fn visibilities(input: ParseStream) -> syn::Result<Vec<(String, Visibility)>> {
    entries(input, |input| {
        let word: Ident = input.parse()?;
        let visibility = word.to_string().parse();
        visibility.map_err(|message: String| Error::new(word.span(), message))
    })
}

/// `"a.jsonl"` or `["a.jsonl", "b.jsonl"]`.
fn paths(input: ParseStream) -> syn::Result<Vec<PathBuf>> {
    let path = |input: ParseStream| Ok(PathBuf::from(input.parse::<LitStr>()?.value()));
    if !input.peek(token::Bracket) {
        return Ok(vec![path(input)?]);
    }
    let content;
    bracketed!(content in input);
    let paths = content.parse_terminated(path, Token![,])?;
    Ok(paths.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use zkiln_compiler::Objective;

    fn parse(text: &str) -> Result<Request, String> {
        let arguments = syn::parse_str::<Arguments>(text);
        arguments
            .map(|a| a.request)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_is_enough() {
        let request = parse(r#""models/x.onnx""#).expect("parses");
        assert_eq!(request.path, Path::new("models/x.onnx"));
        assert!(request.samples.is_empty() && request.options.name.is_none());
        assert!(parse(r#""x.onnx","#).is_ok());
    }

    #[test]
    fn every_option_is_kept() {
        let text = r#""x.onnx", name = "net", dims = { batch = 1, "seq-len" = 64, }, samples = ["a", "b"], freeze = { sr = 16000, "m" = [[1, -2]], ids = "ids.npy" },
            activation_bits = 10, weight_bits = 8, visibility = { inputs = public, "the output" = committed }, settings = "t", saturate = true, objective = size, blinding_key = "s","#;
        let Request {
            options,
            samples,
            settings,
            blinding_key,
            frozen,
            ..
        } = parse(text).expect("parses");
        assert_eq!(options.name.as_deref(), Some("net"));
        assert_eq!(
            options.dimensions,
            [("batch".to_string(), 1), ("seq-len".to_string(), 64)]
        );
        assert_eq!(samples, [Path::new("a"), Path::new("b")]);
        let values = [("sr", "16000"), ("m", "[[1, -2]]")];
        let values =
            values.map(|(name, value)| (name.to_string(), value.parse().expect("a value")));
        assert_eq!(options.frozen, values);
        assert_eq!(frozen, [("ids".to_string(), PathBuf::from("ids.npy"))]);
        assert_eq!(
            (options.activation_bits, options.weight_bits),
            (Some(10), Some(8))
        );
        let visibility = [
            ("inputs".to_string(), Visibility::Public),
            ("the output".to_string(), Visibility::Committed),
        ];
        assert_eq!(options.visibility, visibility);
        assert_eq!(blinding_key.as_deref(), Some(Path::new("s")));
        assert!(options.saturate);
        assert_eq!(options.objective, Objective::Size);
        assert_eq!(settings.as_deref(), Some(Path::new("t")));
        let one = parse(r#""x.onnx", samples = "a""#).expect("parses");
        assert_eq!(one.samples, [Path::new("a")]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("", "expected string literal"),
            ("x", "expected string literal"),
            (r#""x" name = "y""#, "expected `,`"),
            (
                r#""x", width = 3"#,
                "there is no option `width`; the options are `name`",
            ),
            (r#""x", name = "y", name = "z""#, "`name` is given twice"),
            (r#""x", name = "no name""#, "a module cannot have this name"),
            (r#""x", name = "type""#, "a module cannot have this name"),
            (r#""x", weight_bits = 300"#, "number too large"),
            (
                r#""x", dims = { batch = -1 }"#,
                "a dimension is a positive integer",
            ),
            (r#""x", samples = 3"#, "expected string literal"),
            (
                r#""x", visibility = { inputs = secret }"#,
                "`secret` is not a visibility",
            ),
            (
                r#""x", freeze = { sr = fast }"#,
                "expected a number or a list of numbers, got `fast`",
            ),
            (
                r#""x", objective = speed"#,
                "`speed` is not an objective: use `time` or `size`",
            ),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
