//! ONNX names as Rust names.

use std::collections::HashSet;

use proc_macro2::{Ident, Span};

/// Words that cannot be names, in any edition.
const KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
    super trait true try type typeof unsafe unsized use virtual where while yield";

/// `nanoGPT` as `nano_gpt`, `resnet18-cifar10` as `resnet18_cifar10`, `type` as `type_`: a name for a module or a field.
pub fn snake_case(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut name = String::new();
    for (i, &c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            separate(&mut name);
            continue;
        }
        let follows =
            |is: fn(&char) -> bool| i.checked_sub(1).is_some_and(|before| is(&chars[before]));
        let precedes_lower = chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
        let starts_word = follows(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            || follows(char::is_ascii_uppercase) && precedes_lower;
        if c.is_ascii_uppercase() && starts_word {
            separate(&mut name);
        }
        name.push(c.to_ascii_lowercase());
    }
    legal(name.trim_end_matches('_'))
}

/// `h.0/mlp/c_fc` as `H0_MLP_C_FC`: a name for a constant.
pub fn screaming_case(text: &str) -> String {
    let mut numbered = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let after_letter = numbered.ends_with(|last: char| last.is_ascii_alphabetic());
        let before_digit = chars.peek().is_some_and(char::is_ascii_digit);
        if c != '.' || !after_letter || !before_digit {
            numbered.push(c);
        }
    }
    snake_case(&numbered)
        .trim_end_matches('_')
        .to_ascii_uppercase()
}

fn separate(name: &mut String) {
    if !name.is_empty() && !name.ends_with('_') {
        name.push('_');
    }
}

fn legal(name: &str) -> String {
    if name.is_empty() {
        "unnamed".into()
    } else if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else if KEYWORDS.split_whitespace().any(|keyword| keyword == name) {
        format!("{name}_")
    } else {
        name.into()
    }
}

/// Names given out in one scope: the second `fc` is `fc_2`.
#[derive(Default)]
pub struct Scope(HashSet<String>);

impl Scope {
    /// A scope in which `names` are taken.
    pub fn reserving(names: &[&str]) -> Self {
        Self(names.iter().map(ToString::to_string).collect())
    }

    /// `wanted`, or the first free one of `wanted_2`, `wanted_3`, ...
    pub fn unique(&mut self, wanted: String) -> Ident {
        let mut name = wanted.clone();
        let mut next = 2;
        while !self.0.insert(name.clone()) {
            name = format!("{wanted}_{next}");
            next += 1;
        }
        Ident::new(&name, Span::call_site())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snake_case_keeps_words() {
        for (text, expected) in [
            ("nanoGPT", "nano_gpt"),
            ("resnet18-cifar10", "resnet18_cifar10"),
            ("HTTPServer", "http_server"),
            ("GPT2Small", "gpt2_small"),
            ("mobilenetv2.imagenet", "mobilenetv2_imagenet"),
            ("already_snake", "already_snake"),
            ("/encoder//Layer.0/out:0", "encoder_layer_0_out_0"),
            ("__x__", "x"),
            ("input_1", "input_1"),
        ] {
            assert_eq!(snake_case(text), expected);
        }
    }

    #[test]
    fn every_name_is_legal() {
        for (text, expected) in [
            ("type", "type_"),
            ("Self", "self_"),
            ("crate", "crate_"),
            ("gen", "gen_"),
            ("3d-net", "_3d_net"),
            ("", "unnamed"),
            ("_", "unnamed"),
            ("ü", "unnamed"),
        ] {
            assert_eq!(snake_case(text), expected);
            syn::parse_str::<syn::Ident>(expected).unwrap();
        }
    }

    #[test]
    fn constants_keep_the_layer_number_with_the_layer() {
        assert_eq!(screaming_case("h.0/mlp/c_fc"), "H0_MLP_C_FC");
        assert_eq!(screaming_case("v1.2"), "V1_2");
        assert_eq!(screaming_case("input_1"), "INPUT_1");
        assert_eq!(screaming_case("type"), "TYPE");
    }

    #[test]
    fn scopes_give_each_name_once() {
        let mut scope = Scope::reserving(&["MODEL"]);
        assert_eq!(scope.unique("FC".into()), "FC");
        assert_eq!(scope.unique("FC".into()), "FC_2");
        assert_eq!(scope.unique("FC_2".into()), "FC_2_2");
        assert_eq!(scope.unique("FC".into()), "FC_3");
        assert_eq!(scope.unique("MODEL".into()), "MODEL_2");
    }
}
